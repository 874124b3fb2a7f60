//! What one writes first: Tokio callers, a mutex around one connection, `spawn_blocking`, one
//! transaction for each append; and SQLite itself, by one thread. Both write the tables of
//! `schema.sql` with the pragmas of the store.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, params};

use crate::bank::payload;
use crate::measure::{Bench, Done};

/// How many events a caller writes before it begins a new stream.
pub(crate) const EVENTS_PER_STREAM: usize = 10;

/// Appends by so many callers.
pub(crate) async fn naive(bench: &Bench, callers: usize) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    let conn = Arc::new(Mutex::new(connect(&folder.path().join("bench.db"))));
    let (begun, length) = (Instant::now(), bench.length);
    let tasks = (0..callers).map(|caller| {
        let conn = Arc::clone(&conn);
        tokio::spawn(async move {
            let payload: Arc<str> = payload().into();
            let mut latencies = Vec::new();
            while begun.elapsed() < length {
                let asked = Instant::now();
                let stream = format!("account-{caller}-{}", latencies.len() / EVENTS_PER_STREAM);
                let version = (latencies.len() % EVENTS_PER_STREAM) as i64;
                let (conn, payload) = (Arc::clone(&conn), Arc::clone(&payload));
                let append = move || {
                    let conn = conn.lock().expect("no one panics");
                    naive_append(&conn, &stream, version, &payload).expect("an append");
                };
                let appended = tokio::task::spawn_blocking(append).await;
                appended.expect("an append");
                latencies.push(asked.elapsed());
            }
            latencies
        })
    });
    Done::by(tasks.collect(), begun).await
}

/// One transaction for each row, by one thread that knows every version.
pub(crate) fn bare(bench: &Bench) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    let conn = connect(&folder.path().join("bench.db"));
    let payload = payload();
    let mut stream = 0;
    let begun = Instant::now();
    let mut latencies = Vec::new();
    while begun.elapsed() < bench.length {
        let asked = Instant::now();
        let version = latencies.len() % EVENTS_PER_STREAM;
        if version == 0 {
            let name = format!("account-{}", latencies.len());
            stream = stream_number(&conn, &name).expect("a stream");
        }
        let position = latencies.len() as i64 + 1;
        insert(&conn, position, stream, version as i64 + 1, &payload).expect("an insert");
        latencies.push(asked.elapsed());
    }
    Done::of(latencies, begun.elapsed())
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

/// The number of a stream, made where there is none.
pub(crate) fn stream_number(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    let found = conn
        .prepare_cached("SELECT id FROM annalist_streams WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    match found {
        Some(number) => Ok(number),
        None => new_stream(conn, name),
    }
}

pub(crate) fn new_stream(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.prepare_cached(
        "INSERT INTO annalist_streams (name, hash, has_events, has_removals) VALUES (?1, 0, 1, 0)",
    )?
    .insert([name])
}

/// A row of an event: its position, stream, version, time, id and payload.
pub(crate) const INSERT: &str = "INSERT INTO annalist_events (position, stream, version, type, \
                                 schema_version, recorded_at, event_id, checksum, payload, metadata) \
                                 VALUES (?1, ?2, ?3, 1, 1, ?4, ?5, 0, ?6, NULL)";

pub(crate) fn insert(
    conn: &Connection,
    position: i64,
    stream: i64,
    version: i64,
    payload: &str,
) -> rusqlite::Result<()> {
    let now = chrono::Utc::now().timestamp_micros();
    let id = uuid::Uuid::now_v7();
    conn.prepare_cached(INSERT)?.execute(params![
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
pub(crate) fn connect(path: &Path) -> Connection {
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
    conn.execute_batch(include_str!("../../schema.sql"))
        .expect("the tables");
    conn
}
