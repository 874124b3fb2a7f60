//! The routes over loopback, by the requests that a client sends and the answers that it
//! gets.

#![expect(
    clippy::indexing_slicing,
    reason = "a test that indexes past the end has failed"
)]

#[path = "../http/bank.rs"]
mod bank;
mod client;
mod crowd;
mod drawn;
#[path = "../commands/heard.rs"]
mod heard;
mod keys;
mod logs;
mod looks;
mod odd;
mod races;
#[cfg(feature = "sqlite")]
mod restarts;
mod sends;
#[path = "../../examples/rest/serve.rs"]
mod serve;
mod wire;
