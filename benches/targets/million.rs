//! A million events, and what it costs that streams and ids are found again: durable appends
//! through the public API, against rows written to a table that has neither of the two
//! indexes.

use std::ops::Range;
use std::time::{Duration, Instant};

use annalist::{EventId, NewEvent, Payload, Store, StreamId, Version};
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::bank::payload;
use crate::measure::{Bench, Better, Measure};
use crate::naive::{EVENTS_PER_STREAM, INSERT, connect, new_stream};

const EVENTS: usize = 1_000_000;

/// So many that the next transaction fills up while one is flushed.
const CALLERS: usize = 500;

/// Rows of one transaction of the baseline.
const BATCH: usize = 256;

/// How often the two sides take turns, so that both have the same share of a disk's moods.
const PARTS: usize = 5;

macro_rules! settings {
    ($streams:literal) => {
        concat!(
            "1,000,000 events/s, ",
            $streams,
            "; one an append, Exact, 500 callers; against bare rows, 256 a transaction, no index \
             of streams or ids; one round of 5 turns"
        )
    };
}

const fn more(
    name: &'static str,
    target: f64,
    settings: &'static str,
    round: fn(&Bench) -> f64,
) -> Measure {
    Measure {
        name,
        target,
        better: Better::More,
        settings,
        round,
    }
}

pub(crate) const MEASURES: [Measure; 3] = [
    more(
        "million_near",
        0.6,
        settings!("streams of ten side by side"),
        |bench| against_bare(bench, Order::SideBySide, Uuid::now_v7),
    ),
    more(
        "million_uniform",
        0.5,
        settings!("uniform over 100,000 streams"),
        |bench| against_bare(bench, Order::Uniform, Uuid::now_v7),
    ),
    more(
        "million_uniform_v4",
        0.5,
        settings!("uniform over 100,000 streams, random event ids"),
        |bench| against_bare(bench, Order::Uniform, Uuid::new_v4),
    ),
];

/// In which order the streams of a caller are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// One after the other, so that those of all callers live next to each other in time.
    SideBySide,
    /// Each time any of them.
    Uniform,
}

/// The streams of one caller, and how far each has come: the same on both sides.
struct Turns {
    order: Order,
    draws: fastrand::Rng,
    versions: Vec<usize>,
    taken: usize,
}

impl Turns {
    fn of(caller: usize, order: Order, events: usize) -> Self {
        Self {
            order,
            draws: fastrand::Rng::with_seed(caller as u64),
            versions: vec![0; events / CALLERS / EVENTS_PER_STREAM],
            taken: 0,
        }
    }

    /// The stream that is next, and the version that it has.
    fn take(&mut self) -> (usize, usize) {
        let stream = match self.order {
            Order::SideBySide => self.taken / EVENTS_PER_STREAM,
            Order::Uniform => self.draws.usize(..self.versions.len()),
        };
        self.taken += 1;
        let version = self.versions.get_mut(stream).expect("a stream");
        *version += 1;
        (stream, *version - 1)
    }
}

/// A caller of one side, and what that side calls its streams.
struct Caller<N> {
    turns: Turns,
    names: Vec<N>,
}

fn callers<N>(order: Order, events: usize, name: fn(usize, usize) -> N) -> Vec<Caller<N>> {
    let caller = |caller| {
        let turns = Turns::of(caller, order, events);
        let streams = 0..turns.versions.len();
        let names = streams.map(|stream| name(caller, stream)).collect();
        Caller { turns, names }
    };
    (0..CALLERS).map(caller).collect()
}

fn name(caller: usize, stream: usize) -> StreamId {
    StreamId::new("account", format!("{caller}-{stream}")).expect("a stream id")
}

/// Each side writes a part of the events in turn, and keeps its file open.
fn against_bare(bench: &Bench, order: Order, id: fn() -> Uuid) -> f64 {
    let events = bench.count(EVENTS);
    let folder = tempfile::tempdir().expect("a folder");
    let store = bench.run(Store::open(folder.path().join("bench.db")));
    let store = store.expect("a store");
    let conn = connect(&folder.path().join("bare.db"));
    conn.execute_batch("DROP INDEX annalist_events_by_stream; DROP INDEX annalist_events_by_id")
        .expect("no indexes");
    let mut ours = callers(order, events, name);
    let mut bare = callers(order, events, |_, _| 0);
    let (mut ours_took, mut bare_took) = (Duration::ZERO, Duration::ZERO);
    for part in 0..PARTS {
        let begun = Instant::now();
        ours = bench.run(append(&store, ours, events / PARTS, id));
        ours_took += begun.elapsed();
        let begun = Instant::now();
        let part = part * events / PARTS..(part + 1) * events / PARTS;
        insert(&conn, &mut bare, part, id);
        bare_took += begun.elapsed();
    }
    bench.run(store.close()).expect("a clean close");
    let rate = |took: Duration| events as f64 / took.as_secs_f64();
    let (ours, bare) = (rate(ours_took), rate(bare_took));
    eprintln!("  {ours:.0} events/s, bare {bare:.0}/s");
    ours / bare
}

/// Appends so many events, by all callers at once.
async fn append(
    store: &Store,
    callers: Vec<Caller<StreamId>>,
    events: usize,
    id: fn() -> Uuid,
) -> Vec<Caller<StreamId>> {
    let tasks = callers.into_iter().map(|mut caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let payload = payload();
            for _ in 0..events / CALLERS {
                let (stream, version) = caller.turns.take();
                let payload = Payload::from_text(payload.as_str()).expect("JSON");
                let event = NewEvent::new("Deposited".parse().expect("a type"), payload);
                let event = event.with_id(EventId::from_uuid(id()));
                let expected = Version::new(version as u64);
                let stream = caller.names.get(stream).expect("a stream");
                let appended = store.append(stream, expected, [event]).await;
                assert_eq!(appended.expect("an append").version(), expected.next());
            }
            caller
        })
    });
    let mut callers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        callers.push(task.await.expect("a caller"));
    }
    callers
}

/// Inserts the same rows, by one thread: an event of each caller in turn.
fn insert(conn: &Connection, callers: &mut [Caller<i64>], events: Range<usize>, id: fn() -> Uuid) {
    for first in events.clone().step_by(BATCH) {
        let batch = first..events.end.min(first + BATCH);
        conn.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        insert_batch(conn, callers, batch, id).expect("rows");
        conn.execute_batch("COMMIT").expect("a commit");
    }
}

fn insert_batch(
    conn: &Connection,
    callers: &mut [Caller<i64>],
    batch: Range<usize>,
    id: fn() -> Uuid,
) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(INSERT)?;
    let payload = payload();
    for position in batch {
        let place = position % CALLERS;
        let caller = callers.get_mut(place).expect("a caller");
        let (stream, version) = caller.turns.take();
        let number = caller.names.get_mut(stream).expect("a stream");
        if version == 0 {
            *number = new_stream(conn, name(place, stream).as_str())?;
        }
        let now = chrono::Utc::now().timestamp_micros();
        let (position, version) = (position as i64 + 1, version as i64 + 1);
        let id = id();
        insert.execute(params![
            position,
            *number,
            version,
            now,
            id.as_bytes(),
            payload
        ])?;
    }
    Ok(())
}
