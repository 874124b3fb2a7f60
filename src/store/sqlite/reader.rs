//! Reads on one connection: each answer comes from one read transaction, and each
//! event is checked before it is believed.
//!
//! Called on the threads of the pool. Rows are decoded here, where they are read.

use std::ops::RangeInclusive;

use rusqlite::{Connection, Statement, params};

use super::fault::{corrupt, fault};
use super::names::{Names, category_number, stream_number, type_number};
use super::row::{COLUMNS, Fields, position, stored, version};
use crate::event::RecordedEvent;
use crate::ids::{EventId, EventType, StreamId};
use crate::store::backend::{
    AllPage, AllQuery, Filter, ListQuery, StreamInfo, StreamPage, StreamQuery,
};
use crate::store::error::StoreError;
use crate::store::scan::{Direction, PageBounds, numbers};
use crate::version::{Generation, Position, StreamState, Version};

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
            let last = number.map_or(Ok(Version::ZERO), |number| last_version(conn, number))?;
            let mut page = StreamPage {
                events: Vec::new(),
                version: last,
                generation: Generation::ZERO,
                next: None,
            };
            let numbers = numbers(&query.scan, last);
            let (Some(number), false) = (number, numbers.is_empty()) else {
                return Ok(page);
            };
            let filter = Wanted::types(conn, &query.types)?;
            let by_version = format!(
                "SELECT {COLUMNS} FROM annalist_events \
                 WHERE stream = ?1 AND version BETWEEN ?2 AND ?3 ORDER BY version {}",
                order(query.scan.direction)
            );
            let mut rows = sql(conn.prepare_cached(&by_version))?;
            let (from, to) = (stored(*numbers.start()), stored(*numbers.end()));
            sql(rows.raw_bind_parameter(1, number))?;
            sql(rows.raw_bind_parameter(2, from))?;
            sql(rows.raw_bind_parameter(3, to))?;
            let mut walk = Walk::new(numbers, query.scan.direction, query.scan.bounds);
            walk.over(&mut rows, |fields, checksum, due| {
                if version(fields.version) != Version::new(due) {
                    let what = format!("reading version {due} of stream {}", query.stream);
                    return Err(corrupt(Some(position(fields.position)), what));
                }
                if !filter.wants_type(fields.event_type) {
                    return Ok(None);
                }
                let at = position(fields.position);
                let event_type = names.event_type(conn, fields.event_type, at)?;
                fields
                    .event(checksum, query.stream.clone(), event_type)
                    .map(Some)
            })?;
            if let Some(due) = walk.missing() {
                let what = format!("version {due} of stream {} is missing", query.stream);
                return Err(corrupt(None, what));
            }
            page.next = walk.next().map(Version::new);
            page.events = walk.events;
            Ok(page)
        })
    }

    pub(super) fn read_all(&mut self, query: &AllQuery) -> Result<AllPage, StoreError> {
        self.in_transaction(|conn, names| {
            let head = last_position(conn)?;
            let mut page = AllPage {
                events: Vec::new(),
                scanned_to: None,
                head,
                next: None,
            };
            let numbers = numbers(&query.scan, head);
            if numbers.is_empty() {
                return Ok(page);
            }
            let filter = Wanted::filter(conn, &query.filter)?;
            let by_position = format!(
                "SELECT {COLUMNS} FROM annalist_events \
                 WHERE position BETWEEN ?1 AND ?2 ORDER BY position {}",
                order(query.scan.direction)
            );
            let mut rows = sql(conn.prepare_cached(&by_position))?;
            sql(rows.raw_bind_parameter(1, stored(*numbers.start())))?;
            sql(rows.raw_bind_parameter(2, stored(*numbers.end())))?;
            let mut walk = Walk::new(numbers, query.scan.direction, query.scan.bounds);
            walk.over(&mut rows, |fields, checksum, due| {
                let due = Position::new(due);
                if position(fields.position) != due {
                    return Err(corrupt(Some(due), "reading a position that is missing"));
                }
                if !filter.wants_type(fields.event_type) || !filter.wants_category(fields.category)
                {
                    return Ok(None);
                }
                let stream = names.stream(conn, fields.stream, due)?;
                if !filter.wants_stream(&stream) {
                    return Ok(None);
                }
                let event_type = names.event_type(conn, fields.event_type, due)?;
                fields.event(checksum, stream, event_type).map(Some)
            })?;
            if let Some(due) = walk.missing() {
                let what = "reading a position that is missing";
                return Err(corrupt(Some(Position::new(due)), what));
            }
            page.scanned_to = walk.scanned_to().map(Position::new);
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
                    let stream = name
                        .parse()
                        .map_err(|error| corrupt(None, "listing streams").with_source(error))?;
                    info(conn, names, stream, Some(number))
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
            let by_id = format!(
                "SELECT {COLUMNS} FROM annalist_events WHERE event_id = ?1 AND stream = ?2"
            );
            let params = params![id.as_uuid().as_bytes(), number];
            one_event(conn, names, stream, &by_id, params)
        })
    }

    pub(super) fn head(&mut self) -> Result<Position, StoreError> {
        last_position(&self.conn)
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

fn last_version(conn: &Connection, number: i64) -> Result<Version, StoreError> {
    let max = "SELECT max(version) FROM annalist_events WHERE stream = ?1";
    let last: Option<i64> = sql(conn
        .prepare_cached(max)
        .and_then(|mut max| max.query_row([number], |row| row.get(0))))?;
    Ok(last.map_or(Version::ZERO, version))
}

fn last_position(conn: &Connection) -> Result<Position, StoreError> {
    let head = "SELECT last_position FROM annalist_head";
    let last = sql(conn
        .prepare_cached(head)
        .and_then(|mut head| head.query_row([], |row| row.get(0))))?;
    Ok(position(last))
}

fn info(
    conn: &Connection,
    names: &mut Names,
    stream: StreamId,
    number: Option<i64>,
) -> Result<StreamInfo, StoreError> {
    let newest = format!(
        "SELECT {COLUMNS} FROM annalist_events WHERE stream = ?1 ORDER BY version DESC LIMIT 1"
    );
    let last = match number {
        Some(number) => one_event(conn, names, &stream, &newest, [number])?,
        None => None,
    };
    Ok(StreamInfo {
        stream,
        version: last.as_ref().map_or(Version::ZERO, |event| event.version),
        generation: Generation::ZERO,
        state: match last {
            Some(_) => StreamState::Live,
            None => StreamState::NeverWritten,
        },
        last_position: last.as_ref().map(|event| event.position),
        last_event: last.as_ref().map(|event| event.id),
    })
}

fn one_event(
    conn: &Connection,
    names: &mut Names,
    stream: &StreamId,
    query: &str,
    params: impl rusqlite::Params,
) -> Result<Option<RecordedEvent>, StoreError> {
    let mut found = sql(conn.prepare_cached(query))?;
    let mut rows = sql(found.query(params))?;
    let Some(row) = sql(rows.next())? else {
        return Ok(None);
    };
    let (fields, checksum) = Fields::of(row)?;
    let at = position(fields.position);
    let event_type = names.event_type(conn, fields.event_type, at)?;
    fields.event(checksum, stream.clone(), event_type).map(Some)
}

/// A filter in the numbers that rows hold. None: everything is wanted.
struct Wanted<'a> {
    categories: Option<Vec<i64>>,
    types: Option<Vec<i64>>,
    prefixes: &'a [String],
}

impl<'a> Wanted<'a> {
    fn types(conn: &Connection, types: &[EventType]) -> Result<Self, StoreError> {
        Ok(Self {
            categories: None,
            types: numbered(types, |name| type_number(conn, name.as_str()))?,
            prefixes: &[],
        })
    }

    fn filter(conn: &Connection, filter: &'a Filter) -> Result<Self, StoreError> {
        Ok(Self {
            categories: numbered(&filter.categories, |name| category_number(conn, name))?,
            prefixes: &filter.stream_prefixes,
            ..Self::types(conn, &filter.types)?
        })
    }

    fn wants_type(&self, number: i64) -> bool {
        self.types
            .as_ref()
            .is_none_or(|types| types.contains(&number))
    }

    fn wants_category(&self, number: i64) -> bool {
        self.categories
            .as_ref()
            .is_none_or(|categories| categories.contains(&number))
    }

    fn wants_stream(&self, stream: &StreamId) -> bool {
        let mut prefixes = self.prefixes.iter();
        self.prefixes.is_empty() || prefixes.any(|prefix| stream.as_str().starts_with(prefix))
    }
}

/// The numbers of names; a name that was never stored has none, and no row has it.
fn numbered<T>(
    names: &[T],
    number: impl Fn(&T) -> rusqlite::Result<Option<i64>>,
) -> Result<Option<Vec<i64>>, StoreError> {
    if names.is_empty() {
        return Ok(None);
    }
    let numbers = names.iter().filter_map(|name| number(name).transpose());
    sql(numbers.collect::<Result<_, _>>()).map(Some)
}

/// The walk over dense numbers that fills a page, and knows which one is due.
struct Walk {
    events: Vec<RecordedEvent>,
    /// The numbers that were not looked at yet.
    left: RangeInclusive<u64>,
    direction: Direction,
    bounds: PageBounds,
    scanned_to: Option<u64>,
    full: bool,
}

impl Walk {
    fn new(numbers: RangeInclusive<u64>, direction: Direction, bounds: PageBounds) -> Self {
        Self {
            events: Vec::new(),
            left: numbers,
            direction,
            bounds,
            scanned_to: None,
            full: false,
        }
    }

    /// Steps through the rows until the page is full. `read` is given each row and
    /// the number that is due there.
    fn over(
        &mut self,
        rows: &mut Statement<'_>,
        mut read: impl FnMut(Fields<'_>, u32, u64) -> Result<Option<RecordedEvent>, StoreError>,
    ) -> Result<(), StoreError> {
        let (mut scanned, mut bytes) = (0, 0);
        let mut rows = rows.raw_query();
        while !self.full
            && let Some(row) = sql(rows.next())?
        {
            let Some(due) = self.step() else {
                break;
            };
            let (fields, checksum) = Fields::of(row)?;
            if let Some(event) = read(fields, checksum, due)? {
                bytes += event.payload.as_str().len();
                self.events.push(event);
            }
            scanned += 1;
            self.full = self.events.len() >= self.bounds.events_max as usize
                || bytes >= self.bounds.bytes_max
                || scanned >= self.bounds.scan_max;
        }
        Ok(())
    }

    fn step(&mut self) -> Option<u64> {
        let due = match self.direction {
            Direction::Forwards => self.left.next(),
            Direction::Backwards => self.left.next_back(),
        };
        self.scanned_to = due.or(self.scanned_to);
        due
    }

    fn scanned_to(&self) -> Option<u64> {
        self.scanned_to
    }

    /// Where the next page goes on.
    fn next(&self) -> Option<u64> {
        let mut left = self.left.clone();
        match self.direction {
            Direction::Forwards => left.next(),
            Direction::Backwards => left.next_back(),
        }
    }

    /// The number that should have been there when the rows ended early.
    fn missing(&self) -> Option<u64> {
        if self.full { None } else { self.next() }
    }
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
