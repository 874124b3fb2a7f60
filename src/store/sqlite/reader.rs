//! Reads on one connection: each answer comes from one read transaction, and each
//! event is checked before it is believed.
//!
//! Called on the threads of the pool. Rows are decoded here, where they are read.

use std::ops::ControlFlow;

use rusqlite::{Connection, params};

use super::fault::{corrupt, fault};
use super::head::Head;
use super::keys;
use super::leases;
use super::names::{Names, stream_number};
use super::removals::{self, marker};
use super::row::{COLUMNS, Fields, parse_stream, position, stored, version};
use super::verify::Verifier;
use super::walk::{Step, Walk};
use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::backend::{
    AllPage, AllQuery, CommitFound, ListQuery, StreamInfo, StreamPage, StreamQuery, is_wanted,
};
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::facts::StreamFacts;
use crate::store::fence::{LeaseName, LeaseState};
use crate::store::report::VerifyReport;
use crate::store::scan::{Direction, numbers};
use crate::version::{Position, Version};

/// A connection that reads, and the names that it has looked up.
pub(super) struct Reader {
    conn: Connection,
    names: Names,
}

impl Reader {
    pub(super) fn new(conn: Connection) -> Self {
        conn.set_prepared_statement_cache_capacity(32);
        Self {
            conn,
            names: Names::new(),
        }
    }

    pub(super) fn read_stream(&mut self, query: &StreamQuery) -> Result<StreamPage, StoreError> {
        self.in_transaction(|conn, names| {
            let number = sql(stream_number(conn, &query.stream))?;
            let facts = match number {
                Some(number) => facts(conn, number, &query.stream)?,
                None => StreamFacts::default(),
            };
            if query
                .generation
                .is_some_and(|seen| seen != facts.generation)
            {
                let doing = format!("reading stream {}", query.stream);
                return Err(StoreError::new(StoreErrorKind::RemovedMeanwhile, doing));
            }
            let mut page = StreamPage {
                events: Vec::new(),
                version: facts.version,
                generation: facts.generation,
                next: None,
            };
            let mut scan = query.scan;
            scan.from = scan.from.max(facts.removed_to.next());
            let numbers = numbers(&scan, facts.version);
            let (Some(number), false) = (number, numbers.is_empty()) else {
                return Ok(page);
            };
            let by_version = format!(
                "SELECT {COLUMNS} FROM annalist_events \
                 WHERE stream = ?1 AND version BETWEEN ?2 AND ?3 ORDER BY version {}",
                order(scan.direction)
            );
            let mut rows = sql(conn.prepare_cached(&by_version))?;
            sql(rows.raw_bind_parameter(1, number))?;
            sql(rows.raw_bind_parameter(2, stored(*numbers.start())))?;
            sql(rows.raw_bind_parameter(3, stored(*numbers.end())))?;
            let mut walk = Walk::new(numbers, scan.direction, scan.bounds);
            let missing = |due| {
                let what = format!("version {due} of stream {} is missing", query.stream);
                corrupt(None, what)
            };
            walk.over(&mut rows, |fields, checksum, due| {
                if version(fields.version) != Version::new(due) {
                    return Err(missing(due));
                }
                // Before anything of the row is believed, the type among it.
                let event_type = names.verified(conn, (&fields, checksum), &query.stream)?;
                match is_wanted(&query.types, &event_type) {
                    true => fields
                        .event(query.stream.clone(), event_type)
                        .map(Step::Take),
                    false => Ok(Step::Past),
                }
            })?;
            if let Some(due) = walk.missing() {
                return Err(missing(due));
            }
            page.next = walk.next().map(Version::new);
            page.events = walk.events;
            Ok(page)
        })
    }

    pub(super) fn read_all(&mut self, query: &AllQuery) -> Result<AllPage, StoreError> {
        self.in_transaction(|conn, names| {
            let head = Head::read(conn)?;
            names.as_of(head.removals);
            let head = position(head.position);
            let mut page = AllPage {
                events: Vec::new(),
                scanned_to: None,
                head,
                next: None,
            };
            let scan = query.scan;
            let numbers = numbers(&scan, head);
            if numbers.is_empty() {
                return Ok(page);
            }
            let by_position = format!(
                "SELECT {COLUMNS} FROM annalist_events \
                 WHERE position BETWEEN ?1 AND ?2 ORDER BY position {}",
                order(scan.direction)
            );
            let mut rows = sql(conn.prepare_cached(&by_position))?;
            sql(rows.raw_bind_parameter(1, stored(*numbers.start())))?;
            sql(rows.raw_bind_parameter(2, stored(*numbers.end())))?;
            let mut walk = Walk::new(numbers, scan.direction, scan.bounds);
            // Where no event stands there is a marker, or damage.
            let marked = |due: u64| match marker(conn, stored(due))? {
                Some(_) => Ok(()),
                None => {
                    let due = Some(Position::new(due));
                    Err(corrupt(due, "reading a position that is missing"))
                }
            };
            walk.over(&mut rows, |fields, checksum, due| {
                if position(fields.position) != Position::new(due) {
                    return marked(due).map(|()| Step::Again);
                }
                let stream = names.stream(conn, fields.stream, Position::new(due))?;
                let event_type = names.verified(conn, (&fields, checksum), &stream.id)?;
                let removed = version(fields.version) <= stream.removed_to;
                match !removed && query.filter.passes(&stream.id, &event_type) {
                    true => fields.event(stream.id, event_type).map(Step::Take),
                    false => Ok(Step::Past),
                }
            })?;
            while let Some(due) = walk.missing() {
                marked(due)?;
                walk.pass();
            }
            page.scanned_to = walk.scanned_to.map(Position::new);
            page.next = walk.next().map(Position::new);
            page.events = walk.events;
            Ok(page)
        })
    }

    pub(super) fn list_streams(
        &mut self,
        query: &ListQuery,
    ) -> Result<Vec<StreamInfo>, StoreError> {
        self.in_transaction(|conn, names| {
            let after = query.after.as_ref().map_or("", StreamId::as_str);
            let end = after_prefix(&query.prefix);
            // A row without events holds nothing but commit keys.
            let mut rows = sql(conn.prepare_cached(
                "SELECT s.id, s.name FROM annalist_streams AS s \
                 WHERE s.name >= ?1 AND s.name > ?2 AND (?3 IS NULL OR s.name < ?3) \
                 AND EXISTS (SELECT 1 FROM annalist_events AS e WHERE e.stream = s.id) \
                 ORDER BY s.name LIMIT ?4",
            ))?;
            let params = params![query.prefix, after, end, query.streams_max];
            let found = sql(rows.query_map(params, |row| Ok((row.get(0)?, row.get(1)?))))?;
            found
                .map(|row| {
                    let (number, name): (i64, String) = sql(row)?;
                    info(conn, names, parse_stream(&name, None)?, Some(number))
                })
                .collect()
        })
    }

    pub(super) fn stream_info(&mut self, stream: &StreamId) -> Result<StreamInfo, StoreError> {
        self.in_transaction(|conn, names| {
            let number = sql(stream_number(conn, stream))?;
            info(conn, names, stream.clone(), number)
        })
    }

    pub(super) fn find_event(
        &mut self,
        stream: &StreamId,
        id: EventId,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        self.in_transaction(|conn, names| {
            let Some(number) = sql(stream_number(conn, stream))? else {
                return Ok(None);
            };
            one_event(conn, names, stream, (number, id))
        })
    }

    pub(super) fn find_commit(
        &mut self,
        stream: &StreamId,
        key: &str,
    ) -> Result<Option<CommitFound>, StoreError> {
        self.in_transaction(|conn, _| match sql(stream_number(conn, stream))? {
            Some(number) => keys::find(conn, number, stream, key),
            None => Ok(None),
        })
    }

    pub(super) fn lease(&mut self, name: &LeaseName) -> Result<LeaseState, StoreError> {
        leases::find(&self.conn, name)
    }

    pub(super) fn head(&mut self) -> Result<Position, StoreError> {
        Head::read(&self.conn).map(|head| position(head.position))
    }

    /// Looks at one part of everything.
    pub(super) fn verify(
        &mut self,
        verifier: Verifier,
    ) -> Result<ControlFlow<VerifyReport, Verifier>, StoreError> {
        self.in_transaction(|conn, names| verifier.go_on(conn, names))
    }

    /// Answers from one state of the file.
    fn in_transaction<T>(
        &mut self,
        read: impl FnOnce(&Connection, &mut Names) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Self { conn, names } = self;
        let transaction = sql(conn.unchecked_transaction())?;
        let answer = read(&transaction, names)?;
        sql(transaction.commit())?;
        Ok(answer)
    }
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| fault(error, "reading"))
}

const fn order(direction: Direction) -> &'static str {
    match direction {
        Direction::Forwards => "ASC",
        Direction::Backwards => "DESC",
    }
}

/// Where a stream stands.
fn facts(conn: &Connection, number: i64, stream: &StreamId) -> Result<StreamFacts, StoreError> {
    let max = "SELECT max(version) FROM annalist_events WHERE stream = ?1";
    let last: Option<i64> = sql(conn
        .prepare_cached(max)
        .and_then(|mut max| max.query_row([number], |row| row.get(0))))?;
    let removals = removals::find(conn, number, stream)?;
    Ok(removals.facts(last.map_or(Version::ZERO, version)))
}

fn info(
    conn: &Connection,
    names: &mut Names,
    stream: StreamId,
    number: Option<i64>,
) -> Result<StreamInfo, StoreError> {
    let (facts, last) = match number {
        Some(number) => {
            let last = last_event(conn, names, &stream, number)?;
            (facts(conn, number, &stream)?, last)
        }
        None => (StreamFacts::default(), None),
    };
    Ok(StreamInfo {
        stream,
        version: facts.version,
        generation: facts.generation,
        first_version: facts.first_version(),
        state: facts.state(),
        last_position: last.map(|(position, _)| position),
        last_event: last.map(|(_, id)| id),
    })
}

/// An event of a stream, unless it was removed.
fn one_event(
    conn: &Connection,
    names: &mut Names,
    stream: &StreamId,
    (number, id): (i64, EventId),
) -> Result<Option<RecordedEvent>, StoreError> {
    let removed_to = facts(conn, number, stream)?.removed_to;
    let by_id = "WHERE event_id = ?1 AND stream = ?2";
    let params = params![id.as_uuid().as_bytes(), number];
    one_row(conn, by_id, params, |fields, checksum| {
        let event_type = names.verified(conn, (&fields, checksum), stream)?;
        match version(fields.version) <= removed_to {
            true => Ok(None),
            false => fields.event(stream.clone(), event_type).map(Some),
        }
    })
    .map(Option::flatten)
}

/// Position and id of a stream's last event, removed or not.
fn last_event(
    conn: &Connection,
    names: &mut Names,
    stream: &StreamId,
    number: i64,
) -> Result<Option<(Position, EventId)>, StoreError> {
    let newest = "WHERE stream = ?1 ORDER BY version DESC LIMIT 1";
    one_row(conn, newest, [number], |fields, checksum| {
        names.verified(conn, (&fields, checksum), stream)?;
        Ok((position(fields.position), fields.id()?))
    })
}

fn one_row<T>(
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
