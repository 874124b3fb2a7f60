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
    Build, Checkpoint, Derivation, FeedItem, PageBounds, QueryError, Store, StoreError,
    StoreErrorKind,
};
use crate::subscription::FeedPages;
use crate::version::Position;

mod left;

use left::{removed, waiting};

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
    /// Events that are passed over, since somebody said so.
    pub(super) dropped: BTreeSet<Position>,
    /// An item that cannot be taken in together with others.
    poison: Option<Position>,
    /// When to go on after something went wrong.
    rest: Option<Instant>,
    /// The attempts to take in what comes next.
    tries: Option<Backoff>,
    /// The attempts to reach the database.
    knocks: Option<Backoff>,
    /// What went wrong since something was last taken in.
    pub(super) problem: Option<String>,
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
        let dropped = parked::dropped(&ledger.database, &ledger.code.name).await;
        let head = store.head().await?;
        let subscribe = store.subscribe(build.checkpoint).page_bounds(bounds);
        Ok(Self {
            code: ledger.code.clone(),
            store: store.clone(),
            pages: subscribe.pages(),
            page: None,
            parked: waiting.map_err(unreadable)?,
            dropped: dropped.map_err(unreadable)?,
            poison: None,
            rest: None,
            tries: None,
            knocks: None,
            problem: None,
            unsaved: false,
            gauge: Gauge::new(build.checkpoint.position),
            head,
            oldest: None,
            build,
        })
    }

    /// Whether it holds everything that the store held when it last looked.
    pub(super) fn is_at_end(&self) -> bool {
        // One that is ahead is of another store, or of this one before it was restored.
        self.page.is_none() && self.build.checkpoint.position == self.head
    }

    /// How old the first thing is that it does not hold.
    pub(super) fn behind(&self, clock: &dyn Clock) -> Option<std::time::Duration> {
        let oldest = self.oldest.filter(|_| !self.is_at_end());
        oldest.map(|oldest| age(oldest, clock.now()))
    }

    /// Waits until there is something to take in. Dropping the future loses nothing.
    pub(super) async fn ready(&mut self) -> Result<(), Trouble> {
        if let Some(until) = self.rest {
            tokio::time::sleep_until(until).await;
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
        if self.is_at_end() {
            // It was not slow: there was nothing to do.
            self.gauge.begin();
        }
        // A page that another follower has read may tell of less than was seen here.
        self.head = self.head.max(page.head);
        self.oldest = page.items.first().map(recorded_at).or(self.oldest);
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
            FeedItem::Event(event) if self.dropped.contains(&event.position) => false,
            item => self.code.wants(item),
        }
    }

    /// Takes in the next few things of the page that has come.
    pub(super) async fn go_on(&mut self, means: Means<'_>) -> Result<(), Trouble> {
        let Some(page) = &self.page else {
            return Ok(());
        };
        let waits = |item: &FeedItem| matches!(item, FeedItem::Event(event) if self.parked.contains(&event.stream));
        // What is left after a removal is in memory: one removal at a time, the last of its batch.
        let is_removal = |item: &FeedItem| matches!(item, FeedItem::Removed(_));
        let removal = page.items.iter().position(is_removal);
        let whole = removal.map_or(page.items.len(), |at| at + 1);
        let batch = page.items.iter().take(whole);
        let batch = batch.take_while(|item| !waits(item));
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
                (self.rest, self.tries, self.knocks) = (None, None, None);
                self.problem = None;
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
        if self.is_at_end() {
            self.oldest = None;
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
        let mut free = Vec::new();
        for item in page.items.iter().take(batch) {
            what.push(match item {
                FeedItem::Event(event) => Taken::Event(Arc::new(event.clone())),
                FeedItem::Removed(marker) => {
                    let waiting = waiting(&self.parked, marker, &self.build, means).await?;
                    if waiting
                        .iter()
                        .all(|waits| waits.version <= marker.removed_to)
                    {
                        free.push(marker.stream.clone());
                    }
                    removed(
                        marker,
                        (&self.build, &waiting, &self.dropped),
                        &self.store,
                        means,
                    )
                    .await?
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
        for stream in free {
            self.parked.remove(&stream);
        }
        Ok(())
    }

    /// So many items are in the tables, or put aside.
    fn moved(&mut self, items: usize, to: Checkpoint) {
        self.build.checkpoint = to;
        self.build.written = to;
        self.unsaved = false;
        if let Some(page) = &mut self.page {
            page.items.drain(..items.min(page.items.len()));
            self.oldest = page.items.front().map(recorded_at).or(self.oldest);
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

    /// Rests before the next attempt if the same may go well then.
    fn rest_after(&mut self, trouble: Trouble) -> Trouble {
        if trouble.may_pass() {
            self.rest = rest(&mut self.knocks, patient());
        }
        trouble
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
            trouble => return Err(self.rest_after(trouble)),
        };
        if batch > 1 {
            // Those before it first, then it alone.
            self.poison = Some(at);
            return Ok(());
        }
        let first = self.page.as_ref().and_then(|page| page.items.front());
        match means.on_poison {
            OnPoison::Park if matches!(first, Some(FeedItem::Event(_))) => {
                let parked = self.park(Some(why), means).await;
                parked.map_err(|trouble| self.rest_after(trouble))
            }
            // What is left of a stream is poison: a build that never saw what was removed
            // takes it in event by event, and puts that one aside.
            OnPoison::Park if means.before.is_none() => {
                self.problem = Some(Trouble::Poison { at, why }.to_string());
                Err(Trouble::NeedsRebuild)
            }
            OnPoison::Retry(policy) => {
                self.rest = rest(&mut self.tries, policy);
                let trouble = Trouble::Poison { at, why };
                match self.rest {
                    Some(_) => {
                        self.problem = Some(trouble.to_string());
                        Ok(())
                    }
                    None => Err(trouble),
                }
            }
            OnPoison::Park | OnPoison::Stop => Err(Trouble::Poison { at, why }),
        }
    }
}

/// Until when to rest before the next attempt, unless there were enough.
fn rest(attempts: &mut Option<Backoff>, policy: RetryPolicy) -> Option<Instant> {
    let attempts = attempts.get_or_insert_with(|| Backoff::new(policy, fastrand::u64(..)));
    let delay = attempts.next_delay(None).ok()?;
    Some(Instant::now() + delay)
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
