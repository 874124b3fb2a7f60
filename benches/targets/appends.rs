//! Durable appends through the public API.

use std::time::Instant;

use annalist::store::sqlite::{CommitThread, SqliteOptions};
use annalist::{AppendError, ExpectedVersion, NewEvent, Payload, Store, StreamId, Version};

use crate::bank::payload;
use crate::measure::{Bench, Better, Done, Measure};
use crate::naive::{EVENTS_PER_STREAM, bare, naive};

const fn faster(name: &'static str, target: f64, round: fn(&Bench) -> f64) -> Measure {
    Measure {
        name,
        target,
        better: Better::More,
        settings: "durable appends/s of 200 bytes, ten to a stream, against naive",
        round,
    }
}

fn against_naive(bench: &Bench, callers: usize) -> f64 {
    let ours = bench.run(appends(bench, callers, 0));
    ours.rate() / bench.run(naive(bench, callers)).rate()
}

pub(crate) const MEASURES: [Measure; 9] = [
    faster("append_4", 2.5, |bench| against_naive(bench, 4)),
    faster("append_16", 8.0, |bench| against_naive(bench, 16)),
    faster("append_64", 17.0, |bench| against_naive(bench, 64)),
    faster("append_256", 30.0, |bench| against_naive(bench, 256)),
    faster("append_1024", 38.0, |bench| against_naive(bench, 1_024)),
    Measure {
        name: "append_256_p99",
        target: 0.05,
        better: Better::Less,
        settings: "99th percentile of the latency of an append, 256 callers, against naive",
        round: |bench| {
            let ours = bench.run(appends(bench, 256, 0)).at(0.99);
            ours / bench.run(naive(bench, 256)).at(0.99)
        },
    },
    Measure {
        name: "append_1_p50",
        target: 2.0,
        better: Better::Less,
        settings: "median latency of an append, one caller, against a bare commit of one row",
        round: |bench| {
            let ours = bench.run(appends(bench, 1, 0)).at(0.5);
            ours / bare(bench).at(0.5)
        },
    },
    Measure {
        name: "append_1_p50_on_caller",
        target: 1.3,
        better: Better::Less,
        settings: "the same, committed on the thread of the caller",
        round: |bench| {
            let mut options = SqliteOptions::default();
            options.commit_thread = CommitThread::CallerIfIdle;
            let ours = bench.run(appends_with(bench, options, 1, 0)).at(0.5);
            ours / bare(bench).at(0.5)
        },
    },
    Measure {
        name: "append_conflicts",
        target: 0.95,
        better: Better::More,
        settings: "appends/s of 64 callers of whose attempts one in twenty is stale, against none",
        round: |bench| {
            let with = bench.run(appends(bench, 64, 20));
            with.rate() / bench.run(appends(bench, 64, 0)).rate()
        },
    },
];

/// Appends by so many callers; one of so many is tried at an older version.
async fn appends(bench: &Bench, callers: usize, stale_each: usize) -> Done {
    appends_with(bench, SqliteOptions::default(), callers, stale_each).await
}

async fn appends_with(
    bench: &Bench,
    options: SqliteOptions,
    callers: usize,
    stale_each: usize,
) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open_with(folder.path().join("bench.db"), options).await;
    let store = store.expect("a store");
    let (begun, length) = (Instant::now(), bench.length);
    let tasks = (0..callers).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let payload = payload();
            let mut latencies = Vec::new();
            let mut version = Version::ZERO;
            while begun.elapsed() < length {
                let asked = Instant::now();
                if latencies.len() % EVENTS_PER_STREAM == 0 {
                    version = Version::ZERO;
                }
                let key = format!("{caller}-{}", latencies.len() / EVENTS_PER_STREAM);
                let stream = StreamId::new("account", key).expect("a stream id");
                let event = || {
                    let payload = Payload::from_text(payload.as_str()).expect("JSON");
                    NewEvent::new("Deposited".parse().expect("a type"), payload)
                };
                if stale_each > 0 && latencies.len() % stale_each == stale_each - 1 {
                    let ahead = ExpectedVersion::Exact(version.next());
                    let stale = store.append(&stream, ahead, [event()]).await;
                    assert!(matches!(stale, Err(AppendError::Conflict(_))));
                }
                let receipt = store.append(&stream, version, [event()]).await;
                version = receipt.expect("an append").version();
                latencies.push(asked.elapsed());
            }
            latencies
        })
    });
    let done = Done::by(tasks.collect(), begun).await;
    store.close().await.expect("a clean close");
    done
}
