//! What a command declares of conflicts, when another writer was faster.

use std::sync::Arc;

use annalist::command::When;
use annalist::{
    ConflictKind, ConflictReason, Decision, DispatchError, OnConflict, Policy, Version,
};

use crate::bank::{
    Account, AccountEvent, Deposit, Deposited, Freeze, Frozen, Overdrawn, Sent, Withdraw,
    Withdrawn, open, opened, rename, renamed, send,
};
use crate::stage::Staged;
use crate::{KEY, conflict, on_both, types, write};

/// An account with 100 cents, and what happens to it before the next commits, one each.
async fn while_others_write<const N: usize>(staged: &Staged, meanwhile: [AccountEvent; N]) {
    write(&staged.inner, &[opened("ann"), Deposited { cents: 100 }]).await;
    for event in meanwhile {
        staged.meanwhile(async move |inner| write(&inner, &[event]).await);
    }
}

#[tokio::test]
async fn what_declares_nothing_surfaces_with_all_that_is_known() {
    on_both(async |staged| {
        while_others_write(&staged, [Deposited { cents: 50 }]).await;
        let conflict = conflict(staged.bus().dispatch(KEY, send(10)).await);
        let base = conflict.base.as_ref().expect("a base");
        assert_eq!((base.balance, conflict.current.balance), (100, 150));
        assert_eq!(conflict.expected, Some(Version::new(2)));
        assert_eq!(conflict.version, Version::new(3));
        assert_eq!(conflict.unseen, [Deposited { cents: 50 }]);
        assert_eq!(conflict.unseen_recorded[0].version, Version::new(3));
        let to = "7".to_owned();
        assert_eq!(conflict.proposed, [Sent { cents: 10, to }]);
        assert_eq!(conflict.kind, ConflictKind::LostRace);
        assert_eq!(conflict.reason, ConflictReason::Declared);
        assert_eq!(conflict.policy, Some(Policy::Surface));
        assert_eq!(conflict.command.as_deref(), Some("send"));
        assert_eq!((conflict.attempts, staged.sent().len()), (1, 1));
        assert_eq!(types(&staged.inner).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_closure_always_surfaces() {
    on_both(async |staged| {
        while_others_write(&staged, [Deposited { cents: 50 }]).await;
        let decided = staged.bus().decide(KEY, "round up", |_: &Account| {
            Ok::<_, Overdrawn>(vec![Deposited { cents: 1 }])
        });
        let conflict = conflict(decided.await);
        assert_eq!(conflict.command.as_deref(), Some("round up"));
        assert_eq!(
            (conflict.policy, conflict.attempts),
            (Some(Policy::Surface), 1)
        );
    })
    .await;
}

#[tokio::test]
async fn a_redecided_command_is_decided_on_what_is() {
    on_both(async |staged| {
        while_others_write(&staged, [Deposited { cents: 50 }]).await;
        let outcome = staged.bus().dispatch(KEY, Withdraw { cents: 120 }).await;
        // 100 were not enough: the rejection needs no append.
        assert!(matches!(outcome, Err(DispatchError::Rejected(_))));
        let outcome = staged.bus().dispatch(KEY, Withdraw { cents: 90 }).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.decided_by, Decision::Redecided);
        assert_eq!((outcome.state.balance, outcome.attempts), (60, 2));
        assert_eq!(outcome.unseen.len(), 1);
        assert_eq!(outcome.version, Version::new(4));
    })
    .await;
}

#[tokio::test]
async fn a_redecided_command_may_be_rejected_by_what_is() {
    on_both(async |staged| {
        while_others_write(&staged, [Withdrawn { cents: 50 }]).await;
        let answer = staged.bus().dispatch(KEY, Withdraw { cents: 90 }).await;
        let Err(DispatchError::Rejected(why)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(why, Overdrawn { balance: 50 });
        assert_eq!(staged.sent().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn commuting_events_are_appended_as_they_were() {
    on_both(async |staged| {
        while_others_write(&staged, [Withdrawn { cents: 50 }, renamed("bob")]).await;
        let outcome = staged.bus().dispatch(KEY, Deposit { cents: 1 }).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.decided_by, Decision::Commuted);
        assert_eq!((outcome.state.balance, outcome.attempts), (51, 3));
        assert_eq!(outcome.state.owner, "bob");
        assert_eq!(outcome.unseen.len(), 2, "cumulative");
        let ids = staged.sent_ids();
        assert!(ids[0] == ids[1] && ids[1] == ids[2], "decided once");
    })
    .await;
}

#[tokio::test]
async fn commuting_events_must_not_break_what_is() {
    on_both(async |staged| {
        while_others_write(&staged, [Withdrawn { cents: 50 }]).await;
        let withdraw = staged.bus().dispatch(KEY, Withdraw { cents: 90 });
        let answer = withdraw.on_conflict(OnConflict::Commute).await;
        let Err(DispatchError::InvariantViolated { when, version, .. }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((when, version), (When::Commuted, Version::new(3)));
        assert_eq!(types(&staged.inner).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_merge_sees_both_sides() {
    on_both(async |staged| {
        while_others_write(&staged, [Deposited { cents: 50 }]).await;
        let outcome = staged.bus().dispatch(KEY, rename("bob")).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.decided_by, Decision::Merged);
        assert_eq!(outcome.events, [renamed("bob")]);
        assert_eq!((outcome.state.balance, outcome.attempts), (150, 2));
    })
    .await;
}

#[tokio::test]
async fn a_shared_command_is_the_same_command() {
    on_both(async |staged| {
        while_others_write(&staged, [Deposited { cents: 50 }]).await;
        let shared = Arc::new(rename("bob"));
        let sent = staged.bus().dispatch(KEY, Arc::clone(&shared));
        let merged = sent.command_id("r-1").await.expect("an outcome");
        assert_eq!(merged.decided_by, Decision::Merged);
        assert_eq!(merged.events, [renamed("bob")]);
        // Sent by its owner, it is recognised all the same.
        let again = staged.bus().dispatch(KEY, rename("bob")).command_id("r-1");
        let again = again.await.expect("an outcome");
        assert_eq!(again.decided_by, Decision::AlreadyApplied);
        staged.meanwhile(async |inner| write(&inner, &[renamed("cid")]).await);
        let refused = conflict(staged.bus().dispatch(KEY, shared).await);
        let reason = "cid was chosen meanwhile".to_owned();
        assert_eq!(refused.reason, ConflictReason::Refused { reason });
    })
    .await;
}

#[tokio::test]
async fn a_merge_that_leaves_nothing_has_nothing_to_do() {
    on_both(async |staged| {
        while_others_write(&staged, [renamed("bob")]).await;
        let outcome = staged.bus().dispatch(KEY, rename("bob")).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.decided_by, Decision::NothingToDo);
        assert_eq!((outcome.version, staged.sent().len()), (Version::new(3), 1));
    })
    .await;
}

#[tokio::test]
async fn a_merge_that_refuses_surfaces_with_its_reason() {
    on_both(async |staged| {
        while_others_write(&staged, [Deposited { cents: 50 }, renamed("cid")]).await;
        let conflict = conflict(staged.bus().dispatch(KEY, rename("bob")).await);
        let reason = "cid was chosen meanwhile".to_owned();
        assert_eq!(conflict.reason, ConflictReason::Refused { reason });
        // The second attempt lost: what is told is the first one's.
        assert_eq!(conflict.attempts, 2);
        assert_eq!(conflict.base.expect("a base").balance, 100);
        assert_eq!(conflict.expected, Some(Version::new(2)));
        assert_eq!(conflict.unseen, [Deposited { cents: 50 }, renamed("cid")]);
        assert_eq!(conflict.proposed, [renamed("bob")]);
    })
    .await;
}

#[tokio::test]
async fn a_merge_must_not_break_what_is() {
    on_both(async |staged| {
        while_others_write(&staged, [Withdrawn { cents: 50 }]).await;
        let withdraw = staged.bus().dispatch(KEY, Withdraw { cents: 90 });
        let keeps = OnConflict::Merge(|_, both| Ok(both.proposed.to_vec()));
        let answer = withdraw.on_conflict(keeps).await;
        assert!(matches!(
            answer,
            Err(DispatchError::InvariantViolated {
                when: When::Merged,
                ..
            })
        ));
    })
    .await;
}

#[tokio::test]
async fn a_clash_surfaces_and_is_named() {
    on_both(async |staged| {
        while_others_write(&staged, [Deposited { cents: 1 }, Frozen]).await;
        let clash = ConflictReason::Clash {
            event_type: "Frozen".parse().expect("a type"),
            version: Version::new(4),
        };
        let redecides = conflict(staged.bus().dispatch(KEY, Withdraw { cents: 1 }).await);
        assert_eq!((&redecides.reason, redecides.attempts), (&clash, 2));
        assert_eq!(redecides.unseen.len(), 2);
    })
    .await;
    on_both(async |staged| {
        while_others_write(&staged, [Frozen]).await;
        let commutes = conflict(staged.bus().dispatch(KEY, Deposit { cents: 1 }).await);
        assert!(matches!(commutes.reason, ConflictReason::Clash { .. }));
        assert_eq!(types(&staged.inner).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn what_is_left_to_nobody_is_done_whatever_is_declared() {
    on_both(async |staged| {
        while_others_write(&staged, [Frozen]).await;
        let outcome = staged.bus().dispatch(KEY, Freeze).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome.decided_by, Decision::NothingToDo);
        assert_eq!((outcome.attempts, staged.sent().len()), (1, 1));
        assert_eq!(outcome.unseen.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_a_command_requires_is_checked_before_it_tries_again() {
    on_both(async |staged| {
        staged.meanwhile(async |inner| write(&inner, &[opened("bob")]).await);
        let answer = staged.bus().dispatch(KEY, open("ann")).await;
        assert!(matches!(
            answer,
            Err(DispatchError::AlreadyExists { version, .. }) if version == Version::new(1)
        ));
        assert_eq!(types(&staged.inner).await, ["Opened"]);
    })
    .await;
}

#[tokio::test]
async fn a_state_that_others_broke_is_told_unless_it_is_repaired() {
    on_both(async |staged| {
        while_others_write(&staged, [Withdrawn { cents: 101 }]).await;
        let answer = staged.bus().dispatch(KEY, Deposit { cents: 5 }).await;
        assert!(matches!(
            answer,
            Err(DispatchError::InvariantViolated { when: When::Loaded, version, .. })
                if version == Version::new(3)
        ));
    })
    .await;
    on_both(async |staged| {
        while_others_write(&staged, [Withdrawn { cents: 101 }]).await;
        let repair = staged.bus().dispatch(KEY, Deposit { cents: 5 }).repairing();
        assert_eq!(repair.await.expect("an outcome").state.balance, 4);
    })
    .await;
}

#[tokio::test]
async fn a_caller_may_declare_otherwise() {
    on_both(async |staged| {
        while_others_write(&staged, [Deposited { cents: 5 }, Deposited { cents: 5 }]).await;
        let bus = staged.bus();
        let deposit = bus.dispatch(KEY, Deposit { cents: 1 });
        let surfaced = conflict(deposit.on_conflict(OnConflict::Surface).await);
        assert_eq!(surfaced.policy, Some(Policy::Surface));
        let sent = bus.dispatch(KEY, send(1)).on_conflict(OnConflict::Redecide);
        let decided_by = sent.await.expect("an outcome").decided_by;
        assert_eq!(decided_by, Decision::Redecided);
    })
    .await;
}
