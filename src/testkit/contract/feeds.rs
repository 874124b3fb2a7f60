//! The feed as a case asks for it: by pages of the backend, and followed live.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;

use super::case::Feed;
use super::ledger::{Ledger, Marked};
use super::promises::{broken, same_events};
use super::runner::{Differs, same};
use crate::ids::{EventId, InvalidName};
use crate::store::{
    FeedItem, FeedPage, FeedQuery, Filter, RemovalKind, Scanned, Store, StoreErrorKind,
};
use crate::subscription::FeedPages;
use crate::version::Position;

/// How long a follower may take to be woken: far longer than any poll.
const PATIENCE: Duration = Duration::from_secs(20);

/// The items, page by page until the end.
pub(super) async fn read(
    store: &Store,
    feed: &Feed,
    ledger: &Ledger,
) -> Result<Vec<FeedItem>, Differs> {
    let mut query = FeedQuery {
        after: Position::new(feed.after),
        filter: filter(feed)?,
        bounds: feed.bounds,
    };
    let head = ledger.head();
    let mut items = Vec::new();
    loop {
        let page = store.backend().read_feed(query.clone()).await;
        let page = page.map_err(broken)?;
        same("the head of the feed", &head, &page.head)?;
        let Some(scanned) = page.scanned else {
            same("items where nothing is looked at", &0, &page.items.len())?;
            same("nothing is left out", &true, &(query.after >= head))?;
            break;
        };
        within_bounds(&page, query.after, scanned, feed)?;
        let stands = ledger.event_at(scanned.position);
        same("what scanned stands on", &stands, &scanned.event)?;
        query.after = scanned.position;
        items.extend(page.items);
    }
    is_what_was_written(&items, ledger)?;
    Ok(items)
}

/// Everything that is in the feed is everything that can be read, and every removal.
pub(super) async fn kept(store: &Store, ledger: &Ledger) -> Result<(), Differs> {
    let items = read(store, &Feed::default(), ledger).await?;
    let events: Vec<_> = items.iter().filter_map(FeedItem::event).cloned().collect();
    same_events("events of the feed", &ledger.readable(), &events)?;
    let removals = items.len() - events.len();
    same("removals of the feed", &ledger.markers.len(), &removals)
}

/// Subscriptions at the end of the store, each of them waiting.
pub(super) async fn wait(stores: &[Store], head: Position) -> Result<Vec<FeedPages>, Differs> {
    let mut waiting = Vec::new();
    for store in stores {
        let mut pages = store.subscribe(head).pages();
        // Polled until it has been asleep for a moment: it has looked and found nothing.
        let early = first(&mut pages, Duration::from_millis(20)).await;
        same("a page before anything happened", &false, &early.is_some())?;
        waiting.push(pages);
    }
    Ok(waiting)
}

/// What each of them is woken for.
pub(super) async fn woken(
    waiting: Vec<FeedPages>,
    (before, head): (Position, Position),
    reopened: &Store,
) -> Result<Vec<FeedItem>, Differs> {
    let mut told: Option<Vec<FeedItem>> = None;
    for mut pages in waiting {
        let mut items = Vec::new();
        loop {
            let Some(page) = first(&mut pages, PATIENCE).await else {
                let got = format!("asleep, with {} items", items.len());
                return Err(Differs::new("a follower that is woken", got));
            };
            let page = match page {
                // The store was reopened in between: the follower goes on where it was.
                Err(error) if error.kind() == StoreErrorKind::HandleClosed => {
                    let after = items.last().map_or(before, FeedItem::position);
                    pages = reopened.subscribe(after).pages();
                    continue;
                }
                page => page.map_err(broken)?,
            };
            items.extend(page.items);
            if page.checkpoint.position >= head {
                break;
            }
        }
        if let Some(told) = &told {
            same("what another follower was told", told, &items)?;
        }
        told = Some(items);
    }
    Ok(told.unwrap_or_default())
}

/// The next of a stream, if it comes in time.
async fn first<S: Stream + Unpin>(stream: &mut S, patience: Duration) -> Option<S::Item> {
    let mut late = pin!(tokio::time::sleep(patience));
    poll_fn(|cx| match Pin::new(&mut *stream).poll_next(cx) {
        Poll::Ready(item) => Poll::Ready(item),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// The name of an item: that of the event, or what was removed from which stream.
pub(super) fn name(item: &FeedItem, event: impl Fn(EventId) -> String) -> String {
    match item {
        FeedItem::Event(read) => event(read.id),
        FeedItem::Removed(marker) => {
            let what = match marker.kind {
                RemovalKind::Deleted => "deleted",
                RemovalKind::Truncated => "truncated",
            };
            format!("{what} {} to {}", marker.stream, marker.removed_to)
        }
    }
}

fn filter(feed: &Feed) -> Result<Filter, Differs> {
    let types = feed.types.iter().map(|text| text.parse());
    let types: Result<_, _> = types.collect();
    Ok(Filter {
        categories: feed.categories.clone().into(),
        stream_prefixes: feed.prefixes.clone().into(),
        types: types.map_err(|error: InvalidName| {
            Differs::new("a case that names what there can be", error.to_string())
        })?,
    })
}

/// A page holds no more than it may, in order, from where it began to where it looked.
fn within_bounds(
    page: &FeedPage,
    after: Position,
    scanned: Scanned,
    feed: &Feed,
) -> Result<(), Differs> {
    same("a page looks further", &true, &(scanned.position > after))?;
    let looked = scanned.position.get() - after.get();
    let few = looked <= u64::from(feed.bounds.scan_max);
    same("a page looks at few enough positions", &true, &few)?;
    let few = page.items.len() <= feed.bounds.events_max as usize;
    same("a page holds few enough items", &true, &few)?;
    let before_the_last = page.items.iter().rev().skip(1);
    let bytes: usize = before_the_last
        .filter_map(FeedItem::event)
        .map(|event| event.payload.as_str().len())
        .sum();
    let small = bytes == 0 || bytes < feed.bounds.bytes_max;
    same("a page ends when it is full", &true, &small)?;
    let mut last = after;
    for item in &page.items {
        same("items in order", &true, &(item.position() > last))?;
        last = item.position();
    }
    same("no item beyond", &true, &(last <= scanned.position))
}

/// Each item is what the steps so far have written, where they wrote it.
fn is_what_was_written(items: &[FeedItem], ledger: &Ledger) -> Result<(), Differs> {
    let readable = ledger.readable();
    for item in items {
        match item {
            FeedItem::Event(event) => {
                let stored = readable.iter().find(|is| is.position == event.position);
                same("an event of the feed", &stored, &Some(event))?;
            }
            FeedItem::Removed(marker) => {
                let marked = ledger.markers.iter().find(|is| is.at == marker.position);
                let got = Marked {
                    at: marker.position,
                    stream: marker.stream.clone(),
                    kind: marker.kind,
                    removed_to: marker.removed_to,
                    generation: marker.generation,
                };
                same("a removal of the feed", &marked, &Some(&got))?;
            }
        }
    }
    Ok(())
}
