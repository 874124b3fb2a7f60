//! Several processes on one store file, and processes that are killed.
//!
//! | file | what it shows |
//! |---|---|
//! | `shared` | four processes write the same streams: nothing lost, nothing twice |
//! | `killed` | a process killed under load loses nothing that it was told |
//! | `leases` | processes take turns under a lease; who was overtaken writes nothing |
//! | `log_bound` | a slow reader does not let the write-ahead log grow |
//!
//! A worker process is this test binary, started again to run [`worker`] alone. It
//! tells what it does by lines on its standard output, and stops when its standard
//! input ends, so that none outlives its parent. What it sends follows from names by
//! `plan`; so `ledger` can tell from the file alone whether each commit is whole.
//!
//! 100 kills and 8,000 appends in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_PROCESS_APPENDS=10000 ANNALIST_KILLS=5000 ANNALIST_PAYLOAD_MIB=4096 ANNALIST_TURNS=1000 \
//!     cargo test --release --test processes -- --nocapture
//! ```
//!
//! A test that draws prints its seed; `ANNALIST_SEED` sets it. It fixes what is sent and when
//! the parent decides to kill, and not what the machine makes of it.

#![cfg(feature = "sqlite")]

mod child;
mod killed;
mod leases;
mod ledger;
mod log_bound;
mod plan;
mod shared;
mod work;
#[path = "../worker/mod.rs"]
mod worker;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::str::FromStr;

use annalist::Store;
use rusqlite::Connection;
use tempfile::TempDir;

/// Not a test: what a worker process runs.
#[test]
#[ignore = "the other tests start it in processes of their own"]
fn worker() {
    if let Some(spec) = worker::spec(child::SPEC) {
        work::run(&spec);
    }
}

/// A folder of its own for one store file.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    async fn open(&self) -> Store {
        Store::open(self.path()).await.expect("a store")
    }

    /// Another connection to the file, as any program may have one.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).expect("a connection")
    }

    /// What SQLite itself says of the file.
    fn assert_intact(&self) {
        let said: String = self
            .connect()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("an answer");
        assert_eq!(said, "ok");
    }

    /// The bytes of the write-ahead log.
    fn log_bytes(&self) -> u64 {
        let log = self.0.path().join("store.db-wal");
        std::fs::metadata(log).map_or(0, |log| log.len())
    }
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
