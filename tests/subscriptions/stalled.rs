//! A subscriber that sleeps while others write: what it has not asked for is nowhere but
//! in the store.
//!
//! More is appended than the memory that may grow, so that nobody can have kept it.

use std::fs;
use std::path::Path;

use annalist::store::sqlite::{Durability, SqliteOptions};
use annalist::{ExpectedVersion, NewEvent, Position, Store};

use crate::child::{Role, Spec, Worker, say};
use crate::{Place, next, number, stream};

const GROWTH_MAX_KIB: u64 = 64 * 1024;

/// Together, at least.
const PAYLOADS_BYTES: u64 = 192 * 1024 * 1024;

#[test]
fn a_stalled_subscriber_costs_no_memory_and_then_reads_all() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the memory of a process is read on Linux alone");
        return;
    }
    let events = number("ANNALIST_STALLED_EVENTS", 20_000);
    let place = Place::new();
    // Memory is counted by process, so it has one of its own.
    let worker = Worker::start(&Spec {
        path: place.path(),
        role: Role::Stall { events },
        poll_ms: 50,
    });
    let (stalled, caught_up) = (worker.hear(), worker.hear());
    worker.finish();
    println!("{events} events: grown by {stalled} KiB while stalled, {caught_up} KiB in all");
    assert!(stalled <= GROWTH_MAX_KIB, "{stalled} KiB while stalled");
    assert!(caught_up <= GROWTH_MAX_KIB, "{caught_up} KiB catching up");
}

/// Takes one page, sleeps while all the rest is appended, and reads it.
pub(crate) async fn sleep_and_read(path: &Path, events: u64) {
    let mut options = SqliteOptions::default();
    // What is appended is many times what caches may hold.
    options.writer_cache_bytes = 4 * 1024 * 1024;
    options.reader_cache_bytes = 4 * 1024 * 1024;
    options.durability = Durability::Off;
    let store = Store::open_with(path, options).await.expect("a store");
    let filling = usize::try_from(PAYLOADS_BYTES.div_ceil(events)).expect("a size");
    let filling = "x".repeat(filling.max(200));
    let per_commit = (512 * 1024 / filling.len() as u64).clamp(1, 1_000);
    write(&store, &filling, per_commit, per_commit).await;
    let mut pages = store.subscribe(Position::ZERO).pages();
    let first = next(&mut pages).await;
    let mut seen = first.checkpoint.position.get();
    let before = memory_kib();
    write(&store, &filling, events, per_commit).await;
    let stalled = memory_kib().saturating_sub(before);
    let last = events + per_commit;
    let mut largest = memory_kib();
    while seen < last {
        let page = next(&mut pages).await;
        for item in &page.items {
            assert_eq!(item.position().get(), seen + 1, "a gap or a repeat");
            seen += 1;
        }
        largest = largest.max(memory_kib());
    }
    assert_eq!(seen, last);
    say(stalled);
    say(largest.saturating_sub(before));
    store.close().await.expect("a clean close");
}

async fn write(store: &Store, filling: &str, events: u64, per_commit: u64) {
    let (stream, mut left) = (stream("a-1"), events);
    while left > 0 {
        let now = left.min(per_commit);
        let written = (0..now).map(|_| NewEvent::json("Noted", &filling).expect("an event"));
        let appended = store.append(&stream, ExpectedVersion::Any, written);
        appended.await.expect("an append");
        left -= now;
    }
}

/// What this process has in memory.
fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("what Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse().ok())
        .expect("a number")
}
