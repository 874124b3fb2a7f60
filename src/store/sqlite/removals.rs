//! The rows of `annalist_removals` and `annalist_markers`: what was removed from which
//! stream, and when.
//!
//! Nearly every store has none of them, so nobody looks before the head says that
//! there are.

use chrono::DateTime;
use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{corrupt, fault};
use super::row::{parse_stream, position, stored, version};
use crate::ids::StreamId;
use crate::store::error::StoreError;
use crate::store::facts::StreamFacts;
use crate::store::feed::{RemovalKind, RemovalMarker};
use crate::version::{Generation, Version};

/// What was removed from one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Removals {
    pub(super) generation: i64,
    pub(super) removed_to: i64,
    pub(super) compacted_to: i64,
    pub(super) closed: bool,
}

impl Removals {
    /// A stream after a removal; what was stripped before stays stripped.
    pub(super) fn after(self, facts: &StreamFacts) -> Self {
        Self {
            generation: stored(facts.generation.get()),
            removed_to: stored(facts.removed_to.get()),
            closed: facts.closed,
            ..self
        }
    }

    /// A stream at this version, as an expectation sees it.
    pub(super) fn facts(self, version_now: Version) -> StreamFacts {
        StreamFacts {
            version: version_now,
            generation: Generation::new(version(self.generation).get()),
            removed_to: version(self.removed_to),
            closed: self.closed,
        }
    }

    fn checksum(self, stream: &StreamId) -> u32 {
        let numbers = [
            self.generation,
            self.removed_to,
            self.compacted_to,
            self.closed.into(),
        ];
        checksum(stream, &numbers)
    }
}

fn checksum(stream: &StreamId, numbers: &[i64]) -> u32 {
    let mut crc = Hasher::new();
    for number in numbers {
        crc.update(&number.to_le_bytes());
    }
    crc.update(stream.as_str().as_bytes());
    crc.finalize()
}

/// Looks up what was removed from a stream, whose row says whether there is something.
pub(super) fn find(
    conn: &Connection,
    (number, has_removals): (i64, bool),
    stream: &StreamId,
) -> Result<Removals, StoreError> {
    match (find_row(conn, number, stream)?, has_removals) {
        (Some(removals), true) => Ok(removals),
        (None, false) => Ok(Removals::default()),
        _ => {
            let what = format!("looking up what was removed from stream {stream}");
            Err(corrupt(None, what))
        }
    }
}

/// The row of a stream, if there is one.
pub(super) fn find_row(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
) -> Result<Option<Removals>, StoreError> {
    let sql = "SELECT generation, removed_to, compacted_to, closed, checksum \
               FROM annalist_removals WHERE stream = ?1";
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut rows| {
            let read = |row: &rusqlite::Row<'_>| {
                let removals = Removals {
                    generation: row.get(0)?,
                    removed_to: row.get(1)?,
                    compacted_to: row.get(2)?,
                    closed: row.get(3)?,
                };
                Ok((removals, row.get::<_, u32>(4)?))
            };
            rows.query_row([number], read).optional()
        })
        .map_err(|error| fault(error, "looking up what was removed"))?;
    match found {
        None => Ok(None),
        Some((removals, checksum)) if removals.checksum(stream) == checksum => Ok(Some(removals)),
        Some(_) => {
            let what = format!("checking what was removed from stream {stream}");
            Err(corrupt(None, what))
        }
    }
}

/// Keeps what was removed from a stream, in place of what was kept before. The caller
/// counts it in the head, and says it in the stream's row if it is the first.
pub(super) fn put(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
    removals: Removals,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO annalist_removals \
         (stream, generation, removed_to, compacted_to, closed, checksum) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        number,
        removals.generation,
        removals.removed_to,
        removals.compacted_to,
        removals.closed,
        removals.checksum(stream),
    ])?;
    Ok(())
}

/// Marks a position with a removal.
pub(super) fn mark(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
    removals: Removals,
    deleted: bool,
    (position, recorded_at): (i64, i64),
) -> rusqlite::Result<()> {
    let Removals {
        generation,
        removed_to,
        ..
    } = removals;
    let numbers = [
        position,
        generation,
        removed_to,
        deleted.into(),
        recorded_at,
    ];
    conn.prepare_cached(
        "INSERT INTO annalist_markers \
         (position, stream, generation, removed_to, deleted, recorded_at, checksum) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        position,
        number,
        generation,
        removed_to,
        deleted,
        recorded_at,
        checksum(stream, &numbers),
    ])?;
    Ok(())
}

/// The versions at which a stream was deleted. All of its markers are checked, and that
/// there are as many as its generation says.
pub(super) fn deleted_at(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
    generation: Generation,
) -> Result<Vec<Version>, StoreError> {
    let read = |error| fault(error, "looking up removals");
    let sql = "SELECT position FROM annalist_markers WHERE stream = ?1";
    let mut rows = conn.prepare_cached(sql).map_err(read)?;
    let found = rows.query_map([number], |row| row.get(0)).map_err(read)?;
    let positions: Vec<i64> = found.collect::<Result<_, _>>().map_err(read)?;
    if positions.len() as u64 != generation.get() {
        let what = format!("looking up {generation} removals of stream {stream}");
        return Err(corrupt(None, what));
    }
    let mut versions = Vec::new();
    for position in positions {
        let marker = marker(conn, position)?;
        let deleted = marker.filter(|marker| marker.kind == RemovalKind::Deleted);
        versions.extend(deleted.map(|marker| marker.removed_to));
    }
    Ok(versions)
}

/// The marker at a position, if one stands there, checked.
pub(super) fn marker(conn: &Connection, at: i64) -> Result<Option<RemovalMarker>, StoreError> {
    let sql = "SELECT s.name, m.generation, m.removed_to, m.deleted, m.recorded_at, m.checksum \
               FROM annalist_markers AS m LEFT JOIN annalist_streams AS s ON s.id = m.stream \
               WHERE m.position = +?1";
    let read = |row: &rusqlite::Row<'_>| {
        let name: Option<String> = row.get(0)?;
        let numbers = [at, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
        Ok((name.unwrap_or_default(), numbers, row.get::<_, u32>(5)?))
    };
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut marker| marker.query_row([at], read).optional())
        .map_err(|error| fault(error, "reading a removal"))?;
    let Some((name, numbers, sum)) = found else {
        return Ok(None);
    };
    let damaged = |what: &str| corrupt(Some(position(at)), what);
    let stream = parse_stream(&name, Some(position(at)))?;
    if checksum(&stream, &numbers) != sum {
        return Err(damaged("checking a removal's checksum"));
    }
    let [_, generation, removed_to, deleted, recorded_at] = numbers;
    Ok(Some(RemovalMarker {
        position: position(at),
        stream,
        kind: match deleted {
            0 => RemovalKind::Truncated,
            _ => RemovalKind::Deleted,
        },
        removed_to: version(removed_to),
        generation: Generation::new(version(generation).get()),
        recorded_at: DateTime::from_timestamp_micros(recorded_at)
            .ok_or_else(|| damaged("reading a removal's time"))?,
    }))
}
