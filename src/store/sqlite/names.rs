//! The small numbers that stand for stream ids, categories and event types.
//!
//! Rows hold the numbers, callers see the names. Numbers are given once and never
//! changed, so a reader may keep what it has looked up for as long as it likes.

use hashlink::LruCache;
use rusqlite::{Connection, OptionalExtension};

use super::fault::{corrupt, fault};
use crate::ids::{EventType, StreamId};
use crate::store::error::StoreError;
use crate::version::Position;

/// The names that one reader has looked up.
pub(super) struct Names {
    streams: LruCache<i64, StreamId>,
    types: LruCache<i64, EventType>,
}

impl Names {
    /// So many of each, about 1 MiB at most with usual names.
    const KEPT_MAX: usize = 8_192;

    pub(super) fn new() -> Self {
        Self {
            streams: LruCache::new(Self::KEPT_MAX),
            types: LruCache::new(Self::KEPT_MAX),
        }
    }

    /// The stream that a number of the event at `position` stands for.
    pub(super) fn stream(
        &mut self,
        conn: &Connection,
        id: i64,
        position: Position,
    ) -> Result<StreamId, StoreError> {
        if let Some(known) = self.streams.get(&id) {
            return Ok(known.clone());
        }
        let sql = "SELECT name FROM annalist_streams WHERE id = ?1";
        let name = look_up(conn, sql, id, position)?;
        let stream: StreamId = name
            .parse()
            .map_err(|error| corrupt(Some(position), "reading a stream id").with_source(error))?;
        self.streams.insert(id, stream.clone());
        Ok(stream)
    }

    /// The event type that a number of the event at `position` stands for.
    pub(super) fn event_type(
        &mut self,
        conn: &Connection,
        id: i64,
        position: Position,
    ) -> Result<EventType, StoreError> {
        if let Some(known) = self.types.get(&id) {
            return Ok(known.clone());
        }
        let sql = "SELECT name FROM annalist_types WHERE id = ?1";
        let name = look_up(conn, sql, id, position)?;
        let event_type: EventType = name
            .parse()
            .map_err(|error| corrupt(Some(position), "reading an event type").with_source(error))?;
        self.types.insert(id, event_type.clone());
        Ok(event_type)
    }
}

fn look_up(conn: &Connection, sql: &str, id: i64, at: Position) -> Result<String, StoreError> {
    let read = conn
        .prepare_cached(sql)
        .and_then(|mut names| names.query_row([id], |row| row.get(0)).optional())
        .map_err(|error| fault(error, "looking up a name"))?;
    read.ok_or_else(|| corrupt(Some(at), format!("looking up the name numbered {id}")))
}

/// The number of a stream; none for one that was never written.
pub(super) fn stream_number(conn: &Connection, stream: &StreamId) -> rusqlite::Result<Option<i64>> {
    number(
        conn,
        "SELECT id FROM annalist_streams WHERE name = ?1",
        stream.as_str(),
    )
}

/// The number of a category.
pub(super) fn category_number(conn: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    number(
        conn,
        "SELECT id FROM annalist_categories WHERE name = ?1",
        name,
    )
}

/// The number of an event type.
pub(super) fn type_number(conn: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    number(conn, "SELECT id FROM annalist_types WHERE name = ?1", name)
}

fn number(conn: &Connection, sql: &str, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(sql)?
        .query_row([name], |row| row.get(0))
        .optional()
}
