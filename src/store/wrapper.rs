//! A backend around another one: what it does not change goes through.
//!
//! For metrics, caches and faults; a test puts one between a store and what it tests.

use std::path::Path;

use futures_core::future::BoxFuture;

use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::backend::{
    AllPage, AllQuery, Backend, CommitFound, FoldPage, FoldQuery, ListQuery, StoreIdentity,
    StreamInfo, StreamPage, StreamQuery, fold_page, one_by_one,
};
use crate::store::changes::Changes;
use crate::store::commit::{CommitRequest, Fingerprint};
#[cfg(feature = "sqlite")]
use crate::store::database::Database;
use crate::store::error::{AppendError, StoreError};
use crate::store::feed::{FeedPage, FeedQuery};
use crate::store::fence::{LeaseAnswer, LeaseName, LeaseRequest, LeaseState};
use crate::store::fold::{Snapshot, StreamFold};
use crate::store::receipt::Receipt;
use crate::store::removal::{Compacted, RemovalRequest, Removed};
use crate::store::report::{BackedUp, VerifyReport};
use crate::version::{Generation, Position, Version};

/// A [`Backend`] that hands on what it does not change. Each method is that of the
/// backend of the same name, and asks [`inner`](Self::inner) unless it is written anew.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use annalist::store::{Backend, CommitRequest, Wrapper};
/// use annalist::{AppendError, Limits, NewEvent, Receipt, Store, Version};
/// use futures_util::future::BoxFuture;
///
/// /// Counts the commits that are sent.
/// struct Counted {
///     inner: Arc<dyn Backend>,
///     commits: AtomicU64,
/// }
///
/// impl Wrapper for Counted {
///     fn inner(&self) -> &dyn Backend {
///         self.inner.as_ref()
///     }
///
///     fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
///         self.commits.fetch_add(1, Ordering::Relaxed);
///         self.inner.commit(request)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inner = Store::memory().backend();
/// let counted = Arc::new(Counted { inner, commits: AtomicU64::default() });
/// let store = Store::from_backend(counted.clone(), Limits::default());
/// store.append(&"account-42".parse()?, Version::ZERO, [NewEvent::json("Opened", &1)?]).await?;
/// assert_eq!(counted.commits.load(Ordering::Relaxed), 1);
/// # Ok(()) }
/// ```
#[expect(missing_docs, reason = "the backend's own say what each is for")]
pub trait Wrapper: Send + Sync + 'static {
    /// What is wrapped.
    fn inner(&self) -> &dyn Backend;

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        self.inner().commit(request)
    }

    /// One after the other through [`commit`](Self::commit), so that none passes by what is
    /// wrapped around it. One that does not touch commits hands it on, to share flushes.
    fn commit_chain(
        &self,
        requests: Vec<CommitRequest>,
    ) -> BoxFuture<'_, Vec<Result<Receipt, AppendError>>> {
        Box::pin(one_by_one(requests, |request| self.commit(request)))
    }

    fn remove(&self, request: RemovalRequest) -> BoxFuture<'_, Result<Removed, AppendError>> {
        self.inner().remove(request)
    }

    fn compact(&self) -> BoxFuture<'_, Result<Compacted, StoreError>> {
        self.inner().compact()
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        self.inner().read_stream(query)
    }

    /// Through [`read_stream`](Self::read_stream), so that none passes by what is wrapped
    /// around it. One that does not touch reads hands it on, to fold where the events are read.
    fn fold_stream(
        &self,
        query: FoldQuery,
        fold: Box<dyn StreamFold>,
    ) -> BoxFuture<'_, Result<FoldPage, StoreError>>
    where
        Self: Sized,
    {
        Box::pin(fold_page(self, query, fold))
    }

    /// Tells nothing, so that it is read. One that does not touch reads hands it on.
    fn stands_at(
        &self,
        stream: &StreamId,
        version: Version,
        generation: Generation,
    ) -> Option<bool> {
        let _ = (stream, version, generation);
        None
    }

    fn snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fingerprint: Fingerprint,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, StoreError>> {
        self.inner().snapshot(stream, fingerprint)
    }

    fn keep_snapshot(
        &self,
        stream: StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.inner().keep_snapshot(stream, snapshot)
    }

    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        self.inner().read_all(query)
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        self.inner().read_feed(query)
    }

    fn changes(&self) -> Result<Changes, StoreError> {
        self.inner().changes()
    }

    fn list_streams(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<StreamInfo>, StoreError>> {
        self.inner().list_streams(query)
    }

    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>> {
        self.inner().stream_info(stream)
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        self.inner().find_event(stream, id)
    }

    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>> {
        self.inner().find_commit(stream, key)
    }

    #[cfg(feature = "sqlite")]
    fn database(&self) -> Option<Database> {
        self.inner().database()
    }

    fn identity(&self) -> StoreIdentity {
        self.inner().identity()
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<LeaseAnswer, StoreError>> {
        self.inner().lease(request)
    }

    fn lease_holder<'a>(
        &'a self,
        name: &'a LeaseName,
    ) -> BoxFuture<'a, Result<Option<LeaseState>, StoreError>> {
        self.inner().lease_holder(name)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.inner().head()
    }

    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, StoreError>> {
        self.inner().verify()
    }

    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<BackedUp, StoreError>> {
        self.inner().backup(to)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner().close()
    }
}

impl<W: Wrapper> Backend for W {
    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Wrapper::commit(self, request)
    }

    fn commit_chain(
        &self,
        requests: Vec<CommitRequest>,
    ) -> BoxFuture<'_, Vec<Result<Receipt, AppendError>>> {
        Wrapper::commit_chain(self, requests)
    }

    fn remove(&self, request: RemovalRequest) -> BoxFuture<'_, Result<Removed, AppendError>> {
        Wrapper::remove(self, request)
    }

    fn compact(&self) -> BoxFuture<'_, Result<Compacted, StoreError>> {
        Wrapper::compact(self)
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        Wrapper::read_stream(self, query)
    }

    fn fold_stream(
        &self,
        query: FoldQuery,
        fold: Box<dyn StreamFold>,
    ) -> BoxFuture<'_, Result<FoldPage, StoreError>> {
        Wrapper::fold_stream(self, query, fold)
    }

    fn stands_at(
        &self,
        stream: &StreamId,
        version: Version,
        generation: Generation,
    ) -> Option<bool> {
        Wrapper::stands_at(self, stream, version, generation)
    }

    fn snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fingerprint: Fingerprint,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, StoreError>> {
        Wrapper::snapshot(self, stream, fingerprint)
    }

    fn keep_snapshot(
        &self,
        stream: StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        Wrapper::keep_snapshot(self, stream, snapshot)
    }

    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        Wrapper::read_all(self, query)
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        Wrapper::read_feed(self, query)
    }

    fn changes(&self) -> Result<Changes, StoreError> {
        Wrapper::changes(self)
    }

    fn list_streams(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<StreamInfo>, StoreError>> {
        Wrapper::list_streams(self, query)
    }

    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>> {
        Wrapper::stream_info(self, stream)
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        Wrapper::find_event(self, stream, id)
    }

    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>> {
        Wrapper::find_commit(self, stream, key)
    }

    #[cfg(feature = "sqlite")]
    fn database(&self) -> Option<Database> {
        Wrapper::database(self)
    }

    fn identity(&self) -> StoreIdentity {
        Wrapper::identity(self)
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<LeaseAnswer, StoreError>> {
        Wrapper::lease(self, request)
    }

    fn lease_holder<'a>(
        &'a self,
        name: &'a LeaseName,
    ) -> BoxFuture<'a, Result<Option<LeaseState>, StoreError>> {
        Wrapper::lease_holder(self, name)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, StoreError>> {
        Wrapper::head(self)
    }

    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, StoreError>> {
        Wrapper::verify(self)
    }

    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<BackedUp, StoreError>> {
        Wrapper::backup(self, to)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Wrapper::close(self)
    }
}
