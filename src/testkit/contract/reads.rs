//! Reads as a case asks for them: in pages, one by one and at once, which must
//! tell the same.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

use super::case::{Read, StreamList};
use super::ledger::Ledger;
use super::promises::{broken, same_events};
use super::runner::{Differs, same};
use crate::event::RecordedEvent;
use crate::ids::{EventType, InvalidName, StreamId};
use crate::store::{AllPage, Direction, ReadAll, ReadStream, Store, StoreError, StreamPage};
use crate::version::{Position, Version};

/// The events, and for one stream its version.
pub(super) async fn read(
    store: &Store,
    read: &Read,
    ledger: &Ledger,
) -> Result<(Vec<RecordedEvent>, Option<u64>), Differs> {
    let all = &ledger.readable();
    let (events, version) = match &read.stream {
        Some(stream) => {
            let asked = of_stream(store.read_stream(&stream_id(stream)?), read)?;
            let (events, version) = one_stream(asked, read, all.len()).await?;
            (events, Some(version))
        }
        None => {
            let asked = of_all(store.read_all(), read)?;
            let head = ledger.head().get();
            (every_stream(asked, read, all.len(), head).await?, None)
        }
    };
    for event in &events {
        let stored = all.iter().find(|stored| stored.position == event.position);
        same("an event of the store", &stored, &Some(event))?;
    }
    Ok((events, version))
}

/// The names of the streams.
pub(super) async fn list(store: &Store, list: &StreamList) -> Result<Vec<String>, Differs> {
    let mut asked = store.list_streams();
    if let Some(category) = &list.category {
        asked = asked.category(category);
    }
    if let Some(prefix) = &list.prefix {
        asked = asked.prefix(prefix);
    }
    if let Some(after) = &list.after {
        asked = asked.after(stream_id(after)?);
    }
    if let Some(limit) = list.limit {
        asked = asked.limit(limit);
    }
    let one_by_one = drain(asked.clone().streams(), usize::MAX).await?;
    let listed = asked.collect().await.map_err(broken)?;
    same("streams listed one by one", &listed, &one_by_one)?;
    Ok(listed.iter().map(|info| info.stream.to_string()).collect())
}

pub(super) fn stream_id(text: &str) -> Result<StreamId, Differs> {
    text.parse().map_err(misnamed)
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn misnamed(error: InvalidName) -> Differs {
    Differs::new("a case that names what there can be", error.to_string())
}

fn types(read: &Read) -> Result<Vec<EventType>, Differs> {
    let types = read.types.iter().map(|text| text.parse());
    types.collect::<Result<_, _>>().map_err(misnamed)
}

fn of_stream(mut asked: ReadStream, read: &Read) -> Result<ReadStream, Differs> {
    if let Some(from) = read.from {
        asked = asked.from(Version::new(from));
    }
    if let Some(to) = read.to {
        asked = asked.to(Version::new(to));
    }
    if read.direction == Direction::Backwards {
        asked = asked.backwards();
    }
    if let Some(limit) = read.limit {
        asked = asked.limit(limit);
    }
    for event_type in types(read)? {
        asked = asked.event_type(event_type);
    }
    Ok(asked.page_bounds(read.bounds))
}

fn of_all(mut asked: ReadAll, read: &Read) -> Result<ReadAll, Differs> {
    if let Some(from) = read.from {
        asked = asked.from(Position::new(from));
    }
    if let Some(to) = read.to {
        asked = asked.to(Position::new(to));
    }
    if read.direction == Direction::Backwards {
        asked = asked.backwards();
    }
    if let Some(limit) = read.limit {
        asked = asked.limit(limit);
    }
    for event_type in types(read)? {
        asked = asked.event_type(event_type);
    }
    for category in &read.categories {
        asked = asked.category(category);
    }
    for prefix in &read.prefixes {
        asked = asked.stream_prefix(prefix);
    }
    Ok(asked.page_bounds(read.bounds))
}

async fn one_stream(
    asked: ReadStream,
    read: &Read,
    stored: usize,
) -> Result<(Vec<RecordedEvent>, u64), Differs> {
    let pages: Vec<StreamPage> = drain(asked.clone().pages(), stored + 2).await?;
    let slice = asked.clone().collect().await.map_err(broken)?;
    let mut paged = Vec::new();
    for page in pages {
        within_bounds(&page.events, read)?;
        same("version that a page reports", &slice.version, &page.version)?;
        paged.extend(page.events);
    }
    same_events("events in pages", &slice.events, &paged)?;
    let one_by_one = drain(asked.events(), stored).await?;
    same_events("events one by one", &slice.events, &one_by_one)?;
    Ok((slice.events, slice.version.get()))
}

async fn every_stream(
    asked: ReadAll,
    read: &Read,
    stored: usize,
    head: u64,
) -> Result<Vec<RecordedEvent>, Differs> {
    let pages_max = usize::try_from(head)
        .unwrap_or(usize::MAX)
        .saturating_add(2);
    let pages: Vec<AllPage> = drain(asked.clone().pages(), pages_max).await?;
    scans_on(&pages, read, head)?;
    let events = asked.clone().collect().await.map_err(broken)?;
    let mut paged = Vec::new();
    for page in pages {
        within_bounds(&page.events, read)?;
        paged.extend(page.events);
    }
    same_events("events in pages", &events, &paged)?;
    let one_by_one = drain(asked.events(), stored).await?;
    same_events("events one by one", &events, &one_by_one)?;
    Ok(events)
}

/// A page holds no more than it may.
fn within_bounds(events: &[RecordedEvent], read: &Read) -> Result<(), Differs> {
    let few = events.len() <= read.bounds.events_max as usize;
    same("a page holds few enough events", &true, &few)?;
    let before_the_last = events.iter().rev().skip(1);
    let bytes: usize = before_the_last
        .map(|event| event.payload.as_str().len())
        .sum();
    let small = bytes == 0 || bytes < read.bounds.bytes_max;
    same("a page ends when it is full", &true, &small)
}

/// Each page looks further than the one before, and the last one to the end, so
/// that a checkpoint moves past what a filter leaves out.
fn scans_on(pages: &[AllPage], read: &Read, head: u64) -> Result<(), Differs> {
    let from = read.from.unwrap_or(0).max(1);
    let to = read.to.unwrap_or(u64::MAX).min(head);
    if from > to || read.limit == Some(0) {
        let scanned: Vec<_> = pages.iter().filter_map(|page| page.scanned_to).collect();
        return same(
            "scanned_to where nothing is looked at",
            &Vec::new(),
            &scanned,
        );
    }
    let (mut scanned, end) = match read.direction {
        Direction::Forwards => (from - 1, to),
        Direction::Backwards => (to + 1, from),
    };
    let is_beyond = |a: u64, b: u64| match read.direction {
        Direction::Forwards => a > b,
        Direction::Backwards => a < b,
    };
    for page in pages {
        let to = page.scanned_to.map(Position::get).unwrap_or_default();
        same("scanned_to moves on", &true, &is_beyond(to, scanned))?;
        scanned = to;
        let last = page.events.last().map_or(to, |event| event.position.get());
        same(
            "scanned_to passes the page's events",
            &false,
            &is_beyond(last, scanned),
        )?;
    }
    let found: usize = pages.iter().map(|page| page.events.len()).sum();
    match read.limit {
        Some(limit) if found as u64 >= limit => Ok(()),
        _ => same("scanned_to at the end", &end, &scanned),
    }
}

/// All that comes, unless it is more than can be.
async fn drain<S, T>(mut stream: S, items_max: usize) -> Result<Vec<T>, Differs>
where
    S: Stream<Item = Result<T, StoreError>> + Unpin,
{
    let mut items = Vec::new();
    while let Some(item) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
        items.push(item.map_err(broken)?);
        if items.len() > items_max {
            return Err(Differs::new(
                "an end",
                format!("more than {items_max} items"),
            ));
        }
    }
    Ok(items)
}
