//! How a subscription ends, and what it leaves: nothing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use annalist::store::{Backend, Changes, FeedPage, FeedQuery, Wrapper};
use annalist::{Limits, Position, Store, StoreError, StoreErrorKind};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::watch;

use crate::child::{Role, Spec, Worker, say};
use crate::{NEVER, PATIENCE, Place, append, next};

async fn last_words<S, T>(mut items: S) -> StoreErrorKind
where
    S: futures_util::Stream<Item = Result<T, StoreError>> + Unpin,
{
    let said = tokio::time::timeout(PATIENCE, items.next()).await;
    let said = said.expect("woken in time").expect("an item");
    let kind = said.err().expect("an error").kind();
    assert!(items.next().await.is_none(), "it ends after that");
    kind
}

#[tokio::test]
async fn closing_the_store_ends_every_subscription() {
    let place = Place::new();
    for store in [Store::memory(), place.polling(NEVER).await] {
        append(&store, "a-1", 1).await;
        let mut waiting = store.subscribe(Position::ZERO).items();
        next(&mut waiting).await;
        let waiting = tokio::spawn(last_words(waiting));
        let mut read_to = store.subscribe(Position::ZERO).pages();
        next(&mut read_to).await;
        let begun_late = store.subscribe(Position::ZERO).pages();
        store.close().await.expect("a clean close");
        let closed = StoreErrorKind::HandleClosed;
        assert_eq!(waiting.await.expect("no panic"), closed);
        assert_eq!(last_words(read_to).await, closed);
        assert_eq!(last_words(begun_late).await, closed);
        let after = store.subscribe(Position::ZERO).items();
        assert_eq!(last_words(after).await, closed);
    }
}

#[tokio::test]
async fn a_store_closes_while_somebody_holds_what_rings() {
    let place = Place::new();
    let store = place.polling(NEVER).await;
    let backend = store.backend();
    let mut changes = backend.changes().expect("a bell");
    assert_eq!(changes.mark_seen(), Position::ZERO);
    store.close().await.expect("a clean close");
    changes.changed().await;
    assert_eq!(changes.mark_seen(), Position::MAX);
    let refused = backend.changes().expect_err("closed");
    assert_eq!(refused.kind(), StoreErrorKind::HandleClosed);
    // Neither does one that was not closed wait for them.
    let store = place.polling(NEVER).await;
    let changes = store.backend().changes().expect("a bell");
    drop(store);
    let again = place.open().await;
    drop(changes);
    again.close().await.expect("a clean close");
}

/// Two handles to a file, so that the one left tells when the other has let go.
#[test]
fn subscriptions_that_are_dropped_leave_no_thread() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the threads of a process are counted on Linux alone");
        return;
    }
    let place = Place::new();
    // Threads are counted by process, so it has one of its own.
    let worker = Worker::opened(&Spec {
        path: place.path(),
        role: Role::Threads,
        poll_ms: 3_600_000,
    });
    let counted: Vec<_> = (0..5).map(|_| worker.hear()).collect();
    worker.finish();
    assert_eq!(counted, [0, 1, 1, 0, 1], "threads that listen");
}

/// Counts the threads that listen: with nobody, one and many subscriptions, none again,
/// and one again.
pub(crate) async fn follow_and_stop(store: &Store) {
    append(store, "a-1", 1).await;
    say(count(0));
    let mut first = store.subscribe(Position::ZERO).items();
    next(&mut first).await;
    say(count(1));
    let mut more: Vec<_> = (0..20)
        .map(|_| store.subscribe(Position::ZERO).items())
        .collect();
    for items in &mut more {
        next(items).await;
    }
    drop(first);
    say(count(1));
    // In the middle of waiting, too.
    let mut waiting = more.pop().expect("a subscription");
    let polled = tokio::spawn(async move { waiting.next().await.is_some() });
    drop(more);
    polled.abort();
    let _ = polled.await;
    say(count(0));
    let mut again = store.subscribe(Position::ZERO).items();
    next(&mut again).await;
    say(count(1));
    drop(again);
}

/// Looks until there are so many threads, or it has taken too long.
fn count(expected: u64) -> u64 {
    let begun = Instant::now();
    loop {
        let tasks = fs::read_dir("/proc/self/task").expect("what Linux tells");
        // One that ends while it is looked at is gone.
        let names =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        let listening = names.filter(|name| name.starts_with("annalist-listen"));
        let found = listening.count() as u64;
        if found == expected || begun.elapsed() > PATIENCE {
            return found;
        }
        std::thread::yield_now();
    }
}

/// A store whose every second page of the feed cannot be read.
struct Shaky {
    inner: Arc<dyn Backend>,
    kind: StoreErrorKind,
    reads: AtomicU32,
}

impl Wrapper for Shaky {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        if self.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Box::pin(async { Err(StoreError::new(self.kind, "reading")) });
        }
        self.inner.read_feed(query)
    }
}

fn shaky(store: &Store, kind: StoreErrorKind) -> Store {
    let shaky = Shaky {
        inner: store.backend(),
        kind,
        reads: AtomicU32::default(),
    };
    Store::from_backend(Arc::new(shaky), Limits::default())
}

#[tokio::test]
async fn after_an_error_that_passes_it_goes_on_where_it_was() {
    let store = Store::memory();
    let mut items = shaky(&store, StoreErrorKind::Busy)
        .subscribe(Position::ZERO)
        .items();
    for position in 1..=10 {
        append(&store, "a-1", position).await;
        // Also one that comes to a page which was asked for in vain.
        let said = tokio::time::timeout(PATIENCE, items.next()).await;
        let said = said.expect("woken in time").expect("no end");
        assert_eq!(said.expect_err("every second").kind(), StoreErrorKind::Busy);
        assert_eq!(next(&mut items).await.position(), Position::new(position));
    }
}

#[tokio::test]
async fn after_any_other_error_it_has_ended() {
    let store = Store::memory();
    append(&store, "a-1", 1).await;
    let corrupt = StoreErrorKind::Corrupt { position: None };
    let items = shaky(&store, corrupt).subscribe(Position::ZERO).items();
    assert_eq!(last_words(items).await, corrupt);
}

/// A store that breaks, and whose bell then rings without a word.
struct Breaking {
    inner: Arc<dyn Backend>,
    heads: watch::Sender<Position>,
    broken: AtomicBool,
}

impl Wrapper for Breaking {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn changes(&self) -> Result<Changes, StoreError> {
        Ok(Changes::new(self.heads.subscribe()))
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        let corrupt = StoreErrorKind::Corrupt { position: None };
        match self.broken.load(Ordering::Relaxed) {
            true => Box::pin(async move { Err(StoreError::new(corrupt, "reading")) }),
            false => self.inner.read_feed(query),
        }
    }
}

#[tokio::test]
async fn a_ring_that_tells_nothing_is_answered_by_a_read_and_not_by_an_old_page() {
    let store = Store::memory();
    let breaking = Arc::new(Breaking {
        inner: store.backend(),
        heads: watch::Sender::default(),
        broken: AtomicBool::new(false),
    });
    let followed = Store::from_backend(breaking.clone(), Limits::default());
    let mut all: Vec<_> = (0..5)
        .map(|_| followed.subscribe(Position::ZERO).items())
        .collect();
    for position in 1..=3 {
        append(&store, "a-1", position).await;
        breaking.heads.send_replace(Position::new(position));
        for item in join_all(all.iter_mut().map(next)).await {
            assert_eq!(item.position(), Position::new(position));
        }
    }
    breaking.broken.store(true, Ordering::Relaxed);
    breaking.heads.send_modify(|_| {});
    for items in all {
        let corrupt = StoreErrorKind::Corrupt { position: None };
        assert_eq!(last_words(items).await, corrupt);
    }
}
