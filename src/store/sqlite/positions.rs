//! Reads over all streams in the order of positions: of the events alone, and of the feed.
//!
//! Both are one walk. Positions have no holes, so at each one that is due stands an event,
//! or a removal, or damage; nothing is passed over because it was not found.

use rusqlite::{Connection, Statement};

use super::fault::{corrupt, fault};
use super::head::Head;
use super::names::Names;
use super::removals::marker;
use super::row::{COLUMNS, position, stored, version};
use super::walk::{Step, Walk};
use crate::event::RecordedEvent;
use crate::store::backend::{AllPage, AllQuery};
use crate::store::error::StoreError;
use crate::store::feed::{FeedItem, FeedPage, FeedQuery, RemovalMarker, Scanned};
use crate::store::filter::Filter;
use crate::store::scan::{Direction, Scan, numbers};
use crate::version::Position;

pub(super) const fn order(direction: Direction) -> &'static str {
    match direction {
        Direction::Forwards => "ASC",
        Direction::Backwards => "DESC",
    }
}

/// A page of events.
pub(super) fn read_all(
    conn: &Connection,
    names: &mut Names,
    query: &AllQuery,
) -> Result<AllPage, StoreError> {
    let walked = walk(
        conn,
        names,
        (query.scan, &query.filter),
        |event| event,
        |_| None,
    )?;
    Ok(AllPage {
        events: walked.items,
        scanned_to: walked.scanned.map(|scanned| scanned.position),
        head: walked.head,
        next: walked.next,
    })
}

/// A page of the feed.
pub(super) fn read_feed(
    conn: &Connection,
    names: &mut Names,
    query: &FeedQuery,
) -> Result<FeedPage, StoreError> {
    let filter = &query.filter;
    let removed = |marker: RemovalMarker| {
        let passes = filter.passes_stream(&marker.stream);
        passes.then_some(FeedItem::Removed(marker))
    };
    let walked = walk(
        conn,
        names,
        (query.scan(), filter),
        FeedItem::Event,
        removed,
    )?;
    Ok(FeedPage {
        items: walked.items,
        scanned: walked.scanned,
        head: walked.head,
    })
}

/// What a walk over positions has found.
struct Walked<T> {
    items: Vec<T>,
    scanned: Option<Scanned>,
    head: Position,
    next: Option<Position>,
}

/// Walks over positions as of one state of the file, making of each event that passes
/// what `event` does, and of each removal what `removed` does.
fn walk<T>(
    conn: &Connection,
    names: &mut Names,
    (scan, filter): (Scan<Position>, &Filter),
    event: impl Fn(RecordedEvent) -> T,
    removed: impl Fn(RemovalMarker) -> Option<T>,
) -> Result<Walked<T>, StoreError> {
    let head = Head::read(conn)?;
    names.as_of(head.removals);
    let head = position(head.position);
    let numbers = numbers(&scan, head);
    let mut walk = Walk::new(numbers.clone(), scan.direction, scan.bounds);
    // The event at the position that was looked at last.
    let mut last = None;
    if !numbers.is_empty() {
        let by_position = format!(
            "SELECT {COLUMNS} FROM annalist_events \
             WHERE position BETWEEN ?1 AND ?2 ORDER BY position {}",
            order(scan.direction)
        );
        let mut rows = sql(conn.prepare_cached(&by_position))?;
        bind(&mut rows, (*numbers.start(), *numbers.end()))?;
        walk.over(&mut rows, |fields, checksum, due| {
            let due = Position::new(due);
            if position(fields.position) != due {
                last = None;
                return removal_at(conn, due).map(|marker| Step::Again(removed(marker)));
            }
            let stream = names.stream(conn, fields.stream, due)?;
            let event_type = names.verified(conn, (&fields, checksum), &stream.id)?;
            last = Some(fields.id()?);
            let is_removed = version(fields.version) <= stream.removed_to;
            if is_removed || !filter.passes(&stream.id, &event_type) {
                return Ok(Step::Past);
            }
            let read = fields.event(stream.id, event_type)?;
            Ok(Step::Take(event(read), fields.payload_bytes()))
        })?;
    }
    // Where the rows ended early there are removals, or damage.
    while let Some(due) = walk.missing() {
        last = None;
        let marker = removal_at(conn, Position::new(due))?;
        walk.pass();
        walk.items.extend(removed(marker));
    }
    Ok(Walked {
        scanned: walk.scanned_to.map(|position| Scanned {
            position: Position::new(position),
            event: last,
        }),
        next: walk.next().map(Position::new),
        items: walk.items,
        head,
    })
}

/// The removal at a position where no event stands.
fn removal_at(conn: &Connection, due: Position) -> Result<RemovalMarker, StoreError> {
    let missing = || corrupt(Some(due), "reading a position that is missing");
    marker(conn, stored(due.get()))?.ok_or_else(missing)
}

fn bind(rows: &mut Statement<'_>, (first, last): (u64, u64)) -> Result<(), StoreError> {
    sql(rows.raw_bind_parameter(1, stored(first)))?;
    sql(rows.raw_bind_parameter(2, stored(last)))
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| fault(error, "reading"))
}
