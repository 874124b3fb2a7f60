//! Leases as callers hold them: waiting, expiry, takeover, by a clock that the test sets.
//!
//! On the store in memory and on the one in a file, since both promise the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use annalist::store::sqlite::SqliteOptions;
use annalist::store::{LeaseAnswer, LeaseAsk, LeaseRequest, MemoryOptions};
use annalist::{
    AppendError, Clock, Commit, ExpectedVersion, Lease, LeaseError, LeaseName, Store,
    StoreErrorKind, Version,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use rusqlite::Connection;

use crate::{Place, event, stream};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

/// A clock that stands still until it is moved.
struct Hand(AtomicI64);

impl Hand {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_577_836_800_000_000)))
    }

    fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).expect("a time")
    }
}

/// The same test on both stores.
async fn on_both(test: impl AsyncFn(Store, &Hand)) {
    let hand = Hand::new();
    let mut options = MemoryOptions::default();
    options.clock = hand.clone();
    test(Store::memory_with(options), &hand).await;

    let (place, hand) = (Place::new(), Hand::new());
    let mut options = SqliteOptions::default();
    options.clock = hand.clone();
    let store = place.open_with(options).await;
    test(store.clone(), &hand).await;
    assert!(store.verify().await.expect("a report").is_whole());
}

fn billing() -> LeaseName {
    "billing".parse().expect("a name")
}

async fn acquire(store: &Store, duration: Duration) -> Result<Lease, LeaseError> {
    let lease = store.lease(billing()).for_duration(duration);
    lease.acquire().await
}

async fn token_of_holder(store: &Store) -> Option<u64> {
    let holder = store.lease_holder(&billing()).await.expect("an answer");
    holder.map(|state| state.token.get())
}

fn fenced(lease: &Lease) -> Commit {
    Commit::new()
        .append(stream("a-1"), ExpectedVersion::Any, [event(1)])
        .fenced_by(lease)
}

#[tokio::test]
async fn a_lease_ends_exactly_when_its_time_is_over() {
    on_both(async |store, hand| {
        let first = acquire(&store, MINUTE).await.expect("a lease");
        assert_eq!(first.token().get(), 1);
        assert_eq!(first.expires_at(), hand.now() + TimeDelta::seconds(60));
        hand.advance(59_999_999);
        assert_eq!(token_of_holder(&store).await, Some(1));
        match acquire(&store, MINUTE).await {
            Err(error @ LeaseError::Held { .. }) => {
                assert_eq!((error.code(), error.is_retryable()), ("lease_held", true));
                let until = first.expires_at().to_string();
                assert!(error.to_string().contains(&until), "{error}");
            }
            other => panic!("{other:?}"),
        }
        hand.advance(1);
        assert_eq!(token_of_holder(&store).await, None);
        let landed = store.commit(fenced(&first)).await;
        landed.expect("nobody has overtaken it yet");
        let second = acquire(&store, MINUTE).await.expect("it is over");
        assert_eq!(second.token().get(), 2);
        assert_eq!(token_of_holder(&store).await, Some(2));

        let refused = store.commit(fenced(&first)).await;
        assert!(matches!(refused, Err(AppendError::LeaseLost { token, .. }) if token.get() == 1));
        store.commit(fenced(&second)).await.expect("its holder");
        let mut first = first;
        let lost = first.renew(MINUTE).await;
        assert!(matches!(lost, Err(LeaseError::Lost { .. })), "{lost:?}");
        let lost = first.release().await;
        assert!(matches!(lost, Err(LeaseError::Lost { .. })), "{lost:?}");
        assert_eq!(token_of_holder(&store).await, Some(2), "it changed nothing");
        second.release().await.expect("its holder");
        assert_eq!(token_of_holder(&store).await, None);
    })
    .await;
}

#[tokio::test]
async fn who_waits_is_granted_the_lease_when_it_is_free() {
    on_both(async |store, hand| {
        let held = acquire(&store, MINUTE).await.expect("a lease");
        // Given back; then out of time. A wait too long to count has no end.
        for (round, wait) in [(1, PATIENCE), (2, Duration::MAX)] {
            let mut waiting = Box::pin(store.lease(billing()).wait(wait).acquire());
            let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
            assert!(early.is_err(), "it is held: {early:?}");
            match round {
                1 => {
                    let (name, ask) = (billing(), LeaseAsk::Release(held.token()));
                    let answer = store.backend().lease(LeaseRequest { name, ask }).await;
                    assert!(matches!(answer, Ok(LeaseAnswer::Granted(_))));
                }
                _ => hand.advance(30_000_000),
            }
            let granted = tokio::time::timeout(PATIENCE, waiting).await;
            let granted = granted.expect("in time").expect("a lease");
            assert_eq!(granted.token().get(), 1 + round);
        }
    })
    .await;
}

#[tokio::test]
async fn who_waits_is_told_when_the_time_is_over() {
    on_both(async |store, _| {
        let held = acquire(&store, MINUTE).await.expect("a lease");
        for wait in [0, 1, 30] {
            let (began, wait) = (Instant::now(), Duration::from_millis(wait));
            let answer = store.lease(billing()).wait(wait).acquire().await;
            match answer {
                Err(LeaseError::Held { expires_at, .. }) => {
                    assert_eq!(expires_at, held.expires_at());
                }
                other => panic!("{other:?}"),
            }
            assert!(began.elapsed() >= wait, "{wait:?}");
        }
        // One that is given up while it waits leaves nothing behind.
        let waiting = store.lease(billing()).wait(PATIENCE).acquire();
        let given_up = tokio::time::timeout(Duration::from_millis(50), waiting).await;
        assert!(given_up.is_err());
        held.release().await.expect("its holder");
        assert_eq!(token_of_holder(&store).await, None);
        let next = acquire(&store, MINUTE).await.expect("it is free");
        assert_eq!(next.token().get(), 2, "nobody came between");
    })
    .await;
}

#[tokio::test]
async fn a_duration_beyond_all_time_is_held_for_ever() {
    on_both(async |store, hand| {
        let mut lease = acquire(&store, Duration::MAX).await.expect("a lease");
        hand.advance(i64::from(i32::MAX) * 1_000_000_000);
        assert_eq!(token_of_holder(&store).await, Some(1));
        let held = acquire(&store, MINUTE).await;
        assert!(matches!(held, Err(LeaseError::Held { .. })), "{held:?}");
        store.commit(fenced(&lease)).await.expect("its holder");
        lease.renew(Duration::MAX).await.expect("its holder");
        lease.renew(Duration::ZERO).await.expect("its holder");
        assert_eq!(token_of_holder(&store).await, None, "over at once");
        let next = acquire(&store, MINUTE).await.expect("it is free");
        assert_eq!(next.token().get(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_goes_back_grants_nothing_twice() {
    on_both(async |store, hand| {
        let mut token = 0;
        for jump in 1..=100 {
            let mut held = acquire(&store, MINUTE).await.expect("it is free");
            token += 1;
            assert_eq!(held.token().get(), token, "jump {jump}");
            hand.advance(-jump * 7_000_000);
            let other = acquire(&store, MINUTE).await;
            assert!(matches!(other, Err(LeaseError::Held { .. })), "{other:?}");
            // Its end is by the clock as it is now.
            held.renew(MINUTE).await.expect("its holder");
            assert_eq!(held.expires_at(), hand.now() + TimeDelta::seconds(60));
            hand.advance(60_000_000);
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_handles_at_once_one_is_granted_the_lease() {
    let place = Place::new();
    // Each has a writer of its own, as another process would have.
    let handles = join_all((0..4).map(|_| place.open())).await;
    for round in 1..=20 {
        let asked = join_all(handles.iter().map(|store| acquire(store, MINUTE))).await;
        let mut granted = Vec::new();
        for answer in asked {
            match answer {
                Ok(lease) => granted.push(lease),
                Err(LeaseError::Held { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(granted.len(), 1, "round {round}");
        let lease = granted.pop().expect("the one");
        assert_eq!(lease.token().get(), round);
        lease.release().await.expect("its holder");
    }
}

#[tokio::test]
async fn a_lease_that_is_not_what_was_written_is_damage() {
    for change in [
        "token = token + 1",
        "token = -token",
        "expires_at = expires_at + 1",
        "expires_at = 9223372036854775807",
        "released = 1",
        "checksum = checksum + 1",
        "checksum = -1",
    ] {
        let place = Place::new();
        let store = place.open().await;
        let lease = acquire(&store, MINUTE).await.expect("a lease");
        let sql = format!("UPDATE annalist_leases SET {change}");
        let conn = Connection::open(place.path()).expect("a connection");
        conn.execute(&sql, []).expect("an update");

        let corrupt = StoreErrorKind::Corrupt { position: None };
        match acquire(&store, MINUTE).await {
            Err(LeaseError::Store(error)) => assert_eq!(error.kind(), corrupt, "{change}"),
            other => panic!("{change}: {other:?}"),
        }
        let holder = store.lease_holder(&billing()).await;
        assert_eq!(holder.expect_err(change).kind(), corrupt);
        match store.commit(fenced(&lease)).await {
            Err(AppendError::Store(error)) => assert_eq!(error.kind(), corrupt, "{change}"),
            other => panic!("{change}: {other:?}"),
        }
        let damage = store.verify().await.expect("a report").damages;
        assert!(damage.iter().any(|damage| damage.what.contains("billing")));
        // It stands in nobody else's way.
        let appended = store
            .append(&stream("a-1"), Version::ZERO, [event(1)])
            .await;
        appended.expect("an append without a lease");
    }
}
