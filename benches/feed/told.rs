//! How soon a subscriber is told of an append: from the call until the event is delivered,
//! in the same process and in another, and until the caller is answered.
//!
//! The other process is the bench's own binary, started again; so a bench that measures
//! this calls [`is_done_as_other_process`] before anything else.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annalist::{ExpectedVersion, FeedItem, NewEvent, Payload, Position, Store, StreamId};
use futures_util::StreamExt;
use tokio::sync::oneshot;

/// The variable of the environment that makes this binary the other process.
const OTHER: &str = "ANNALIST_FEED_BENCH";

/// When callers were answered, and a subscriber told: the 50th and the 99th of a hundred, in
/// microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) ack: [f64; 2],
    pub(crate) told: [f64; 2],
}

/// Does the other process's part, if this is that process.
pub(crate) async fn is_done_as_other_process() -> bool {
    let Ok(path) = std::env::var(OTHER) else {
        return false;
    };
    follow_there(Path::new(&path)).await;
    true
}

pub(crate) async fn told_here(callers: usize, length: Duration) -> Round {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("bench.db")).await;
    let store = store.expect("a store");
    let (through, is_through) = oneshot::channel();
    let follower = store.clone();
    let told = tokio::spawn(async move { follow(&follower, is_through).await });
    let acks = append(&store, callers, length).await;
    through.send(acks.len() as u64).expect("a subscriber");
    let told = told.await.expect("no panic");
    store.close().await.expect("a clean close");
    Round {
        ack: percentiles(acks),
        told: percentiles(told),
    }
}

pub(crate) async fn told_there(callers: usize, length: Duration) -> Round {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bench.db");
    let store = Store::open(&path).await.expect("a store");
    let mut other = Command::new(std::env::current_exe().expect("this binary"))
        .env(OTHER, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut said = BufReader::new(other.stdout.take().expect("its output")).lines();
    let mut line = || said.next().expect("a line").expect("text");
    assert_eq!(line(), "following");
    let acks = append(&store, callers, length).await;
    let mut through = other.stdin.take().expect("its input");
    writeln!(through, "{}", acks.len()).expect("a listener");
    let told = line();
    let figures: Vec<f64> = told
        .split(' ')
        .map(|figure| figure.parse().expect("a number"))
        .collect();
    let &[p50, p99] = figures.as_slice() else {
        panic!("{told}")
    };
    assert!(other.wait().expect("its end").success());
    store.close().await.expect("a clean close");
    Round {
        ack: percentiles(acks),
        told: [p50, p99],
    }
}

/// Appends from so many callers for so long; how long each waited.
pub(crate) async fn append(store: &Store, callers: usize, length: Duration) -> Vec<Duration> {
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let (store, done) = (store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let stream = StreamId::new("bench", caller).expect("a stream id");
                let mut latencies = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let appended = store.append(&stream, ExpectedVersion::Any, [event()]);
                    appended.await.expect("an append");
                    latencies.push(begun.elapsed());
                }
                latencies
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    done.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.expect("no panic"));
    }
    latencies
}

/// An event of 200 bytes that says when its append was called.
pub(crate) fn event() -> NewEvent {
    let at = u64::try_from(now().as_nanos()).expect("a time before 2554");
    let filling = "x".repeat(163);
    let payload = format!(r#"{{"at":{at},"note":"{filling}"}}"#);
    let payload = Payload::from_text(payload).expect("JSON");
    NewEvent::new("Noted".parse().expect("a type"), payload)
}

/// Follows to the number of events that it is given, and says what came of it.
async fn follow_there(path: &Path) {
    let store = Store::open(path).await.expect("a store");
    let (through, is_through) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).expect("a line");
        through.send(line.trim().parse().expect("a number"))
    });
    println!("following");
    let [p50, p99] = percentiles(follow(&store, is_through).await);
    println!("{p50} {p99}");
    store.close().await.expect("a clean close");
}

/// The ages of as many events as there are in the end.
async fn follow(store: &Store, mut is_through: oneshot::Receiver<u64>) -> Vec<Duration> {
    let mut items = store.subscribe(Position::ZERO).items();
    let (mut told, mut last) = (Vec::new(), None);
    while last.is_none_or(|last| (told.len() as u64) < last) {
        tokio::select! {
            item = items.next() => told.push(age(&item.expect("no end").expect("no error"))),
            appended = &mut is_through, if last.is_none() => {
                last = Some(appended.expect("a number"));
            }
        }
    }
    told
}

/// How long ago the append of an item was called.
fn age(item: &FeedItem) -> Duration {
    let now = now();
    let event = item.event().expect("nothing is removed");
    let at: serde_json::Value = event.payload.decode().expect("JSON");
    let at = at.get("at").and_then(serde_json::Value::as_u64);
    now.saturating_sub(Duration::from_nanos(at.expect("a time")))
}

/// The machine's time, which two processes share.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a time after 1970")
}

/// The 50th and the 99th of a hundred, in microseconds.
fn percentiles(mut latencies: Vec<Duration>) -> [f64; 2] {
    latencies.sort_unstable();
    [0.50, 0.99].map(|share| {
        let index = (latencies.len() as f64 * share) as usize;
        let latency = latencies.get(index.min(latencies.len().saturating_sub(1)));
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    })
}
