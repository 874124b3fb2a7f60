//! Removals inside the writer's transaction, and compaction in small ones of its own.

use rusqlite::{Connection, OptionalExtension};

use super::append::Desk;
use super::fault::{Failure, corrupt};
use super::names::Names;
use super::removals;
use super::row::{COLUMNS, Fields, parse_stream, position};
use super::snapshots;
use super::streams::Events;
use crate::ids::StreamId;
use crate::store::removal::{RemovalRequest, RemovalVerdict, Removed, judge_removal};
use crate::version::StreamState;

/// Writes one removal into the open transaction, or says why not.
pub(super) fn remove(
    conn: &Connection,
    desk: &mut Desk<'_, '_>,
    request: &RemovalRequest,
) -> Result<Removed, Failure> {
    let stream = &request.stream;
    let known = desk.known(stream)?;
    let before = known.map(|known| known.facts).unwrap_or_default();
    let after = match judge_removal(before, request) {
        RemovalVerdict::Refuse(error) => return Err(Failure::Refused(error)),
        RemovalVerdict::Nothing => return Ok(Removed::new(stream, &before, None, false)),
        RemovalVerdict::Write(after) => after,
    };
    desk.transaction.has_room_for(1)?;
    let mut known = match known {
        Some(known) => known,
        None => desk.streams.create(stream, Events::None)?,
    };
    let found = removals::find_row(conn, known.number, stream)?;
    if found.is_none() {
        let first = "UPDATE annalist_streams SET has_removals = 1 WHERE id = ?1";
        conn.prepare_cached(first)?.execute([known.number])?;
    }
    let removals = found.unwrap_or_default().after(&after);
    removals::put(conn, known.number, stream, removals)?;
    desk.transaction.count_removal();
    // Only what removes events is told to followers; closing removes none.
    let marked = after.generation != before.generation;
    let position = match marked {
        false => None,
        true => {
            snapshots::remove(conn, known.number)?;
            let recorded_at = desk.transaction.record_at(desk.now.timestamp_micros());
            let at = (desk.transaction.next_position(), recorded_at);
            let deleted = after.state() == StreamState::Deleted;
            removals::mark(conn, known.number, stream, removals, deleted, at)?;
            Some(position(at.0))
        }
    };
    known.facts = after;
    desk.streams.keep(stream, known);
    Ok(Removed::new(stream, &after, position, true))
}

/// What one slice of a compaction did.
pub(super) struct Stripped {
    pub(super) events: u64,
    /// Whether there is more to strip.
    pub(super) more: bool,
}

/// A slice takes a few milliseconds, in which commits wait.
const SLICE_EVENTS_MAX: usize = 500;
const SLICE_BYTES_MAX: usize = 1024 * 1024;

/// Strips some removed events.
///
/// Each call is a transaction of its own: a crash between two leaves some events
/// stripped and others not, and neither is ever read again.
pub(super) fn strip(
    conn: &Connection,
    desk: &mut Desk<'_, '_>,
    names: &mut Names,
) -> Result<Stripped, Failure> {
    let mut slice = Slice::default();
    while !slice.is_full() {
        let sql = "SELECT r.stream, s.name FROM annalist_removals AS r \
                   JOIN annalist_streams AS s ON s.id = r.stream \
                   WHERE r.compacted_to < r.removed_to LIMIT 1";
        let next = conn
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
            .optional()?;
        let Some((number, name)) = next else {
            return Ok(slice.done(false));
        };
        let stream = parse_stream(&name, None)?;
        strip_stream(conn, names, number, &stream, &mut slice)?;
        desk.transaction.count_removal();
    }
    Ok(slice.done(true))
}

/// How much a slice has taken so far.
#[derive(Default)]
struct Slice {
    events: usize,
    bytes: usize,
}

impl Slice {
    fn is_full(&self) -> bool {
        self.events >= SLICE_EVENTS_MAX || self.bytes >= SLICE_BYTES_MAX
    }

    fn take(&mut self, row: &Fields<'_>) {
        self.events += 1;
        self.bytes += row.payload.map_or(0, str::len) + row.metadata.map_or(0, str::len);
    }

    fn done(self, more: bool) -> Stripped {
        let events = self.events as u64;
        Stripped { events, more }
    }
}

fn strip_stream(
    conn: &Connection,
    names: &mut Names,
    number: i64,
    stream: &StreamId,
    slice: &mut Slice,
) -> Result<(), Failure> {
    // One that a process of an older release did not know of when it removed.
    snapshots::remove(conn, number)?;
    let mut removals = removals::find(conn, (number, true), stream)?;
    let rows = format!(
        "SELECT {COLUMNS} FROM annalist_events \
         WHERE stream = +?1 AND version > ?2 AND version <= ?3 ORDER BY version"
    );
    let mut rows = conn.prepare_cached(&rows)?;
    let mut rows = rows.query([number, removals.compacted_to, removals.removed_to])?;
    // Read before any is changed, so that the scan does not meet its own changes.
    let mut skeletons = Vec::new();
    while !slice.is_full()
        && let Some(row) = rows.next()?
    {
        let (fields, checksum) = Fields::of(row)?;
        let event_type = names.verified(conn, (&fields, checksum), stream)?;
        slice.take(&fields);
        let skeleton = Fields {
            payload: None,
            metadata: None,
            ..fields
        };
        let checksum = skeleton.checksum(stream.as_str(), event_type.as_str());
        skeletons.push((fields.position, checksum));
        removals.compacted_to = fields.version;
    }
    if skeletons.is_empty() {
        let what = format!("compacting stream {stream}, whose removed events are missing");
        return Err(corrupt(None, what).into());
    }
    let sql = "UPDATE annalist_events SET payload = NULL, metadata = NULL, checksum = ?2 \
               WHERE position = ?1";
    let mut update = conn.prepare_cached(sql)?;
    for skeleton in &skeletons {
        update.execute(*skeleton)?;
    }
    removals::put(conn, number, stream, removals)?;
    Ok(())
}
