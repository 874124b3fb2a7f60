//! Aggregates loaded and saved by hand.

use std::error::Error;

use annalist::store::MemoryOptions;
use annalist::{
    Clock, ConflictReason, ExpectedVersion, LoadError, NewEvent, Repository, SaveError, Store,
    Version,
};
use serde_json::json;

use crate::bank::{Account, AccountEvent, Deposited, Withdrawn, opened, renamed};
use crate::{KEY, account, on_both, types, write};

fn accounts(store: &Store) -> Repository<Account> {
    Repository::new(store.clone())
}

#[tokio::test]
async fn an_aggregate_is_loaded_as_it_is_and_saved() {
    on_both(async |staged| {
        let accounts = accounts(&staged.store);
        let new = accounts.load(KEY).await.expect("a state");
        assert!(!new.exists());
        assert_eq!(
            (new.version, &new.state),
            (Version::ZERO, &Account::default())
        );
        let saved = accounts
            .save(new, vec![opened("ann"), Deposited { cents: 5 }])
            .await;
        let saved = saved.expect("saved");
        let loaded = accounts.load(KEY).await.expect("a state");
        assert_eq!((loaded.version, loaded.state.balance), (Version::new(2), 5));
        assert_eq!(loaded.last_event, saved.last_event);
        assert_eq!(
            (loaded.generation, loaded.state),
            (saved.generation, saved.state.clone())
        );
        // What a save answers can be saved again.
        let again = accounts.save(saved, vec![Withdrawn { cents: 5 }]).await;
        assert_eq!(again.expect("saved").version, Version::new(3));
    })
    .await;
}

#[tokio::test]
async fn an_aggregate_is_loaded_as_it_was() {
    on_both(async |staged| {
        write(
            &staged.inner,
            &[opened("ann"), Deposited { cents: 1 }, renamed("bob")],
        )
        .await;
        let accounts = accounts(&staged.store);
        let owners = [(0, ""), (1, "ann"), (2, "ann"), (3, "bob")];
        for (version, owner) in owners {
            let then = accounts.load_at(KEY, Version::new(version)).await;
            let then = then.expect("a state");
            assert_eq!(
                (then.version.get(), then.state.owner.as_str()),
                (version, owner)
            );
        }
        let early = accounts
            .load_at(KEY, Version::new(4))
            .await
            .expect_err("early");
        assert!(matches!(early, LoadError::NotReached { .. }), "{early}");

        // What was decided then is not saved over what happened since.
        let old = accounts
            .load_at(KEY, Version::new(2))
            .await
            .expect("a state");
        let lost = accounts
            .save(old, vec![renamed("cid")])
            .await
            .expect_err("lost");
        let conflict = lost.conflict().expect("a conflict");
        assert_eq!(conflict.unseen, [renamed("bob")]);

        staged
            .inner
            .truncate_before(&account(KEY), Version::new(3))
            .await
            .expect("cut");
        let removed = accounts
            .load_at(KEY, Version::new(2))
            .await
            .expect_err("removed");
        assert!(matches!(removed, LoadError::Removed { first, .. } if first == Version::new(3)));
        assert!(accounts.load_at(KEY, Version::new(3)).await.is_ok());
    })
    .await;
}

/// A clock that moves on by a second each time that it is read.
#[derive(Debug, Default)]
struct Ticking(std::sync::atomic::AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        let seconds = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        chrono::DateTime::from_timestamp(seconds, 0).expect("a time")
    }
}

#[tokio::test]
async fn an_aggregate_is_loaded_as_of_a_time() {
    let mut options = MemoryOptions::default();
    options.clock = std::sync::Arc::new(Ticking::default());
    let store = Store::memory_with(options);
    for cents in [1, 10, 100] {
        write(&store, &[Deposited { cents }]).await;
    }
    let accounts = accounts(&store);
    let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).expect("a time");
    for (seconds, balance) in [(-1, 0), (0, 1), (1, 11), (2, 111), (99, 111)] {
        let then = accounts
            .load_as_of(KEY, at(seconds))
            .await
            .expect("a state");
        assert_eq!(then.state.balance, balance, "at {seconds}");
    }
    store
        .truncate_before(&account(KEY), Version::new(2))
        .await
        .expect("cut");
    let removed = accounts.load_as_of(KEY, at(0)).await.expect_err("removed");
    assert!(matches!(removed, LoadError::Removed { .. }), "{removed}");
}

#[tokio::test]
async fn a_save_tells_what_was_not_seen_and_never_tries_again() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann")]).await;
        let accounts = accounts(&staged.store);
        let mine = accounts.load(KEY).await.expect("a state");
        write(&staged.inner, &[Deposited { cents: 7 }]).await;
        let lost = accounts.save(mine, vec![renamed("bob")]).await;
        let Err(SaveError::Conflict(conflict)) = lost else {
            panic!("{lost:?}");
        };
        assert_eq!(
            (conflict.expected, conflict.version),
            (Some(Version::new(1)), Version::new(2))
        );
        assert_eq!(conflict.current.balance, 7);
        assert_eq!(conflict.base.as_ref().expect("a base").balance, 0);
        assert_eq!(
            (conflict.unseen.len(), &conflict.proposed[..]),
            (1, &[renamed("bob")][..])
        );
        assert_eq!(conflict.attempts, 1);
        assert_eq!(staged.sent().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_save_on_what_was_removed_or_closed_is_a_conflict_that_says_so() {
    on_both(async |staged| {
        let accounts = accounts(&staged.store);
        let reason = async |loaded| {
            let lost: SaveError<Account> = accounts
                .save(loaded, vec![renamed("bob")])
                .await
                .expect_err("lost");
            lost.conflict().expect("a conflict").reason.clone()
        };
        write(&staged.inner, &[opened("ann"), Deposited { cents: 7 }]).await;
        let loaded = accounts.load(KEY).await.expect("a state");
        let two = Version::new(2);
        staged
            .inner
            .truncate_before(&account(KEY), two)
            .await
            .expect("cut");
        assert_eq!(reason(loaded).await, ConflictReason::Removed);
        let loaded = accounts.load(KEY).await.expect("a state");
        staged.inner.delete(&account(KEY), two).await.expect("gone");
        assert_eq!(reason(loaded).await, ConflictReason::Deleted);
        let loaded = accounts.load(KEY).await.expect("a state");
        assert!(!loaded.exists() && loaded.version == two);
        let back = accounts
            .save(loaded, vec![opened("cid")])
            .await
            .expect("back");
        assert_eq!(back.version, Version::new(3));
        let closed = staged.inner.close_stream(&account(KEY), back.version).await;
        closed.expect("closed");
        assert_eq!(reason(back).await, ConflictReason::Closed);
    })
    .await;
}

#[tokio::test]
async fn a_save_keeps_the_invariants() {
    on_both(async |staged| {
        let accounts = accounts(&staged.store);
        let new = accounts.load(KEY).await.expect("a state");
        let broken = accounts
            .save(new.clone(), vec![Withdrawn { cents: 1 }])
            .await;
        assert!(
            matches!(broken, Err(SaveError::InvariantViolated { .. })),
            "{broken:?}"
        );
        assert!(staged.sent().is_empty());
        // A save of nothing checks that nothing has happened.
        let checked = accounts
            .save(new.clone(), Vec::new())
            .await
            .expect("as it was");
        assert_eq!(checked.version, Version::ZERO);
        write(&staged.inner, &[opened("ann")]).await;
        assert!(
            accounts
                .save(new, Vec::new())
                .await
                .expect_err("not")
                .conflict()
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn long_streams_are_folded_over_their_pages() {
    on_both(async |staged| {
        let many: Vec<AccountEvent> = (0..6_000).map(|_| Deposited { cents: 1 }).collect();
        write(&staged.inner, &many).await;
        let accounts = accounts(&staged.store);
        let loaded = accounts.load(KEY).await.expect("a state");
        assert_eq!((loaded.version.get(), loaded.state.balance), (6_000, 6_000));
        let then = accounts
            .load_at(KEY, Version::new(5_030))
            .await
            .expect("a state");
        assert_eq!((then.version.get(), then.state.balance), (5_030, 5_030));
    })
    .await;
}

#[tokio::test]
async fn a_removal_between_two_pages_begins_the_load_again() {
    on_both(async |staged| {
        let many: Vec<AccountEvent> = (0..6_000).map(|_| Deposited { cents: 1 }).collect();
        write(&staged.inner, &many).await;
        staged.before_read(async |_| ());
        staged.before_read(async |inner| {
            let cut = inner
                .truncate_before(&account(KEY), Version::new(5_001))
                .await;
            cut.expect("cut");
        });
        let loaded = accounts(&staged.store).load(KEY).await.expect("a state");
        assert_eq!((loaded.version.get(), loaded.state.balance), (6_000, 1_000));
    })
    .await;
}

#[tokio::test]
async fn events_that_land_between_two_pages_are_left_to_the_next_load() {
    on_both(async |staged| {
        let many: Vec<AccountEvent> = (0..5_000).map(|_| Deposited { cents: 1 }).collect();
        write(&staged.inner, &many).await;
        staged.before_read(async |_| ());
        staged.before_read(async |inner| write(&inner, &[Deposited { cents: 1 }]).await);
        let accounts = accounts(&staged.store);
        let loaded = accounts.load(KEY).await.expect("a state");
        assert_eq!((loaded.version.get(), loaded.state.balance), (5_000, 5_000));
        assert!(accounts.save(loaded, vec![renamed("bob")]).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_stops_the_load_and_is_named() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann")]).await;
        let accounts = accounts(&staged.store);
        for (version, (event_type, payload, cause)) in (2..).zip([
            ("Exploded", json!(null), "no variant is named \"Exploded\""),
            (
                "Deposited",
                json!({ "cents": "many" }),
                "does not fit \"Deposited\"",
            ),
            ("Splintered", json!(1), "the upcaster fell"),
        ]) {
            let event = NewEvent::json(event_type, &payload).expect("an event");
            let stream = account(KEY);
            let written = staged
                .inner
                .append(&stream, ExpectedVersion::Any, [event])
                .await;
            written.expect("an append");
            let cut = staged.inner.truncate_before(&stream, Version::new(version));
            cut.await.expect("only the last is left");
            let error = accounts.load(KEY).await.expect_err("undecodable");
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            for part in [stream.as_str(), &version.to_string(), event_type, cause] {
                assert!(text.contains(part), "{part:?} is not in {text:?}");
            }
            assert!(!error.is_retryable());
        }
        let bus = staged.bus().dispatch(KEY, crate::bank::rename("bob")).await;
        assert!(matches!(
            bus,
            Err(annalist::DispatchError::Load(LoadError::Fold(_)))
        ));
        assert_eq!(types(&staged.inner).await, ["Splintered"]);
    })
    .await;
}
