//! Batches, and the queue before them.

use annalist::store::sqlite::SqliteOptions;
use annalist::{CommandBus, ExpectedVersion, NewEvent, Store, StreamId, Version};
use futures_util::future::join_all;

use crate::recorder::Figures;
use crate::shelf::Stock;

const COMMITS: &str = "annalist_batch_commits";
const EVENTS: &str = "annalist_batch_events";
const DURATION: &str = "annalist_commit_duration_seconds";
const QUEUE: &str = "annalist_queue_depth";

struct Opened {
    store: Store,
    _folder: tempfile::TempDir,
}

async fn open() -> Opened {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("shelf.db")).await;
    Opened {
        store: store.expect("a store"),
        _folder: folder,
    }
}

fn event() -> NewEvent {
    NewEvent::json("Stocked", &1).expect("an event")
}

fn shelf(number: usize) -> StreamId {
    format!("shelf-{number}").parse().expect("an id")
}

async fn append(store: &Store, number: usize, events: usize) {
    let events: Vec<_> = (0..events).map(|_| event()).collect();
    let stream = shelf(number);
    let appended = store.append(&stream, ExpectedVersion::NoStream, events);
    appended.await.expect("a receipt");
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}

#[tokio::test]
async fn the_batches_hold_what_was_sent_and_nothing_is_told_of_commands() {
    let figures = Figures::from_nothing().await;
    let Opened { store, _folder } = open().await;
    join_all((0..300).map(|number| append(&store, number, number % 4))).await;
    assert_eq!(figures.histograms(), [COMMITS, EVENTS, DURATION, QUEUE]);
    assert_eq!(figures.counts(), [""; 0]);
    let (commits, events) = (figures.values(COMMITS), figures.values(EVENTS));
    assert_eq!((sum(&commits), sum(&events)), (300.0, 450.0));
    assert!(commits.len() < 300, "they came together: {commits:?}");
    assert_eq!(figures.values(DURATION).len(), commits.len());
    assert_eq!(figures.values(QUEUE).len(), commits.len());
    let seconds = sum(&figures.values(DURATION));
    assert!(0.0 < seconds && seconds < 60.0, "{seconds} seconds");
}

#[tokio::test]
async fn the_queue_is_as_long_as_what_waits_behind_a_batch() {
    let figures = Figures::from_nothing().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shelf.db");
    let mut options = SqliteOptions::default();
    options.batch_commits_max = 2;
    let store = Store::open_with(&path, options).await.expect("a store");

    // Nobody is served before all are there.
    let other = rusqlite::Connection::open(&path).expect("a connection");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let sent = join_all((0..10).map(|number| append(&store, number, 1)));
    let served = async {
        other
            .execute_batch("ROLLBACK")
            .expect("the lock given back");
    };
    tokio::join!(sent, served);

    assert_eq!(figures.values(COMMITS), [2.0; 5]);
    let waiting = figures.values(QUEUE);
    assert!(waiting.ends_with(&[7.0, 5.0, 3.0, 1.0]), "{waiting:?}");
    assert_eq!(waiting.len(), 5);
}

#[tokio::test]
async fn what_was_stored_before_is_no_event_and_what_is_refused_no_commit() {
    let figures = Figures::from_nothing().await;
    let Opened { store, _folder } = open().await;
    let stream = shelf(1);
    let (one, two) = (event(), event());
    for _ in 0..2 {
        let events = [one.clone(), two.clone()];
        let appended = store.append(&stream, ExpectedVersion::NoStream, events);
        appended.await.expect("a receipt");
    }
    let refused = store.append(&stream, Version::ZERO, [event()]).await;
    refused.expect_err("a conflict");
    store
        .delete(&stream, ExpectedVersion::Any)
        .await
        .expect("deleted");
    assert_eq!(figures.values(COMMITS), [1.0, 1.0]);
    assert_eq!(figures.values(EVENTS), [2.0, 0.0]);
    assert_eq!(figures.values(DURATION).len(), 4);
    assert_eq!(figures.values(QUEUE), [0.0; 4]);
}

#[tokio::test]
async fn a_line_is_written_in_one_batch() {
    let figures = Figures::from_nothing().await;
    let Opened { store, _folder } = open().await;
    let bus = CommandBus::new(store);
    let sent = (0..20).map(|_| bus.dispatch("cups", Stock(1)).into_future());
    for outcome in join_all(sent).await {
        outcome.expect("an outcome");
    }
    assert_eq!(figures.values("annalist_line_depth"), [20.0]);
    assert_eq!(figures.values(COMMITS), [20.0]);
    assert_eq!(figures.values(EVENTS), [20.0]);
    assert_eq!(figures.values(QUEUE), [0.0]);
}

#[tokio::test]
async fn a_recorder_that_panics_hinders_nobody() {
    let figures = Figures::from_nothing().await;
    let Opened { store, _folder } = open().await;
    let bus = CommandBus::new(store.clone());
    figures.fall();
    for version in 1..=3 {
        let stocked = bus.dispatch("cups", Stock(1)).await;
        assert_eq!(stocked.expect("an outcome").version, Version::new(version));
    }
    store.close().await.expect("a clean close");
    figures.take();
    assert_eq!(figures.counts(), [""; 0]);
}
