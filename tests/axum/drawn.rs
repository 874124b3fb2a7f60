//! Odd requests, drawn from a seed. The fuzzer in `fuzz/` goes further.
//!
//! `ANNALIST_ODD_REQUESTS=1000000 cargo test --release --all-features --test axum odd` is the
//! long run; `ANNALIST_SEED` repeats one.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::odd;

const PATHS: &[&str] = &[
    "+/1/deposit",
    "+/1/withdraw",
    "+/1/open",
    "+/2/open",
    "+/open",
    "+/1/deposit?based_on=1",
    "+/1/withdraw?based_on=0",
    "+/1/nothing",
    "+/%2e%2e/%00/deposit",
    "?/1",
    "?/1",
    "?/1?version=1",
    "?/1?at=2026-11-01T12:00:00Z",
    "?/1/history?from=1&limit=1",
    "!/1",
];
const HEADERS: &[&str] = &[
    "content-type",
    "if-match",
    "if-none-match",
    "idempotency-key",
    "content-length",
    "accept",
];
const VALUES: &[&str] = &[
    "TAG",
    "TAG",
    "TAG, \"x\"",
    "W/TAG",
    "*",
    "\"x\"",
    "\"0123456789abcdef0123456789abcdef\"",
    "abc",
    "\"a b\\\"\"",
    "\"\u{e9}\"",
    ",",
    "3",
    "application/json",
    "a/b+json",
];
const BODIES: &[&str] = &[
    "{\"cents\":5}",
    "{\"cents\":5,\"force\":true}",
    "{\"cents\":-5}",
    "{\"cents\":600}",
    "{\"cents\":666}",
    "{\"cents\":9223372036854775807}",
    "{\"cents\":1e999}",
    "{\"cents\":\"5\"}",
    "{\"cents\":5",
    "[5]",
    "",
    "\u{e9}",
];

/// A request as a client might write it, and then, of most, some bytes otherwise.
fn draw(random: &mut Rng) -> Vec<u8> {
    let one =
        |random: &mut Rng, of: &[&'static str]| random.choice(of).copied().unwrap_or_default();
    let mut text = one(random, PATHS).to_owned();
    if random.u8(..4) > 0 {
        text.push_str("\ncontent-type: application/json");
    }
    for _ in 0..random.usize(..3) {
        let (header, value) = (one(random, HEADERS), one(random, VALUES));
        text.push_str(&format!("\n{header}: {value}"));
    }
    text.push_str("\n\n");
    text.push_str(one(random, BODIES));
    let mut bytes = text.into_bytes();
    for _ in 0..random.usize(..4).saturating_sub(1) {
        let at = random.usize(..bytes.len());
        match random.u8(..3) {
            0 => bytes[at] = random.u8(..),
            1 => bytes.insert(at, random.u8(..)),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

#[test]
fn no_odd_request_is_answered_wrongly() {
    let variable = |name| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().expect("a number"))
    };
    let count = variable("ANNALIST_ODD_REQUESTS").unwrap_or(3_000);
    let seed = variable("ANNALIST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{count} odd requests, ANNALIST_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let mut statuses = BTreeMap::<u16, u64>::new();
    for _ in 0..count {
        let bytes = draw(&mut random);
        match std::panic::catch_unwind(|| odd::request(&bytes)) {
            Ok(Some(status)) => *statuses.entry(status).or_default() += 1,
            Ok(None) => {}
            Err(_) => panic!("{:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    println!("{statuses:?}");
    for status in [200, 201, 304, 400, 404, 409, 412, 415, 422, 500] {
        assert!(statuses.contains_key(&status), "{status} is never reached");
    }
}
