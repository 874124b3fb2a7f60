//! One read of the feed for all followers of a runner, also while they catch up.
//!
//! They come on at about the same pace, since each waits for the same disk. So the last
//! pages are kept for a moment, and who comes to where another one was takes its page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use crate::store::{Backend, FeedPage, FeedQuery, Scanned, StoreError, Wrapper};

/// A store whose last pages are kept.
pub(super) struct SharedFeed {
    inner: Arc<dyn Backend>,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Default)]
struct Pages {
    /// The page of each query, the last one at the end.
    recent: VecDeque<(FeedQuery, FeedPage)>,
    /// What is being read, each closed when it is there.
    reading: Vec<(FeedQuery, watch::Receiver<()>)>,
    /// How often all was forgotten.
    forgotten: u64,
}

/// What is to be done for a query.
enum Plan {
    /// It is there.
    Take(FeedPage),
    /// It may be there when this is closed.
    Wait(watch::Receiver<()>),
    /// It is to be read, and this closed then.
    Read(watch::Sender<()>, u64),
}

impl Wrapper for SharedFeed {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        if query.bounds.scan_max <= 1 {
            // Who looks at one position wants to know what is there now.
            return self.inner.read_feed(query);
        }
        Box::pin(async move {
            loop {
                let plan = locked(&self.pages).plan(&query);
                match plan {
                    Plan::Take(page) => return Ok(page),
                    Plan::Wait(mut until) => drop(until.changed().await),
                    Plan::Read(done, forgotten) => {
                        let read = self.read(query.clone(), done, forgotten);
                        return match read.await {
                            Ok(page) => page,
                            // The runtime ends.
                            Err(_) => self.inner.read_feed(query).await,
                        };
                    }
                }
            }
        })
    }
}

impl SharedFeed {
    pub(super) fn new(inner: Arc<dyn Backend>) -> Self {
        Self {
            inner,
            pages: Arc::default(),
        }
    }

    /// Forgets what was read. A build that begins now must not be given events that were
    /// removed before.
    pub(super) fn forget(&self) {
        let mut pages = locked(&self.pages);
        pages.recent.clear();
        pages.forgotten += 1;
    }

    /// Reads in a task of its own: whoever wants the page may have other things to do
    /// before it asks again, and others wait for the same page.
    fn read(
        &self,
        query: FeedQuery,
        done: watch::Sender<()>,
        forgotten: u64,
    ) -> oneshot::Receiver<Result<FeedPage, StoreError>> {
        let (inner, pages) = (Arc::clone(&self.inner), Arc::clone(&self.pages));
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let page = inner.read_feed(query.clone()).await;
            if let Ok(page) = &page {
                locked(&pages).keep(query, page, forgotten);
            }
            drop(done);
            // Who has asked may be gone.
            let _ = answer.send(page);
        });
        answered
    }
}

impl Pages {
    const KEPT_MAX: usize = 4;

    fn plan(&mut self, query: &FeedQuery) -> Plan {
        let mut recent = self.recent.iter();
        if let Some(page) = recent.find_map(|(kept, page)| rest(kept, page, query)) {
            return Plan::Take(page);
        }
        self.reading.retain(|(_, done)| done.has_changed().is_ok());
        let is_same = |read: &FeedQuery| {
            let unfiltered = read.filter.is_empty() && query.filter.is_empty();
            unfiltered && (read.after, read.bounds) == (query.after, query.bounds)
        };
        let mut reading = self.reading.iter();
        if let Some((_, done)) = reading.find(|(read, _)| is_same(read)) {
            return Plan::Wait(done.clone());
        }
        let (done, until) = watch::channel(());
        self.reading.push((query.clone(), until));
        Plan::Read(done, self.forgotten)
    }

    fn keep(&mut self, query: FeedQuery, page: &FeedPage, forgotten: u64) {
        // One that ends with the store will be longer the next time.
        let is_whole = |end: Scanned| end.position < page.head;
        let is_fresh = forgotten == self.forgotten;
        if is_fresh && page.scanned.is_some_and(is_whole) && query.filter.is_empty() {
            if self.recent.len() == Self::KEPT_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back((query, page.clone()));
        }
    }
}

/// Nothing that could panic runs under the lock.
fn locked(pages: &Mutex<Pages>) -> MutexGuard<'_, Pages> {
    pages.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a page holds of what another query asks for, if it holds its beginning.
fn rest(kept: &FeedQuery, page: &FeedPage, query: &FeedQuery) -> Option<FeedPage> {
    let end = page.scanned?.position;
    let holds = kept.after <= query.after && query.after < end;
    if !holds || kept.bounds != query.bounds || !query.filter.is_empty() {
        return None;
    }
    let wanted = page
        .items
        .iter()
        .filter(|item| item.position() > query.after);
    Some(FeedPage {
        items: wanted.cloned().collect(),
        scanned: page.scanned,
        head: page.head,
    })
}
