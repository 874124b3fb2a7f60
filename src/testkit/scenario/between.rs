//! A store into which others write at a moment that is chosen: after the command under
//! test has loaded, before it appends. It never changes what is asked or answered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;

use super::deed::Deed;
use crate::ids::StreamId;
use crate::store::{
    AppendError, Backend, CommitRequest, Limits, Receipt, Snapshot, Store, StoreError, Wrapper,
};

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

impl Wrapper for Between {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    /// None is kept, in the background, where a scenario could not say when.
    fn keep_snapshot(&self, _: StreamId, _: Snapshot) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async { Ok(false) })
    }

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
}
