//! Catch up, then live: in memory and in a file alike.

use annalist::{ExpectedVersion, PageBounds, Position, Store, Version};
use futures_util::FutureExt;

use crate::{Place, append, feed, next, short, stream, until};

/// Runs a test on both stores.
async fn on_both<F: Future>(test: impl Fn(Store) -> F) {
    test(Store::memory()).await;
    let place = Place::new();
    let store = place.open().await;
    test(store.clone()).await;
    store.close().await.expect("a clean close");
}

fn pages_of(events_max: u32) -> PageBounds {
    PageBounds {
        events_max,
        ..PageBounds::default()
    }
}

#[tokio::test]
async fn a_subscription_catches_up_and_then_follows() {
    on_both(|store| async move {
        for number in 1..=10 {
            append(&store, "a-1", number).await;
        }
        let bounds = pages_of(3);
        let subscribed = store.subscribe(Position::ZERO).page_bounds(bounds);
        let mut pages = subscribed.clone().pages();
        let mut sizes = Vec::new();
        for _ in 0..4 {
            let page = next(&mut pages).await;
            assert_eq!(page.is_last(), page.checkpoint.position == page.head);
            sizes.push(page.items.len());
        }
        assert_eq!(sizes, [3, 3, 3, 1]);
        // One that came later sees the same.
        let mut items = subscribed.items();
        for position in 1..=30 {
            if position > 10 {
                append(&store, "a-1", position).await;
                let page = next(&mut pages).await;
                let told: Vec<_> = page.items.iter().map(short).collect();
                assert_eq!(told, [format!("{position} a-1")]);
            }
            let item = next(&mut items).await;
            assert_eq!(item.position(), Position::new(position));
        }
    })
    .await;
}

#[tokio::test]
async fn it_waits_at_the_head_and_no_item_is_made_up() {
    on_both(|store| async move {
        append(&store, "a-1", 1).await;
        let mut pages = store.subscribe(Position::new(1)).pages();
        let mut other = store.subscribe(Position::ZERO).category("b").pages();
        assert_eq!(next(&mut other).await.items, []);
        for number in 2..=20 {
            // What is appended elsewhere wakes a page without items, and moves its end.
            append(&store, "a-1", number).await;
            let page = next(&mut other).await;
            assert_eq!((page.items.len(), page.is_last()), (0, true));
            assert_eq!(page.checkpoint.position, Position::new(number));
            assert_eq!(next(&mut pages).await.items.len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_poll_that_is_dropped_loses_nothing() {
    on_both(|store| async move {
        let mut items = store.subscribe(Position::ZERO).items();
        for number in 1..=50 {
            // Polled once, somewhere in the middle of waiting or reading, and dropped.
            let mut early = futures_util::StreamExt::next(&mut items).now_or_never();
            append(&store, "a-1", number).await;
            if early.is_none() {
                early = futures_util::StreamExt::next(&mut items).now_or_never();
            }
            let item = match early {
                Some(item) => item.expect("no end").expect("no error"),
                None => next(&mut items).await,
            };
            assert_eq!(item.position(), Position::new(number));
        }
    })
    .await;
}

#[tokio::test]
async fn removals_are_followed_and_filters_hold() {
    on_both(|store| async move {
        let mut all = store.subscribe(Position::ZERO).pages();
        let of_a = store.subscribe(Position::ZERO).category("a");
        let mut of_a = of_a.event_type("Never".parse().expect("a type")).pages();
        append(&store, "a-1", 1).await;
        append(&store, "a-1", 2).await;
        append(&store, "b-1", 3).await;
        let told: Vec<_> = until(&mut all, Position::new(3)).await;
        let told: Vec<_> = told.iter().map(short).collect();
        assert_eq!(told, ["1 a-1", "2 a-1", "3 b-1"]);
        let truncated = store.truncate_before(&stream("a-1"), Version::new(2)).await;
        truncated.expect("a removal");
        let deleted = store.delete(&stream("b-1"), ExpectedVersion::Any).await;
        deleted.expect("a removal");
        store.compact().await.expect("a compaction");
        let told = until(&mut all, Position::new(5)).await;
        let told: Vec<_> = told.iter().map(short).collect();
        assert_eq!(told, ["4 truncated a-1 to 1", "5 deleted b-1"]);
        let told = until(&mut of_a, Position::new(5)).await;
        let told: Vec<_> = told.iter().map(short).collect();
        assert_eq!(told, ["4 truncated a-1 to 1"]);
        // Who comes now is not given what was removed.
        let mut late = store.subscribe(Position::ZERO).stream_prefix("a-").pages();
        let told = until(&mut late, Position::new(5)).await;
        let told: Vec<_> = told.iter().map(short).collect();
        assert_eq!(told, ["2 a-1", "4 truncated a-1 to 1"]);
    })
    .await;
}

#[tokio::test]
async fn resuming_from_every_position_gives_the_same_tail() {
    on_both(|store| async move {
        for number in 1..=12 {
            append(&store, &format!("a-{}", number % 3), number).await;
        }
        let gone = stream("a-1");
        let deleted = store.delete(&gone, ExpectedVersion::Any).await;
        deleted.expect("a removal");
        append(&store, "a-1", 14).await;
        let truncated = store.truncate_before(&stream("a-2"), Version::new(4)).await;
        truncated.expect("a removal");
        let head = store.head().await.expect("the head");
        assert_eq!(head, Position::new(15));
        let whole = feed(&store).await;
        for events_max in [1, 2, 5, 512] {
            let bounds = pages_of(events_max);
            let from_start = store.subscribe(Position::ZERO).page_bounds(bounds);
            let mut pages = from_start.pages();
            let mut taken = 0;
            while taken < whole.len() {
                let page = next(&mut pages).await;
                taken += page.items.len();
                // By what the page says, kept as text and read back.
                let kept = serde_json::to_string(&page.checkpoint).expect("JSON");
                let kept: annalist::Checkpoint = serde_json::from_str(&kept).expect("the same");
                assert_eq!(kept, page.checkpoint);
                let mut rest = store.subscribe(kept).page_bounds(bounds).items();
                for expected in whole.iter().skip(taken) {
                    assert_eq!(&next(&mut rest).await, expected);
                }
            }
        }
        // By a position, and by what an item says.
        for after in 0..15 {
            let after = Position::new(after);
            let mut rest = store.subscribe(after).items();
            for expected in whole.iter().filter(|item| item.position() > after) {
                let item = next(&mut rest).await;
                assert_eq!(&item, expected);
                let checkpoint = item.checkpoint(store.id());
                let mut again = store.subscribe(checkpoint).items();
                let following = whole
                    .iter()
                    .find(|other| other.position() > item.position());
                if let Some(following) = following {
                    assert_eq!(&next(&mut again).await, following);
                }
            }
        }
    })
    .await;
}
