//! Pages turned into streams: the part that every read shares.
//!
//! One page is in flight at most: it is asked for when the one before it is handed over, so
//! that it is read while that is worked on. That is 1.1 times the events on two cores.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;

use crate::event::RecordedEvent;
use crate::store::backend::{
    AllPage, AllQuery, Backend, ListQuery, StreamInfo, StreamPage, StreamQuery,
};
use crate::store::error::StoreError;
use crate::store::scan;

/// A query, where to ask it, and how many items are still wanted.
#[derive(Clone)]
pub(super) struct Read<Q> {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) query: Q,
    pub(super) remaining: Option<u64>,
}

impl<Q> Read<Q> {
    pub(super) fn new(backend: Arc<dyn Backend>, query: Q) -> Self {
        Self {
            backend,
            query,
            remaining: None,
        }
    }
}

impl<Q: std::fmt::Debug> std::fmt::Debug for Read<Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} limited to {:?}", self.query, self.remaining)
    }
}

type Fetch<Q> = BoxFuture<'static, Result<<Q as sealed::Paged>::Page, StoreError>>;

/// A read as a [`Stream`] of pages. It ends after its first error.
#[must_use = "streams do nothing unless polled"]
pub struct Pages<Q: Paged> {
    backend: Arc<dyn Backend>,
    /// What to ask next; none when nothing is left.
    query: Option<Q>,
    /// How many items are still wanted; none for all.
    remaining: Option<u64>,
    /// The page that is being fetched, with its query.
    fetching: Option<(Q, Fetch<Q>)>,
    /// What that has come to, before anybody has asked for it.
    ahead: Option<Result<Q::Page, StoreError>>,
}

impl<Q: Paged> Pages<Q> {
    pub(super) fn new(read: Read<Q>) -> Self {
        Self {
            backend: read.backend,
            query: Some(read.query),
            remaining: read.remaining,
            fetching: None,
            ahead: None,
        }
    }

    /// Begins with the next page. A backend does nothing before it is polled.
    fn go_ahead(&mut self, cx: &mut Context<'_>) {
        if self.begin()
            && let Some((_, page)) = &mut self.fetching
            && let Poll::Ready(page) = page.as_mut().poll(cx)
        {
            self.ahead = Some(page);
        }
    }

    fn begin(&mut self) -> bool {
        let Some(query) = self.query.take() else {
            return false;
        };
        let capped = match self.remaining {
            Some(remaining) => query.clone().capped(remaining),
            None => query.clone(),
        };
        let page = capped.fetch(Arc::clone(&self.backend));
        self.fetching = Some((query, page));
        true
    }

    fn finish(&mut self, query: Q, page: &Q::Page) {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(Q::len(page) as u64);
        }
        if self.remaining != Some(0) {
            self.query = query.after(page);
        }
    }
}

impl<Q: Paged> Stream for Pages<Q> {
    type Item = Result<Q::Page, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.fetching.is_none() && !self.begin() {
            return Poll::Ready(None);
        }
        let ahead = self.ahead.take();
        let page = match (ahead, &mut self.fetching) {
            (Some(page), _) => page,
            (None, Some((_, page))) => ready!(page.as_mut().poll(cx)),
            (None, None) => return Poll::Ready(None),
        };
        if let (Some((query, _)), Ok(page)) = (self.fetching.take(), &page) {
            self.finish(query, page);
            self.go_ahead(cx);
        }
        Poll::Ready(Some(page))
    }
}

/// A read as a [`Stream`] of single events or streams. It holds one page, and reads
/// the next one meanwhile; it ends after its first error.
#[must_use = "streams do nothing unless polled"]
pub struct Items<Q: Paged> {
    pages: Pages<Q>,
    page: VecDeque<Q::Item>,
}

impl<Q: Paged> Items<Q> {
    pub(super) fn new(pages: Pages<Q>) -> Self {
        Self {
            pages,
            page: VecDeque::new(),
        }
    }
}

impl<Q: Paged> Stream for Items<Q> {
    type Item = Result<Q::Item, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.page.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(Pin::new(&mut self.pages).poll_next(cx)) {
                Some(Ok(page)) => self.page = Q::items(page).into(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

pub(super) async fn next<Q: Paged>(pages: &mut Pages<Q>) -> Result<Option<Q::Page>, StoreError> {
    std::future::poll_fn(|cx| Pin::new(&mut *pages).poll_next(cx))
        .await
        .transpose()
}

pub(super) async fn collect<Q: Paged>(mut pages: Pages<Q>) -> Result<Vec<Q::Item>, StoreError> {
    let mut items = Vec::new();
    while let Some(page) = next(&mut pages).await? {
        items.extend(Q::items(page));
    }
    Ok(items)
}

/// A query that is answered in pages, each telling what to ask next.
///
/// Sealed: the three queries of this module are all there are.
pub trait Paged: sealed::Paged {}

impl<Q: sealed::Paged> Paged for Q {}

mod sealed {
    use super::{Arc, Backend, BoxFuture, StoreError};

    pub trait Paged: Clone + Send + Unpin + 'static {
        type Page: Send + Unpin;
        type Item: Send + Unpin;

        fn fetch(
            self,
            backend: Arc<dyn Backend>,
        ) -> BoxFuture<'static, Result<Self::Page, StoreError>>;
        /// The query for the page after this one.
        fn after(self, page: &Self::Page) -> Option<Self>;
        /// At most so many items; none leaves a query that only asks for the version or head.
        fn capped(self, items_max: u64) -> Self;
        fn len(page: &Self::Page) -> usize;
        fn items(page: Self::Page) -> Vec<Self::Item>;
    }
}

impl sealed::Paged for StreamQuery {
    type Page = StreamPage;
    type Item = RecordedEvent;

    fn fetch(self, backend: Arc<dyn Backend>) -> Fetch<Self> {
        Box::pin(async move { backend.read_stream(self).await })
    }

    fn after(mut self, page: &StreamPage) -> Option<Self> {
        self.scan = scan::going_on(self.scan, page.next?, page.version)?;
        self.generation = Some(page.generation);
        Some(self)
    }

    fn capped(mut self, items_max: u64) -> Self {
        self.scan = scan::capped(self.scan, items_max);
        self
    }

    fn len(page: &StreamPage) -> usize {
        page.events.len()
    }

    fn items(page: StreamPage) -> Vec<RecordedEvent> {
        page.events
    }
}

impl sealed::Paged for AllQuery {
    type Page = AllPage;
    type Item = RecordedEvent;

    fn fetch(self, backend: Arc<dyn Backend>) -> Fetch<Self> {
        Box::pin(async move { backend.read_all(self).await })
    }

    fn after(mut self, page: &AllPage) -> Option<Self> {
        self.scan = scan::going_on(self.scan, page.next?, page.head)?;
        Some(self)
    }

    fn capped(mut self, items_max: u64) -> Self {
        self.scan = scan::capped(self.scan, items_max);
        self
    }

    fn len(page: &AllPage) -> usize {
        page.events.len()
    }

    fn items(page: AllPage) -> Vec<RecordedEvent> {
        page.events
    }
}

impl sealed::Paged for ListQuery {
    type Page = Vec<StreamInfo>;
    type Item = StreamInfo;

    fn fetch(self, backend: Arc<dyn Backend>) -> Fetch<Self> {
        Box::pin(async move {
            match self.streams_max {
                0 => Ok(Vec::new()),
                _ => backend.list_streams(self).await,
            }
        })
    }

    fn after(mut self, page: &Self::Page) -> Option<Self> {
        self.after = Some(page.last()?.stream.clone());
        Some(self)
    }

    fn capped(mut self, items_max: u64) -> Self {
        let cap = u32::try_from(items_max).unwrap_or(u32::MAX);
        self.streams_max = self.streams_max.min(cap);
        self
    }

    fn len(page: &Self::Page) -> usize {
        page.len()
    }

    fn items(page: Self::Page) -> Vec<StreamInfo> {
        page
    }
}
