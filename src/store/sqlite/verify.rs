//! Looks at every row of the file, part by part, so that reads go on meanwhile and the
//! write-ahead log is not held back.
//!
//! What is appended while it runs is left to the next time.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row, params};

use super::fault::fault;
use super::head::{Edge, Head};
use super::identity;
use super::inline;
use super::keys;
use super::leases;
use super::migrate::{SCHEMA_VERSION, found as found_version};
use super::names::{Names, hash};
use super::removals;
use super::row::{COLUMNS, Fields, parse_stream, position, version};
use super::schema::{made_of, made_of_when_new};
use super::snapshots;
use crate::ids::StreamId;
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::report::{Damage, VerifyReport};
use crate::version::Version;

/// Rows that one part looks at.
const ROWS_MAX: i64 = 2_000;
/// The same of kept states, which may be large.
const SNAPSHOTS_MAX: i64 = 50;

/// What is looked at next.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// The pages of the file and the order of its indexes, by SQLite itself.
    Structure,
    /// The events and markers after this position; the time of the one there.
    Log {
        after: i64,
        recorded_at: i64,
    },
    /// The streams after this number.
    Streams {
        after: i64,
    },
    /// The commit keys after this one.
    Keys,
    /// The kept states after that of this stream.
    Snapshots {
        after: i64,
    },
    Done,
}

/// A check under way.
pub(super) struct Verifier {
    part: Part,
    /// The head when the check began.
    head: i64,
    /// The last stream with events so far.
    edge: Edge,
    /// The key looked at last.
    last_key: (i64, String),
    report: VerifyReport,
}

impl Verifier {
    pub(super) fn new() -> Self {
        Self {
            part: Part::Structure,
            head: 0,
            edge: Edge::default(),
            last_key: (0, String::new()),
            report: VerifyReport::default(),
        }
    }

    /// Looks at one part; the report once there is none left.
    pub(super) fn go_on(
        mut self,
        conn: &Connection,
        names: &mut Names,
    ) -> Result<ControlFlow<VerifyReport, Self>, StoreError> {
        self.part = match self.part {
            Part::Structure => self.structure(conn)?,
            Part::Log { after, recorded_at } => self.log(conn, names, after, recorded_at)?,
            Part::Streams { after } => self.streams(conn, after)?,
            Part::Keys => self.keys(conn)?,
            Part::Snapshots { after } => self.snapshots(conn, after)?,
            Part::Done => return Ok(ControlFlow::Break(self.report)),
        };
        Ok(ControlFlow::Continue(self))
    }

    fn note(&mut self, position: Option<i64>, stream: Option<&StreamId>, what: impl Into<String>) {
        self.report.note(Damage {
            position: position.map(super::row::position),
            stream: stream.cloned(),
            what: what.into(),
        });
    }

    /// Takes note of damage; anything else ends the check.
    fn note_error(&mut self, at: i64, error: StoreError) -> Result<(), StoreError> {
        match error.kind() {
            StoreErrorKind::Corrupt { .. } => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                self.note(Some(at), None, format!("{}{cause}", error.context()));
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// The same for what has no position.
    fn note_error_beside_the_log(&mut self, error: StoreError) -> Result<(), StoreError> {
        match error.kind() {
            StoreErrorKind::Corrupt { .. } => {
                self.note(None, None, error.context());
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn structure(&mut self, conn: &Connection) -> Result<Part, StoreError> {
        let mut check = sql(conn.prepare("PRAGMA integrity_check(100)"))?;
        let found = sql(check.query_map([], |row| row.get::<_, String>(0)))?;
        for line in found {
            match sql(line)? {
                line if line == "ok" => {}
                line => self.note(None, None, format!("SQLite finds: {line}")),
            }
        }
        // A table or index that is gone is no damage to SQLite.
        let (new, found) = (sql(made_of_when_new())?, sql(made_of(conn))?);
        for (object, made) in &new {
            match found.get(object) {
                Some(found) if found == made => {}
                Some(_) => self.note(None, None, format!("the {object} is not what it was made")),
                None => self.note(None, None, format!("the {object} is gone")),
            }
        }
        for object in found.keys().filter(|object| !new.contains_key(*object)) {
            self.note(None, None, format!("the {object} is none of the store's"));
        }
        let version = sql(found_version(conn))?;
        if version != SCHEMA_VERSION {
            let what = format!("the schema is said to be of version {version}");
            self.note(None, None, what);
        }
        // A damaged head is told, and what it says is still the best there is to go by.
        if let Err(error) = Head::read(conn) {
            self.note_error(0, error)?;
        }
        let head = "SELECT last_position FROM annalist_head";
        self.head = sql(conn.query_row(head, [], |row| row.get(0)))?;
        let beyond = "SELECT max(position) FROM \
                      (SELECT max(position) AS position FROM annalist_events \
                       UNION ALL SELECT max(position) FROM annalist_markers)";
        let last: Option<i64> = sql(conn.query_row(beyond, [], |row| row.get(0)))?;
        if last.unwrap_or(0) > self.head {
            self.note(last, None, "stands beyond the head of the store");
        }
        if let Err(error) = inline::recorded(conn) {
            self.note_error_beside_the_log(error)?;
        }
        for name in leases::damaged(conn)? {
            self.note(
                None,
                None,
                format!("the lease {name:?} is not what was written"),
            );
        }
        // A file whose key is damaged is refused at the next opening.
        if let Err(error) = identity::read(conn) {
            self.note_error_beside_the_log(error)?;
        }
        Ok(Part::Log {
            after: 0,
            recorded_at: 0,
        })
    }

    fn log(
        &mut self,
        conn: &Connection,
        names: &mut Names,
        after: i64,
        mut recorded_at: i64,
    ) -> Result<Part, StoreError> {
        let until = self.head.min(after.saturating_add(ROWS_MAX));
        let rows = format!(
            "SELECT {COLUMNS} FROM annalist_events WHERE position > ?1 AND position <= ?2 ORDER BY position"
        );
        let mut rows = sql(conn.prepare_cached(&rows))?;
        let mut rows = sql(rows.query([after, until]))?;
        let mut due = after + 1;
        while let Some(row) = sql(rows.next())? {
            let at: i64 = sql(row.get(0))?;
            for missing in due..at {
                self.marker(conn, missing, &mut recorded_at)?;
            }
            due = at + 1;
            self.report.events += 1;
            match event(conn, names, row) {
                Ok(at_time) if at_time < recorded_at => {
                    self.note(
                        Some(at),
                        None,
                        "its time is before that of the position before",
                    );
                }
                Ok(at_time) => recorded_at = at_time,
                Err(error) => self.note_error(at, error)?,
            }
        }
        for missing in due..=until {
            self.marker(conn, missing, &mut recorded_at)?;
        }
        Ok(match until == self.head {
            true => Part::Streams { after: 0 },
            false => Part::Log {
                after: until,
                recorded_at,
            },
        })
    }

    /// Where no event stands there is a marker, or damage.
    fn marker(
        &mut self,
        conn: &Connection,
        at: i64,
        recorded_at: &mut i64,
    ) -> Result<(), StoreError> {
        match removals::marker(conn, at) {
            Ok(Some(marker)) => {
                self.report.removals += 1;
                *recorded_at = marker.recorded_at.timestamp_micros().max(*recorded_at);
            }
            Ok(None) => self.note(Some(at), None, "is missing"),
            Err(error) => {
                self.report.removals += 1;
                self.note_error(at, error)?;
            }
        }
        Ok(())
    }

    fn streams(&mut self, conn: &Connection, after: i64) -> Result<Part, StoreError> {
        let rows = "SELECT s.id, s.name, s.hash, s.has_events, s.has_removals, \
                    (SELECT count(*) FROM annalist_events AS e WHERE e.stream = s.id), \
                    (SELECT max(version) FROM annalist_events AS e WHERE e.stream = s.id), \
                    (SELECT count(*) FROM annalist_markers AS m WHERE m.stream = s.id), \
                    (SELECT max(removed_to) FROM annalist_markers AS m WHERE m.stream = s.id) \
                    FROM annalist_streams AS s WHERE s.id > ?1 ORDER BY s.id LIMIT +?2";
        let mut rows = sql(conn.prepare_cached(rows))?;
        let mut rows = sql(rows.query([after, ROWS_MAX]))?;
        let mut next = None;
        while let Some(row) = sql(rows.next())? {
            let number: i64 = sql(row.get(0))?;
            // Damage would lead round in a circle.
            if number <= next.unwrap_or(after) {
                self.note(
                    None,
                    None,
                    format!("stream number {number} is out of order"),
                );
                return Ok(Part::Keys);
            }
            next = Some(number);
            self.report.streams += 1;
            let name: String = sql(row.get(1))?;
            match parse_stream(&name, None) {
                Ok(stream) => self.stream(conn, number, &stream, row)?,
                Err(_) => self.note(None, None, format!("{name:?} is no stream id")),
            }
        }
        if next.is_none() {
            self.check_edge(conn)?;
        }
        Ok(next.map_or(Part::Keys, |after| Part::Streams { after }))
    }

    /// The last stream, as its row and the head have it.
    fn check_edge(&mut self, conn: &Connection) -> Result<(), StoreError> {
        match Head::read(conn) {
            // What was appended meanwhile is left to the next time.
            Ok(head)
                if position(head.position) == position(self.head) && head.edge != self.edge =>
            {
                self.note(
                    None,
                    None,
                    "the head of the store names another last stream",
                );
            }
            Ok(_) => {}
            Err(error) => self.note_error(0, error)?,
        }
        Ok(())
    }

    fn stream(
        &mut self,
        conn: &Connection,
        number: i64,
        stream: &StreamId,
        row: &Row<'_>,
    ) -> Result<(), StoreError> {
        let (hashed, has_events, has_removals): (i64, bool, bool) =
            sql((|| Ok((row.get(2)?, row.get(3)?, row.get(4)?)))())?;
        let (events, last): (i64, Option<i64>) =
            sql(row.get(5).and_then(|n| Ok((n, row.get(6)?))))?;
        let (markers, marked): (i64, Option<i64>) =
            sql(row.get(7).and_then(|n| Ok((n, row.get(8)?))))?;
        let last = last.unwrap_or(0);
        if hashed != i64::from(hash(stream)) || has_events != (events > 0) {
            self.note(None, Some(stream), "its row does not say what it is");
        }
        if has_events {
            self.edge = Edge {
                stream: number,
                version: last,
            };
        }
        // Versions are unique and begin at 1, so that their count tells of a hole.
        if events != last {
            self.note(
                None,
                Some(stream),
                format!("has {events} events and version {last}"),
            );
        }
        let removals = match removals::find(conn, (number, has_removals), stream) {
            Ok(removals) => removals,
            Err(error) => {
                self.note(None, Some(stream), error.context());
                return Ok(());
            }
        };
        let facts = removals.facts(version(last));
        if facts.generation.get() != markers.unsigned_abs() {
            let what = format!("has generation {} and {markers} removals", facts.generation);
            self.note(None, Some(stream), what);
        }
        if facts.removed_to > facts.version || facts.removed_to != version(marked.unwrap_or(0)) {
            self.note(
                None,
                Some(stream),
                "its removals do not say what was removed",
            );
        }
        let stripped = "SELECT count(*) FROM annalist_events \
                        WHERE stream = ?1 AND (payload IS NULL) != (version <= ?2)";
        let params = [number, removals.compacted_to];
        let odd: i64 = sql(conn
            .prepare_cached(stripped)
            .and_then(|mut stripped| stripped.query_row(params, |row| row.get(0))))?;
        if odd > 0 {
            let what = format!("{odd} events are stripped that should not be, or the reverse");
            self.note(None, Some(stream), what);
        }
        Ok(())
    }

    fn keys(&mut self, conn: &Connection) -> Result<Part, StoreError> {
        let head = "SELECT last_position FROM annalist_head";
        let head_now: i64 = sql(conn.query_row(head, [], |row| row.get(0)))?;
        let rows = "SELECT k.stream, k.key, s.name, \
                    (SELECT max(version) FROM annalist_events AS e WHERE e.stream = k.stream) \
                    FROM annalist_keys AS k LEFT JOIN annalist_streams AS s ON s.id = k.stream \
                    WHERE (k.stream, k.key) > (?1, ?2) ORDER BY k.stream, k.key LIMIT +?3";
        let (after, key) = self.last_key.clone();
        let mut rows = sql(conn.prepare_cached(rows))?;
        let mut rows = sql(rows.query(params![after, key, ROWS_MAX]))?;
        let mut part = Part::Snapshots { after: 0 };
        while let Some(row) = sql(rows.next())? {
            part = Part::Keys;
            self.report.keys += 1;
            let (number, key): (i64, String) = sql(row.get(0).and_then(|n| Ok((n, row.get(1)?))))?;
            if (number, &key) <= (self.last_key.0, &self.last_key.1) {
                self.note(
                    None,
                    None,
                    format!("the commit key {key:?} is out of order"),
                );
                return Ok(Part::Snapshots { after: 0 });
            }
            let name: Option<String> = sql(row.get(2))?;
            let last: Option<i64> = sql(row.get(3))?;
            match name.map(|name| parse_stream(&name, None)) {
                Some(Ok(stream)) => self.key(conn, (number, &stream), &key, (last, head_now))?,
                _ => self.note(
                    None,
                    None,
                    format!("the commit key {key:?} belongs to no stream"),
                ),
            }
            self.last_key = (number, key);
        }
        Ok(part)
    }

    fn snapshots(&mut self, conn: &Connection, after: i64) -> Result<Part, StoreError> {
        let (damaged, last) = sql(snapshots::damaged(conn, after, SNAPSHOTS_MAX))?;
        for what in damaged {
            self.report.note_harmless(Damage {
                position: None,
                stream: None,
                what,
            });
        }
        Ok(last.map_or(Part::Done, |after| Part::Snapshots { after }))
    }

    fn key(
        &mut self,
        conn: &Connection,
        (number, stream): (i64, &StreamId),
        key: &str,
        (last, head_now): (Option<i64>, i64),
    ) -> Result<(), StoreError> {
        let known = match keys::find(conn, number, stream, key) {
            Ok(Some(known)) => known,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.note(None, Some(stream), error.context());
                return Ok(());
            }
        };
        let own = known
            .receipt
            .appends
            .iter()
            .find(|append| append.stream == *stream);
        let beyond = own.is_some_and(|own| own.last > last.map_or(Version::ZERO, version));
        // Keys that came since the check began tell of positions that came since, too.
        if beyond || known.receipt.position > Some(position(head_now)) {
            let what = format!("the commit key {key:?} tells of events that are not there");
            self.note(None, Some(stream), what);
        }
        Ok(())
    }
}

/// Checks one event; its time.
fn event(conn: &Connection, names: &mut Names, row: &Row<'_>) -> Result<i64, StoreError> {
    let (fields, checksum) = Fields::of(row)?;
    let at = position(fields.position);
    let stream = names.stream(conn, fields.stream, at)?;
    let event_type = names.verified(conn, (&fields, checksum), &stream.id)?;
    if fields.payload.is_some() {
        fields.event(stream.id, event_type)?;
    }
    Ok(fields.recorded_at)
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| fault(error, "verifying"))
}
