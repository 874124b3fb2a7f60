//! What a caller has seen: a version that it demands, a token, or work done offline.

use annalist::command::InvalidDispatch;
use annalist::{
    ConflictKind, ConflictReason, Decision, DispatchError, LoadError, OnConflict, Version,
};

use crate::bank::{
    Deposit, Deposited, Freeze, Frozen, Withdraw, Withdrawn, opened, rename, renamed, send,
};
use crate::{KEY, account, conflict, on_both, write};

fn three() -> [crate::AccountEvent; 3] {
    [
        opened("ann"),
        Deposited { cents: 100 },
        Deposited { cents: 10 },
    ]
}

#[tokio::test]
async fn a_demanded_version_that_is_past_is_stale_at_once() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let stale = conflict(deposit.expecting(Version::new(2)).await);
        assert_eq!(stale.kind, ConflictKind::StaleVersion);
        assert_eq!(stale.reason, ConflictReason::Demanded);
        assert_eq!(stale.expected, Some(Version::new(2)));
        assert_eq!(stale.base.expect("a base").balance, 100);
        assert_eq!(stale.current.balance, 110);
        assert_eq!(stale.unseen, [Deposited { cents: 10 }]);
        assert!(stale.proposed.is_empty(), "nothing was decided");
        assert!(staged.sent().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_demanded_version_that_was_removed_is_stale_with_what_came_after_it() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let stream = account(KEY);
        let truncated = staged.inner.truncate_before(&stream, Version::new(3));
        truncated.await.expect("a removal");
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let stale = conflict(deposit.expecting(Version::new(1)).await);
        assert_eq!((stale.expected, stale.base), (Some(Version::new(1)), None));
        assert_eq!(stale.unseen, three()[2..]);
    })
    .await;
}

#[tokio::test]
async fn a_busy_store_hides_nothing_from_a_stale_caller() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        // Now, then, and what happened in between.
        for busy in [0, 0, 1] {
            let stage = staged.clone();
            staged.before_read(async move |_| stage.busy_reads(busy));
        }
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let stale = conflict(deposit.expecting(Version::new(2)).await);
        assert_eq!(stale.unseen, three()[2..]);
    })
    .await;
}

#[tokio::test]
async fn a_demanded_version_that_is_current_holds() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let outcome = deposit.expecting(Version::new(3)).await;
        assert_eq!(outcome.expect("an outcome").version, Version::new(4));
    })
    .await;
}

#[tokio::test]
async fn a_race_lost_under_a_demanded_version_surfaces_unasked() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 7 }]).await);
        // It would commute, but is not asked.
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let lost = conflict(deposit.expecting(Version::new(3)).await);
        assert_eq!(lost.kind, ConflictKind::LostRace);
        assert_eq!((lost.reason, lost.attempts), (ConflictReason::Demanded, 1));
        assert_eq!(lost.proposed, [Deposited { cents: 1 }]);
    })
    .await;
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        staged.meanwhile(async |inner| write(&inner, &[Frozen]).await);
        // Nothing is left to do, but the caller demanded that version.
        let freeze = staged.bus().dispatch(KEY, Freeze);
        let lost = conflict(freeze.expecting(Version::new(3)).await);
        assert_eq!(lost.reason, ConflictReason::Demanded);
    })
    .await;
}

#[tokio::test]
async fn a_version_that_is_not_reached_is_invalid() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let bus = staged.bus();
        let demanded = bus.dispatch(KEY, Deposit { cents: 1 });
        let demanded = demanded.expecting(Version::new(4)).await;
        let based = bus.dispatch(KEY, Deposit { cents: 1 });
        let based = based.based_on(Version::new(4)).await;
        for answer in [demanded, based] {
            let Err(DispatchError::Invalid(InvalidDispatch::Version(LoadError::NotReached {
                asked,
                version,
                ..
            }))) = answer
            else {
                panic!("{answer:?}");
            };
            assert_eq!((asked, version), (Version::new(4), Version::new(3)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_proves_what_was_seen() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let store = &staged.store;
        let info = store.stream_info(&account(KEY)).await.expect("a stream");
        let token = store.token(&info).expect("a token");
        let bus = staged.bus();
        let own = bus.dispatch(KEY, Deposit { cents: 1 });
        let own = own.expecting_token(token).await.expect("an outcome");
        assert_eq!(own.version, Version::new(4));

        let stale = bus.dispatch(KEY, Deposit { cents: 1 });
        let stale = conflict(stale.expecting_token(token).await);
        assert_eq!(stale.kind, ConflictKind::StaleVersion);
        assert_eq!(
            (stale.expected, stale.version),
            (Some(Version::new(3)), Version::new(4))
        );
        assert_eq!(stale.base.as_ref().map(|base| base.balance), Some(110));
        assert_eq!(
            (stale.unseen.len(), stale.report().changed),
            (1, vec!["/balance".to_owned()])
        );

        let foreign = bus.dispatch("43", Deposit { cents: 1 });
        let foreign = conflict(foreign.expecting_token(token).await);
        assert_eq!(
            (foreign.kind, foreign.expected, foreign.version),
            (ConflictKind::StaleVersion, None, Version::ZERO)
        );
        assert_eq!(staged.sent().len(), 1);

        // So old that nobody looks for it: what was seen is not known, and nothing is made up.
        for _ in 0..100 {
            write(&staged.inner, &[Deposited { cents: 1 }]).await;
        }
        let old = bus.dispatch(KEY, Deposit { cents: 1 });
        let old = conflict(old.expecting_token(token).await);
        assert_eq!((old.expected, old.base, old.unseen.len()), (None, None, 0));
    })
    .await;
}

#[tokio::test]
async fn a_race_lost_under_a_token_surfaces() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let info = staged.store.stream_info(&account(KEY)).await;
        let token = staged
            .store
            .token(&info.expect("a stream"))
            .expect("a token");
        staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 7 }]).await);
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let lost = conflict(deposit.expecting_token(token).await);
        assert_eq!((lost.kind, lost.attempts), (ConflictKind::LostRace, 1));
    })
    .await;
}

#[tokio::test]
async fn a_token_from_before_a_removal_is_stale() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let info = staged.store.stream_info(&account(KEY)).await;
        let token = staged
            .store
            .token(&info.expect("a stream"))
            .expect("a token");
        let stream = account(KEY);
        let truncated = staged.inner.truncate_before(&stream, Version::new(2));
        truncated.await.expect("a removal");
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let stale = conflict(deposit.expecting_token(token).await);
        assert_eq!(
            (stale.kind, stale.expected),
            (ConflictKind::StaleVersion, None)
        );
    })
    .await;
}

#[tokio::test]
async fn work_based_on_the_current_version_is_a_plain_dispatch() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let withdraw = staged.bus().dispatch(KEY, Withdraw { cents: 110 });
        let outcome = withdraw.based_on(Version::new(3)).await;
        assert_eq!(outcome.expect("an outcome").decided_by, Decision::Appended);

        staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 7 }]).await);
        let lost = staged
            .bus()
            .dispatch(KEY, send(0))
            .based_on(Version::new(4));
        assert_eq!(conflict(lost.await).kind, ConflictKind::LostRace);
    })
    .await;
}

#[tokio::test]
async fn work_based_on_an_old_version_is_decided_there_and_then_as_declared() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let old = Version::new(2);
        let surfaced = staged.bus().dispatch(KEY, send(20)).based_on(old);
        let surfaced = conflict(surfaced.await);
        assert_eq!(surfaced.kind, ConflictKind::StaleVersion);
        assert_eq!(surfaced.expected, Some(old));
        assert_eq!(surfaced.base.expect("a base").balance, 100);
        assert_eq!(surfaced.proposed.len(), 1);

        let merged = staged.bus().dispatch(KEY, rename("bob")).based_on(old);
        let merged = merged.await.expect("an outcome");
        assert_eq!(merged.decided_by, Decision::Merged);
        let refused = staged.bus().dispatch(KEY, rename("cid")).based_on(old);
        assert!(matches!(
            conflict(refused.await).reason,
            ConflictReason::Refused { .. }
        ));

        let redecided = staged
            .bus()
            .dispatch(KEY, Withdraw { cents: 5 })
            .based_on(old);
        let redecided = redecided.await.expect("an outcome");
        assert_eq!(redecided.decided_by, Decision::Redecided);
        let commuted = staged
            .bus()
            .dispatch(KEY, Deposit { cents: 5 })
            .based_on(old);
        let commuted = commuted.await.expect("an outcome");
        assert_eq!(commuted.decided_by, Decision::Commuted);
        // Nobody was raced with: what was known to be old was not sent.
        assert_eq!(commuted.attempts, 1);
    })
    .await;
}

#[tokio::test]
async fn what_appends_nothing_at_an_old_version_is_decided_on_what_is() {
    on_both(async |staged| {
        write(
            &staged.inner,
            &[opened("ann"), Frozen, Deposited { cents: 100 }],
        )
        .await;
        let old = Version::new(2);
        // There was nothing then; there is enough now.
        let withdraw = staged
            .bus()
            .dispatch(KEY, Withdraw { cents: 100 })
            .based_on(old);
        let withdraw = withdraw.await.expect("an outcome");
        assert_eq!(withdraw.decided_by, Decision::Redecided);
        assert_eq!(withdraw.state.balance, 0);
        // Not enough then, nor now.
        let rejected = staged.bus().dispatch(KEY, send(1)).based_on(old).await;
        assert!(
            matches!(rejected, Err(DispatchError::Rejected(_))),
            "{rejected:?}"
        );
        // Nothing to do then, nor now.
        let freeze = staged.bus().dispatch(KEY, Freeze).based_on(old).await;
        assert_eq!(
            freeze.expect("an outcome").decided_by,
            Decision::NothingToDo
        );
        // Not enough then, enough now: but what surfaces is not decided for its caller.
        write(&staged.inner, &[Deposited { cents: 9 }]).await;
        let surfaced = conflict(staged.bus().dispatch(KEY, send(9)).based_on(old).await);
        assert_eq!(surfaced.kind, ConflictKind::StaleVersion);
        assert!(surfaced.proposed.is_empty());
        let commute = staged
            .bus()
            .dispatch(KEY, Withdraw { cents: 9 })
            .based_on(old);
        let commute = commute.on_conflict(OnConflict::Commute).await;
        assert_eq!(commute.expect("an outcome").decided_by, Decision::Redecided);
    })
    .await;
}

#[tokio::test]
async fn work_based_on_what_was_removed_is_invalid() {
    on_both(async |staged| {
        write(&staged.inner, &three()).await;
        let stream = account(KEY);
        let truncated = staged.inner.truncate_before(&stream, Version::new(3));
        truncated.await.expect("a removal");
        let based_on = async |version| {
            let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
            deposit.based_on(Version::new(version)).await
        };
        let removed = |answer: Result<_, DispatchError<Deposit>>| {
            matches!(
                answer.map(|_: annalist::Outcome<_>| ()),
                Err(DispatchError::Invalid(InvalidDispatch::Version(
                    LoadError::Removed { .. }
                )))
            )
        };
        assert!(removed(based_on(2).await), "truncated");
        staged
            .inner
            .delete(&account(KEY), Version::new(3))
            .await
            .expect("a removal");
        assert!(removed(based_on(3).await), "deleted at that version");
        write(&staged.inner, &[renamed("bob"), Withdrawn { cents: 0 }]).await;
        assert!(removed(based_on(3).await), "deleted and written again");
        assert_eq!(
            based_on(4).await.expect("an outcome").version,
            Version::new(6)
        );
    })
    .await;
}
