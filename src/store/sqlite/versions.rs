//! Reads of one stream in the order of versions: of its events, and folded on the way.
//!
//! Called by a reader inside of its transaction.

use std::ops::ControlFlow;

use rusqlite::Connection;

use super::fault::{corrupt, fault};
use super::info::facts;
use super::names::{Names, StreamRow, stream_row};
use super::positions::order;
use super::row::{COLUMNS, Fields, stored, version};
use super::snapshots;
use super::walk::{Step, Walk};
use crate::ids::EventType;
use crate::store::backend::{FoldQuery, StreamPage, StreamQuery};
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::facts::StreamFacts;
use crate::store::filter::is_wanted;
use crate::store::fold::StreamFold;
use crate::store::scan::numbers;
use crate::version::Version;

/// One page of one stream.
pub(super) fn read_stream(
    conn: &Connection,
    names: &mut Names,
    query: &StreamQuery,
) -> Result<StreamPage, StoreError> {
    let (row, facts) = look_up(conn, query)?;
    let mut page = empty(facts);
    let Some(row) = row else {
        return Ok(page);
    };
    let walked = walk(conn, names, (query, row, facts), |fields, event_type| {
        let event = fields.event(query.stream.clone(), event_type)?;
        Ok(Step::Take(event, fields.payload_bytes()))
    })?;
    page.next = walked.next().map(Version::new);
    page.events = walked.items;
    Ok(page)
}

/// The same, each event handed on where it is read and none left on the page; from a kept
/// state on if there is one.
pub(super) fn fold_stream(
    conn: &Connection,
    names: &mut Names,
    query: &FoldQuery,
    fold: &mut dyn StreamFold,
) -> Result<StreamPage, StoreError> {
    let FoldQuery { stream, snapshot } = query;
    let (row, facts) = look_up(conn, stream)?;
    let mut page = empty(facts);
    let Some(row) = row else {
        return Ok(page);
    };
    let mut query = stream.clone();
    if let Some(by) = *snapshot
        && let Some(kept) = snapshots::find(conn, row.number, &stream.stream, by)?
        && kept.generation == facts.generation
        && (query.scan.from..=query.scan.to.min(facts.version)).contains(&kept.version)
        && fold.begin(&kept)
    {
        query.scan.from = kept.version.next();
    }
    let walked = walk(conn, names, (&query, row, facts), |fields, event_type| {
        let event = fields.borrowed(&stream.stream, &event_type)?;
        Ok(match fold.event(event) {
            ControlFlow::Continue(()) => Step::Take((), fields.payload_bytes()),
            ControlFlow::Break(()) => Step::End,
        })
    })?;
    page.next = walked.next().map(Version::new);
    Ok(page)
}

/// A page of a stream that stands there.
const fn empty(facts: StreamFacts) -> StreamPage {
    StreamPage {
        events: Vec::new(),
        version: facts.version,
        generation: facts.generation,
        next: None,
    }
}

/// The stream's row and where it stands, if it is as the page before this one found it.
fn look_up(
    conn: &Connection,
    query: &StreamQuery,
) -> Result<(Option<StreamRow>, StreamFacts), StoreError> {
    let row = stream_row(conn, &query.stream)?;
    let facts = match row {
        Some(row) => facts(conn, row, &query.stream)?.0,
        None => StreamFacts::default(),
    };
    let is_other = |seen| seen != facts.generation;
    if query.generation.is_some_and(is_other) {
        let doing = format!("reading stream {}", query.stream);
        return Err(StoreError::new(StoreErrorKind::RemovedMeanwhile, doing));
    }
    Ok((row, facts))
}

/// Walks over the events that are wanted.
fn walk<T>(
    conn: &Connection,
    names: &mut Names,
    (query, row, facts): (&StreamQuery, StreamRow, StreamFacts),
    mut take: impl FnMut(Fields<'_>, EventType) -> Result<Step<T>, StoreError>,
) -> Result<Walk<T>, StoreError> {
    let mut scan = query.scan;
    scan.from = scan.from.max(facts.removed_to.next());
    let numbers = numbers(&scan, facts.version);
    let mut walk = Walk::new(numbers.clone(), scan.direction, scan.bounds);
    if numbers.is_empty() {
        return Ok(walk);
    }
    let by_version = format!(
        "SELECT {COLUMNS} FROM annalist_events \
         WHERE stream = +?1 AND version BETWEEN ?2 AND ?3 ORDER BY version {}",
        order(scan.direction)
    );
    let mut rows = sql(conn.prepare_cached(&by_version))?;
    sql(rows.raw_bind_parameter(1, row.number))?;
    sql(rows.raw_bind_parameter(2, stored(*numbers.start())))?;
    sql(rows.raw_bind_parameter(3, stored(*numbers.end())))?;
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
            true => take(fields, event_type),
            false => Ok(Step::Past),
        }
    })?;
    match walk.missing() {
        Some(due) => Err(missing(due)),
        None => Ok(walk),
    }
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| fault(error, "reading"))
}
