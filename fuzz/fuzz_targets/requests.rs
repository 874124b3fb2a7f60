//! Requests to the routes, as no client writes them.
//!
//! ```text
//! cargo install cargo-fuzz
//! cargo +nightly fuzz run requests fuzz/corpus/requests fuzz/seeds -- -max_total_time=600
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/http/bank.rs"]
mod bank;
#[path = "../../tests/axum/odd.rs"]
mod odd;

fuzz_target!(init: {
    // The application may panic and is answered 500. What is a finding comes out of `request`.
    drop(std::panic::take_hook());
}, |bytes: &[u8]| {
    odd::request(bytes);
});
