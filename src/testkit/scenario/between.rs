//! A store into which others write at a moment that is chosen: after the command under
//! test has loaded, before it appends. It never changes what is asked or answered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;

use super::deed::Deed;
use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::{
    AllPage, AllQuery, AppendError, Backend, CommitFound, CommitRequest, Compacted, LeaseAnswer,
    LeaseName, LeaseRequest, LeaseState, Limits, ListQuery, Receipt, RemovalRequest, Removed,
    Store, StoreError, StoreIdentity, StreamInfo, StreamPage, StreamQuery, VerifyReport,
};
use crate::version::Position;

/// What the command under test takes for its store.
pub(super) struct Between {
    /// The store itself, which the others write to.
    store: Store,
    inner: Arc<dyn Backend>,
    stream: StreamId,
    others: Mutex<Others>,
}

#[derive(Default)]
struct Others {
    /// Each is faster than one attempt.
    waiting: VecDeque<Deed>,
    /// Why one of them was not.
    failed: Option<String>,
}

impl Between {
    pub(super) fn new(store: Store, stream: StreamId) -> Arc<Self> {
        Arc::new(Self {
            inner: store.backend(),
            store,
            stream,
            others: Mutex::default(),
        })
    }

    /// The store as the command under test sees it.
    pub(super) fn seen(self: &Arc<Self>) -> Store {
        Store::from_backend(Arc::<Self>::clone(self), Limits::default())
    }

    /// One more is faster than one more attempt.
    pub(super) fn add(&self, deed: Deed) {
        self.others().waiting.push_back(deed);
    }

    /// How many have not come yet.
    pub(super) fn waiting(&self) -> usize {
        self.others().waiting.len()
    }

    /// Whether each of the others was faster than an attempt.
    pub(super) fn all_came(&self) -> Result<(), String> {
        let others = self.others();
        match (&others.failed, others.waiting.front()) {
            (Some(why), _) => Err(format!("it did not get through: {why}")),
            (None, Some(next)) => Err(format!(
                "nothing was to be appended after it: {}",
                next.told
            )),
            (None, None) => Ok(()),
        }
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Between {
    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(async move {
            let next = self.others().waiting.pop_front();
            if let Some(other) = next
                && let Err(why) = other.happen(&self.store, &self.stream).await
            {
                self.others().failed.get_or_insert(why);
            }
            self.inner.commit(request).await
        })
    }

    fn remove(&self, request: RemovalRequest) -> BoxFuture<'_, Result<Removed, AppendError>> {
        self.inner.remove(request)
    }

    fn compact(&self) -> BoxFuture<'_, Result<Compacted, StoreError>> {
        self.inner.compact()
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        self.inner.read_stream(query)
    }

    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        self.inner.read_all(query)
    }

    fn list_streams(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<StreamInfo>, StoreError>> {
        self.inner.list_streams(query)
    }

    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>> {
        self.inner.stream_info(stream)
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        self.inner.find_event(stream, id)
    }

    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>> {
        self.inner.find_commit(stream, key)
    }

    fn identity(&self) -> StoreIdentity {
        self.inner.identity()
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<LeaseAnswer, StoreError>> {
        self.inner.lease(request)
    }

    fn lease_holder<'a>(
        &'a self,
        name: &'a LeaseName,
    ) -> BoxFuture<'a, Result<Option<LeaseState>, StoreError>> {
        self.inner.lease_holder(name)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.inner.head()
    }

    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, StoreError>> {
        self.inner.verify()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}
