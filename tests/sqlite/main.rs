//! What holds of the store in a SQLite file beside the contract: the file itself,
//! and many callers at once.

#![cfg(feature = "sqlite")]
#![expect(clippy::indexing_slicing, reason = "a test that is wrong may panic")]

mod backup;
mod callers;
mod chains;
mod clocks;
mod damage;
mod dropped;
mod file;
mod flips;
mod leases;
mod on_caller;
mod overload;
mod refused;
mod shutdown;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::str::FromStr;

use annalist::store::sqlite::SqliteOptions;
use annalist::{NewEvent, Store, StreamId};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

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
        self.open_with(SqliteOptions::default()).await
    }

    async fn open_with(&self, options: SqliteOptions) -> Store {
        Store::open_with(self.path(), options)
            .await
            .expect("a store")
    }

    /// Another connection to the file, as any program may have one.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).expect("a connection")
    }
}

fn stream(name: &str) -> StreamId {
    name.parse().expect("a stream id")
}

fn event(number: usize) -> NewEvent {
    NewEvent::json("Noted", &json!({ "number": number })).expect("an event")
}

/// Numbers that look random and are the same for the same seed: splitmix64.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
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
