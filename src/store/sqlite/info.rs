//! What a stream is, without its events: where it stands, and which streams there are.
//!
//! Called by a reader inside of its transaction. No index is believed alone.

use rusqlite::{Connection, params};

use super::fault::{corrupt, fault};
use super::head::Head;
use super::names::{Names, StreamRow};
use super::removals;
use super::row::{COLUMNS, Fields, parse_stream, position, version};
use super::tail::{Tail, tail};
use crate::ids::{EventId, StreamId};
use crate::store::backend::{ListQuery, StreamInfo};
use crate::store::error::StoreError;
use crate::store::facts::StreamFacts;
use crate::version::Version;

/// Where a stream stands, and its last event.
pub(super) fn facts(
    conn: &Connection,
    row: StreamRow,
    stream: &StreamId,
) -> Result<(StreamFacts, Option<Tail>), StoreError> {
    let last = tail(conn, row, stream, || Ok(Head::read(conn)?.edge))?;
    let removals = removals::find(conn, (row.number, row.has_removals), stream)?;
    let facts = removals.facts(last.map_or(Version::ZERO, |last| version(last.version)));
    Ok((facts, last))
}

/// What a stream is, without its events.
pub(super) fn info(
    conn: &Connection,
    names: &mut Names,
    stream: StreamId,
    row: Option<StreamRow>,
) -> Result<StreamInfo, StoreError> {
    let (facts, last) = match row {
        Some(row) => facts(conn, row, &stream)?,
        None => (StreamFacts::default(), None),
    };
    let last_event = match last {
        Some(last) => last_event(conn, names, &stream, last)?,
        None => None,
    };
    Ok(StreamInfo {
        stream,
        version: facts.version,
        generation: facts.generation,
        first_version: facts.first_version(),
        state: facts.state(),
        last_position: last.map(|last| position(last.position)),
        last_event,
    })
}

/// The id of a stream's last event, removed or not.
fn last_event(
    conn: &Connection,
    names: &mut Names,
    stream: &StreamId,
    last: Tail,
) -> Result<Option<EventId>, StoreError> {
    let at = "WHERE position = ?1";
    one_row(conn, at, [last.position], |fields, checksum| {
        names.verified(conn, (&fields, checksum), stream)?;
        fields.id()
    })
}

/// Lists streams in the order of their names.
pub(super) fn list(
    conn: &Connection,
    names: &mut Names,
    query: &ListQuery,
) -> Result<Vec<StreamInfo>, StoreError> {
    let damaged = || corrupt(None, "listing streams, of which the index hides some");
    let after = query.after.as_ref().map_or("", StreamId::as_str);
    if after.is_empty() && hides_names(conn)? {
        return Err(damaged());
    }
    let end = after_prefix(&query.prefix);
    let mut rows = sql(conn.prepare_cached(
        "SELECT s.name, r.name, r.id, r.has_events, r.has_removals, \
         (SELECT p.name FROM annalist_streams AS p WHERE p.name < s.name \
          ORDER BY p.name DESC LIMIT 1) \
         FROM annalist_streams AS s LEFT JOIN annalist_streams AS r ON r.id = s.id \
         WHERE s.name >= ?1 AND s.name > ?2 AND (?3 IS NULL OR s.name < ?3) \
         ORDER BY s.name",
    ))?;
    let mut rows = sql(rows.query(params![query.prefix, after, end]))?;
    let mut found = Vec::new();
    let mut before: Option<String> = None;
    while found.len() < query.streams_max as usize
        && let Some(row) = sql(rows.next())?
    {
        let texts = || Ok((row.get(0)?, row.get(1)?, row.get(5)?));
        let (name, own, looked_up): (String, Option<String>, Option<String>) = sql(texts())?;
        // Each name leads to its row, comes after the last one, and is found there.
        let last = before.as_deref().unwrap_or(after);
        let follows = before.is_none() || before == looked_up;
        if own.as_ref() != Some(&name) || name.as_str() <= last || !follows {
            return Err(damaged());
        }
        let flags = || Ok((row.get(2)?, row.get(3)?, row.get(4)?));
        let (number, has_events, has_removals) = sql(flags())?;
        let row = StreamRow {
            number,
            has_events,
            has_removals,
        };
        let info = info(conn, names, parse_stream(&name, None)?, Some(row))?;
        // A row without events holds nothing but commit keys.
        if has_events {
            found.push(info);
        }
        before = Some(name);
    }
    Ok(found)
}

/// Streams in a store whose index of names is counted before they are listed.
const COUNTED_MAX: i64 = 100_000;

/// Whether the index of names has fewer entries than there are streams. Their numbers
/// have no holes.
fn hides_names(conn: &Connection) -> Result<bool, StoreError> {
    let numbers = "SELECT ifnull(max(id), 0) FROM annalist_streams";
    let names = "SELECT count(*) FROM annalist_streams WHERE name >= ''";
    let one = |query| {
        let mut query = conn.prepare_cached(query)?;
        query.query_row([], |row| row.get(0))
    };
    let streams: i64 = sql(one(numbers))?;
    Ok(streams <= COUNTED_MAX && sql(one(names))? != streams)
}

/// One row of the events, read if it is there.
pub(super) fn one_row<T>(
    conn: &Connection,
    which: &str,
    params: impl rusqlite::Params,
    read: impl FnOnce(Fields<'_>, u32) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM annalist_events {which}");
    let mut found = sql(conn.prepare_cached(&query))?;
    let mut rows = sql(found.query(params))?;
    let Some(row) = sql(rows.next())? else {
        return Ok(None);
    };
    let (fields, checksum) = Fields::of(row)?;
    read(fields, checksum).map(Some)
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| fault(error, "reading"))
}

/// The smallest text after all that begin with `prefix`; none if there is none.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // UTF-8 sorts as its characters do; the range skips the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_after_a_prefix_is_the_next_one_in_byte_order() {
        for (prefix, end) in [
            ("account-", Some("account.")),
            ("a", Some("b")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(after_prefix(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
