//! How fast projections are filled, against reading and decoding the same events, and what
//! they cost those who append.
//!
//! - `catch-up`: events per second from the beginning of a store to its end, in the store's
//!   own file, with default options: by a loop that reads and decodes and keeps nothing; by
//!   what one writes first, the same loop with an upsert an event and a transaction for 512
//!   of them; by a projection that runs one SQL upsert an event, one of `Documents`, one of
//!   `Totals`; and by five that run an upsert each, in one runner.
//! - `appends`: per second of 64 callers, one event each, with a projection in the same
//!   file, filled inline or following, against none.
//!
//! Events of 200 bytes over 1,000 streams. Everything is durable, each round begins with a
//! copy of the same file, which is in memory. Rounds are interleaved; figures are medians,
//! ratios those of the rounds' ratios. `cargo bench --bench projection` takes a minute or
//! two, `-- --quick` a quarter of it. Figures per second speak of this machine alone, the
//! ratios travel better.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annalist::projection::{self, ProjectionRunner};
use annalist::store::sqlite::SqliteOptions;
use annalist::{ExpectedVersion, NewEvent, Store, StreamId};
use futures_util::StreamExt;
use rusqlite::{Connection, params};

use crate::models::{Balances, ByStream, Upsert, cents};

mod models;

const STREAMS: u64 = 1_000;
const CALLERS: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, length, events) = match quick {
        true => (3, Duration::from_millis(700), 20_000),
        false => (5, Duration::from_millis(2_000), 100_000),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("events of 200 bytes, {cores} cores, medians of {rounds} rounds\n");
    runtime.block_on(catch_up(events, rounds));
    runtime.block_on(appends(length, rounds));
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints the rate of each way, and how it stands to the first one in the same round.
fn report(rows: &[(&str, Vec<f64>)]) {
    let Some((_, against)) = rows.first() else {
        return;
    };
    for (name, rates) in rows {
        let ratios = rates
            .iter()
            .zip(against)
            .map(|(rate, against)| rate / against);
        let ratio = median(ratios.collect());
        println!("{name:34} {:12.0} {ratio:13.2}x", median(rates.clone()));
    }
}

/// An event of 200 bytes.
fn event() -> NewEvent {
    let payload = serde_json::json!({ "cents": 5, "note": "x".repeat(177) });
    NewEvent::json("Deposited", &payload).expect("JSON")
}

async fn open(path: &Path) -> Store {
    Store::open(path).await.expect("a store")
}

type Start = fn(ProjectionRunner) -> ProjectionRunner;

const WAYS: &[(&str, &[&str], Start)] = &[
    ("SQL upsert, following", &["sums_0"], |runner| {
        runner.follow(Upsert::<0>)
    }),
    ("Documents::update, following", &["balances"], |runner| {
        runner.follow(Balances)
    }),
    ("Totals::add, following", &["totals"], |runner| {
        runner.follow(ByStream)
    }),
    (
        "five SQL upserts, in one runner",
        &["sums_0", "sums_1", "sums_2", "sums_3", "sums_4"],
        |runner| {
            let runner = runner.follow(Upsert::<0>).follow(Upsert::<1>);
            let runner = runner.follow(Upsert::<2>).follow(Upsert::<3>);
            runner.follow(Upsert::<4>)
        },
    ),
];

async fn catch_up(events: u64, rounds: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path().join("base.db");
    let store = open(&base).await;
    for number in 0..events / 100 {
        let stream = StreamId::new("account", number % STREAMS).expect("a stream id");
        let hundred = std::iter::repeat_with(event).take(100);
        let appended = store.append(&stream, ExpectedVersion::Any, hundred);
        appended.await.expect("an append");
    }
    store.close().await.expect("a clean close");

    let mut rows = vec![
        ("read_all and decode", Vec::new()),
        ("the same with upserts, by hand", Vec::new()),
    ];
    rows.extend(WAYS.iter().map(|(name, ..)| (*name, Vec::new())));
    for _ in 0..rounds {
        let bare = read_and_decode(&base).await;
        let mut rates = vec![bare, by_hand(&base).await];
        for (_, names, start) in WAYS {
            rates.push(filled(&base, names, *start).await);
        }
        for ((_, row), seconds) in rows.iter_mut().zip(rates) {
            row.push(events as f64 / seconds);
        }
    }
    println!("catch-up of {events} events             events/s   against bare");
    report(&rows);
}

/// A copy of the file, opened.
async fn copy(base: &Path) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bench.db");
    std::fs::copy(base, &path).expect("a copy");
    let store = open(&path).await;
    (folder, store)
}

/// The seconds that it takes a loop that keeps nothing.
async fn read_and_decode(base: &Path) -> f64 {
    let (_folder, store) = copy(base).await;
    let begun = Instant::now();
    let mut events = store.read_all().events();
    let mut sum = 0;
    while let Some(event) = events.next().await {
        sum += cents(&event.expect("an event")).expect("an account's");
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_ne!(std::hint::black_box(sum), 0);
    store.close().await.expect("a clean close");
    seconds
}

/// The seconds that it takes a loop that upserts on a connection of its own, and writes down
/// how far it has come.
async fn by_hand(base: &Path) -> f64 {
    let (folder, store) = copy(base).await;
    let conn = Connection::open(folder.path().join("by_hand.db")).expect("a file");
    let made = conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE sums (key TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT, WITHOUT ROWID;
         CREATE TABLE checkpoint (position INTEGER NOT NULL) STRICT;
         INSERT INTO checkpoint VALUES (0);",
    );
    made.expect("tables");
    let begun = Instant::now();
    let mut events = store.read_all().events();
    let mut position = 0;
    while position < store.head().await.expect("a head").get() {
        conn.execute_batch("BEGIN IMMEDIATE")
            .expect("a transaction");
        for _ in 0..512 {
            let Some(event) = events.next().await else {
                break;
            };
            let event = event.expect("an event");
            let cents = cents(&event).expect("an account's");
            let sql = "INSERT INTO sums (key, cents) VALUES (?1, ?2) \
                       ON CONFLICT (key) DO UPDATE SET cents = cents + ?2";
            let mut upsert = conn.prepare_cached(sql).expect("a statement");
            let upserted = upsert.execute(params![event.stream.key(), cents]);
            upserted.expect("an upsert");
            position = event.position.get();
        }
        let sql = "UPDATE checkpoint SET position = ?1";
        conn.execute(sql, [position.cast_signed()])
            .expect("a checkpoint");
        conn.execute_batch("COMMIT").expect("a commit");
    }
    let seconds = begun.elapsed().as_secs_f64();
    store.close().await.expect("a clean close");
    seconds
}

/// The seconds until all of them hold everything.
async fn filled(base: &Path, names: &[&str], start: Start) -> f64 {
    let (_folder, store) = copy(base).await;
    let head = store.head().await.expect("a head");
    let begun = Instant::now();
    let running = start(ProjectionRunner::new(&store)).start();
    let running = running.expect("a runner");
    for name in names {
        let there = running.wait_for(name, head, PATIENCE).await;
        there.expect("its end");
    }
    let seconds = begun.elapsed().as_secs_f64();
    running.stop().await;
    store.close().await.expect("a clean close");
    seconds
}

/// What is filled while others append.
#[derive(Clone, Copy)]
enum Filled {
    Nothing,
    InlineUpsert,
    InlineDocuments,
    FollowingUpsert,
}

async fn appends(length: Duration, rounds: usize) {
    let mut rows = [
        ("no projection", Filled::Nothing, Vec::new()),
        ("SQL upsert, inline", Filled::InlineUpsert, Vec::new()),
        (
            "Documents::update, inline",
            Filled::InlineDocuments,
            Vec::new(),
        ),
        ("SQL upsert, following", Filled::FollowingUpsert, Vec::new()),
    ];
    let mut lags = Vec::new();
    for _ in 0..rounds {
        for (_, filled, rates) in &mut rows {
            let (rate, lag) = append(*filled, length).await;
            rates.push(rate);
            lags.extend(lag);
        }
    }
    println!("\nappends of {CALLERS} callers              appends/s   against none");
    report(&rows.map(|(name, _, rates)| (name, rates)));
    println!(
        "the one that follows was {:.0} events behind in the end",
        median(lags)
    );
}

/// Appends per second, and how far one that follows was behind.
async fn append(filled: Filled, length: Duration) -> (f64, Option<f64>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = SqliteOptions::default();
    match filled {
        Filled::InlineUpsert => {
            let inline = projection::inline(Upsert::<0>);
            options.inline.push(inline.expect("a projection"));
        }
        Filled::InlineDocuments => {
            let inline = projection::inline(Balances);
            options.inline.push(inline.expect("a projection"));
        }
        Filled::Nothing | Filled::FollowingUpsert => {}
    }
    let store = Store::open_with(folder.path().join("bench.db"), options).await;
    let store = store.expect("a store");
    let running = match filled {
        Filled::FollowingUpsert => {
            let runner = ProjectionRunner::new(&store).follow(Upsert::<0>);
            Some(runner.start().expect("a runner"))
        }
        _ => None,
    };
    let begun = Instant::now();
    let appended = call(&store, length).await;
    let rate = appended as f64 / begun.elapsed().as_secs_f64();
    let mut lag = None;
    if let Some(running) = running {
        let status = running.status("sums_0").expect("a status");
        lag = Some((appended - status.position.get().min(appended)) as f64);
        running.stop().await;
    }
    store.close().await.expect("a clean close");
    (rate, lag)
}

/// Appends from all callers for so long; how many there were.
async fn call(store: &Store, length: Duration) -> u64 {
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, done) = (store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let stream = StreamId::new("account", caller).expect("a stream id");
                let mut appended = 0;
                while !done.load(Ordering::Relaxed) {
                    let append = store.append(&stream, ExpectedVersion::Any, [event()]);
                    append.await.expect("an append");
                    appended += 1;
                }
                appended
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    done.store(true, Ordering::Relaxed);
    let mut appended = 0;
    for caller in callers {
        appended += caller.await.expect("no panic");
    }
    appended
}
