//! Followers that wait at the head share one read, and each is given its own part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annalist::store::{Backend, FeedItem, FeedPage, FeedQuery, Wrapper};
use annalist::{ExpectedVersion, Limits, PageBounds, Position, Store, StoreError};
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, StreamExt};

use crate::random::adds_up;
use crate::{NEVER, Place, append, feed, next, stream};

/// Counts the reads of the feed.
struct Counted {
    inner: Arc<dyn Backend>,
    reads: AtomicU64,
}

impl Wrapper for Counted {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_feed(query)
    }
}

#[tokio::test]
async fn followers_at_the_head_read_once_for_all() {
    const FOLLOWERS: u64 = 50;
    const COMMITS: u64 = 20;
    let place = Place::new();
    let store = place.polling(NEVER).await;
    let inner = store.backend();
    let counted = Arc::new(Counted {
        inner,
        reads: AtomicU64::new(0),
    });
    let counting = Store::from_backend(counted.clone(), Limits::default());
    let mut all: Vec<_> = (0..FOLLOWERS)
        .map(|_| counting.subscribe(Position::ZERO).items())
        .collect();
    for position in 1..=COMMITS {
        append(&store, "a-1", position).await;
        for item in join_all(all.iter_mut().map(next)).await {
            assert_eq!(item.position(), Position::new(position));
        }
    }
    let reads = counted.reads.load(Ordering::Relaxed);
    // At first each has a read of its own, for it is catching up.
    let shared = reads.saturating_sub(FOLLOWERS);
    println!("{shared} reads for {COMMITS} commits and {FOLLOWERS} followers");
    assert!(shared <= COMMITS * 10, "{shared} reads");
    store.close().await.expect("a clean close");
}

#[tokio::test]
async fn a_follower_that_is_not_polled_any_more_holds_nobody_up() {
    let place = Place::new();
    let store = place.polling(NEVER).await;
    let mut followers: Vec<_> = (0..4)
        .map(|_| store.subscribe(Position::ZERO).items())
        .collect();
    append(&store, "a-1", 1).await;
    join_all(followers.iter_mut().map(next)).await;
    for position in 2..=50 {
        append(&store, "a-1", position).await;
        let (left, goes_on) = followers.split_at_mut(2);
        for items in left {
            // Polled into the middle of whatever it does, and left there.
            let _ = items.next().now_or_never();
        }
        for item in join_all(goes_on.iter_mut().map(next)).await {
            assert_eq!(item.position(), Position::new(position));
        }
    }
    store.close().await.expect("a clean close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_given_what_passes_its_filter_in_pages_of_its_size() {
    const ROUNDS: u64 = 60;
    let place = Place::new();
    let store = place.polling(NEVER).await;
    // Three events and, each fourth round, a removal.
    let last = Position::new(ROUNDS * 3 + ROUNDS / 4);
    let followers = (0..24).map(|follower: usize| {
        let category = [None, Some("a"), Some("b")]
            .into_iter()
            .cycle()
            .nth(follower);
        let category = category.flatten();
        let items_max = 1 + follower % 4;
        let subscribed = store.subscribe(Position::ZERO).page_bounds(PageBounds {
            events_max: u32::try_from(items_max).expect("a few"),
            ..PageBounds::default()
        });
        let mut pages = match category {
            Some(category) => subscribed.category(category).pages(),
            None => subscribed.pages(),
        };
        tokio::spawn(async move {
            let (mut seen, mut end) = (Vec::new(), Position::ZERO);
            while end < last {
                let page = next(&mut pages).await;
                assert!(page.items.len() <= items_max);
                assert!(page.checkpoint.position > end);
                end = page.checkpoint.position;
                seen.extend(page.items);
                assert!(
                    seen.last()
                        .is_none_or(|item: &FeedItem| item.position() <= end)
                );
            }
            (category, seen)
        })
    });
    let followers: Vec<_> = followers.collect();
    for round in 1..=ROUNDS {
        for category in ["a", "b", "c"] {
            append(&store, &format!("{category}-{}", round % 2), round).await;
        }
        if round % 4 == 0 {
            let gone = store.delete(&stream("b-1"), ExpectedVersion::Any).await;
            gone.expect("a removal");
        }
    }
    assert_eq!(store.head().await.expect("the head"), last);
    let whole = feed(&store).await;
    for follower in followers {
        let (category, seen) = follower.await.expect("no panic");
        let passes =
            |item: &&FeedItem| category.is_none_or(|category| item.stream().category() == category);
        let whole: Vec<_> = whole.iter().filter(passes).cloned().collect();
        adds_up(&seen, &whole).unwrap_or_else(|what| panic!("{category:?}: {what}"));
    }
    store.close().await.expect("a clean close");
}
