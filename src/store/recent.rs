//! One read of the feed for all who wait at its end.
//!
//! A commit wakes every follower. If each of them read what it wrote, a hundred followers
//! would take half of the machine from the writer; so one reads for all, and each chooses
//! from its page what passes its filter.
//!
//! A follower may only be given a page that holds what it was woken for, or it would fall
//! asleep over that: one that comes as far as the bell said, or was begun later. And none
//! may hold the others up: who waits for a page also helps to read it, so it is read though
//! whoever began it is not polled any more.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::future::BoxFuture;

use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::feed::{FeedItem, FeedPage, FeedQuery, Scanned};
use crate::version::Position;

/// The page that was read last, or is being read, and how many might want it.
#[derive(Default)]
pub(crate) struct Recent {
    followers: AtomicUsize,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// How many reads were begun.
    begun: u64,
    read: Option<Arc<Read>>,
}

/// When a follower was woken, and for what.
#[derive(Clone, Copy)]
pub(crate) struct Woken {
    /// How many reads were begun by then.
    begun: u64,
    /// What the bell had said by then.
    head: Position,
}

/// A follower, as long as it is one.
pub(crate) struct Seat(Arc<Recent>);

impl Seat {
    pub(crate) fn taken(recent: Arc<Recent>) -> Self {
        recent.followers.fetch_add(1, Ordering::Relaxed);
        Self(recent)
    }

    /// Now, for one that has just taken its bell as heard, and was told this head.
    pub(crate) fn woken(&self, head: Position) -> Woken {
        let begun = locked(&self.0.last).begun;
        Woken { begun, head }
    }

    /// A page that holds what woke the follower, read by it or by another.
    pub(crate) async fn read(
        &self,
        backend: &Arc<dyn Backend>,
        query: &FeedQuery,
        woken: Woken,
    ) -> Result<FeedPage, StoreError> {
        let mut too_old = 0;
        while self.0.followers.load(Ordering::Relaxed) > 1 {
            let read = self.0.join(backend, query.after, too_old);
            let page = poll_fn(|cx| read.poll(cx)).await;
            let is_later = read.number > woken.begun;
            // A ring that tells of nothing new may mean something else, such as an error.
            let is_news = woken.head > query.after;
            match page {
                Ok(page) if is_later || (is_news && page.head >= woken.head) => {
                    match read.reaches(&page, query.after) {
                        true => return Ok(choose(&page, query)),
                        false => break,
                    }
                }
                Err(error) if is_later => return Err(error),
                _ => too_old = read.number,
            }
        }
        backend.read_feed(query.clone()).await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Recent {
    /// The last read, or where that is known to be too old, a new one. The one before is
    /// through then: one reads at a time, and all who come meanwhile wait for it.
    fn join(&self, backend: &Arc<dyn Backend>, after: Position, too_old: u64) -> Arc<Read> {
        let mut last = locked(&self.last);
        if let Some(read) = last.read.as_ref().filter(|read| read.number > too_old) {
            return Arc::clone(read);
        }
        last.begun += 1;
        let read = Arc::new(Read::begin(last.begun, Arc::clone(backend), after));
        last.read = Some(Arc::clone(&read));
        read
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The read of a page without a filter, which anybody may poll to its end.
struct Read {
    /// Which one it is, by the count of those that were begun.
    number: u64,
    after: Position,
    state: Mutex<State>,
    waiting: Arc<Waiting>,
}

enum State {
    Reading(BoxFuture<'static, Result<FeedPage, StoreError>>),
    Done(Result<Arc<FeedPage>, StoreError>),
}

/// All who have polled since the last wake.
#[derive(Default)]
struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    fn add(&self, waker: &Waker) {
        let mut waiting = locked(&self.0);
        // Who is polled again and again is woken once.
        if waiting.last().is_none_or(|last| !last.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let waiting = std::mem::take(&mut *locked(&self.0));
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Read {
    fn begin(number: u64, backend: Arc<dyn Backend>, after: Position) -> Self {
        let query = FeedQuery {
            after,
            ..FeedQuery::default()
        };
        let reading = async move { backend.read_feed(query).await };
        Self {
            number,
            after,
            state: Mutex::new(State::Reading(Box::pin(reading))),
            waiting: Arc::default(),
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Arc<FeedPage>, StoreError>> {
        let mut state = locked(&self.state);
        let page = match &mut *state {
            State::Done(page) => return Poll::Ready(told(page)),
            State::Reading(reading) => {
                // Before it is polled, so that its wake finds this one too.
                self.waiting.add(cx.waker());
                let all = Waker::from(Arc::clone(&self.waiting));
                match reading.as_mut().poll(&mut Context::from_waker(&all)) {
                    Poll::Ready(page) => page.map(Arc::new),
                    Poll::Pending => return Poll::Pending,
                }
            }
        };
        let answer = told(&page);
        *state = State::Done(page);
        drop(state);
        Arc::clone(&self.waiting).wake();
        Poll::Ready(answer)
    }

    /// Whether its page tells what comes after a position, if only that nothing does.
    fn reaches(&self, page: &FeedPage, after: Position) -> bool {
        let end = page.scanned.map_or(self.after, |scanned| scanned.position);
        self.after <= after && (end > after || (end == after && page.head <= after))
    }
}

/// What was read, for one of those who waited for it.
fn told(page: &Result<Arc<FeedPage>, StoreError>) -> Result<Arc<FeedPage>, StoreError> {
    match page {
        Ok(page) => Ok(Arc::clone(page)),
        Err(error) => Err(error.again()),
    }
}

/// What a read of its own would have found on this page. It costs nothing to look at what
/// is here, so `scan_max` does not end it.
fn choose(shared: &FeedPage, query: &FeedQuery) -> FeedPage {
    let mut page = FeedPage {
        items: Vec::new(),
        scanned: shared
            .scanned
            .filter(|scanned| scanned.position > query.after),
        head: shared.head,
    };
    let mut bytes = 0;
    let passing = shared.items.iter().filter(|item| {
        let passes = match item {
            FeedItem::Event(event) => query.filter.passes(&event.stream, &event.event_type),
            FeedItem::Removed(marker) => query.filter.passes_stream(&marker.stream),
        };
        passes && item.position() > query.after
    });
    for item in passing {
        page.items.push(item.clone());
        bytes += item.event().map_or(0, |event| event.payload.as_str().len());
        let events_max = query.bounds.events_max.max(1) as usize;
        if page.items.len() >= events_max || bytes >= query.bounds.bytes_max.max(1) {
            page.scanned = Some(Scanned {
                position: item.position(),
                event: item.event().map(|event| event.id),
            });
            break;
        }
    }
    page
}
