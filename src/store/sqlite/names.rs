//! The small numbers that stand for stream ids and event types.
//!
//! Rows hold the numbers, callers see the names. Once committed a number never stands
//! for another name, so a reader may keep what it has looked up; the writer, which sees
//! what may yet be rolled back, forgets it then.

use hashlink::LruCache;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

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
        let read = "SELECT name, has_removals FROM annalist_streams WHERE id = ?1";
        let (id, has_removals) = look_up(conn, read, number, position, |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?))
        })?;
        let id = parse_stream(&id, Some(position))?;
        let removed_to = match self.removals {
            0 => Version::ZERO,
            _ => version(removals::find(conn, (number, has_removals), &id)?.removed_to),
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
        let name: String = look_up(conn, sql, id, position, |row| row.get(0))?;
        let event_type: EventType = name
            .parse()
            .map_err(|error| corrupt(Some(position), "reading an event type").with_source(error))?;
        self.types.insert(id, event_type.clone());
        Ok(event_type)
    }
}

fn look_up<T>(
    conn: &Connection,
    sql: &str,
    id: i64,
    at: Position,
    row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let read = conn
        .prepare_cached(sql)
        .and_then(|mut names| names.query_row([id], row).optional())
        .map_err(|error| fault(error, "looking up a name"))?;
    read.ok_or_else(|| corrupt(Some(at), format!("looking up the name numbered {id}")))
}

/// A stream's row.
#[derive(Clone, Copy)]
pub(super) struct StreamRow {
    pub(super) number: i64,
    /// Whether it has events.
    pub(super) has_events: bool,
    /// Whether something was removed from it, or it was closed.
    pub(super) has_removals: bool,
}

/// The CRC-32 of a stream's name, by which it is found a second way.
pub(super) fn hash(stream: &StreamId) -> u32 {
    crc32fast::hash(stream.as_str().as_bytes())
}

/// The row of a stream; none for one that has none.
///
/// An index is not believed alone: what it finds must be the row of that name, and what
/// it does not find must be missing in a second index too.
pub(super) fn stream_row(
    conn: &Connection,
    stream: &StreamId,
) -> Result<Option<StreamRow>, StoreError> {
    // In two statements: one that joined them would be compiled anew each time it runs, since
    // SQLite carries the key through the join into its plan. That takes longer than to look.
    let find = |index: &str, key: &dyn ToSql| {
        let by_key = format!("SELECT id FROM annalist_streams WHERE {index} = ?1");
        let mut ids = conn.prepare_cached(&by_key)?;
        let mut ids = ids.query([key])?;
        let mut found = Found::Nothing;
        while let Some(id) = ids.next()? {
            let number = id.get(0)?;
            match named_row(conn, number, stream)? {
                Some(row) => return Ok(Found::Row(row)),
                // The row of another name, or none.
                None => found = Found::Other,
            }
        }
        Ok(found)
    };
    let sql = |error| fault(error, "looking up a stream");
    let damaged = || {
        let what = format!("looking up stream {stream}, of which two indexes disagree");
        Err(corrupt(None, what))
    };
    match find("name", &stream.as_str()).map_err(sql)? {
        Found::Row(row) => Ok(Some(row)),
        Found::Other => damaged(),
        // Another name may have the same hash.
        Found::Nothing => match find("hash", &hash(stream)).map_err(sql)? {
            Found::Row(_) => damaged(),
            Found::Nothing | Found::Other => Ok(None),
        },
    }
}

/// The row under this number, if it is that of the stream.
fn named_row(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
) -> rusqlite::Result<Option<StreamRow>> {
    let row = "SELECT name, has_events, has_removals FROM annalist_streams WHERE id = ?1";
    let mut row = conn.prepare_cached(row)?;
    let mut rows = row.query([number])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    if row.get_ref(0)?.as_str_or_null()? != Some(stream.as_str()) {
        return Ok(None);
    }
    Ok(Some(StreamRow {
        number,
        has_events: row.get(1)?,
        has_removals: row.get(2)?,
    }))
}

/// What an index leads to.
enum Found {
    Row(StreamRow),
    Other,
    Nothing,
}

/// The number of an event type.
pub(super) fn type_number(conn: &Connection, name: &str) -> Result<Option<i64>, StoreError> {
    // In two statements, as a stream is.
    let read = || {
        let by_name = "SELECT id FROM annalist_types WHERE name = ?1";
        let mut by_name = conn.prepare_cached(by_name)?;
        let number: Option<i64> = by_name.query_row([name], |row| row.get(0)).optional()?;
        let Some(number) = number else {
            return Ok(None);
        };
        let row = "SELECT name FROM annalist_types WHERE id = ?1";
        let mut row = conn.prepare_cached(row)?;
        let found = row.query_row([number], |row| {
            Ok(row.get_ref(0)?.as_str_or_null()? == Some(name))
        });
        Ok(Some((number, found.optional()?.unwrap_or(false))))
    };
    let found =
        read().map_err(|error: rusqlite::Error| fault(error, "looking up an event type"))?;
    match found {
        None => Ok(None),
        Some((number, true)) => Ok(Some(number)),
        Some(_) => Err(corrupt(None, format!("looking up event type {name}"))),
    }
}
