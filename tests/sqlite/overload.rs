//! More commits than the disk takes: the queue is bounded in bytes, who finds no room is
//! told so, and memory stays flat.
//!
//! Three seconds under load in `cargo test`. The long run, of five minutes:
//!
//! ```text
//! ANNALIST_OVERLOAD_SECONDS=300 cargo test --release --test sqlite overload -- --nocapture
//! ```

use std::time::{Duration, Instant};

use annalist::store::sqlite::{Durability, SqliteOptions};
use annalist::{AppendError, NewEvent, Payload, Version};
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::callers::Lock;
use crate::{Place, number, stream};

const MIB: usize = 1024 * 1024;

/// An event whose payload takes up so many bytes of its own.
fn large(bytes: usize) -> NewEvent {
    let payload = Payload::from_text(format!("\"{}\"", "x".repeat(bytes - 2)));
    NewEvent::new("Large".parse().expect("a type"), payload.expect("JSON"))
}

#[tokio::test]
async fn large_commits_find_no_room_and_what_was_accepted_is_answered() {
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.queue_bytes_max = 4 * MIB;
    // The writer takes up its first commit well before.
    options.queue_timeout = Duration::from_secs(1);
    options.busy_timeout = Duration::from_secs(60);
    let store = place.open_with(options).await;
    let lock = Lock::take(&place);
    let streams: Vec<_> = (0..40).map(|n| stream(&format!("a-{n}"))).collect();
    let call = |n: usize| store.append(&streams[n], Version::ZERO, [large(MIB / 2)]);
    // One is in the writer's hands, which waits for the lock.
    let mut first = Box::pin(call(0));
    assert!((&mut first).now_or_never().is_none());
    let mut waiting: Vec<_> = (1..40).map(|n| Box::pin(call(n))).collect();
    let mut overloaded = 0;
    // Of half a MiB and a little more, seven have room in four MiB; an eighth if the writer
    // has not taken up the first by then, in place of that one.
    while overloaded < 39 - 7 {
        let (answer, _, rest) = futures_util::future::select_all(waiting).await;
        let error = answer.expect_err("the lock is away");
        assert_eq!(error.code(), "overloaded", "{error}");
        assert!(error.is_retryable() && error.conflict().is_none());
        overloaded += 1;
        waiting = rest;
    }
    // What needs no room is not refused: there are places left.
    let mut check = Box::pin(store.append(&streams[0], Version::ZERO, []));
    assert!((&mut check).now_or_never().is_none());
    drop(lock);
    first.await.expect("an append");
    for answer in join_all(waiting).await {
        answer.expect("what was accepted lands");
    }
    assert_eq!(check.await.expect_err("it is written").code(), "conflict");
    assert_eq!(store.head().await.expect("a read").get(), 8);
    // All room is free again, and one commit always fits, however large.
    let many = (0..12).map(|_| large(MIB));
    let landed = store.append(&stream("b-1"), Version::ZERO, many).await;
    assert_eq!(landed.expect("an append").version(), Version::new(12));
}

/// The memory that this process has in use.
#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split_whitespace().nth(1).expect("a second number");
    pages.parse::<usize>().expect("a number") * 4096
}

const CALLERS: usize = 64;
const COMMIT_BYTES: usize = 256 * 1024;
const QUEUE_BYTES: usize = 4 * MIB;

/// Not a test: what runs in a process of its own, whose memory is nobody else's.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the test below starts it in a process of its own"]
async fn pusher() {
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.queue_bytes_max = QUEUE_BYTES;
    options.queue_timeout = Duration::from_millis(20);
    options.durability = Durability::Off;
    let store = place.open_with(options).await;
    let until = Instant::now() + Duration::from_secs(number("ANNALIST_OVERLOAD_SECONDS", 3));
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let own = stream(&format!("a-{n}"));
                let (mut answered, mut overloaded) = (0u64, 0u64);
                while Instant::now() < until {
                    // Goes through the queue and is not written, so that the file stays small.
                    let commit = store.append(&own, Version::new(9), [large(COMMIT_BYTES)]);
                    match commit.await {
                        Err(AppendError::Conflict(_)) => answered += 1,
                        Err(error) if error.code() == "overloaded" => overloaded += 1,
                        other => panic!("{other:?}"),
                    }
                }
                (answered, overloaded)
            })
        })
        .collect();
    // The writer is held up most of the time. What is in use once each caller has been
    // in line is what load takes; it must not grow from there.
    let (mut settled, mut largest) = (0, 0);
    let begun = Instant::now();
    while Instant::now() < until {
        let lock = Lock::take(&place);
        tokio::time::sleep(Duration::from_millis(90)).await;
        drop(lock);
        tokio::time::sleep(Duration::from_millis(10)).await;
        let resident = resident_bytes();
        match begun.elapsed() < Duration::from_secs(1) {
            true => settled = resident.max(settled),
            false => largest = resident.max(largest),
        }
    }
    let (mut answered, mut overloaded) = (0, 0);
    for caller in callers {
        let caller = caller.await.expect("no panic");
        answered += caller.0;
        overloaded += caller.1;
    }
    let growth = largest.saturating_sub(settled) / 1024;
    println!(
        "overload: {answered} answered, {overloaded} overloaded, {} MiB at most, {growth} KiB more than at first",
        largest / MIB
    );
    assert!(answered > 0 && overloaded > 0, "there was no overload");
    assert!(growth < 32 * 1024, "memory grows: {growth} KiB");
    store.close().await.expect("a clean close");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_flat_under_overload() {
    let exe = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(exe)
        .args(["--exact", "overload::pusher", "--ignored", "--nocapture"])
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    for line in said.lines().filter(|line| line.contains("overload:")) {
        println!("{line}");
    }
    assert!(output.status.success(), "{said}\n{output:?}");
    assert!(said.contains("1 passed"), "it did not run: {said}");
}
