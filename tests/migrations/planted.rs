//! An older file: the tables of the first schema, with the rows that this release writes
//! into them.

use std::path::{Path, PathBuf};

use annalist::{
    AppendError, Commit, EventId, ExpectedVersion, Fingerprint, Metadata, NewEvent, RecordedEvent,
    Store, StreamInfo, Version,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{event, stream};

const FIRST_SCHEMA: &str = include_str!("../../src/store/sqlite/migrations/1.sql");

/// What the application keeps in the header, as the older release left it.
pub(crate) const USER_VERSION: i64 = 7;

/// A folder with an older file, and what it holds.
pub(crate) struct Planted {
    folder: TempDir,
    pub(crate) holds: Contents,
}

/// All that a store answers of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Contents {
    events: Vec<RecordedEvent>,
    streams: Vec<StreamInfo>,
    report: String,
}

impl Contents {
    pub(crate) async fn of(store: &Store) -> Self {
        let report = store.verify().await.expect("a report");
        assert!(report.is_whole(), "{report:?}");
        Self {
            events: store.read_all().collect().await.expect("all events"),
            streams: store.list_streams().collect().await.expect("all streams"),
            report: format!("{report:?}"),
        }
    }
}

fn keyed() -> Commit {
    Commit::new()
        .append(stream("s1-1"), ExpectedVersion::Any, [event(900)])
        .append(stream("s2-2"), ExpectedVersion::Any, [event(901)])
        .key("pay-7", Fingerprint::of("pay"))
}

fn known() -> NewEvent {
    event(800).with_id(EventId::derived("migrations", "known"))
}

/// Writes something of every kind.
async fn fill(store: &Store) {
    let any = ExpectedVersion::Any;
    for number in 0..60 {
        let to = stream(&format!("s{}-{}", number % 3, number % 7));
        let written = event(number).with_metadata(Metadata::by("ann"));
        store
            .append(&to, any, [written, event(number + 100)])
            .await
            .expect("an append");
    }
    store
        .append(&stream("known-1"), any, [known()])
        .await
        .expect("an append");
    store.commit(keyed()).await.expect("a commit");
    for number in 0..5 {
        let to = stream(&format!("gone-{number}"));
        store
            .append(&to, any, (0..4).map(event))
            .await
            .expect("events");
        let removed = match number {
            0 | 1 => store.delete(&to, any).await,
            2 | 3 => store.truncate_before(&to, Version::new(3)).await,
            _ => store.close_stream(&to, any).await,
        };
        removed.expect("a removal");
        if number == 2 {
            store.compact().await.expect("a compaction");
        }
    }
}

impl Planted {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let newer = folder.path().join("newer.db");
        let store = Store::open(&newer).await.expect("a store");
        fill(&store).await;
        let holds = Contents::of(&store).await;
        store.close().await.expect("a clean close");
        let planted = Self { folder, holds };
        plant(&planted.path(), &newer);
        planted
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// The same file somewhere else.
    pub(crate) fn copy(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        std::fs::copy(self.path(), &path).expect("a copy");
        (folder, path)
    }
}

/// Makes the older tables and takes over every row that belongs in them.
fn plant(path: &Path, newer: &Path) {
    let conn = Connection::open(path).expect("a file");
    conn.execute_batch(FIRST_SCHEMA).expect("the first schema");
    let attach = "ATTACH ?1 AS newer";
    conn.execute(attach, [newer.to_str().expect("text")])
        .expect("the newer file");
    let tables = "SELECT t.name, group_concat(c.name) FROM main.sqlite_schema AS t, \
                  pragma_table_info(t.name) AS c WHERE t.type = 'table' GROUP BY t.name";
    let mut tables = conn.prepare(tables).expect("a statement");
    let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    for table in tables.expect("tables") {
        let (table, columns): (String, String) = table.expect("a table");
        let copy =
            format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}");
        let copied = conn.execute(&copy, []).expect("rows");
        assert!(copied > 0, "{table} is empty");
    }
    conn.execute("UPDATE annalist_meta SET schema_version = 1", [])
        .expect("an update");
    let header = format!(
        "DETACH newer; PRAGMA application_id = {}; PRAGMA user_version = {USER_VERSION}; \
         PRAGMA journal_mode = WAL",
        0x416e_6e61
    );
    conn.execute_batch(&header).expect("a header");
}

/// What SQLite says of a file, beside the library.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) version: i64,
    pub(crate) user_version: i64,
    pub(crate) epoch: i64,
    /// SQLite's counter of changes to the schema.
    pub(crate) cookie: i64,
    /// Each thing in the schema by its name and its words.
    pub(crate) schema: Vec<(String, String)>,
}

impl Seen {
    pub(crate) fn of(path: &Path) -> Self {
        let conn = Connection::open(path).expect("a connection");
        let number = |sql: &str| conn.query_row(sql, [], |row| row.get(0)).expect("a number");
        let said: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("an answer");
        assert_eq!(said, "ok");
        let sql = "SELECT name, ifnull(sql, '') FROM sqlite_schema ORDER BY name";
        let mut rows = conn.prepare(sql).expect("a statement");
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
        let rows = rows.expect("rows").map(|row| row.expect("a row"));
        Self {
            version: number("SELECT schema_version FROM annalist_meta"),
            user_version: number("PRAGMA user_version"),
            epoch: number("SELECT epoch FROM annalist_meta"),
            cookie: number("PRAGMA schema_version"),
            schema: rows.map(|(name, sql)| (name, words(&sql))).collect(),
        }
    }
}

/// SQL without its comments and however it is spaced.
fn words(sql: &str) -> String {
    let code = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    let words: Vec<&str> = code.flat_map(str::split_whitespace).collect();
    words.join(" ")
}

/// A store on a file that was brought to this schema does all that it did before, and
/// grants leases.
pub(crate) async fn assert_goes_on(store: &Store, holds: &Contents) {
    assert_eq!(Contents::of(store).await, *holds);
    let again = store.commit(keyed()).await;
    assert!(
        matches!(again, Err(AppendError::AlreadyCommitted { .. })),
        "{again:?}"
    );
    let again = store
        .append(&stream("known-1"), ExpectedVersion::NoStream, [known()])
        .await;
    assert!(again.expect("a repeat").replayed);

    let lease = store.lease("billing".parse().expect("a name")).acquire();
    let lease = lease.await.expect("a lease");
    assert_eq!(lease.token().get(), 1);
    let commit = Commit::new()
        .append(stream("gone-0"), ExpectedVersion::NoStream, [event(1)])
        .fenced_by(&lease);
    let back = store.commit(commit).await.expect("an append");
    assert_eq!(back.version(), Version::new(5), "numbering goes on");
    lease.release().await.expect("its holder");
}
