//! Followers: projections that are filled at their own pace, watched, stopped, killed,
//! poisoned, rebuilt and taken over.
//!
//! | file | what it shows |
//! |---|---|
//! | `equal` | inline, following and rebuilt tables are the same, whatever history was theirs |
//! | `killed` | a process killed while it projects counts each event once |
//! | `order` | each event is seen once and in order, while two processes write |
//! | `poison`, `parked` | an event that cannot be taken in is never passed over in silence |
//! | `takeover` | one runner at a time over all processes; one that was overtaken writes nothing |
//! | `watched` | waiting, pausing, stopping, and what is told of all that |
//! | `asked` | what was asked for is done once, or said not to be, whatever comes between |
//! | `rebuilt` | a new build takes the place of the one that is read in one step |
//! | `shared` | several projections read the feed once, those that filter move on |
//! | `live` | one that is filled when it is read goes on after reads that were dropped |
//! | `wrong` | code and checkpoints that cannot be |
//!
//! A worker process is this test binary, started again to run [`worker`] alone; it stops when
//! its standard input ends. 40 histories, 50 kills, 200 positions of a poison in
//! `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_HISTORIES=1000 ANNALIST_KILLS=1000 ANNALIST_POISONS=1000 ANNALIST_APPENDS=20000 \
//!     cargo test --release --test following -- --nocapture
//! ```
//!
//! A test that draws prints its seed; `ANNALIST_SEED` sets it.

#![cfg(feature = "sqlite")]
#![expect(
    clippy::indexing_slicing,
    reason = "a row that is not there fails the test"
)]

mod asked;
mod child;
mod equal;
mod history;
mod killed;
mod live;
mod models;
mod order;
mod parked;
mod poison;
mod rebuilt;
mod shared;
mod takeover;
mod watched;
#[path = "../worker/mod.rs"]
#[expect(dead_code, reason = "nobody is told to go on here")]
mod worker;
mod wrong;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use annalist::follow::{FollowStatus, Following};
use annalist::store::{Database, SqlRow, SqlValue, Tx};
use annalist::{ExpectedVersion, NewEvent, Position, Store, StreamId};
use tempfile::TempDir;

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test: what a worker process runs.
#[test]
#[ignore = "the other tests start it in processes of their own"]
fn worker() {
    if let Some(spec) = worker::spec(child::SPEC) {
        child::run(&spec);
    }
}

/// A folder of its own for a store file and a database beside it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    fn beside(&self) -> PathBuf {
        self.0.path().join("beside.db")
    }

    async fn open(&self) -> Store {
        Store::open(self.store()).await.expect("a store")
    }

    async fn database(&self) -> Database {
        Database::open(self.beside()).await.expect("a database")
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

fn stream(number: u64) -> StreamId {
    format!("account-{number}").parse().expect("a stream id")
}

fn deposited(amount: i64) -> NewEvent {
    NewEvent::json("Deposited", &amount).expect("an event")
}

/// Appends one event, also where the file is busy, and answers its position.
async fn append(store: &Store, to: u64, amount: i64) -> Position {
    let (stream, event) = (stream(to), deposited(amount));
    loop {
        let appended = store.append(&stream, ExpectedVersion::Any, [event.clone()]);
        match appended.await {
            Ok(receipt) => return receipt.position.expect("an event was written"),
            Err(error) if error.is_retryable() => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Appends so many events to four streams, a few at a time, and answers the last position.
async fn append_many(store: &Store, events: u64) -> Position {
    let mut last = Position::ZERO;
    for first in (0..events).step_by(64) {
        let batch = (first..events.min(first + 64)).map(|n| deposited(n as i64 % 97));
        let batch: Vec<_> = batch.collect();
        let stream = stream(first / 64 % 4);
        let appended = store.append(&stream, ExpectedVersion::Any, batch);
        let receipt = appended.await.expect("an append");
        last = receipt.position.expect("events were written");
    }
    last
}

/// Waits until one holds what is at a position.
async fn reach(running: &Following, name: &str, position: Position) {
    let reached = running.wait_for(name, position, PATIENCE).await;
    reached.unwrap_or_else(|error| panic!("{error}; {:?}", running.status(name)));
}

/// Waits until what is told of one is so.
async fn told(
    running: &Following,
    name: &str,
    is_so: impl FnMut(&FollowStatus) -> bool,
) -> FollowStatus {
    let mut status = running.watch(name).expect("a follower");
    let told = tokio::time::timeout(PATIENCE, status.wait_for(is_so)).await;
    let told = told.map(|told| told.map(|status| status.clone()));
    match told {
        Ok(Ok(status)) => status,
        other => panic!("{other:?}, {:?}", running.status(name)),
    }
}

/// All rows of a query, of which there may be more than are answered at once.
async fn rows(database: &Database, sql: &str) -> Vec<Vec<SqlValue>> {
    let mut all = Vec::new();
    loop {
        let page = format!("{sql} LIMIT {} OFFSET {}", Tx::ROWS_MAX, all.len());
        let row = |row: &SqlRow| row.values().to_vec();
        let page = database.query(&page, &[], row).await;
        let page = page.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let is_last = page.len() < Tx::ROWS_MAX;
        all.extend(page);
        if is_last {
            return all;
        }
    }
}

/// The one number that a query answers.
async fn count(database: &Database, sql: &str) -> i64 {
    let rows = rows(database, sql).await;
    rows[0][0].as_i64().expect("a number")
}
