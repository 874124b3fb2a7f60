//! The contract between the handle and what keeps the events.
//!
//! [`Store`](crate::Store) is written against [`Backend`] alone. A backend knows
//! neither aggregates nor commands: it takes checked requests and answers bytes.

use std::path::Path;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use uuid::Uuid;

use crate::event::RecordedEvent;
use crate::ids::{EventId, EventType, StreamId};
use crate::store::changes::Changes;
use crate::store::commit::{CommitRequest, Fingerprint};
#[cfg(feature = "sqlite")]
use crate::store::database::Database;
use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::store::feed::{FeedPage, FeedQuery};
use crate::store::fence::{LeaseAnswer, LeaseName, LeaseRequest, LeaseState};
use crate::store::filter::Filter;
use crate::store::fold::{Snapshot, StreamFold};
use crate::store::receipt::Receipt;
use crate::store::removal::{Compacted, RemovalRequest, Removed};
use crate::store::report::{BackedUp, VerifyReport};
use crate::store::scan::Scan;
use crate::token::TokenKey;
use crate::version::{Generation, Position, StreamState, Version};

/// What keeps the events.
///
/// An implementation promises, to every caller in every process:
///
/// 1. **Atomic.** A commit is written whole or not at all; no reader ever sees a
///    part of it. All of its expectations are evaluated on one state of the
///    store, the one that it is written upon.
/// 2. **Decided once.** What becomes of a commit follows the truth table of
///    [`ExpectedVersion`](crate::ExpectedVersion) and the rules for repeats and
///    keys; `testkit::contract::CASES` has each of them as data.
/// 3. **Ordered.** Versions of a stream are contiguous from 1. Positions are dense
///    from 1 and follow commit order: no reader sees a position before every
///    smaller one that will ever exist. `recorded_at` never decreases with
///    position. The events of one commit stand next to each other, in its order. A
///    removal takes a position of its own, under which no event is read and the feed
///    tells of it.
/// 4. **Durable.** An answer, also a refusal or a repeat, is given only when what
///    it rests on is as durable as the store promises.
/// 5. **Remembered.** Event ids and commit keys are recognised for as long as the
///    store exists.
/// 6. **Honest.** An outcome that is not known is
///    [`Unknown`](crate::StoreErrorKind::Unknown), never a guess. Damage is
///    [`Corrupt`](crate::StoreErrorKind::Corrupt), never wrong data.
/// 7. **Cancel safe.** A future that is dropped leaves a commit done or not done,
///    never half; reads leave nothing behind.
/// 8. **Fenced.** A commit that carries a token of a lease is written only if that
///    token is the one granted last and not given back, as of the state that the
///    commit is written upon. Tokens of a name never fall. A repeat is answered
///    whatever its tokens.
/// 9. **Closed for good.** After [`close`](Self::close) every call answers
///    [`HandleClosed`](crate::StoreErrorKind::HandleClosed); what was accepted
///    before is answered first.
///
/// The tests named in `testkit::contract` hold it to these.
pub trait Backend: Send + Sync + 'static {
    /// Writes a commit, or says why not.
    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>>;

    /// Writes commits of which each was decided on what the ones before it leave: in order,
    /// and none after the first that is refused. Answers for each that was tried, at least one,
    /// so that the last answer is the only one that may be an error.
    ///
    /// A backend may give them one fate: where it then does not know, or could not write,
    /// that is its only answer, and it holds for all of them.
    fn commit_chain(
        &self,
        requests: Vec<CommitRequest>,
    ) -> BoxFuture<'_, Vec<Result<Receipt, AppendError>>> {
        Box::pin(one_by_one(requests, |request| self.commit(request)))
    }

    /// Removes events of a stream or seals it, or says why not.
    fn remove(&self, request: RemovalRequest) -> BoxFuture<'_, Result<Removed, AppendError>>;

    /// Strips what was removed of payload and metadata.
    fn compact(&self) -> BoxFuture<'_, Result<Compacted, StoreError>>;

    /// Reads one page of one stream.
    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>>;

    /// Reads one page of one stream and folds it, from a kept state on where the query
    /// takes one that still holds.
    fn fold_stream(
        &self,
        query: FoldQuery,
        fold: Box<dyn StreamFold>,
    ) -> BoxFuture<'_, Result<FoldPage, StoreError>> {
        Box::pin(fold_page(self, query, fold))
    }

    /// Whether a stream stands at this version and generation now, if that can be told at
    /// once: without waiting for a thread, another process or a network. A backend that cannot
    /// tells nothing, and is asked to read.
    fn stands_at(
        &self,
        stream: &StreamId,
        version: Version,
        generation: Generation,
    ) -> Option<bool> {
        let _ = (stream, version, generation);
        None
    }

    /// The state of a stream that was kept last, if it was folded so and nothing was removed
    /// since. A backend that keeps none has none.
    fn snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fingerprint: Fingerprint,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, StoreError>> {
        let _ = (stream, fingerprint);
        Box::pin(async { Ok(None) })
    }

    /// Keeps a state of a stream in place of the one before, unless it is one of another
    /// generation, or the one that is kept is newer or the same; says whether it did. Removing
    /// events removes the state, too.
    fn keep_snapshot(
        &self,
        stream: StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        let _ = (stream, snapshot);
        Box::pin(async { Ok(false) })
    }

    /// Reads one page over all streams.
    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>>;

    /// Reads one page of the feed: the events and the removals after a position.
    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>>;

    /// Tells from now on when there may be something new to read, soon after each commit
    /// of any process, and when the store is closed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store is closed, or nobody can be put to listen.
    fn changes(&self) -> Result<Changes, StoreError>;

    /// Lists streams in the order of their names.
    fn list_streams(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<StreamInfo>, StoreError>>;

    /// Says what a stream is without reading its events.
    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>>;

    /// Finds an event by its id.
    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>>;

    /// Finds the commit that took effect under a key of a stream.
    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>>;

    /// The database that the events are in, where read models live beside them. None where
    /// it has no tables.
    #[cfg(feature = "sqlite")]
    fn database(&self) -> Option<Database> {
        None
    }

    /// What tells this store from every other, for as long as it exists.
    fn identity(&self) -> StoreIdentity;

    /// Grants, renews or gives back a lease, or says whose it is.
    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<LeaseAnswer, StoreError>>;

    /// Who holds a lease now; none if nobody does.
    fn lease_holder<'a>(
        &'a self,
        name: &'a LeaseName,
    ) -> BoxFuture<'a, Result<Option<LeaseState>, StoreError>>;

    /// The largest position written; zero in an empty store.
    fn head(&self) -> BoxFuture<'_, Result<Position, StoreError>>;

    /// Looks at everything stored, and tells what is not as it was written.
    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, StoreError>>;

    /// Copies the store into a new file while it is in use, and checks the copy. A store
    /// that is no file of its own answers [`Invalid`](crate::StoreErrorKind::Invalid).
    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<BackedUp, StoreError>> {
        let what = format!("backing up to {} a store that is no file", to.display());
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Invalid, what)) })
    }

    /// Answers what was accepted, then stops and frees what it holds. Calling it
    /// again is no error.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// One page of one stream.
#[derive(Clone, Debug)]
pub struct StreamQuery {
    /// The stream.
    pub stream: StreamId,
    /// The versions to read.
    pub scan: Scan<Version>,
    /// The generation that the page before this one was read at, if there was one; at
    /// another the answer is
    /// [`RemovedMeanwhile`](crate::StoreErrorKind::RemovedMeanwhile).
    pub generation: Option<Generation>,
    /// The event types to read; empty for all.
    pub types: Arc<[EventType]>,
}

/// What a page of one stream holds.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamPage {
    /// The events, in the direction asked for.
    pub events: Vec<RecordedEvent>,
    /// The stream's version when the page was read.
    pub version: Version,
    /// The stream's generation when the page was read.
    pub generation: Generation,
    /// Where the next page goes on, in the direction asked for: the version that
    /// was not looked at yet. None where nothing is left.
    pub next: Option<Version>,
}

/// One page of one stream, to be folded.
#[derive(Clone, Debug)]
pub struct FoldQuery {
    /// Which events, forwards.
    pub stream: StreamQuery,
    /// What the kept state must have been folded by, to begin with it; none to begin with
    /// the first event.
    pub snapshot: Option<Fingerprint>,
}

/// What became of a page that was folded.
pub struct FoldPage {
    /// What took in the events.
    pub fold: Box<dyn StreamFold>,
    /// The stream's version when the page was read.
    pub version: Version,
    /// The stream's generation when the page was read.
    pub generation: Generation,
    /// The version that was not looked at yet; none where nothing is left, or no more was
    /// wanted.
    pub next: Option<Version>,
}

impl FoldPage {
    /// Of a page whose events were taken in.
    pub(crate) fn of(fold: Box<dyn StreamFold>, page: &StreamPage) -> Self {
        Self {
            fold,
            version: page.version,
            generation: page.generation,
            next: page.next,
        }
    }
}

/// One page over all streams.
#[derive(Clone, Debug)]
pub struct AllQuery {
    /// The positions to read.
    pub scan: Scan<Position>,
    /// Which events to read.
    pub filter: Filter,
}

/// What a page over all streams holds.
#[derive(Clone, Debug, PartialEq)]
pub struct AllPage {
    /// The events, in the direction asked for.
    pub events: Vec<RecordedEvent>,
    /// The last position looked at, whether or not its event passed the filter:
    /// what a checkpoint moves to. None where nothing was looked at.
    pub scanned_to: Option<Position>,
    /// The largest position in the store when the page was read.
    pub head: Position,
    /// Where the next page goes on, in the direction asked for. None where
    /// nothing is left.
    pub next: Option<Position>,
}

/// A part of the list of streams.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The beginning of the stream ids; a category is the prefix `category-`.
    pub prefix: String,
    /// The stream after which to begin, in the order of names.
    pub after: Option<StreamId>,
    /// Streams on the page, at least 1.
    pub streams_max: u32,
}

/// Sends commits one after the other, up to the first that is refused.
pub(crate) async fn one_by_one<F>(
    requests: Vec<CommitRequest>,
    commit: impl Fn(CommitRequest) -> F,
) -> Vec<Result<Receipt, AppendError>>
where
    F: Future<Output = Result<Receipt, AppendError>>,
{
    let mut told = Vec::with_capacity(requests.len());
    for request in requests {
        let answer = commit(request).await;
        let is_refused = answer.is_err();
        told.push(answer);
        if is_refused {
            break;
        }
    }
    told
}

/// Folds a page that is read as one. A backend that reads on other threads has a shorter way.
pub(crate) async fn fold_page<B: Backend + ?Sized>(
    backend: &B,
    query: FoldQuery,
    mut fold: Box<dyn StreamFold>,
) -> Result<FoldPage, StoreError> {
    let FoldQuery {
        stream: read,
        snapshot,
    } = query;
    if let Some(fingerprint) = snapshot
        && let Some(kept) = backend.snapshot(&read.stream, fingerprint).await?
        && (read.scan.from..=read.scan.to).contains(&kept.version)
    {
        // What follows it, if nothing was removed since; else the whole stream after all.
        let mut rest = read.clone();
        rest.scan.from = kept.version.next();
        rest.generation = Some(kept.generation);
        match backend.read_stream(rest).await {
            Ok(page) if fold.begin(&kept) => return Ok(folded(page, fold)),
            Ok(_) => {}
            Err(error) if error.kind() == StoreErrorKind::RemovedMeanwhile => {}
            Err(error) => return Err(error),
        }
    }
    Ok(folded(backend.read_stream(read).await?, fold))
}

fn folded(mut page: StreamPage, mut fold: Box<dyn StreamFold>) -> FoldPage {
    let mut events = page.events.iter();
    if events.any(|event| fold.event(event.borrowed()).is_break()) {
        page.next = None;
    }
    FoldPage::of(fold, &page)
}

/// A commit that took effect under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFound {
    /// What the key stands for.
    pub fingerprint: Fingerprint,
    /// The receipt, as a repeat is told it.
    pub receipt: Receipt,
}

/// What tells a store from every other.
#[derive(Clone, Debug)]
pub struct StoreIdentity {
    /// Its id.
    pub id: Uuid,
    /// What its version tokens are minted with.
    pub token_key: TokenKey,
}

/// What a stream is, without its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// The stream.
    pub stream: StreamId,
    /// How many events were ever appended.
    pub version: Version,
    /// How often events were removed.
    pub generation: Generation,
    /// The version of the first event that can be read; none where none can.
    pub first_version: Option<Version>,
    /// Whether it can be read and written.
    pub state: StreamState,
    /// The position of its last event, removed or not.
    pub last_position: Option<Position>,
    /// The id of its last event, removed or not.
    pub last_event: Option<EventId>,
}
