//! Where a stream ends.
//!
//! An index may be damaged like any page, and then it hides what is there. Nothing in a
//! row tells that another row comes after it, so what the index says of a stream's end is
//! believed when what stands beside it agrees: the stream's row says whether there are
//! events at all, the last entry must follow the one before and lead to its row, and the
//! entry after it must be the first version of the next stream that has events. Where there
//! is none, the head of the store says so.
//!
//! A damaged page of the index is not seen here if what it hides ends exactly where the
//! stream ends; a read of everything and a check of everything see that too.

use rusqlite::{Connection, OptionalExtension};

use super::fault::{corrupt, fault};
use super::head::Edge;
use super::names::StreamRow;
use crate::ids::StreamId;
use crate::store::error::StoreError;

/// The last event of a stream.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    pub(super) version: i64,
    pub(super) position: i64,
}

/// Streams without events that one look goes past.
const EMPTY_MAX: i64 = 100;

/// The last event of a stream, none if it has none. The edge is asked for when nothing
/// stands after it.
pub(super) fn tail(
    conn: &Connection,
    row: StreamRow,
    stream: &StreamId,
    edge: impl FnOnce() -> Result<Edge, StoreError>,
) -> Result<Option<Tail>, StoreError> {
    let sql = |error| fault(error, "looking up the end of a stream");
    let (last, before) = last(conn, row.number).map_err(sql)?;
    let shown = match last {
        Some(last) => {
            row.has_events
                && before == (last.version > 1).then(|| last.version - 1)
                && leads_to_its_row(conn, row.number, last).map_err(sql)?
        }
        None => !row.has_events,
    };
    let whole = shown
        && match next(conn, row.number).map_err(sql)? {
            Next::Stream(next) => !any_between(conn, row.number, next).map_err(sql)?,
            Next::Damage => false,
            Next::Nothing => ends_at(edge()?, row.number, last),
        };
    match whole {
        true => Ok(last),
        false => {
            let what = format!("looking up the end of stream {stream}, which the index hides");
            Err(corrupt(None, what))
        }
    }
}

/// The last entry of a stream, and the version of the one before.
fn last(conn: &Connection, number: i64) -> rusqlite::Result<(Option<Tail>, Option<i64>)> {
    let sql = "SELECT version, position FROM annalist_events WHERE stream = +?1 \
               ORDER BY version DESC LIMIT 2";
    let mut last = conn.prepare_cached(sql)?;
    let mut rows = last.query([number])?;
    let Some(row) = rows.next()? else {
        return Ok((None, None));
    };
    let (version, position) = (row.get(0)?, row.get(1)?);
    let before = rows.next()?.map(|row| row.get(0)).transpose()?;
    Ok((Some(Tail { version, position }), before))
}

/// Whether the row at the tail's position is the one that the index means.
fn leads_to_its_row(conn: &Connection, number: i64, last: Tail) -> rusqlite::Result<bool> {
    let sql = "SELECT stream = ?2 AND version = ?3 FROM annalist_events WHERE position = ?1";
    let mut row = conn.prepare_cached(sql)?;
    let leads = row.query_row([last.position, number, last.version], |row| row.get(0));
    Ok(leads.optional()?.unwrap_or(false))
}

/// What the index has after the entries of a stream.
enum Next {
    /// The first version of this one.
    Stream(i64),
    Nothing,
    /// What cannot stand there.
    Damage,
}

/// Looks at two entries: an entry that was lost may show as the one after it, twice.
fn next(conn: &Connection, number: i64) -> rusqlite::Result<Next> {
    let sql = "SELECT stream, version FROM annalist_events \
               INDEXED BY annalist_events_by_stream \
               WHERE stream > ?1 ORDER BY stream, version LIMIT 2";
    let mut next = conn.prepare_cached(sql)?;
    let mut rows = next.query([number])?;
    let Some(row) = rows.next()? else {
        return Ok(Next::Nothing);
    };
    let (stream, version): (i64, i64) = (row.get(0)?, row.get(1)?);
    let second: Option<(i64, i64)> = match rows.next()? {
        Some(row) => Some((row.get(0)?, row.get(1)?)),
        None => None,
    };
    let follows = second
        .is_none_or(|(after, its)| (after == stream && its == 2) || (after > stream && its == 1));
    Ok(match version == 1 && follows {
        true => Next::Stream(stream),
        false => Next::Damage,
    })
}

/// Whether a stream between two has events.
fn any_between(conn: &Connection, number: i64, next: i64) -> rusqlite::Result<bool> {
    if number + 1 == next {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM \
               (SELECT has_events FROM annalist_streams WHERE id > ?1 AND id < ?2 \
                ORDER BY id LIMIT +?3) WHERE has_events)";
    let mut any = conn.prepare_cached(sql)?;
    any.query_row([number, next, EMPTY_MAX], |row| row.get(0))
}

/// Whether a stream that nothing stands after may end so.
fn ends_at(edge: Edge, number: i64, last: Option<Tail>) -> bool {
    match last {
        Some(last) => (edge.stream, edge.version) == (number, last.version),
        None => edge.stream < number,
    }
}
