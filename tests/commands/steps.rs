//! A command's way when nobody is in the way.

use annalist::{Decision, DispatchError, Metadata, Position, Version, command::When};
use serde_json::json;

use crate::bank::{
    Deposit, Deposited, Freeze, Frozen, Overdrawn, Withdraw, Withdrawn, open, opened, send,
};
use crate::{KEY, log, on_both, types, write};

/// Dispatching is for any task of any runtime.
#[test]
fn a_dispatch_may_be_spawned() {
    fn spawnable<T: Send + 'static>(_: &T) {}
    let bus = annalist::CommandBus::new(annalist::Store::memory());
    let dispatch = bus.dispatch(KEY, Withdraw { cents: 1 });
    spawnable(&dispatch);
    spawnable(&dispatch.into_future());
    spawnable(&bus);
}

#[tokio::test]
async fn a_command_is_decided_and_appended() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann"), Deposited { cents: 100 }]).await;
        let outcome = staged.bus().dispatch(KEY, Withdraw { cents: 30 }).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.version, Version::new(3));
        assert_eq!(outcome.position, Some(Position::new(3)));
        assert_eq!(outcome.events, [Withdrawn { cents: 30 }]);
        assert_eq!(outcome.state.balance, 70);
        assert_eq!((outcome.attempts, outcome.unseen.len()), (1, 0));
        assert_eq!(outcome.decided_by, Decision::Appended);
        assert_eq!(
            types(&staged.inner).await,
            ["Opened", "Deposited", "Withdrawn"]
        );
    })
    .await;
}

#[tokio::test]
async fn metadata_is_kept_and_the_command_id_added() {
    on_both(async |staged| {
        let metadata = Metadata::by("teller-7")
            .with_correlation_id("request-1")
            .with_extra("till", json!(3));
        let named = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let named = named.command_id("pay-1").metadata(metadata.clone()).await;
        named.expect("an outcome");
        let unnamed = staged.bus().dispatch(KEY, Deposit { cents: 2 }).await;
        unnamed.expect("an outcome");

        let log = log(&staged.inner).await;
        let id = "pay-1".parse().expect("an id");
        assert_eq!(log[0].metadata, metadata.with_command_id(id));
        assert!(log[1].metadata.command_id.is_some(), "made by the bus");
    })
    .await;
}

#[tokio::test]
async fn a_rejection_is_the_domains_own_and_writes_nothing() {
    on_both(async |staged| {
        let answer = staged.bus().dispatch(KEY, Withdraw { cents: 1 }).await;
        let Err(DispatchError::Rejected(why)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(why, Overdrawn { balance: 0 });
        assert!(staged.sent().is_empty());
    })
    .await;
}

#[tokio::test]
async fn nothing_to_do_is_an_outcome_and_writes_nothing() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann"), Frozen]).await;
        let outcome = staged.bus().dispatch(KEY, Freeze).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.decided_by, Decision::NothingToDo);
        assert_eq!((outcome.version, outcome.position), (Version::new(2), None));
        assert!(outcome.state.frozen && outcome.events.is_empty());
        assert!(staged.sent().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_a_command_requires_is_checked_before_it_decides() {
    on_both(async |staged| {
        let bus = staged.bus();
        let missing = bus.dispatch(KEY, Freeze).await;
        let Err(DispatchError::NotFound { version, .. }) = missing else {
            panic!("{missing:?}");
        };
        assert_eq!(version, Version::ZERO);

        bus.dispatch(KEY, open("ann")).await.expect("an outcome");
        let there = bus.dispatch(KEY, open("bob")).await;
        let Err(DispatchError::AlreadyExists { version, .. }) = there else {
            panic!("{there:?}");
        };
        assert_eq!(version, Version::new(1));

        let stream = crate::account(KEY);
        staged.inner.delete(&stream, version).await.expect("gone");
        let gone = bus.dispatch(KEY, Freeze).await;
        assert!(matches!(gone, Err(DispatchError::NotFound { version, .. }) if version == Version::new(1)));
        let back = bus.dispatch(KEY, open("bob")).await.expect("an outcome");
        assert_eq!((back.version, back.state.owner.as_str()), (Version::new(2), "bob"));
    })
    .await;
}

#[tokio::test]
async fn a_broken_state_is_only_repaired() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann"), Withdrawn { cents: 10 }]).await;
        let bus = staged.bus();
        let broken = bus.dispatch(KEY, Deposit { cents: 20 }).await;
        let Err(DispatchError::InvariantViolated { when, version, .. }) = broken else {
            panic!("{broken:?}");
        };
        assert_eq!((when, version), (When::Loaded, Version::new(2)));

        let half = bus.dispatch(KEY, Deposit { cents: 5 }).repairing().await;
        assert!(matches!(
            half,
            Err(DispatchError::InvariantViolated {
                when: When::Decided,
                ..
            })
        ));
        assert!(staged.sent().is_empty());
        let whole = bus.dispatch(KEY, Deposit { cents: 20 }).repairing().await;
        assert_eq!(whole.expect("an outcome").state.balance, 10);
    })
    .await;
}

#[tokio::test]
async fn a_decision_that_breaks_the_state_is_not_appended() {
    on_both(async |staged| {
        let broken = staged.bus().dispatch(KEY, Deposit { cents: -1 }).await;
        let Err(
            error @ DispatchError::InvariantViolated {
                when: When::Decided,
                ..
            },
        ) = broken
        else {
            panic!("{broken:?}");
        };
        assert_eq!(error.code(), "invariant_violated");
        assert!(staged.sent().is_empty());
    })
    .await;
}

#[tokio::test]
async fn names_that_cannot_be_are_invalid() {
    let staged = crate::stage::Staged::over(annalist::Store::memory());
    let keys = [("", "id"), ("a\nb", "id"), ("a", ""), ("a", "\u{7}")];
    for (key, id) in keys {
        let answer = staged.bus().dispatch(key, send(1)).command_id(id).await;
        assert!(
            matches!(answer, Err(DispatchError::Invalid(_))),
            "{key:?} {id:?}"
        );
    }
    // Whatever is decided: it would be told only when something is to be appended.
    for long in ["x".repeat(256), "ü".repeat(128)] {
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let answer = deposit.command_id(&long).await.expect_err("too long");
        assert_eq!(answer.code(), "limit_exceeded");
        let rejected = staged.bus().dispatch(KEY, send(1));
        let answer = rejected.command_id(&long).await.expect_err("too long");
        assert_eq!(answer.code(), "limit_exceeded");
    }
    assert!(staged.sent().is_empty());
}
