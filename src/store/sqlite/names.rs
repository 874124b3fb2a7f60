//! The small numbers that stand for stream ids and event types.
//!
//! Rows hold the numbers, callers see the names. Once committed a number never stands
//! for another name, so a reader may keep what it has looked up; the writer, which sees
//! what may yet be rolled back, forgets it then.

use hashlink::LruCache;
use rusqlite::{Connection, OptionalExtension};

use super::fault::{corrupt, fault};
use super::removals;
use super::row::{Fields, parse_stream, position, version};
use crate::ids::{EventType, StreamId};
use crate::store::error::StoreError;
use crate::version::{Position, Version};

/// The names that one reader has looked up.
pub(super) struct Names {
    streams: LruCache<i64, NamedStream>,
    types: LruCache<i64, EventType>,
    /// The count of removals that the streams were looked up at.
    removals: i64,
}

/// A stream's id, and which of its events are not read.
#[derive(Clone)]
pub(super) struct NamedStream {
    pub(super) id: StreamId,
    pub(super) removed_to: Version,
}

impl Names {
    /// So many of each, about 1 MiB at most with usual names.
    const KEPT_MAX: usize = 8_192;

    pub(super) fn new() -> Self {
        Self {
            streams: LruCache::new(Self::KEPT_MAX),
            types: LruCache::new(Self::KEPT_MAX),
            removals: 0,
        }
    }

    /// Forgets the streams if anything was removed since they were looked up.
    pub(super) fn as_of(&mut self, removals: i64) {
        if self.removals != removals {
            self.streams.clear();
            self.removals = removals;
        }
    }

    /// The stream that a number of the event at `position` stands for.
    pub(super) fn stream(
        &mut self,
        conn: &Connection,
        number: i64,
        position: Position,
    ) -> Result<NamedStream, StoreError> {
        if let Some(known) = self.streams.get(&number) {
            return Ok(known.clone());
        }
        let sql = "SELECT name FROM annalist_streams WHERE id = ?1";
        let id = look_up(conn, sql, number, position)?;
        let id = parse_stream(&id, Some(position))?;
        let removed_to = match self.removals {
            0 => Version::ZERO,
            _ => version(removals::find(conn, number, &id)?.removed_to),
        };
        let stream = NamedStream { id, removed_to };
        self.streams.insert(number, stream.clone());
        Ok(stream)
    }

    /// The type of a row, once its checksum holds in this stream: the one way from a row
    /// that was read to one that is believed.
    pub(super) fn verified(
        &mut self,
        conn: &Connection,
        (fields, checksum): (&Fields<'_>, u32),
        stream: &StreamId,
    ) -> Result<EventType, StoreError> {
        let at = position(fields.position);
        let event_type = self.event_type(conn, fields.event_type, at)?;
        fields.verify(checksum, stream.as_str(), event_type.as_str())?;
        Ok(event_type)
    }

    /// The event type that a number of the event at `position` stands for.
    fn event_type(
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

/// The number of an event type.
pub(super) fn type_number(conn: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    number(conn, "SELECT id FROM annalist_types WHERE name = ?1", name)
}

fn number(conn: &Connection, sql: &str, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(sql)?
        .query_row([name], |row| row.get(0))
        .optional()
}
