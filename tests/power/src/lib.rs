//! Power loss and failing disks: what the SQLite store promises when they come.
//!
//! | file | what it is for |
//! |---|---|
//! | `vfs` | stands between SQLite and its file system; the only unsafe code |
//! | `recording` | what happens in a folder, in one order |
//! | `fault` | which write or flush fails, and how |
//! | `disk` | what a disk may hold after it has lost its power |
//! | `plan` | what a workload sends |
//! | `drive` | runs it, and notes what callers are told |
//! | `ledger` | what they were told, and so what must hold |
//! | `check` | opens what is found, and looks |
//! | `leftover` | a commit that is read and not on the disk, after a failed flush |
//! | `disk_full` | a full disk is left alone for a while, then used again |
//! | `io_faults` | every write and every flush fails: true answers, nothing partial |
//! | `power_loss` | after a power loss at any moment nothing acknowledged is lost |
//!
//! A package of its own since the crate forbids itself unsafe code. 5,000 images and the
//! faults of one workload in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_IMAGES=500000 ANNALIST_FAULT_WORKLOADS=20 \
//!     cargo test --release -p annalist-power -- --nocapture
//! ```
//!
//! A test that draws prints its seed; `ANNALIST_SEED` sets it. It fixes what is sent and
//! what a disk loses, and not which commits share a transaction.

#![cfg(test)]

mod check;
mod dice;
mod disk;
mod disk_full;
mod drive;
mod fault;
mod io_faults;
mod ledger;
mod leftover;
mod plan;
mod power_loss;
mod recording;
#[expect(unsafe_code, reason = "SQLite is called in C")]
mod vfs;

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::str::FromStr;

use tempfile::TempDir;

/// A folder in memory where the system has one, since flushing it costs nothing.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => TempDir::new_in(memory),
        false => TempDir::new(),
    };
    folder.expect("a folder")
}

/// A runtime for one thread.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

/// A number that the environment may set.
fn number<N: FromStr>(variable: &str, default: N) -> N {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}

/// The seed of a run, printed so that it can be set again.
fn seed(test: &str) -> u64 {
    let seed = number("ANNALIST_SEED", RandomState::new().hash_one(test));
    println!("{test}: ANNALIST_SEED={seed}");
    seed
}
