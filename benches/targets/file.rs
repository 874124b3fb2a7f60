//! A file of a million events that lies there: what it takes to open, to read and to keep.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use annalist::{Commit, NewEvent, Payload, Store, StreamId, Version};
use futures_util::StreamExt;

use crate::bank::payload;
use crate::measure::{Bench, Better, Measure, median};
use crate::naive::EVENTS_PER_STREAM;

const EVENTS: usize = 1_000_000;

/// Streams that are written at the same time.
const STREAMS_AT_ONCE: usize = 1_000;

/// The variable of the environment that makes this binary the process that reads.
const READER: &str = "ANNALIST_TARGETS_READER";

const fn less(name: &'static str, settings: &'static str, round: fn(&Bench) -> f64) -> Measure {
    Measure {
        name,
        target: 1.0,
        better: Better::Less,
        settings,
        round,
    }
}

pub(crate) const MEASURES: [Measure; 3] = [
    less(
        "open",
        "median time to open a closed file of 1,000,000 events that is in memory, against 50 ms",
        open,
    ),
    less(
        "read_all_memory",
        "how far the memory of a process grows that reads the same file by read_all, against 32 MB",
        |bench| growth(bench) / 32e6,
    ),
    less(
        "file_bytes",
        "bytes per event of that file: payloads of 200, ten to a stream; against 270",
        |bench| {
            let file = std::fs::metadata(path(bench)).expect("a file");
            file.len() as f64 / bench.count(EVENTS) as f64 / 270.0
        },
    ),
];

/// The file, which the first that needs it makes.
fn path(bench: &Bench) -> std::path::PathBuf {
    let folder = bench.file.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bench.db");
        bench.run(fill(&path, bench.count(EVENTS)));
        folder
    });
    folder.path().join("bench.db")
}

/// Writes an event to each of a thousand streams, ten times, and goes on with the next
/// thousand: streams that live side by side, as callers would write them.
async fn fill(path: &Path, events: usize) {
    let store = Store::open(path).await.expect("a store");
    let payload = payload();
    for commit in 0..events / STREAMS_AT_ONCE {
        let (group, version) = (commit / EVENTS_PER_STREAM, commit % EVENTS_PER_STREAM);
        let appends = (0..STREAMS_AT_ONCE).fold(Commit::new(), |commit, stream| {
            let stream = StreamId::new("account", format!("{group}-{stream}"));
            let payload = Payload::from_text(payload.as_str()).expect("JSON");
            let event = NewEvent::new("Deposited".parse().expect("a type"), payload);
            let expected = Version::new(version as u64);
            commit.append(stream.expect("a stream id"), expected, [event])
        });
        store.commit(appends).await.expect("a commit");
    }
    store.close().await.expect("a clean close");
}

fn open(bench: &Bench) -> f64 {
    let path = path(bench);
    bench.run(async {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < bench.length {
            let asked = Instant::now();
            let store = Store::open(&path).await.expect("a store");
            times.push(asked.elapsed().as_secs_f64());
            store.close().await.expect("a clean close");
        }
        median(times) / 50e-3
    })
}

/// In bytes, of a process of its own: what this one has used before says nothing.
fn growth(bench: &Bench) -> f64 {
    let reader = Command::new(std::env::current_exe().expect("this binary"))
        .env(READER, path(bench))
        .output()
        .expect("a process");
    assert!(reader.status.success());
    let said = String::from_utf8(reader.stdout).expect("text");
    let (events, growth) = said.trim().split_once(' ').expect("two figures");
    assert_eq!(events.parse(), Ok(bench.count(EVENTS)));
    growth.parse().expect("a number")
}

/// Does the part of the process that reads, if this is that process: says how many events it
/// has read, and how much memory it had at most beyond what it had when the file was open.
pub(crate) async fn is_done_as_reader() -> bool {
    let Ok(path) = std::env::var(READER) else {
        return false;
    };
    let store = Store::open(path).await.expect("a store");
    let before = memory("VmRSS:");
    let (mut events, mut pages) = (0, store.read_all().pages());
    while let Some(page) = pages.next().await {
        events += page.expect("a page").events.len();
    }
    println!("{events} {}", memory("VmHWM:") - before);
    store.close().await.expect("a clean close");
    true
}

/// A line of what Linux says of this process, in bytes; nowhere else is there a number.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let figure = status.lines().find_map(|told| told.strip_prefix(line));
    let kibibytes = figure.and_then(|figure| figure.trim().strip_suffix(" kB"));
    kibibytes.map_or(f64::NAN, |figure| {
        figure.parse::<f64>().expect("a number") * 1024.0
    })
}
