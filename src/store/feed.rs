//! The feed: everything that followers must hear of, events and removals, in the order
//! of positions.
//!
//! The words between a backend and a subscription. A read of events leaves removals out;
//! who keeps a copy of the events cannot.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::checkpoint::{Checkpoint, CheckpointMismatch};
use crate::store::filter::Filter;
use crate::store::scan::{Direction, PageBounds, Scan};
use crate::version::{Generation, Position, Version};

/// One page of the feed.
#[derive(Clone, Debug, Default)]
pub struct FeedQuery {
    /// Where the page begins: after this position.
    pub after: Position,
    /// What to read. A removal passes if its stream does, whatever the types: they are
    /// of events.
    pub filter: Filter,
    /// How much the page may hold and cost. A removal counts as an item without bytes.
    pub bounds: PageBounds,
}

impl FeedQuery {
    /// The one position, whatever stands there.
    pub(crate) fn at(position: Position) -> Self {
        Self {
            after: Position::new(position.get().saturating_sub(1)),
            bounds: PageBounds {
                scan_max: 1,
                ..PageBounds::default()
            },
            ..Self::default()
        }
    }

    /// The same as a walk over positions.
    pub(crate) fn scan(&self) -> Scan<Position> {
        Scan {
            from: self.after.next(),
            to: Position::MAX,
            direction: Direction::Forwards,
            bounds: self.bounds,
        }
    }
}

/// What a page of the feed holds.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedPage {
    /// What happened, in the order of positions: the events that can be read as of this
    /// page, and the removals.
    pub items: Vec<FeedItem>,
    /// How far the page has looked: at every position from where it began. None where it
    /// began at the end.
    pub scanned: Option<Scanned>,
    /// The largest position in the store when the page was read.
    pub head: Position,
}

impl FeedPage {
    /// Whether the page [at](FeedQuery::at) the position of a checkpoint is what that saw
    /// there.
    pub(crate) fn confirms(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointMismatch> {
        let Checkpoint {
            position, event, ..
        } = *checkpoint;
        match self.scanned {
            // Nothing stands at the beginning.
            _ if position == Position::ZERO => Ok(()),
            Some(scanned) if scanned.event == event => Ok(()),
            Some(scanned) => Err(CheckpointMismatch::Event {
                position,
                checkpoint: event,
                found: scanned.event,
            }),
            None => Err(CheckpointMismatch::Ahead {
                checkpoint: position,
                head: self.head,
            }),
        }
    }
}

/// The last position that a page has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The position.
    pub position: Position,
    /// The event that stands there, whether or not it is on the page, or can be read.
    /// None where a removal does.
    pub event: Option<EventId>,
}

/// One thing that happened.
// Exhaustive on purpose: a follower that had to pass over what it does not know would
// leave something out in silence.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedItem {
    /// An event was appended.
    Event(RecordedEvent),
    /// Events were removed from a stream.
    Removed(RemovalMarker),
}

impl FeedItem {
    /// Its place in the order over all streams.
    #[must_use]
    pub const fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.position,
            Self::Removed(marker) => marker.position,
        }
    }

    /// The stream that it happened to.
    #[must_use]
    pub const fn stream(&self) -> &StreamId {
        match self {
            Self::Event(event) => &event.stream,
            Self::Removed(marker) => &marker.stream,
        }
    }

    /// The event, if it is one.
    #[must_use]
    pub const fn event(&self) -> Option<&RecordedEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::Removed(_) => None,
        }
    }

    /// Where a reader goes on that has taken this in, for one that cannot take in a page
    /// at once. `store` is the [id](crate::Store::id) of the store.
    #[must_use]
    pub fn checkpoint(&self, store: Uuid) -> Checkpoint {
        let event = self.event().map(|event| event.id);
        Checkpoint::new(store, self.position(), event)
    }
}

/// That events were removed from a stream, told at a position of its own. What of them
/// was read before is to be forgotten; who reads later meets only this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalMarker {
    /// Its place in the order over all streams.
    pub position: Position,
    /// The stream.
    pub stream: StreamId,
    /// What was asked.
    pub kind: RemovalKind,
    /// The last version that was removed, and with it all before it.
    pub removed_to: Version,
    /// The stream's generation from then on.
    pub generation: Generation,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// What a removal left of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalKind {
    /// Nothing: the stream was deleted, and `removed_to` is its version.
    Deleted,
    /// The events after `removed_to`, one at least.
    Truncated,
}
