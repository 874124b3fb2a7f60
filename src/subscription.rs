//! Subscriptions: catch up by pages, then follow the head, without a gap or a repeat.
//!
//! A projection, a reaction or a publisher begins at its [`Checkpoint`] and is given every
//! event and every removal that passes its filter, once, in the order of positions, for as
//! long as it asks. One page is in memory, none is read before the one before was taken,
//! and nobody waits for a subscriber: it costs a commit nothing but waking it. Those that
//! wait at the head share one read of what has come.
//!
//! # How nothing is skipped
//!
//! Positions are dense and are seen in commit order, so a page is a walk over every
//! position after the one before; a position where nothing is found is damage and not
//! silence. At the head the subscriber waits to be woken, and reads again: nothing rests
//! on what woke it. It is woken by each commit of this process directly, by those of
//! others through the store's doorbell, and in any case by a poll, see
//! [`SqliteOptions::poll_interval`](crate::store::sqlite::SqliteOptions::poll_interval).
//!
//! # When events are removed
//!
//! A removal has a position of its own and is delivered as [`FeedItem::Removed`]. Who was
//! given the events before hears of it there; who comes later is not given them any more,
//! only the marker. Closing a stream removes nothing and is not told.

use crate::ids::EventType;
use crate::store::{Checkpoint, FeedItem, FeedQuery, PageBounds, Store};
use crate::version::Position;

use self::follow::Follower;
pub use self::follow::{FeedItems, FeedPages};

mod follow;

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum After {
    /// After this position, whatever stands there; [`Position::ZERO`] is the beginning.
    Position(Position),
    /// Where a reader left off, if the store is still the one that it was reading.
    Checkpoint(Checkpoint),
}

impl From<Position> for After {
    fn from(position: Position) -> Self {
        Self::Position(position)
    }
}

impl From<Checkpoint> for After {
    fn from(checkpoint: Checkpoint) -> Self {
        Self::Checkpoint(checkpoint)
    }
}

impl From<&Checkpoint> for After {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self::Checkpoint(*checkpoint)
    }
}

impl Store {
    /// Follows everything that happens in the store: what is there, then what comes.
    ///
    /// ```
    /// # use annalist::{ExpectedVersion, NewEvent, Position, Store};
    /// # use annalist::store::FeedItem;
    /// # use futures_util::StreamExt;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = Store::memory();
    /// # let account = "account-42".parse()?;
    /// # store.append(&account, ExpectedVersion::Any, [NewEvent::json("Deposited", &500)?]).await?;
    /// let mut pages = store.subscribe(Position::ZERO).category("account").pages();
    /// let mut checkpoint = None;
    /// while let Some(page) = pages.next().await {
    ///     let page = page?;
    ///     for item in &page.items {
    ///         match item {
    ///             FeedItem::Event(event) => println!("{} {}", event.stream, event.event_type),
    ///             FeedItem::Removed(marker) => println!("forget {}", marker.stream),
    ///         }
    ///     }
    ///     // To be kept together with what was made of the items.
    ///     checkpoint = Some(page.checkpoint);
    /// #   break;
    /// }
    ///
    /// // Later, in another process perhaps: what has come since.
    /// # let checkpoint = checkpoint.expect("a page");
    /// # store.append(&account, ExpectedVersion::Any, [NewEvent::json("Withdrawn", &1)?]).await?;
    /// let mut rest = store.subscribe(checkpoint).items();
    /// # let next = rest.next().await.expect("an item")?;
    /// # assert_eq!(next.position().get(), 2);
    /// # Ok(()) }
    /// ```
    pub fn subscribe(&self, after: impl Into<After>) -> Subscribe {
        let (after, unverified) = match after.into() {
            After::Position(position) => (position, None),
            After::Checkpoint(checkpoint) => (checkpoint.position, Some(checkpoint)),
        };
        Subscribe {
            store: self.clone(),
            unverified,
            query: FeedQuery {
                after,
                ..FeedQuery::default()
            },
        }
    }
}

/// A subscription that is being set up, made by [`Store::subscribe`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read until pages or items is called"]
pub struct Subscribe {
    store: Store,
    unverified: Option<Checkpoint>,
    query: FeedQuery,
}

impl Subscribe {
    /// Takes only streams of this category; called again, of that one too.
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.query.filter.add_category(category.into());
        self
    }

    /// Takes only streams that begin so; called again, those too.
    pub fn stream_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.query.filter.add_stream_prefix(prefix.into());
        self
    }

    /// Takes only events of this type; called again, of that type too. Removals are of no
    /// type: those of the streams that are taken are delivered all the same.
    pub fn event_type(mut self, event_type: EventType) -> Self {
        self.query.filter.add_type(event_type);
        self
    }

    /// Sets how much one page may hold and cost.
    pub fn page_bounds(mut self, bounds: PageBounds) -> Self {
        self.query.bounds = bounds;
        self
    }

    /// The subscription, page by page. A page without items is delivered too where the
    /// filter left out all that it looked at, so that the checkpoint moves.
    ///
    /// # Errors
    ///
    /// An error is an item of the stream. After one that
    /// [may pass](crate::StoreError::is_retryable), such as a busy file, the stream goes on
    /// where it was: polled again it waits a moment, longer each time, and reads again;
    /// give up by dropping it. After any other it has ended:
    ///
    /// - [`HandleClosed`](crate::StoreErrorKind::HandleClosed): the store was closed.
    /// - [`CheckpointMismatch`](crate::StoreErrorKind::CheckpointMismatch): the store is
    ///   not the one of the checkpoint, or not any more, or ends before the position to
    ///   begin after.
    /// - [`Corrupt`](crate::StoreErrorKind::Corrupt) and others: it cannot be read.
    ///
    /// It never ends without an error.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with timers, when it waits after an error.
    ///
    /// # Cancel safety
    ///
    /// A `next()` that is dropped leaves the stream where it was; nothing is lost, and
    /// what was being read is delivered by the next one. Dropping the stream itself leaves
    /// nothing behind.
    pub fn pages(self) -> FeedPages {
        let Self {
            store,
            unverified,
            query,
        } = self;
        let follower = Follower::new(&store, query, unverified);
        FeedPages::new(follower)
    }

    /// The subscription, item by item. It holds one page at a time.
    ///
    /// An item tells [where to go on](FeedItem::checkpoint) after it. What the filter leaves
    /// out moves no checkpoint so: who takes few events of many reads [`pages`](Self::pages).
    ///
    /// Errors, panics and cancel safety are those of [`pages`](Self::pages).
    pub fn items(self) -> FeedItems {
        FeedItems::new(self.pages())
    }
}

/// What a subscription delivers at once.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SubscriptionPage {
    /// What happened, in the order of positions.
    pub items: Vec<FeedItem>,
    /// Where a reader goes on that has taken in this page. Never behind its items, and
    /// past what the filter left out.
    pub checkpoint: Checkpoint,
    /// The largest position in the store when the page was read.
    pub head: Position,
}

impl SubscriptionPage {
    /// Whether there was nothing more when the page was read.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.checkpoint.position >= self.head
    }
}
