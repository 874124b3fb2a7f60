//! One build that is being filled: where it is, and what comes next.

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use tokio::time::Instant;

use super::ledger::{Ledger, Taken, Trouble};
use super::parked::{self, Parked};
use super::status::{Gauge, age};
use super::{Before, OnPoison};
use crate::clock::Clock;
use crate::ids::StreamId;
use crate::retry::{Backoff, RetryPolicy};
use crate::store::{
    Build, Checkpoint, Derivation, FeedItem, PageBounds, QueryError, RemovalMarker, Store,
    StoreError, StoreErrorKind,
};
use crate::subscription::FeedPages;
use crate::version::Position;

/// A build, and the subscription that it is filled from.
pub(super) struct Lane {
    pub(super) build: Build,
    code: Derivation,
    store: Store,
    pages: FeedPages,
    /// What is being taken in.
    page: Option<Page>,
    /// The streams that wait behind an event that was put aside.
    pub(super) parked: BTreeSet<StreamId>,
    /// An item that cannot be taken in together with others.
    poison: Option<Position>,
    /// When to go on after something went wrong, and how long to rest then.
    rest: Option<(Instant, Backoff)>,
    /// Whether its checkpoint has moved and is not written down.
    pub(super) unsaved: bool,
    pub(super) gauge: Gauge,
    pub(super) head: Position,
    /// When the first thing was recorded that is not taken in yet.
    oldest: Option<chrono::DateTime<chrono::Utc>>,
}

/// What is left of a page.
struct Page {
    items: VecDeque<FeedItem>,
    /// Where the whole of it leads.
    checkpoint: Checkpoint,
}

/// What a lane needs to take something in.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) before: Option<&'a Arc<dyn Before>>,
    pub(super) on_poison: OnPoison,
    pub(super) clock: &'a dyn Clock,
}

impl Lane {
    pub(super) async fn new(
        build: Build,
        store: &Store,
        bounds: PageBounds,
        ledger: &Ledger,
    ) -> Result<Self, Trouble> {
        let waiting = parked::streams(&ledger.database, &build).await;
        let subscribe = store.subscribe(build.checkpoint).page_bounds(bounds);
        Ok(Self {
            code: ledger.code.clone(),
            store: store.clone(),
            pages: subscribe.pages(),
            page: None,
            parked: waiting.map_err(unreadable)?,
            poison: None,
            rest: None,
            unsaved: false,
            gauge: Gauge::new(build.checkpoint.position),
            head: build.checkpoint.position,
            oldest: None,
            build,
        })
    }

    /// Whether it holds everything that the store held when it last looked.
    pub(super) fn is_at_end(&self) -> bool {
        self.page.is_none() && self.build.checkpoint.position >= self.head
    }

    /// How old the first thing is that it does not hold.
    pub(super) fn behind(&self, clock: &dyn Clock) -> Option<std::time::Duration> {
        let oldest = self.oldest.filter(|_| !self.is_at_end());
        oldest.map(|oldest| age(oldest, clock.now()))
    }

    /// Waits until there is something to take in. Dropping the future loses nothing.
    pub(super) async fn ready(&mut self) -> Result<(), Trouble> {
        if let Some((until, _)) = &self.rest {
            tokio::time::sleep_until(*until).await;
        }
        if self.page.is_some() {
            return Ok(());
        }
        let next = poll_fn(|cx| Pin::new(&mut self.pages).poll_next(cx)).await;
        let page = match next {
            Some(Ok(page)) => page,
            Some(Err(error)) => return Err(Trouble::Database(error)),
            None => {
                let ended = StoreError::new(StoreErrorKind::HandleClosed, "following the store");
                return Err(Trouble::Database(ended));
            }
        };
        self.head = page.head;
        self.oldest = page.items.first().map(recorded_at);
        let items = page.items.into_iter();
        self.page = Some(Page {
            items: items.filter(|item| self.wants(item)).collect(),
            checkpoint: page.checkpoint,
        });
        Ok(())
    }

    fn wants(&self, item: &FeedItem) -> bool {
        match item {
            // It was removed before this build began to read.
            FeedItem::Removed(marker) if marker.position <= self.build.began_at => false,
            item => self.code.wants(item),
        }
    }

    /// Takes in the next few things of the page that has come.
    pub(super) async fn go_on(&mut self, means: Means<'_>) -> Result<(), Trouble> {
        let Some(page) = &self.page else {
            return Ok(());
        };
        let waits = |item: &FeedItem| matches!(item, FeedItem::Event(event) if self.parked.contains(&event.stream));
        let batch = page.items.iter().take_while(|item| !waits(item));
        let batch = match (self.poison, means.before) {
            (Some(at), _) => batch.take_while(|item| item.position() < at).count(),
            // What is done before is done again if the rest of a batch fails.
            (None, Some(before)) => batch.take(before.events_max()).count(),
            (None, None) => batch.count(),
        };
        let done = match (batch, page.items.front()) {
            (_, None) => {
                self.build.checkpoint = page.checkpoint;
                self.unsaved = true;
                Ok(())
            }
            (0, Some(FeedItem::Event(event))) if self.parked.contains(&event.stream) => {
                self.park(None, means).await
            }
            // The one that failed comes first now, and alone.
            (0, Some(_)) => self.take(1, means).await,
            (batch, Some(_)) => self.take(batch, means).await,
        };
        match done {
            Ok(()) => {
                self.rest = None;
                if self.page.as_ref().is_some_and(|page| page.items.is_empty()) {
                    self.finish();
                }
                self.gauge.moved(self.build.checkpoint.position);
                Ok(())
            }
            Err(trouble) => self.mend(trouble, batch, means).await,
        }
    }

    /// The page is taken in whole.
    fn finish(&mut self) {
        if let Some(page) = self.page.take()
            && self.build.checkpoint != page.checkpoint
        {
            self.build.checkpoint = page.checkpoint;
            self.unsaved = true;
        }
    }

    async fn take(&mut self, batch: usize, means: Means<'_>) -> Result<(), Trouble> {
        let Some(page) = &self.page else {
            return Ok(());
        };
        if let Some(before) = means.before {
            let items = page.items.iter().take(batch);
            let events: Vec<_> = items.filter_map(FeedItem::event).collect();
            if !events.is_empty() {
                before.before(&events, means.ledger).await?;
            }
        }
        let mut what = Vec::with_capacity(batch);
        for item in page.items.iter().take(batch) {
            what.push(match item {
                FeedItem::Event(event) => Taken::Event(Arc::new(event.clone())),
                FeedItem::Removed(marker) => {
                    removed(&self.build, &self.store, marker, means).await?
                }
            });
        }
        let to = match (
            batch == page.items.len(),
            page.items.get(batch.saturating_sub(1)),
        ) {
            (false, Some(last)) => last.checkpoint(self.store.id()),
            _ => page.checkpoint,
        };
        let now = means.clock.now();
        means.ledger.take(&self.build, what.into(), to, now).await?;
        self.moved(batch, to);
        Ok(())
    }

    /// So many items are in the tables, or put aside.
    fn moved(&mut self, items: usize, to: Checkpoint) {
        self.build.checkpoint = to;
        self.build.written = to;
        self.unsaved = false;
        if let Some(page) = &mut self.page {
            page.items.drain(..items.min(page.items.len()));
            let next = page.items.front();
            self.oldest = next.map(recorded_at);
            // One that failed among others may go well by itself.
            if self.poison.is_some_and(|at| at <= to.position) {
                self.poison = None;
            }
        }
    }

    /// Puts the next event aside.
    async fn park(&mut self, error: Option<String>, means: Means<'_>) -> Result<(), Trouble> {
        let Some(page) = &self.page else {
            return Ok(());
        };
        let Some(FeedItem::Event(event)) = page.items.front() else {
            return Ok(());
        };
        let parked = Parked {
            position: event.position,
            stream: event.stream.clone(),
            version: event.version,
            attempts: error.is_some().into(),
            error,
        };
        let to = match page.items.len() {
            1 => page.checkpoint,
            _ => FeedItem::Event(event.clone()).checkpoint(self.store.id()),
        };
        let (ledger, now) = (means.ledger, means.clock.now());
        ledger.park(&self.build, parked.clone(), to, now).await?;
        self.parked.insert(parked.stream);
        self.moved(1, to);
        Ok(())
    }

    /// Does what is to be done about what went wrong, or hands it on.
    async fn mend(
        &mut self,
        trouble: Trouble,
        batch: usize,
        means: Means<'_>,
    ) -> Result<(), Trouble> {
        let (at, why) = match trouble {
            Trouble::Poison { at, why } => (at, why),
            passing if passing.may_pass() => {
                self.rest(patient());
                return Err(passing);
            }
            other => return Err(other),
        };
        if batch > 1 {
            // Those before it first, then it alone.
            self.poison = Some(at);
            return Ok(());
        }
        match means.on_poison {
            OnPoison::Stop => {}
            OnPoison::Retry(policy) => {
                if self.rest(policy) {
                    return Ok(());
                }
            }
            OnPoison::Park => {
                let first = self.page.as_ref().and_then(|page| page.items.front());
                if matches!(first, Some(FeedItem::Event(_))) {
                    return self.park(Some(why), means).await;
                }
            }
        }
        Err(Trouble::Poison { at, why })
    }

    /// Rests for a while before the next attempt, unless there were enough.
    fn rest(&mut self, policy: RetryPolicy) -> bool {
        let backoff = self.rest.take().map(|(_, backoff)| backoff);
        let mut backoff = backoff.unwrap_or_else(|| Backoff::new(policy, fastrand::u64(..)));
        match backoff.next_delay(None) {
            Ok(delay) => {
                self.rest = Some((Instant::now() + delay, backoff));
                true
            }
            Err(_) => false,
        }
    }
}

/// Events that are left of a stream, and are taken in again at once. If more are, the
/// build is made anew.
const LEFT_MAX: usize = 10_000;

/// What is left of a stream of which events were removed.
async fn removed(
    build: &Build,
    store: &Store,
    marker: &RemovalMarker,
    means: Means<'_>,
) -> Result<Taken, Trouble> {
    let mut left = Vec::new();
    // Who acts on events has acted on those that were removed, too.
    if means.before.is_none() {
        let waiting = parked::list(&means.ledger.database, build, Position::ZERO);
        let waiting = waiting.await.map_err(unreadable)?;
        let mut events = store.read_stream(&marker.stream).events();
        while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
            let event = event.map_err(Trouble::Database)?;
            if event.position > marker.position {
                break;
            }
            if left.len() == LEFT_MAX {
                return Err(Trouble::NeedsRebuild);
            }
            let waits = waiting
                .iter()
                .any(|parked| parked.position == event.position);
            if !waits && means.ledger.code.wants_event(&event) {
                left.push(event);
            }
        }
    }
    Ok(Taken::Removed {
        at: marker.position,
        stream: marker.stream.clone(),
        removed_to: marker.removed_to,
        left,
    })
}

fn recorded_at(item: &FeedItem) -> chrono::DateTime<chrono::Utc> {
    match item {
        FeedItem::Event(event) => event.recorded_at,
        FeedItem::Removed(marker) => marker.recorded_at,
    }
}

pub(crate) fn unreadable(error: QueryError) -> Trouble {
    match error {
        QueryError::Store(error) => Trouble::Database(error),
        refused => Trouble::Invalid(refused.to_string()),
    }
}

/// Tries for ever, a quarter of a second apart in the end.
fn patient() -> RetryPolicy {
    RetryPolicy {
        attempts_max: u32::MAX,
        ..RetryPolicy::default()
    }
}
