//! One follower of the feed, and the streams that its user polls.
//!
//! It must never wait for a ring that it has already had, and never read past what it has
//! not looked at: the order of steps in [`Follower::read`] is what both rest on.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use uuid::Uuid;

use super::SubscriptionPage;
use crate::retry::{Backoff, RetryPolicy};
use crate::store::{
    Backend, Changes, Checkpoint, CheckpointMismatch, FeedItem, FeedQuery, Seat, Store, StoreError,
    StoreErrorKind,
};
use crate::version::Position;

/// Where a subscription stands.
pub(super) struct Follower {
    backend: Arc<dyn Backend>,
    store: Uuid,
    seat: Seat,
    /// What to read next.
    query: FeedQuery,
    /// What the store must still be compared with.
    unverified: Option<Checkpoint>,
    /// The bell; none until it is first needed.
    changes: Option<Changes>,
    /// Whether all was read that was there when the bell was last taken as heard.
    at_end: bool,
    /// How long to rest after errors that may pass; none after a success.
    backoff: Option<Backoff>,
}

impl Follower {
    pub(super) fn new(store: &Store, query: FeedQuery, unverified: Option<Checkpoint>) -> Self {
        Self {
            backend: store.backend(),
            store: store.id(),
            seat: store.seat(),
            query,
            unverified,
            changes: None,
            at_end: false,
            backoff: None,
        }
    }

    /// The next page, waited for if there is none yet.
    async fn next(mut self) -> (Self, Result<SubscriptionPage, StoreError>) {
        self.rest().await;
        let page = match self.verify().await {
            Ok(()) => self.read().await,
            Err(error) => Err(error),
        };
        if page.is_ok() {
            self.backoff = None;
        } else {
            self.backoff.get_or_insert_with(patient);
        }
        (self, page)
    }

    /// Waits a moment if the attempt before has failed.
    async fn rest(&mut self) {
        let delay = self
            .backoff
            .as_mut()
            .map(|backoff| backoff.next_delay(None));
        if let Some(Ok(delay)) = delay {
            tokio::time::sleep(delay).await;
        }
    }

    async fn read(&mut self) -> Result<SubscriptionPage, StoreError> {
        loop {
            let changes = match &mut self.changes {
                Some(changes) => changes,
                none => none.insert(self.backend.changes()?),
            };
            let waits = self.at_end;
            if waits {
                changes.changed().await;
            }
            // Whatever becomes of the read, this ring was heard, and what it told of is not
            // read yet.
            self.at_end = false;
            // Before the read: what is committed after it rings after this.
            let head = changes.mark_seen();
            let page = match waits {
                // With all the others who were woken.
                true => {
                    let woken = self.seat.woken(head);
                    let read = self.seat.read(&self.backend, &self.query, woken);
                    read.await?
                }
                false => self.backend.read_feed(self.query.clone()).await?,
            };
            let after = self.query.after;
            if page.head < after {
                return Err(ahead(after, page.head));
            }
            let scanned = page.scanned.filter(|scanned| scanned.position > after);
            // Short of the head it is read on at once, or it would fall behind for ever.
            self.at_end = scanned.is_none_or(|scanned| scanned.position >= page.head);
            if let Some(scanned) = scanned {
                self.query.after = scanned.position;
                return Ok(SubscriptionPage {
                    items: page.items,
                    checkpoint: Checkpoint::new(self.store, scanned.position, scanned.event),
                    head: page.head,
                });
            }
        }
    }

    /// Compares the store with the checkpoint to begin at, once.
    async fn verify(&mut self) -> Result<(), StoreError> {
        let Some(checkpoint) = self.unverified else {
            return Ok(());
        };
        checkpoint.is_of(self.store).map_err(mismatch)?;
        let query = FeedQuery::at(checkpoint.position);
        let page = self.backend.read_feed(query).await?;
        page.confirms(&checkpoint).map_err(mismatch)?;
        self.unverified = None;
        Ok(())
    }
}

/// Tries for ever, a quarter of a second apart in the end.
fn patient() -> Backoff {
    let policy = RetryPolicy {
        attempts_max: u32::MAX,
        ..RetryPolicy::default()
    };
    Backoff::new(policy, fastrand::u64(..))
}

fn ahead(checkpoint: Position, head: Position) -> StoreError {
    mismatch(CheckpointMismatch::Ahead { checkpoint, head })
}

fn mismatch(mismatch: CheckpointMismatch) -> StoreError {
    StoreError::new(StoreErrorKind::CheckpointMismatch(mismatch), "subscribing")
}

type Reading = BoxFuture<'static, (Follower, Result<SubscriptionPage, StoreError>)>;

/// A subscription as a [`Stream`] of pages, made by
/// [`Subscribe::pages`](super::Subscribe::pages).
#[must_use = "streams do nothing unless polled"]
pub struct FeedPages {
    /// None once it has ended.
    state: Option<State>,
}

enum State {
    Resting(Box<Follower>),
    Reading(Reading),
}

impl FeedPages {
    pub(super) fn new(follower: Follower) -> Self {
        Self {
            state: Some(State::Resting(Box::new(follower))),
        }
    }
}

impl Stream for FeedPages {
    type Item = Result<SubscriptionPage, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut reading = match self.state.take() {
            Some(State::Resting(follower)) => Box::pin(follower.next()),
            Some(State::Reading(reading)) => reading,
            None => return Poll::Ready(None),
        };
        match reading.as_mut().poll(cx) {
            Poll::Pending => {
                self.state = Some(State::Reading(reading));
                Poll::Pending
            }
            Poll::Ready((follower, page)) => {
                if page
                    .as_ref()
                    .map_or_else(StoreError::is_retryable, |_| true)
                {
                    self.state = Some(State::Resting(Box::new(follower)));
                }
                Poll::Ready(Some(page))
            }
        }
    }
}

impl fmt::Debug for FeedPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            Some(State::Resting(follower)) => &format!("after {}", follower.query.after),
            Some(State::Reading(_)) => "reading or waiting",
            None => "ended",
        };
        f.debug_tuple("FeedPages").field(&state).finish()
    }
}

/// A subscription as a [`Stream`] of single items, made by
/// [`Subscribe::items`](super::Subscribe::items).
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct FeedItems {
    pages: FeedPages,
    page: VecDeque<FeedItem>,
}

impl FeedItems {
    pub(super) fn new(pages: FeedPages) -> Self {
        Self {
            pages,
            page: VecDeque::new(),
        }
    }
}

impl Stream for FeedItems {
    type Item = Result<FeedItem, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.page.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(Pin::new(&mut self.pages).poll_next(cx)) {
                Some(Ok(page)) => self.page = page.items.into(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}
