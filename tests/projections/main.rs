//! Read models: what they hold is what the events say, whatever happens on the way.
//!
//! The long run of the random one:
//!
//! ```text
//! ANNALIST_INLINE=2000 cargo test --release --test projections random -- --nocapture
//! ```

#![cfg(feature = "sqlite")]

mod catching_up;
mod guard;
mod inline;
mod kept;
mod killed;
mod missing;
mod models;
mod queries;
mod random;
mod removals;
mod turned;
#[path = "../worker/mod.rs"]
#[expect(dead_code, reason = "its workers are told nothing on the way")]
mod workers;

use std::error::Error;
use std::path::PathBuf;

use annalist::projection::{self, Documents, Projection, ProjectionResult, Totals};
use annalist::store::sqlite::{Durability, SqliteOptions};
use annalist::store::{Derivation, Forgotten, Tx};
use annalist::{
    AppendError, ExpectedVersion, NewEvent, Receipt, RecordedEvent, Store, StoreError, StreamId,
};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

/// A folder for a store file.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    async fn try_open(&self, inline: Vec<Derivation>) -> Result<Store, StoreError> {
        let mut options = SqliteOptions::default();
        options.durability = Durability::Off;
        options.inline = inline;
        Store::open_with(self.path(), options).await
    }

    async fn open(&self, inline: Vec<Derivation>) -> Store {
        self.try_open(inline).await.expect("a store")
    }

    /// Another connection, which sees what is committed.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).expect("a connection")
    }

    /// The rows of a query, each as text.
    fn rows(&self, sql: &str) -> Vec<String> {
        rows(&self.connect(), sql)
    }

    fn number(&self, sql: &str) -> i64 {
        let number = self.connect().query_row(sql, [], |row| row.get(0));
        number.expect("a number")
    }

    /// Tables, indexes, triggers and views that are not the store's.
    fn objects(&self) -> Vec<String> {
        self.rows(
            "SELECT type || ' ' || name FROM sqlite_schema \
             WHERE name NOT LIKE 'annalist^_%' ESCAPE '^' AND name NOT LIKE 'sqlite^_%' ESCAPE '^' \
             ORDER BY name, type",
        )
    }

    /// How far every projection has come, with the event there.
    fn checkpoints(&self) -> Vec<String> {
        self.rows(
            "SELECT f.name || ' v' || version || ' ' || state || ' ' || inline || ' at ' || position, \
               event_id IS (SELECT event_id FROM annalist_events e WHERE e.position = f.position) \
             FROM annalist_followers f ORDER BY name, build",
        )
    }

    /// That all of them stand at the end of the store.
    fn all_are_at_the_head(&self) {
        let behind = "SELECT count(*) FROM annalist_followers f, annalist_head h \
             WHERE state <> 'live' OR inline <> 1 OR position <> last_position OR event_id IS NOT \
               (SELECT event_id FROM annalist_events e WHERE e.position = f.position)";
        assert_eq!(self.number(behind), 0, "{:?}", self.checkpoints());
    }
}

fn rows(conn: &Connection, sql: &str) -> Vec<String> {
    let mut rows = conn.prepare(sql).expect("a statement");
    let columns = rows.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..columns).map(|index| row.get(index));
        let values = values.collect::<Result<Vec<Value>, _>>()?;
        Ok(values.iter().map(shown).collect::<Vec<_>>().join("|"))
    };
    let rows = rows.query_map([], row).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => format!("{value:?}"),
        Value::Text(value) => value.clone(),
        Value::Blob(value) => format!("{value:?}"),
    }
}

async fn is_whole(store: &Store) {
    let report = store.verify().await.expect("a report");
    assert!(report.is_whole(), "{report:?}");
}

/// An error with all of its causes.
fn told(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", told(source)),
        None => error.to_string(),
    }
}

fn stream(name: &str) -> StreamId {
    name.parse().expect("a stream id")
}

/// An event that moves so much.
fn moved(cents: i64) -> NewEvent {
    NewEvent::json("Moved", &cents).expect("an event")
}

/// An event that says something.
fn said(say: &str) -> NewEvent {
    NewEvent::json("Said", &say).expect("an event")
}

async fn append(store: &Store, to: &str, event: NewEvent) -> Result<Receipt, AppendError> {
    store
        .append(&stream(to), ExpectedVersion::Any, [event])
        .await
}

/// An event that has a statement run.
fn ran(sql: &str) -> NewEvent {
    NewEvent::json("Ran", &sql).expect("an event")
}

/// So many events of `Moved`, in a few streams.
async fn fill(store: &Store, count: usize) {
    for at in (0..count).step_by(500) {
        let events = (at..count.min(at + 500)).map(|at| moved(at as i64));
        let to = stream(&format!("account-{}", at % 3));
        let appended = store.append(&to, ExpectedVersion::Any, events).await;
        appended.expect("a receipt");
    }
}

/// What each account holds, and how many events it took.
const BALANCES: Documents<str, (i64, u64)> = Documents::new("balances");

/// The code of it, in a version.
struct Balances<const VERSION: u32>;

impl<const VERSION: u32> Projection for Balances<VERSION> {
    const NAME: &'static str = "balances";
    const VERSION: u32 = VERSION;

    fn tables(&self) -> Vec<String> {
        BALANCES.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        BALANCES.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        if event.event_type.as_str() == "Said" {
            let say: String = event.payload.decode()?;
            act(&say, tx).await?;
        }
        let cents: i64 = event.payload.decode().unwrap_or_default();
        let change = |(balance, count): &mut (i64, u64)| {
            *balance += cents;
            *count += 1;
        };
        BALANCES.update(event.stream.as_str(), change, tx).await
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        BALANCES.remove(stream.as_str(), tx).await?;
        Ok(Forgotten::Done)
    }
}

/// Does what it is told, and then something that it would be seen by.
async fn act(say: &str, tx: &mut Tx<'_>) -> ProjectionResult {
    tx.execute("DELETE FROM balances", &[]).await?;
    match say {
        "refuse" => Err("as it does".into()),
        "panic" => panic!("as it does"),
        "wait" => {
            let () = std::future::pending().await;
            Ok(())
        }
        sql => tx.execute(sql, &[]).await.map(drop).map_err(Into::into),
    }
}

fn balances() -> Derivation {
    projection::inline(Balances::<1>).expect("a projection")
}

/// How many events of each type there are, and what they amount to.
const TYPES: Totals = Totals::new("types");

struct Types<const VERSION: u32>;

impl<const VERSION: u32> Projection for Types<VERSION> {
    const NAME: &'static str = "events by type";
    const VERSION: u32 = VERSION;

    fn tables(&self) -> Vec<String> {
        TYPES.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        TYPES.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let cents: i64 = event.payload.decode().unwrap_or_default();
        TYPES.add(&event.stream, &event.event_type, cents, tx).await
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        TYPES.forget(stream, tx).await
    }
}

fn types() -> Derivation {
    projection::inline(Types::<1>).expect("a projection")
}

#[test]
#[ignore = "it is a process of another test"]
fn worker() {
    killed::run();
}
