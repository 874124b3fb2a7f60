//! Closing while callers are at work: each of them is answered, and what was acknowledged
//! is there afterwards.
//!
//! A hundred closings in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_SHUTDOWNS=1000 cargo test --release --test sqlite shutdown -- --nocapture
//! ```

use std::time::Duration;

use annalist::store::sqlite::{CommitThread, SqliteOptions};
use annalist::{Store, StoreError, Version};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::{Place, Random, event, number, seed, stream};

/// Long enough for any machine, and not for ever.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Appends until the store is closed; how many were acknowledged.
async fn append_until_closed(store: Store, caller: usize) -> u64 {
    let stream = stream(&format!("a-{caller}"));
    let mut acknowledged = 0;
    loop {
        let expected = Version::new(acknowledged);
        match store.append(&stream, expected, [event(caller)]).await {
            Ok(receipt) => {
                acknowledged += 1;
                assert_eq!(receipt.version(), Version::new(acknowledged));
            }
            Err(error) if error.code() == "handle_closed" => return acknowledged,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads until the store is closed; how often it was answered.
async fn read_until_closed(store: Store) -> u64 {
    let mut answered = 0;
    loop {
        let read: Result<_, StoreError> = store.read_all().collect().await;
        match read {
            Ok(events) => {
                let dense = events
                    .iter()
                    .zip(1..)
                    .all(|(event, n)| event.position.get() == n);
                assert!(dense, "a hole");
                answered += 1;
            }
            Err(error) if error.code() == "handle_closed" => return answered,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_is_answered_when_a_store_closes_under_load() {
    let mut random = Random(seed(
        "every_caller_is_answered_when_a_store_closes_under_load",
    ));
    let shutdowns = number::<usize>("ANNALIST_SHUTDOWNS", 100);
    let (mut total, mut reads) = (0, 0);
    for round in 0..shutdowns {
        let place = Place::new();
        let mut options = SqliteOptions::default();
        // Some stand in line for a place, or none has to.
        options.queue_commits_max = [1, 3, 100][random.below(3)];
        options.queue_timeout = Duration::from_secs(600);
        let threads = [CommitThread::Writer, CommitThread::CallerIfIdle];
        options.commit_thread = threads[random.below(2)];
        let store = place.open_with(options).await;
        // One alone keeps the store idle between its commits.
        let callers: Vec<_> = (0..[1, 16][random.below(2)])
            .map(|caller| tokio::spawn(append_until_closed(store.clone(), caller)))
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| tokio::spawn(read_until_closed(store.clone())))
            .collect();
        let enough = 1 + random.below(40) as u64;
        while store.head().await.expect("a read").get() < enough {
            tokio::task::yield_now().await;
        }
        // Closed by one, by several at once, or by a call that is dropped at once.
        match random.below(3) {
            0 => drop(store.close().now_or_never()),
            several => {
                let closing = (0..several).map(|_| store.close());
                let closed = timeout(HANGS_AFTER, join_all(closing)).await;
                for closed in closed.unwrap_or_else(|_| panic!("round {round}: closing hangs")) {
                    closed.expect("a clean close");
                }
            }
        }
        let answers = timeout(HANGS_AFTER, async {
            (join_all(callers).await, join_all(readers).await)
        });
        let (callers, readers) = answers
            .await
            .unwrap_or_else(|_| panic!("round {round}: a caller was not answered"));
        let acknowledged: u64 = callers
            .into_iter()
            .map(|caller| caller.expect("no panic"))
            .sum();
        reads += readers
            .into_iter()
            .map(|reader| reader.expect("no panic"))
            .sum::<u64>();
        timeout(HANGS_AFTER, store.close())
            .await
            .expect("closing hangs")
            .expect("a clean close");
        let store = place.open().await;
        assert_eq!(store.head().await.expect("a read").get(), acknowledged);
        store.close().await.expect("a clean close");
        total += acknowledged;
    }
    println!("{shutdowns} shutdowns, {total} appends acknowledged, {reads} reads answered");
}
