//! Loading aggregates, and reading everything.

use std::path::Path;
use std::time::{Duration, Instant};

use annalist::{Codec, CommandBus, ExpectedVersion, Repository, Store, Version, stream_id};
use futures_util::StreamExt;
use rusqlite::{Connection, OpenFlags};

use crate::bank::{Account, AccountEvent, Look, note};
use crate::measure::{Bench, Better, Measure, median};

/// Streams of so many events each.
const LENGTHS: [u64; 3] = [10, 100, 1_000];
const EVENTS: usize = 200_000;

const fn load(name: &'static str, target: f64, round: fn(&Bench) -> f64) -> Measure {
    Measure {
        name,
        target,
        better: Better::More,
        settings: "time of a bare select + serde_json, against a load through the repository",
        round,
    }
}

pub(crate) const MEASURES: [Measure; 6] = [
    load("load_1000", 0.9, |bench| ratio_of_loads(bench, 1_000)),
    load("load_100", 0.65, |bench| ratio_of_loads(bench, 100)),
    Measure {
        name: "load_10",
        target: 1.0,
        better: Better::Less,
        settings: "what a load of 10 events takes beyond a bare one, against 110 us",
        round: |bench| {
            let (ours, bare) = loads(bench, 10);
            (ours - bare) / 110e-6
        },
    },
    Measure {
        name: "load_32_callers",
        target: 1.8,
        better: Better::More,
        settings: "loads/s of 1,000 events by 32 callers, against one bare thread, on 2 cores",
        round: load_by_many,
    },
    Measure {
        name: "cached",
        target: 20.0,
        better: Better::More,
        settings: "time of a load of 100 events, against a command that looks at the kept state, checked",
        round: cached,
    },
    Measure {
        name: "read_all",
        target: 0.9,
        better: Better::More,
        settings: "events/s read and decoded from read_all, against a bare select + serde_json",
        round: read_all,
    },
];

struct Filled {
    _folder: tempfile::TempDir,
    store: Store,
    conn: Connection,
}

/// A store with a stream of each length, and what else is asked for.
async fn filled(more: usize) -> Filled {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bench.db");
    let store = Store::open(&path).await.expect("a store");
    let codec = Codec::<Account>::new();
    let event = || {
        let (cents, note) = (5, note());
        let event = AccountEvent::Deposited { cents, note };
        codec.encode(&event).expect("an event")
    };
    let streams = LENGTHS
        .into_iter()
        .map(|length| (length.to_string(), length as usize));
    let others = (0..more / 100).map(|n| (format!("other-{n}"), 100));
    for (key, length) in streams.chain(others) {
        let stream = stream_id::<Account>(key).expect("a stream id");
        let events: Vec<_> = (0..length).map(|_| event()).collect();
        let appended = store
            .append(&stream, ExpectedVersion::NoStream, events)
            .await;
        assert_eq!(
            appended.expect("an append").version(),
            Version::new(length as u64)
        );
    }
    Filled {
        conn: reader(&path),
        store,
        _folder: folder,
    }
}

fn reader(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).expect("a connection");
    conn.pragma_update(None, "cache_size", -16 * 1024)
        .expect("a cache");
    conn
}

/// What a payload holds, its type being known.
#[derive(serde::Deserialize)]
struct Deposited {
    cents: i64,
    note: String,
}

/// A row of a bare read: what an event is made of, without a checksum.
struct BareRow {
    position: i64,
    version: i64,
    event_type: i64,
    schema_version: u32,
    recorded_at: i64,
    event_id: [u8; 16],
    payload: String,
    metadata: Option<String>,
}

const BARE: &str = "e.position, e.version, e.type, e.schema_version, e.recorded_at, e.event_id, \
                    e.payload, e.metadata";

impl BareRow {
    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            position: row.get(0)?,
            version: row.get(1)?,
            event_type: row.get(2)?,
            schema_version: row.get(3)?,
            recorded_at: row.get(4)?,
            event_id: row.get(5)?,
            payload: row.get(6)?,
            metadata: row.get(7)?,
        })
    }

    /// What it adds to a balance, read from its JSON.
    fn cents(self) -> i64 {
        let event: Deposited = serde_json::from_str(&self.payload).expect("an event");
        let is_event = self.event_type > 0 && self.schema_version == 1 && self.metadata.is_none();
        assert!(is_event && self.recorded_at > 0 && self.version > 0 && self.position > 0);
        assert!(!event.note.is_empty() && self.event_id != [0; 16]);
        event.cents
    }
}

/// Folds a stream as one writes it first, from the same columns.
fn bare_load(conn: &Connection, key: &str) -> i64 {
    let sql = format!(
        "SELECT {BARE} FROM annalist_events AS e JOIN annalist_streams AS s \
         ON e.stream = s.id WHERE s.name = ?1 ORDER BY e.version"
    );
    let mut select = conn.prepare_cached(&sql).expect("a statement");
    let rows = select.query_map([format!("account-{key}")], BareRow::of);
    let cents = rows.expect("rows").map(|row| row.expect("a row").cents());
    cents.sum()
}

/// The median times of a load of so many events, ours and bare, interleaved.
fn loads(bench: &Bench, events: u64) -> (f64, f64) {
    bench.run(async {
        let filled = filled(0).await;
        let accounts = Repository::<Account>::new(filled.store.clone());
        let key = events.to_string();
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        while begun.elapsed() < bench.length {
            let asked = Instant::now();
            let loaded = accounts.load(&key).await.expect("a load");
            ours.push(asked.elapsed().as_secs_f64());
            let asked = Instant::now();
            let balance = bare_load(&filled.conn, &key);
            bare.push(asked.elapsed().as_secs_f64());
            assert_eq!(loaded.state.balance, balance);
        }
        (median(ours), median(bare))
    })
}

fn ratio_of_loads(bench: &Bench, events: u64) -> f64 {
    let (ours, bare) = loads(bench, events);
    bare / ours
}

fn load_by_many(bench: &Bench) -> f64 {
    bench.run(async {
        let filled = filled(0).await;
        let (begun, length) = (Instant::now(), bench.length);
        let tasks = (0..32).map(|_| {
            let accounts = Repository::<Account>::new(filled.store.clone());
            tokio::spawn(async move {
                let mut loads = 0_u64;
                while begun.elapsed() < length {
                    let loaded = accounts.load(1_000).await.expect("a load");
                    assert_eq!(loaded.version, Version::new(1_000));
                    loads += 1;
                }
                loads
            })
        });
        let mut loads = 0;
        for task in tasks.collect::<Vec<_>>() {
            loads += task.await.expect("a caller");
        }
        let ours = loads as f64 / begun.elapsed().as_secs_f64();
        let (begun, mut loads) = (Instant::now(), 0_u64);
        while begun.elapsed() < length {
            assert_eq!(bare_load(&filled.conn, "1000"), 5_000);
            loads += 1;
        }
        ours / (loads as f64 / begun.elapsed().as_secs_f64())
    })
}

fn cached(bench: &Bench) -> f64 {
    bench.run(async {
        let filled = filled(0).await;
        let accounts = Repository::<Account>::new(filled.store.clone());
        let bus = CommandBus::new(filled.store.clone());
        let (mut loads, mut looks) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        while begun.elapsed() < bench.length {
            let asked = Instant::now();
            accounts.load(100).await.expect("a load");
            loads.push(asked.elapsed().as_secs_f64());
            let asked = Instant::now();
            let looked = bus.dispatch(100, Look).await.expect("an outcome");
            looks.push(asked.elapsed().as_secs_f64());
            assert_eq!(looked.version, Version::new(100));
        }
        median(loads) / median(looks)
    })
}

fn read_all(bench: &Bench) -> f64 {
    let events = bench.count(EVENTS);
    bench.run(async {
        let filled = filled(events).await;
        let begun = Instant::now();
        let mut sum = 0;
        let mut pages = filled.store.read_all().pages();
        while let Some(page) = pages.next().await {
            for event in page.expect("a page").events {
                for AccountEvent::Deposited { cents, .. } in
                    event.decode::<Account>().expect("an event")
                {
                    sum += cents;
                }
            }
        }
        let ours = begun.elapsed();
        let begun = Instant::now();
        assert_eq!(sum, bare_read(&filled.conn));
        begun.elapsed().as_secs_f64() / ours.max(Duration::from_nanos(1)).as_secs_f64()
    })
}

fn bare_read(conn: &Connection) -> i64 {
    let sql = format!("SELECT {BARE} FROM annalist_events AS e ORDER BY e.position");
    let mut select = conn.prepare(&sql).expect("a statement");
    let rows = select.query_map([], BareRow::of).expect("rows");
    rows.map(|row| row.expect("a row").cents()).sum()
}
