//! Subscriptions: everything that happens is delivered once and in order, caught up and
//! live, in the process and across processes.
//!
//! | file | what it shows |
//! |---|---|
//! | `live` | catch-up, then live; filters, removals, resuming from every position |
//! | `processes` | no gap and no repeat while two processes write |
//! | `wakes` | the bell wakes without a poll, and the poll without a bell |
//! | `shared` | followers at the head share a read, and each is given its own part |
//! | `stalled` | a subscriber that sleeps costs no memory, nor does its catching up |
//! | `ends` | a closed store, errors that pass, threads that are left |
//! | `checkpoints` | a checkpoint of another store, or of one that was restored |
//! | `random` | whatever is appended and removed meanwhile, it adds up |
//!
//! What must be alone in its process, or be another one, is this test binary, started
//! again to run [`worker`] alone.
//!
//! 2,000 appends and 20,000 events in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_FEED_APPENDS=100000 ANNALIST_STALLED_EVENTS=1000000 PROPTEST_CASES=20000 \
//!     cargo test --release --test subscriptions -- --nocapture
//! ```

#![cfg(feature = "sqlite")]

mod checkpoints;
mod child;
mod ends;
mod live;
mod processes;
mod random;
mod shared;
mod stalled;
mod wakes;
#[path = "../worker/mod.rs"]
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use annalist::store::sqlite::SqliteOptions;
use annalist::store::{FeedItem, FeedQuery, RemovalKind};
use annalist::subscription::FeedPages;
use annalist::{ExpectedVersion, NewEvent, Position, Receipt, Store, StreamId, SubscriptionPage};
use futures_util::{Stream, StreamExt};
use tempfile::TempDir;

/// Not a test: what a worker process runs.
#[test]
#[ignore = "the other tests start it in processes of their own"]
fn worker() {
    if let Some(spec) = child::spec() {
        child::run(&spec);
    }
}

/// How long anything may take that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than any test: a poll that never comes.
const NEVER: Duration = Duration::from_secs(3600);

/// A folder of its own for one store file.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    fn bell(&self) -> PathBuf {
        self.0.path().join("store.db-bell")
    }

    async fn open(&self) -> Store {
        self.polling(SqliteOptions::default().poll_interval).await
    }

    async fn polling(&self, interval: Duration) -> Store {
        let mut options = SqliteOptions::default();
        options.poll_interval = interval;
        Store::open_with(self.path(), options)
            .await
            .expect("a store")
    }
}

fn stream(name: &str) -> StreamId {
    name.parse().expect("a stream id")
}

fn event(number: u64) -> NewEvent {
    NewEvent::json("Noted", &number).expect("an event")
}

async fn append(store: &Store, name: &str, number: u64) -> Receipt {
    let (stream, event) = (stream(name), event(number));
    let appended = store.append(&stream, ExpectedVersion::Any, [event]);
    appended.await.expect("an append")
}

/// The next of a subscription, which must come in time.
async fn next<S, T>(items: &mut S) -> T
where
    S: Stream<Item = Result<T, annalist::StoreError>> + Unpin,
{
    let next = tokio::time::timeout(PATIENCE, items.next()).await;
    let next = next.expect("woken in time").expect("no end");
    next.expect("no error")
}

/// All pages up to a position.
async fn until(pages: &mut FeedPages, position: Position) -> Vec<FeedItem> {
    let mut items = Vec::new();
    loop {
        let page: SubscriptionPage = next(pages).await;
        items.extend(page.items);
        if page.checkpoint.position >= position {
            assert_eq!(page.checkpoint.position, position);
            return items;
        }
    }
}

/// The whole feed, read by the backend's own pages.
async fn feed(store: &Store) -> Vec<FeedItem> {
    let (mut items, mut query) = (Vec::new(), FeedQuery::default());
    loop {
        let page = store.backend().read_feed(query.clone()).await;
        let page = page.expect("a page");
        items.extend(page.items);
        match page.scanned {
            Some(scanned) => query.after = scanned.position,
            None => return items,
        }
    }
}

/// An item in short: `3 a-1`, or `4 deleted a-1`.
fn short(item: &FeedItem) -> String {
    let (position, stream) = (item.position(), item.stream());
    match item {
        FeedItem::Event(_) => format!("{position} {stream}"),
        FeedItem::Removed(marker) => match marker.kind {
            RemovalKind::Deleted => format!("{position} deleted {stream}"),
            _ => format!("{position} truncated {stream} to {}", marker.removed_to),
        },
    }
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}
