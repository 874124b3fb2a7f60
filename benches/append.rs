//! Durable appends per second through the public API, against two baselines that
//! are measured in the same run:
//!
//! - `naive`: what one writes first. Tokio callers, a mutex around one connection,
//!   `spawn_blocking`, one transaction for each append.
//! - `bare`: SQLite itself. One thread, held statements, one transaction for each
//!   row. It has no callers to serve, so it stands beside the single caller.
//!
//! All three write the tables of `schema.sql` with the same pragmas: WAL,
//! `synchronous=FULL`. Callers append events of 200 bytes one by one under `Exact`
//! versions, to streams that no other caller writes to, in two ways:
//!
//! - `short`: a caller begins a new stream after every ten events, as most
//!   aggregates are short (the fines of the example have three and a half each).
//! - `long`: a caller keeps one stream for the whole round. Each append of a batch
//!   then changes another page of the index by stream, which is the hard case.
//!
//! Rounds are interleaved, figures are medians. `cargo bench --bench append` takes
//! two minutes, `-- --quick` half a minute. Figures per second speak of this machine
//! alone, the ratios travel better.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annalist::{NewEvent, Payload, Store, StreamId, Version};
use rusqlite::{Connection, OptionalExtension, params};

const CALLERS: [usize; 3] = [1, 64, 256];

/// How many events a caller writes before it begins a new stream.
#[derive(Clone, Copy)]
struct Workload {
    name: &'static str,
    events_per_stream: u64,
}

const WORKLOADS: [Workload; 2] = [
    Workload {
        name: "short",
        events_per_stream: 10,
    },
    Workload {
        name: "long",
        events_per_stream: u64::MAX,
    },
];

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, length) = match quick {
        true => (3, Duration::from_millis(400)),
        false => (5, Duration::from_millis(1500)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "durable appends of one 200-byte event, {cores} cores, SQLite {}",
        rusqlite::version()
    );
    println!("medians of {rounds} interleaved rounds of {length:?}\n");
    println!(
        "streams callers  subject     appends/s     p50 us     p99 us   against naive: rate     p99"
    );
    for workload in WORKLOADS {
        for callers in CALLERS {
            let rounds: Vec<_> = (0..rounds)
                .map(|_| Round {
                    annalist: runtime.block_on(annalist(workload, callers, length)),
                    naive: runtime.block_on(naive(workload, callers, length)),
                    bare: (callers == 1).then(|| bare(workload, length)),
                })
                .collect();
            report(workload, callers, &rounds);
        }
    }
}

struct Round {
    annalist: Figures,
    naive: Figures,
    bare: Option<Figures>,
}

#[derive(Clone, Copy)]
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
}

impl Figures {
    fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            let latency = latencies.get(index.min(latencies.len() - 1));
            latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
        };
        Self {
            rate: latencies.len() as f64 / elapsed.as_secs_f64(),
            p50: at(0.50),
            p99: at(0.99),
        }
    }
}

fn report(workload: Workload, callers: usize, rounds: &[Round]) {
    let line = |subject: &str, of: &dyn Fn(&Round) -> Option<Figures>| {
        let figures = |read: &dyn Fn(&Round) -> Option<f64>| {
            let mut all: Vec<_> = rounds.iter().filter_map(read).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied()
        };
        let Some(rate) = figures(&|round| Some(of(round)?.rate)) else {
            return;
        };
        let p50 = figures(&|round| Some(of(round)?.p50)).unwrap_or(f64::NAN);
        let p99 = figures(&|round| Some(of(round)?.p99)).unwrap_or(f64::NAN);
        // The median of the rounds' ratios: neighbours share the machine's mood.
        let faster = figures(&|round| Some(of(round)?.rate / round.naive.rate)).unwrap_or(f64::NAN);
        let p99s = figures(&|round| Some(of(round)?.p99 / round.naive.p99)).unwrap_or(f64::NAN);
        println!(
            "{:7} {callers:7}  {subject:8} {rate:12.0} {p50:10.0} {p99:10.0} {faster:21.1}x {:>7}",
            workload.name,
            format!("1/{:.1}", 1.0 / p99s)
        );
    };
    line("annalist", &|round| Some(round.annalist));
    line("naive", &|round| Some(round.naive));
    line("bare", &|round| round.bare);
}

/// JSON of 200 bytes.
fn payload() -> String {
    let filling = "x".repeat(200 - r#"{"cents":500,"note":""}"#.len());
    format!(r#"{{"cents":500,"note":"{filling}"}}"#)
}

async fn annalist(workload: Workload, callers: usize, length: Duration) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("bench.db"))
        .await
        .expect("a store");
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let payload = payload();
                let mut stream = StreamId::new("account", caller).expect("a stream id");
                let mut version = Version::ZERO;
                let mut latencies = Vec::new();
                while begun.elapsed() < length {
                    let asked = Instant::now();
                    if version.get() == workload.events_per_stream {
                        let key = format!("{caller}-{}", latencies.len());
                        stream = StreamId::new("account", key).expect("a stream id");
                        version = Version::ZERO;
                    }
                    let payload = Payload::from_text(payload.as_str()).expect("JSON");
                    let event = NewEvent::new("Deposited".parse().expect("a type"), payload);
                    let receipt = store.append(&stream, version, [event]).await;
                    version = receipt.expect("an append").version();
                    latencies.push(asked.elapsed());
                }
                latencies
            })
        })
        .collect();
    let figures = finish(tasks, begun).await;
    store.close().await.expect("a clean close");
    figures
}

async fn naive(workload: Workload, callers: usize, length: Duration) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let conn = Arc::new(Mutex::new(connect(&folder.path().join("bench.db"))));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let conn = Arc::clone(&conn);
            tokio::spawn(async move {
                let payload: Arc<str> = payload().into();
                let mut stream: Arc<str> = format!("account-{caller}").into();
                let mut version = 0;
                let mut latencies = Vec::new();
                while begun.elapsed() < length {
                    let asked = Instant::now();
                    if version as u64 == workload.events_per_stream {
                        stream = format!("account-{caller}-{}", latencies.len()).into();
                        version = 0;
                    }
                    let (conn, stream, payload) =
                        (Arc::clone(&conn), Arc::clone(&stream), Arc::clone(&payload));
                    let append = move || {
                        let conn = conn.lock().expect("no one panics");
                        naive_append(&conn, &stream, version, &payload).expect("an append");
                    };
                    tokio::task::spawn_blocking(append)
                        .await
                        .expect("an append");
                    version += 1;
                    latencies.push(asked.elapsed());
                }
                latencies
            })
        })
        .collect();
    finish(tasks, begun).await
}

/// One append as one writes it first: find the stream, check the version, insert,
/// commit.
fn naive_append(
    conn: &Connection,
    stream: &str,
    expected: i64,
    payload: &str,
) -> rusqlite::Result<()> {
    let one = |sql: &str, of: i64| -> rusqlite::Result<i64> {
        conn.prepare_cached(sql)?.query_row([of], |row| row.get(0))
    };
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let stream = stream_number(conn, stream)?;
    let version = one(
        "SELECT ifnull(max(version), 0) FROM annalist_events WHERE stream = ?1",
        stream,
    )?;
    assert_eq!(version, expected);
    let position = one("SELECT ifnull(max(position), ?1) FROM annalist_events", 0)?;
    insert(conn, position + 1, stream, version + 1, payload)?;
    conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

fn bare(workload: Workload, length: Duration) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let conn = connect(&folder.path().join("bench.db"));
    let payload = payload();
    let (mut stream, mut version) = (0, i64::MAX as u64);
    let begun = Instant::now();
    let mut latencies = Vec::new();
    while begun.elapsed() < length {
        let asked = Instant::now();
        if stream == 0 || version == workload.events_per_stream {
            let name = format!("account-{}", latencies.len());
            stream = stream_number(&conn, &name).expect("a stream");
            version = 0;
        }
        version += 1;
        let position = latencies.len() as i64 + 1;
        insert(&conn, position, stream, version as i64, &payload).expect("an insert");
        latencies.push(asked.elapsed());
    }
    Figures::of(latencies, begun.elapsed())
}

/// The number of a stream, made where there is none.
fn stream_number(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    let found = conn
        .prepare_cached("SELECT id FROM annalist_streams WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    match found {
        Some(number) => Ok(number),
        None => conn
            .prepare_cached("INSERT INTO annalist_streams (name, hash, has_events, has_removals) VALUES (?1, 0, 1, 0)")?
            .insert([name]),
    }
}

fn insert(
    conn: &Connection,
    position: i64,
    stream: i64,
    version: i64,
    payload: &str,
) -> rusqlite::Result<()> {
    let now = chrono::Utc::now().timestamp_micros();
    let id = uuid::Uuid::now_v7();
    conn.prepare_cached(
        "INSERT INTO annalist_events (position, stream, version, type, \
         schema_version, recorded_at, event_id, checksum, payload, metadata) \
         VALUES (?1, ?2, ?3, 1, 1, ?4, ?5, 0, ?6, NULL)",
    )?
    .execute(params![
        position,
        stream,
        version,
        now,
        id.as_bytes(),
        payload
    ])?;
    Ok(())
}

/// A file with the store's tables and pragmas.
fn connect(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("a file");
    conn.pragma_update(None, "journal_mode", "wal")
        .expect("WAL");
    conn.pragma_update(None, "synchronous", "FULL")
        .expect("FULL");
    conn.pragma_update(None, "cache_size", -64 * 1024)
        .expect("a cache");
    conn.pragma_update(None, "wal_autocheckpoint", 4000)
        .expect("checkpoints");
    conn.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))
        .expect("overwriting");
    conn.execute_batch(include_str!("../schema.sql"))
        .expect("the tables");
    conn
}

async fn finish(tasks: Vec<tokio::task::JoinHandle<Vec<Duration>>>, begun: Instant) -> Figures {
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("a caller"));
    }
    Figures::of(latencies, begun.elapsed())
}
