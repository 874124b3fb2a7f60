//! One read of the feed for all followers of a runner, also while they catch up.
//!
//! They come on at about the same pace, since each waits for the same disk. So the last
//! pages are kept for a moment, and who comes to where another one was takes its page.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use tokio::sync::Mutex;

use crate::store::{Backend, FeedPage, FeedQuery, StoreError, Wrapper};

/// A store whose last pages are kept.
pub(super) struct SharedFeed {
    inner: Arc<dyn Backend>,
    /// The page of each query, the last one at the end. Held while one is read, so that all
    /// who want it wait for it.
    recent: Mutex<VecDeque<(FeedQuery, FeedPage)>>,
}

impl SharedFeed {
    const PAGES_KEPT_MAX: usize = 4;

    pub(super) fn new(inner: Arc<dyn Backend>) -> Self {
        Self {
            inner,
            recent: Mutex::default(),
        }
    }
}

impl Wrapper for SharedFeed {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        Box::pin(async move {
            let mut recent = self.recent.lock().await;
            let kept = recent
                .iter()
                .find_map(|(kept, page)| rest(kept, page, &query));
            if let Some(page) = kept {
                return Ok(page);
            }
            let page = self.inner.read_feed(query.clone()).await?;
            // One that ends with the store will be longer the next time.
            if page
                .scanned
                .is_some_and(|scanned| scanned.position < page.head)
            {
                if recent.len() == Self::PAGES_KEPT_MAX {
                    recent.pop_front();
                }
                recent.push_back((query, page.clone()));
            }
            Ok(page)
        })
    }
}

impl SharedFeed {
    /// Forgets what was read. A build that begins now must not be given events that were
    /// removed before.
    pub(super) async fn forget(&self) {
        self.recent.lock().await.clear();
    }
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
