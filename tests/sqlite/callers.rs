//! Many callers at once, and callers that go away.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use annalist::store::sqlite::SqliteOptions;
use annalist::{
    AppendError, Clock, ExpectedVersion, NewEvent, Receipt, StoreErrorKind, StreamId, Version,
};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::join_all;
use rusqlite::Connection;

use crate::{Place, event, stream};

/// Holds the file's write lock until it is dropped.
pub(crate) struct Lock(Connection);

impl Lock {
    pub(crate) fn take(place: &Place) -> Self {
        let conn = place.connect();
        conn.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        Self(conn)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").expect("the lock is ours");
    }
}

#[tokio::test]
async fn commits_that_wait_together_share_a_transaction() {
    let place = Place::new();
    let store = place.open().await;
    let wal = || {
        fs::metadata(place.0.path().join("store.db-wal"))
            .expect("the log")
            .len()
    };

    // What one commit adds to the write-ahead log.
    store
        .append(&stream("a-0"), Version::ZERO, [event(0)])
        .await
        .expect("an append");
    let before = wal();
    store
        .append(&stream("a-1"), Version::ZERO, [event(0)])
        .await
        .expect("an append");
    let one = wal() - before;

    // All are queued while the lock is away; the writer is waiting for it.
    let lock = Lock::take(&place);
    let streams: Vec<_> = (0..300)
        .map(|caller| stream(&format!("b-{caller}")))
        .collect();
    let appends = streams
        .iter()
        .map(|stream| store.append(stream, Version::ZERO, [event(1)]));
    let mut all = Box::pin(join_all(appends));
    assert!((&mut all).now_or_never().is_none());
    let before = wal();
    drop(lock);
    let answers: Vec<Receipt> = all
        .await
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("300 appends");

    let added = wal() - before;
    assert!(
        added < one * 300 / 4,
        "300 commits added {added} bytes, one adds {one}"
    );
    let mut positions: Vec<_> = answers.iter().map(|receipt| receipt.position).collect();
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), 300);
}

#[tokio::test]
async fn a_busy_file_is_told_as_busy_and_works_again() {
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.busy_timeout = Duration::from_millis(50);
    let store = place.open_with(options).await;
    let lock = Lock::take(&place);
    let appends: Vec<_> = ["a-1", "a-2", "a-3"].into_iter().map(stream).collect();
    let appends = appends
        .iter()
        .map(|stream| store.append(stream, Version::ZERO, [event(1)]));
    for answer in join_all(appends).await {
        let error = answer.expect_err("the lock is away");
        assert!(
            error.is_retryable() && error.conflict().is_none(),
            "{error}"
        );
        assert_eq!(error.code(), "busy");
    }
    // Reading needs no lock.
    assert_eq!(store.head().await.expect("a read").get(), 0);
    drop(lock);
    store
        .append(&stream("a-1"), Version::ZERO, [event(1)])
        .await
        .expect("an append");
}

#[tokio::test]
async fn a_full_queue_is_told_as_overloaded_and_nothing_is_lost() {
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.queue_commits_max = 4;
    // The writer takes its first commit well before.
    options.queue_timeout = Duration::from_secs(1);
    let store = place.open_with(options).await;
    let lock = Lock::take(&place);
    let streams: Vec<_> = (0..20)
        .map(|caller| stream(&format!("a-{caller}")))
        .collect();
    let mut waiting: Vec<_> = streams
        .iter()
        .map(|stream| Box::pin(store.append(stream, Version::ZERO, [event(1)])))
        .collect();
    let mut overloaded = 0;
    // Five fit: one in the writer's hands, four in the queue. The rest give up.
    while overloaded < 15 {
        let (answer, index, rest) = futures_util::future::select_all(waiting).await;
        let error = answer.expect_err("the lock is away");
        assert_eq!(error.code(), "overloaded", "{index}: {error}");
        assert!(error.is_retryable());
        overloaded += 1;
        waiting = rest;
    }
    drop(lock);
    for answer in join_all(waiting).await {
        answer.expect("an append");
    }
    assert_eq!(store.head().await.expect("a read").get(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_of_few_streams_count_right() {
    let place = Place::new();
    let store = place.open().await;
    let callers = (0..1_000).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let stream = stream(&format!("hot-{}", caller % 10));
            let mut lost = 0u32;
            loop {
                let seen = store.stream_info(&stream).await.expect("a read").version;
                match store.append(&stream, seen, [event(caller)]).await {
                    Ok(receipt) => return (receipt.version(), lost),
                    Err(AppendError::Conflict(conflicts)) => {
                        let conflict = &conflicts.violations()[0];
                        assert!(conflict.actual > seen, "{conflict}");
                        lost += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    let answers = join_all(callers).await;
    let lost: u32 = answers
        .iter()
        .map(|answer| answer.as_ref().expect("a caller").1)
        .sum();
    assert!(lost > 0, "nobody ever lost a race, so nothing was shown");
    for hot in 0..10 {
        let read = store
            .read_stream(&stream(&format!("hot-{hot}")))
            .collect()
            .await
            .expect("a read");
        assert_eq!(read.version, Version::new(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_went_away_learns_the_outcome_by_asking_again() {
    let place = Place::new();
    let store = place.open().await;
    let gone = stream("gone-1");
    let mut landed = 0;
    for number in 0..200usize {
        let sent = event(number);
        // Dropped after so many polls, the first of which hands the commit over.
        let mut call = Box::pin(store.append(&gone, ExpectedVersion::Any, [sent.clone()]));
        for _ in 0..=number % 4 {
            if (&mut call).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        let receipt = store
            .append(&gone, ExpectedVersion::Any, [sent])
            .await
            .expect("an answer");
        landed += usize::from(receipt.replayed);
        assert_eq!(receipt.version(), Version::new(number as u64 + 1));
    }
    assert!(
        landed > 0,
        "every dropped commit was gone, so nothing was shown"
    );
    let read = store.read_stream(&gone).collect().await.expect("a read");
    assert_eq!(read.version, Version::new(200));
}

#[tokio::test]
async fn closing_waits_for_no_caller_that_stands_in_line() {
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.queue_commits_max = 1;
    let store = place.open_with(options).await;
    let lock = Lock::take(&place);
    let streams: Vec<_> = (0..8)
        .map(|caller| stream(&format!("a-{caller}")))
        .collect();
    let mut parked: Vec<_> = streams
        .iter()
        .map(|stream| Box::pin(store.append(stream, Version::ZERO, [event(1)])))
        .collect();
    // Each is polled once, some get a place, and none is polled while the store closes.
    for call in &mut parked {
        assert!(call.now_or_never().is_none());
    }
    drop(lock);
    let closed = tokio::time::timeout(Duration::from_secs(60), store.close()).await;
    closed
        .expect("closing does not wait for them")
        .expect("a clean close");
    let mut landed = 0;
    for call in parked {
        match call.await {
            Ok(_) => landed += 1,
            Err(error) => assert_ne!(error.code(), "conflict", "{error}"),
        }
    }
    let store = place.open().await;
    assert_eq!(store.head().await.expect("a read").get(), landed);
}

/// In each batch SQLite refuses some inserts at random, so that batches are rolled back
/// and run one by one, and numbers that were given to names are given to others.
#[tokio::test]
async fn commits_that_sqlite_refuses_fail_alone() {
    for round in 0..40 {
        let place = Place::new();
        let store = place.open().await;
        let end = ["ABORT", "FAIL", "ROLLBACK"][round % 3];
        let trigger = format!(
            "CREATE TRIGGER bad BEFORE INSERT ON annalist_events \
             WHEN abs(random()) % 3 = 0 BEGIN SELECT RAISE({end}, 'planted'); END"
        );
        place.connect().execute_batch(&trigger).expect("a trigger");
        let lock = Lock::take(&place);
        // Each is sent twice, so that what was just written is looked up in the batch.
        let sent: Vec<_> = (0..6)
            .map(|n| (stream(&format!("b-{n}")), format!("Type{n}")))
            .map(|(stream, kind)| (stream, NewEvent::json(&kind, "x").expect("an event")))
            .flat_map(|sent| [sent.clone(), sent])
            .collect();
        let append = |(stream, event): &(StreamId, NewEvent)| {
            let (store, stream, event) = (store.clone(), stream.clone(), event.clone());
            async move { store.append(&stream, Version::ZERO, [event]).await }
        };
        let mut calls = Box::pin(join_all(sent.iter().map(append)));
        assert!((&mut calls).now_or_never().is_none());
        drop(lock);
        let answers = calls.await;
        place
            .connect()
            .execute_batch("DROP TRIGGER bad")
            .expect("the trigger");

        // What is kept in memory says the same as the answers and as the file.
        for (sent, answer) in sent.iter().zip(&answers) {
            let again = append(sent).await.expect("nothing is in the way");
            assert!(
                again.replayed || answer.is_err(),
                "{end}: {answer:?}, then {again:?}"
            );
        }
        assert_eq!(store.read_all().collect().await.expect("no hole").len(), 6);
        let other = place.open().await;
        assert_eq!(
            other.read_all().collect().await.expect("no damage").len(),
            6
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_under_load_answers_everyone() {
    for _ in 0..10 {
        let place = Place::new();
        let store = place.open().await;
        // Each goes on until it is told that the store is closed.
        let callers: Vec<_> = (0..200)
            .map(|caller| {
                let store = store.clone();
                tokio::spawn(async move {
                    let stream = stream(&format!("a-{caller}"));
                    let mut acknowledged = 0;
                    loop {
                        let expected = Version::new(acknowledged);
                        match store.append(&stream, expected, [event(caller)]).await {
                            Ok(_) => acknowledged += 1,
                            Err(error) if error.code() == "handle_closed" => return acknowledged,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        while store.head().await.expect("a read").get() < 100 {
            tokio::task::yield_now().await;
        }
        store.close().await.expect("a clean close");
        let acknowledged = join_all(callers).await;
        let acknowledged: u64 = acknowledged
            .into_iter()
            .map(|caller| caller.expect("a caller"))
            .sum();
        let store = place.open().await;
        assert_eq!(store.head().await.expect("a read").get(), acknowledged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_file_never_write_one_version_twice() {
    let place = Place::new();
    let handles = [place.open().await, place.open().await];
    let callers = (0..8usize).map(|caller| {
        let store = handles[caller % 2].clone();
        tokio::spawn(async move {
            let shared = stream("shared-1");
            let (mut version, mut written) = (Version::ZERO, 0);
            while written < 25 {
                match store.append(&shared, version, [event(caller)]).await {
                    Ok(receipt) => (version, written) = (receipt.version(), written + 1),
                    Err(AppendError::Conflict(conflicts)) => {
                        version = conflicts.violations()[0].actual;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for caller in join_all(callers).await {
        caller.expect("a caller");
    }
    for handle in &handles {
        let read = handle
            .read_stream(&stream("shared-1"))
            .collect()
            .await
            .expect("a read");
        assert_eq!(read.version, Version::new(200));
        assert_eq!(handle.head().await.expect("a read").get(), 200);
    }
}

/// A clock with a fault in it.
struct Broken;

impl Clock for Broken {
    fn now(&self) -> DateTime<Utc> {
        panic!("the clock is broken")
    }
}

#[tokio::test]
async fn a_clock_that_panics_harms_its_caller_alone() {
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.clock = Arc::new(Broken);
    let broken = place.open_with(options).await;
    let whole = place.open().await;
    let a = stream("a-1");
    let handle = broken.clone();
    let call = tokio::spawn(async move {
        let events: [NewEvent; 1] = [event(1)];
        handle.append(&stream("a-1"), Version::ZERO, events).await
    });
    assert!(call.await.expect_err("the panic").is_panic());
    // The handle still answers what needs no clock, and the file takes appends.
    assert_eq!(broken.head().await.expect("a read").get(), 0);
    whole
        .append(&a, Version::ZERO, [event(1)])
        .await
        .expect("an append");
    assert_eq!(broken.head().await.expect("a read").get(), 1);
    broken.close().await.expect("a clean close");
    let kind = broken.head().await.expect_err("closed").kind();
    assert_eq!(kind, StoreErrorKind::HandleClosed);
}
