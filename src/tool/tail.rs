//! `annalist tail FILE`: what happened last in the store, and what happens from then on.

use std::io::Write;

use serde::Serialize;

use super::answer::{Answer, plain};
use super::arguments::Tail;
use super::event::{Shown, time};
use super::{Failure, next};
use crate::ids::StreamId;
use crate::store::{FeedItem, PageBounds, RemovalKind, RemovalMarker, Store};
use crate::subscription::Subscribe;
use crate::version::{Generation, Position, Version};

/// Something that happened, as it is printed.
#[derive(Serialize)]
#[serde(untagged)]
enum Happened {
    Event(Shown),
    Removed(Removed),
}

#[derive(Serialize)]
struct Removed {
    removed: &'static str,
    stream: StreamId,
    removed_to: Version,
    generation: Generation,
    position: Position,
    recorded_at: String,
}

pub(super) async fn tail(
    store: &Store,
    wanted: &Tail,
    answer: &mut Answer<'_>,
    err: &mut dyn Write,
) -> Result<(), Failure> {
    let head = store.head().await?;
    let mut reached = wanted.begin(store, head).await?;
    let mut pages = wanted.subscribe(store, reached).pages();
    while wanted.follow || reached < head {
        let page = match next(&mut pages).await {
            Some(Ok(page)) => page,
            // It may pass, and the subscription goes on where it was.
            Some(Err(error)) if wanted.follow && error.is_retryable() => {
                Failure::from(error).tell(err);
                continue;
            }
            Some(Err(error)) => return Err(error.into()),
            None => break,
        };
        reached = page.checkpoint.position;
        for item in page.items {
            // What came after the head was looked at would be more than was asked for.
            if wanted.follow || item.position() <= head {
                answer.item(&Happened::from(item), Happened::line)?;
            }
        }
        // The next page may be long in coming.
        answer.flush()?;
    }
    Ok(())
}

impl Tail {
    fn subscribe(&self, store: &Store, after: Position) -> Subscribe {
        let mut feed = store.subscribe(after);
        for category in &self.categories {
            feed = feed.category(category);
        }
        for prefix in &self.prefixes {
            feed = feed.stream_prefix(prefix);
        }
        for event_type in &self.types {
            feed = feed.event_type(event_type.clone());
        }
        feed
    }

    /// The position after which the last things stand that are wanted.
    async fn begin(&self, store: &Store, head: Position) -> Result<Position, Failure> {
        let first = before(Position::new(self.from.unwrap_or(1)), 1);
        if first > head {
            return Err(Failure::Told(format!(
                "the store is only at position {head}; ask for {} or less",
                head.next()
            )));
        }
        let Some(mut missing) = self.last() else {
            return Ok(first);
        };
        // Backwards by pieces, each read forwards as the feed is, and no wider at first than
        // it must be: of a large store little is read, and damage that lies further back is
        // not met. Only numbers are kept.
        let mut end = head;
        let mut width = u32::try_from(missing).map_or(PIECE_MAX, |count| count.min(PIECE_MAX));
        while missing > 0 && end > first {
            let begin = before(end, width.into()).max(first);
            let found = self.positions(store, begin, end, width).await?;
            let found_count = found.len() as u64;
            let nth = found_count.checked_sub(missing);
            if let Some(nth) = nth.and_then(|nth| found.get(usize::try_from(nth).ok()?)) {
                return Ok(before(*nth, 1));
            }
            missing -= found_count;
            end = begin;
            width = (2 * width).min(PIECE_MAX);
        }
        Ok(end)
    }

    /// The positions of what is wanted after one position, up to another that the store has
    /// reached, so that there is nothing to wait for.
    async fn positions(
        &self,
        store: &Store,
        begin: Position,
        end: Position,
        width: u32,
    ) -> Result<Vec<Position>, Failure> {
        let bounds = PageBounds {
            scan_max: width,
            ..PageBounds::default()
        };
        let feed = self.subscribe(store, begin).page_bounds(bounds);
        let mut pages = feed.pages();
        let mut found = Vec::new();
        let mut reached = begin;
        while reached < end {
            let Some(page) = next(&mut pages).await else {
                break;
            };
            let page = page?;
            reached = page.checkpoint.position;
            let positions = page.items.iter().map(FeedItem::position);
            found.extend(positions.take_while(|position| *position <= end));
        }
        Ok(found)
    }
}

/// Positions that are looked at together, at most.
const PIECE_MAX: u32 = 16 * 1024;

fn before(position: Position, count: u64) -> Position {
    Position::new(position.get().saturating_sub(count))
}

impl From<FeedItem> for Happened {
    fn from(item: FeedItem) -> Self {
        match item {
            FeedItem::Event(event) => Self::Event(event.into()),
            FeedItem::Removed(marker) => Self::Removed(marker.into()),
        }
    }
}

impl From<RemovalMarker> for Removed {
    fn from(marker: RemovalMarker) -> Self {
        Self {
            removed: match marker.kind {
                RemovalKind::Deleted => "deleted",
                RemovalKind::Truncated => "truncated",
            },
            recorded_at: time(marker.recorded_at),
            stream: marker.stream,
            removed_to: marker.removed_to,
            generation: marker.generation,
            position: marker.position,
        }
    }
}

impl Happened {
    fn line(&self) -> String {
        match self {
            Self::Event(event) => event.in_store(),
            Self::Removed(removed) => plain(&format!(
                "{:>8}  {}  {} {}: no event up to version {} is read any more",
                removed.position,
                removed.recorded_at,
                removed.stream,
                removed.removed,
                removed.removed_to
            )),
        }
    }
}
