//! Two processes write from eight callers, and everyone who follows, in the process of the
//! test and in one that only reads, is told every position once and in order.

use std::sync::Arc;
use std::time::Duration;

use annalist::{ExpectedVersion, NewEvent, PageBounds, Position, Store, StreamId};
use futures_util::future::join_all;

use crate::child::{Role, Spec, Worker};
use crate::{NEVER, Place, next, number};

const PROCESSES: u32 = 2;
const CALLERS: u32 = 4;

/// Appends one event at a time, each caller to a stream of its own.
pub(crate) async fn append_from(store: &Store, worker: u32, callers: u32, appends: u64) {
    let callers = (0..callers).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = format!("{worker}-{caller}");
            let stream = StreamId::new("load", key).expect("a stream id");
            for number in 1..=appends {
                let event = NewEvent::json("Noted", &number).expect("an event");
                let appended = store.append(&stream, ExpectedVersion::Any, [event]).await;
                appended.expect("an append");
            }
        })
    });
    for caller in join_all(callers).await {
        caller.expect("no panic");
    }
}

/// Reads to the last position, and counts the pages.
async fn follow(store: &Store, last: u64, page_max: u32) -> u64 {
    let bounds = PageBounds {
        events_max: page_max,
        ..PageBounds::default()
    };
    let mut pages = store.subscribe(Position::ZERO).page_bounds(bounds).pages();
    let (mut seen, mut read) = (0, 0);
    while seen < last {
        let page = next(&mut pages).await;
        read += 1;
        for item in &page.items {
            assert_eq!(item.position().get(), seen + 1, "a gap or a repeat");
            seen += 1;
        }
        assert_eq!(page.checkpoint.position.get(), seen);
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_is_told_every_position_once_while_two_processes_write() {
    let total = number("ANNALIST_FEED_APPENDS", 2_000);
    let appends = total.div_ceil(u64::from(PROCESSES * CALLERS));
    let last = appends * u64::from(PROCESSES * CALLERS);
    let place = Place::new();
    // Where there is a bell nothing else wakes, so that a ring which is lost shows.
    let poll = match cfg!(target_os = "linux") {
        true => NEVER,
        false => Duration::from_millis(50),
    };
    let store = place.polling(poll).await;
    let role = |role| Spec {
        path: place.path(),
        role,
        poll_ms: u64::try_from(poll.as_millis()).expect("a few"),
    };
    let reader = Worker::opened(&role(Role::Follow));
    let mut writers: Vec<_> = (0..PROCESSES)
        .map(|worker| {
            Worker::opened(&role(Role::Append {
                worker,
                callers: CALLERS,
                appends,
            }))
        })
        .collect();
    let store = Arc::new(store);
    let followers: Vec<_> = [1, 3, 512]
        .into_iter()
        .map(|page_max| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { follow(&store, last, page_max).await })
        })
        .collect();
    writers.iter_mut().for_each(Worker::go);
    let mut told = Vec::new();
    for follower in followers {
        told.push(follower.await.expect("no panic"));
    }
    writers.into_iter().for_each(Worker::finish);
    // The reader is told what the others are, at its own pace.
    for position in 1..=last {
        assert_eq!(reader.hear(), position, "a gap or a repeat");
    }
    reader.finish();
    assert_eq!(store.head().await.expect("the head"), Position::new(last));
    println!("followed {last} positions of {PROCESSES} processes in pages: {told:?}");
    store.close().await.expect("a clean close");
}
