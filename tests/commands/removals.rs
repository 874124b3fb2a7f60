//! Aggregates that are removed or closed while a command is on its way.

use annalist::{ConflictReason, Decision, OnConflict, Store, Version};

use crate::bank::{Account, Deposit, Deposited, Withdraw, Withdrawn, open, opened, renamed};
use crate::{KEY, account, conflict, on_both, types, write};

async fn three(store: &Store) {
    let events = [
        opened("ann"),
        Deposited { cents: 100 },
        Deposited { cents: 10 },
    ];
    write(store, &events).await;
}

async fn delete(store: &Store) {
    let info = store.stream_info(&account(KEY)).await.expect("a stream");
    let deleted = store.delete(&account(KEY), info.version).await;
    deleted.expect("a removal");
}

async fn truncate(store: &Store, before: u64) {
    let before = Version::new(before);
    let truncated = store.truncate_before(&account(KEY), before).await;
    truncated.expect("a removal");
}

#[tokio::test]
async fn an_aggregate_deleted_meanwhile_is_never_retried() {
    on_both(async |staged| {
        three(&staged.inner).await;
        staged.meanwhile(async |inner| delete(&inner).await);
        let lost = conflict(staged.bus().dispatch(KEY, Deposit { cents: 1 }).await);
        assert_eq!(lost.reason, ConflictReason::Deleted);
        assert_eq!((lost.attempts, staged.sent().len()), (1, 1));
        assert_eq!(lost.base.expect("a base").balance, 110);
        assert_eq!(lost.current, Account::default());
        assert_eq!(
            (lost.expected, lost.version),
            (Some(Version::new(3)), Version::new(3))
        );
        assert!(types(&staged.inner).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_aggregate_deleted_and_written_again_is_never_retried() {
    on_both(async |staged| {
        three(&staged.inner).await;
        staged.meanwhile(async |inner| {
            delete(&inner).await;
            write(&inner, &[opened("bob"), Deposited { cents: 500 }]).await;
        });
        let withdraw = staged.bus().dispatch(KEY, Withdraw { cents: 5 });
        let lost = conflict(withdraw.on_conflict(OnConflict::Commute).await);
        assert_eq!((lost.reason, lost.attempts), (ConflictReason::Removed, 1));
        assert_eq!(lost.current.owner, "bob");
        assert_eq!(lost.current.balance, 500, "folded afresh");
        assert_eq!(lost.unseen.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_aggregate_created_and_deleted_meanwhile_is_never_retried() {
    on_both(async |staged| {
        staged.meanwhile(async |inner| {
            write(&inner, &[opened("bob")]).await;
            delete(&inner).await;
        });
        let lost = conflict(staged.bus().dispatch(KEY, open("ann")).await);
        assert_eq!((lost.reason, lost.attempts), (ConflictReason::Deleted, 1));
        assert!(types(&staged.inner).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_aggregate_closed_meanwhile_is_never_retried() {
    on_both(async |staged| {
        three(&staged.inner).await;
        staged.meanwhile(async |inner| {
            let closed = inner.close_stream(&account(KEY), Version::new(3)).await;
            closed.expect("closed");
        });
        let lost = conflict(staged.bus().dispatch(KEY, Deposit { cents: 1 }).await);
        assert_eq!((lost.reason, lost.attempts), (ConflictReason::Closed, 1));
        // Also who demanded a version is told why it can never land.
        let demanded = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let demanded = conflict(demanded.expecting(Version::new(3)).await);
        assert_eq!(demanded.reason, ConflictReason::Closed);
        assert_eq!(types(&staged.inner).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn an_aggregate_truncated_meanwhile_is_folded_afresh() {
    on_both(async |staged| {
        three(&staged.inner).await;
        staged.meanwhile(async |inner| truncate(&inner, 3).await);
        // 110 cents were seen, 10 are left.
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 }).await;
        let deposit = deposit.expect("an outcome");
        assert_eq!(deposit.decided_by, Decision::Commuted);
        assert_eq!((deposit.state.balance, deposit.attempts), (11, 2));

        staged.meanwhile(async |inner| {
            write(&inner, &[Withdrawn { cents: 1 }]).await;
            truncate(&inner, 4).await;
        });
        let withdraw = staged.bus().dispatch(KEY, Withdraw { cents: 11 }).await;
        // 11 cents were seen, none are left.
        assert_eq!(withdraw.expect_err("too much").code(), "rejected");
    })
    .await;
}

#[tokio::test]
async fn a_surfacing_command_is_told_of_a_truncation() {
    on_both(async |staged| {
        three(&staged.inner).await;
        staged.meanwhile(async |inner| truncate(&inner, 3).await);
        let lost = conflict(staged.bus().dispatch(KEY, crate::bank::send(1)).await);
        assert_eq!((lost.reason, lost.attempts), (ConflictReason::Removed, 1));
        assert_eq!(
            (lost.expected, lost.version),
            (Some(Version::new(3)), Version::new(3))
        );
        assert_eq!(lost.current.balance, 10);
    })
    .await;
}

#[tokio::test]
async fn what_was_seen_and_is_truncated_away_is_never_retried() {
    on_both(async |staged| {
        three(&staged.inner).await;
        staged.meanwhile(async |inner| {
            write(&inner, &[renamed("bob"), renamed("cid")]).await;
            truncate(&inner, 5).await;
        });
        let lost = conflict(staged.bus().dispatch(KEY, Deposit { cents: 1 }).await);
        assert_eq!((lost.reason, lost.attempts), (ConflictReason::Removed, 1));
        assert_eq!(lost.unseen, [renamed("cid")], "as far as it can be read");
    })
    .await;
}

#[tokio::test]
async fn a_removal_while_the_unseen_events_are_read_begins_again() {
    on_both(async |staged| {
        three(&staged.inner).await;
        staged.meanwhile(async |inner| write(&inner, &[renamed("bob")]).await);
        staged.before_read(async |_| ());
        // When the loser looks, what it had folded is not all there any more.
        staged.before_read(async |inner| truncate(&inner, 2).await);
        let outcome = staged.bus().dispatch(KEY, Deposit { cents: 1 }).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(
            (outcome.state.balance, outcome.state.owner.as_str()),
            (111, "bob")
        );
        assert_eq!(outcome.unseen.len(), 1);
    })
    .await;
}
