//! Removals inside the writer's transaction, and compaction in small ones of its own.

use rusqlite::{Connection, OptionalExtension, params};

use super::append::Desk;
use super::fault::Failure;
use super::names::Names;
use super::removals;
use super::row::{COLUMNS, Fields, parse_stream, position};
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
        None => desk.streams.create(stream)?,
    };
    let removals = removals::find(conn, known.number, stream)?.after(&after);
    removals::put(conn, known.number, stream, removals)?;
    desk.transaction.count_removal();
    // Only what removes events is told to followers; closing removes none.
    let marked = after.generation != before.generation;
    let position = match marked {
        false => None,
        true => {
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

/// Strips up to so many removed events, and answers how many there were. Fewer than
/// asked for: nothing is left to strip.
///
/// Each call is a transaction of its own: a crash between two leaves some events
/// stripped and others not, and neither is ever read again.
pub(super) fn strip(
    conn: &Connection,
    desk: &mut Desk<'_, '_>,
    names: &mut Names,
    events_max: i64,
) -> Result<i64, Failure> {
    let mut stripped = 0;
    while stripped < events_max {
        let sql = "SELECT r.stream, s.name FROM annalist_removals AS r \
                   JOIN annalist_streams AS s ON s.id = r.stream \
                   WHERE r.compacted_to < r.removed_to LIMIT 1";
        let next = conn
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
            .optional()?;
        let Some((number, name)) = next else {
            break;
        };
        let stream = parse_stream(&name, None)?;
        stripped += strip_stream(conn, names, number, &stream, events_max - stripped)?;
        desk.transaction.count_removal();
    }
    Ok(stripped)
}

fn strip_stream(
    conn: &Connection,
    names: &mut Names,
    number: i64,
    stream: &StreamId,
    events_max: i64,
) -> Result<i64, Failure> {
    let mut removals = removals::find(conn, number, stream)?;
    let from = removals.compacted_to;
    let to = removals.removed_to.min(from.saturating_add(events_max));
    let rows = format!(
        "SELECT {COLUMNS} FROM annalist_events \
         WHERE stream = ?1 AND version > ?2 AND version <= ?3 ORDER BY version"
    );
    let mut rows = conn.prepare_cached(&rows)?;
    let mut rows = rows.query(params![number, from, to])?;
    // Read before any is changed, so that the scan does not meet its own changes.
    let mut skeletons = Vec::new();
    while let Some(row) = rows.next()? {
        let (fields, checksum) = Fields::of(row)?;
        let at = position(fields.position);
        let event_type = names.event_type(conn, fields.event_type, at)?;
        fields.verify(checksum, stream.as_str(), event_type.as_str())?;
        let skeleton = Fields {
            payload: None,
            metadata: None,
            ..fields
        };
        let checksum = skeleton.checksum(stream.as_str(), event_type.as_str());
        skeletons.push((fields.position, checksum));
    }
    let sql = "UPDATE annalist_events SET payload = NULL, metadata = NULL, checksum = ?2 \
               WHERE position = ?1";
    let mut update = conn.prepare_cached(sql)?;
    for skeleton in &skeletons {
        update.execute(*skeleton)?;
    }
    removals.compacted_to = to;
    removals::put(conn, number, stream, removals)?;
    Ok(to - from)
}
