//! A slow reader does not let the write-ahead log grow. Two processes write while a
//! third reads in pages and takes its time over each: a page is a short transaction of
//! its own, so that none is open while the reader thinks.
//!
//! That the bound means something is shown by the control: under the same load, a
//! transaction that is held open takes the log past it.
//!
//! 128 MiB of payload in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_PAYLOAD_MIB=4096 cargo test --release --test processes log_bound -- --nocapture
//! ```

use annalist::Position;

use crate::child::{Line, Role, Spec, Worker};
use crate::plan::{Keys, Rules};
use crate::{Place, number};

const MIB: u64 = 1024 * 1024;
const LOG_BYTES_MAX: u64 = 64 * MIB;

const PAYLOAD_BYTES: u64 = 16 * 1024;

/// Starts a process on the file, all by the same rules.
fn start(place: &Place, worker: u32, role: Role) -> Worker {
    let mut worker = Worker::start(&Spec {
        path: place.path(),
        role,
        rules: Rules {
            seed: 1,
            streams: 64,
            keys: Keys::Own,
            padding_bytes: PAYLOAD_BYTES as usize,
        },
        round: 0,
        worker,
        checkpoint_pages: 4_000,
    });
    worker.go();
    worker
}

/// Two processes that write until they are stopped.
fn writers(place: &Place) -> [Worker; 2] {
    let role = Role::Load {
        callers: 8,
        commits: None,
        rest_us_max: 0,
    };
    [0, 1].map(|worker| start(place, worker, role))
}

/// Waits until each writer has written once more. Answers the last position.
fn written(writers: &[Worker]) -> Position {
    let acks = writers.iter().map(|writer| writer.ack().receipt.position);
    acks.max().flatten().expect("a position")
}

#[tokio::test]
async fn a_slow_reader_leaves_the_log_bounded() {
    let events_min = number("ANNALIST_PAYLOAD_MIB", 128u64) * MIB / PAYLOAD_BYTES;
    let place = Place::new();
    let writers = writers(&place);
    // So that its first read is of many pages.
    while written(&writers).get() < 200 {}
    let mut reader = start(&place, 2, Role::Read);
    let (mut pages, mut log_max, mut rounds) = (0u64, 0, 0u64);
    loop {
        let last = written(&writers);
        log_max = log_max.max(place.log_bytes());
        if last.get() >= events_min {
            break;
        }
        rounds += 1;
        // Each page is held over a few dozen commits of the others.
        if rounds.is_multiple_of(10) {
            while !matches!(reader.line().expect("a reader"), Line::Page { .. }) {}
            reader.go();
            pages += 1;
        }
    }
    reader.stop();
    let said = writers
        .into_iter()
        .map(Worker::stop)
        .map(|lines| lines.len());
    println!(
        "log_bound: {} MiB written, {pages} pages read meanwhile, {} lines after the stop, log at most {} MiB",
        events_min * PAYLOAD_BYTES / MIB,
        said.sum::<usize>(),
        log_max / MIB
    );
    assert!(pages > 10, "{pages} pages are no reading meanwhile");
    assert!(log_max < LOG_BYTES_MAX, "the log had {log_max} bytes");
}

#[tokio::test]
async fn a_transaction_held_open_would_not() {
    let place = Place::new();
    let writers = writers(&place);
    written(&writers);
    let held = place.connect();
    held.execute_batch("BEGIN; SELECT count(*) FROM annalist_events")
        .expect("a read transaction");
    let mut last = Position::ZERO;
    while place.log_bytes() < LOG_BYTES_MAX {
        last = written(&writers);
        let written_bytes = last.get() * PAYLOAD_BYTES;
        assert!(
            written_bytes < 4 * LOG_BYTES_MAX,
            "the control holds nothing"
        );
    }
    held.execute_batch("ROLLBACK").expect("its end");
    writers.into_iter().for_each(|writer| drop(writer.stop()));
    println!("log_bound: the control passed the bound at position {last}");
}
