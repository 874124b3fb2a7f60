//! Attempts, waiting, deadlines, and a store that does not answer as it should.

use std::time::Duration;

use annalist::{
    BusOptions, CommandBus, ConflictReason, Decision, DispatchError, RetryPolicy, Store,
    StoreErrorKind,
};

use crate::bank::{Deposit, Deposited, Freeze, Frozen, Withdraw, Withdrawn, opened, send};
use crate::stage::{Staged, Told};
use crate::{KEY, conflict, on_both, types, write};

fn options(attempts_max: u32) -> BusOptions {
    let mut options = BusOptions::default();
    options.retry.attempts_max = attempts_max;
    options.seed = Some(7);
    options.aggregates_cached_max = 0;
    options
}

#[tokio::test]
async fn an_unknown_outcome_is_asked_for_again_and_never_decided_again() {
    for told in [Told::UnknownLost, Told::UnknownLanded] {
        on_both(async |staged| {
            write(&staged.inner, &[opened("ann"), Deposited { cents: 100 }]).await;
            staged.answers([told, told]);
            if told == Told::UnknownLanded {
                // Where it landed, what comes after it does not matter.
                staged.meanwhile(async |_| ());
                staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 9 }]).await);
            }
            let outcome = staged.bus().dispatch(KEY, send(100)).await;
            let outcome = outcome.expect("an outcome");
            assert_eq!(outcome.decided_by, Decision::Appended);
            assert_eq!((outcome.state.balance, outcome.attempts), (0, 3));
            let ids = staged.sent_ids();
            assert!(ids.len() == 3 && ids[0] == ids[1] && ids[1] == ids[2]);
            let keys: Vec<_> = staged.sent().into_iter().map(|sent| sent.key).collect();
            assert!(keys[0].is_some() && keys[0] == keys[1]);
            let types = types(&staged.inner).await;
            assert_eq!(types[..3], ["Opened", "Deposited", "Sent"]);
            assert_eq!(types.len(), 3 + usize::from(told == Told::UnknownLanded));
        })
        .await;
    }
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_told_as_that() {
    on_both(async |staged| {
        staged.answers([Told::UnknownLanded, Told::Fenced]);
        let answer = staged.bus().dispatch(KEY, Deposit { cents: 1 }).await;
        let Err(DispatchError::Append(error)) = answer else {
            panic!("{answer:?}");
        };
        // Whoever asked last only knows that it was not this time.
        assert_eq!(
            (error.code(), error.is_retryable()),
            ("unknown_outcome", false)
        );

        staged.answers([Told::UnknownLost; 3]);
        let bus = CommandBus::with(staged.store.clone(), options(3));
        let answer = bus.dispatch(KEY, Deposit { cents: 1 }).await;
        assert_eq!(answer.expect_err("unknown").code(), "unknown_outcome");
        let past = bus.dispatch(KEY, Deposit { cents: 1 });
        staged.answers([Told::UnknownLost, Told::Busy, Told::Busy]);
        assert_eq!(past.await.expect_err("unknown").code(), "unknown_outcome");
    })
    .await;
}

#[tokio::test]
async fn an_unknown_outcome_that_cannot_be_looked_up_stays_unknown() {
    on_both(async |staged| {
        staged.answers([Told::UnknownLanded]);
        staged.finds_fail();
        // It landed: who is told to try again would do it twice.
        let answer = staged.bus().dispatch(KEY, Deposit { cents: 1 }).await;
        let error = answer.expect_err("unknown");
        assert_eq!(
            (error.code(), error.is_retryable()),
            ("unknown_outcome", false)
        );
        assert_eq!(types(&staged.inner).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_outcome_that_was_lost_to_another_goes_on_as_declared() {
    on_both(async |staged| {
        write(&staged.inner, &[Deposited { cents: 100 }]).await;
        staged.answers([Told::UnknownLost]);
        staged.meanwhile(async |_| ());
        staged.meanwhile(async |inner| write(&inner, &[Withdrawn { cents: 50 }]).await);
        let outcome = staged.bus().dispatch(KEY, Withdraw { cents: 40 }).await;
        assert_eq!(outcome.expect("an outcome").decided_by, Decision::Redecided);
        let ids = staged.sent_ids();
        assert!(ids[0] == ids[1] && ids[1] != ids[2]);
    })
    .await;
}

#[tokio::test]
async fn a_recorded_rejection_of_unknown_outcome_is_still_a_rejection() {
    for told in [Told::UnknownLost, Told::UnknownLanded] {
        on_both(async |staged| {
            staged.answers([told]);
            let withdraw = || staged.bus().dispatch(KEY, Withdraw { cents: 1 });
            let answer = withdraw().command_id("k").record_outcome().await;
            assert!(
                matches!(answer, Err(DispatchError::Rejected(_))),
                "{answer:?}"
            );
            let again = withdraw().command_id("k").await.expect("an outcome");
            assert_eq!(again.decided_by, Decision::AlreadyApplied);
        })
        .await;
    }
}

#[tokio::test]
async fn a_busy_store_is_asked_again_and_never_told_as_a_conflict() {
    on_both(async |staged| {
        staged.answers([Told::Busy; 3]);
        staged.busy_reads(3);
        let outcome = staged.bus().dispatch(KEY, Deposit { cents: 1 }).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!(
            (outcome.attempts, outcome.decided_by),
            (7, Decision::Appended)
        );
        let ids = staged.sent_ids();
        assert!(ids.iter().all(|sent| sent == &ids[0]));

        staged.answers([Told::Busy; 10]);
        let answer = staged.bus().dispatch(KEY, Deposit { cents: 1 }).await;
        let error = answer.expect_err("busy");
        assert_eq!((error.code(), error.is_retryable()), ("busy", true));
        assert_eq!(types(&staged.inner).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_retried_is_not() {
    on_both(async |staged| {
        staged.answers([Told::Fenced]);
        let answer = staged.bus().dispatch(KEY, Deposit { cents: 1 }).await;
        assert_eq!(answer.expect_err("fenced").code(), "fenced");
        assert_eq!(staged.sent().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn attempts_are_bounded_and_the_conflict_says_how_many() {
    on_both(async |staged| {
        write(&staged.inner, &[Deposited { cents: 100 }]).await;
        for attempts in [1, 2, 4] {
            for _ in 0..attempts {
                staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 1 }]).await);
            }
            let bus = CommandBus::with(staged.store.clone(), options(attempts));
            let before = staged.sent().len();
            let lost = conflict(bus.dispatch(KEY, Withdraw { cents: 1 }).await);
            assert_eq!(
                (lost.reason, lost.attempts),
                (ConflictReason::Attempts, attempts)
            );
            assert_eq!(lost.unseen.len(), attempts as usize);
            assert_eq!(staged.sent().len() - before, attempts as usize);
        }
    })
    .await;
}

/// How long a dispatch waits that loses five times, on a clock that only waiting moves.
async fn waited(options: BusOptions, commands: usize) -> Vec<Duration> {
    let staged = Staged::over(Store::memory());
    let bus = CommandBus::with(staged.store.clone(), options);
    let mut waited = Vec::new();
    for _ in 0..commands {
        for _ in 0..5 {
            staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 1 }]).await);
        }
        let began = tokio::time::Instant::now();
        let outcome = bus.dispatch(KEY, Deposit { cents: 1 }).await;
        assert_eq!(outcome.expect("an outcome").attempts, 6);
        waited.push(began.elapsed());
    }
    waited
}

#[tokio::test(start_paused = true)]
async fn a_seeded_bus_waits_alike_and_each_dispatch_by_itself() {
    let mut slow = options(10);
    slow.retry.delay_base = Duration::from_secs(1);
    slow.retry.delay_max = Duration::from_secs(8);
    let first = waited(slow, 4).await;
    assert_eq!(first, waited(slow, 4).await);
    assert!(first.windows(2).all(|two| two[0] != two[1]), "{first:?}");
    // 1 + 2 + 4 + 8 + 8 seconds are the ceilings; a timer counts whole milliseconds.
    let most = Duration::from_secs(23) + Duration::from_millis(5);
    assert!(
        first
            .iter()
            .all(|waited| *waited > Duration::ZERO && *waited < most)
    );
    slow.seed = Some(8);
    assert_ne!(first, waited(slow, 4).await);
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing() {
    on_both(async |staged| {
        let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
        let answer = deposit.deadline(Duration::ZERO).await;
        let error = answer.expect_err("no time");
        assert_eq!(error.code(), "deadline_exceeded");
        assert!(error.is_retryable() && staged.sent().is_empty());
        // What appends nothing has been answered by then.
        write(&staged.inner, &[Frozen]).await;
        let freeze = staged.bus().dispatch(KEY, Freeze).deadline(Duration::ZERO);
        assert_eq!(
            freeze.await.expect("an outcome").decided_by,
            Decision::NothingToDo
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_cuts_no_attempt_short() {
    let staged = Staged::over(Store::memory());
    staged.meanwhile(async |_| tokio::time::sleep(Duration::from_secs(60)).await);
    let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
    let outcome = deposit.deadline(Duration::from_secs(1)).await;
    assert_eq!(outcome.expect("an outcome").decided_by, Decision::Appended);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_after_a_lost_race_is_told_as_the_conflict() {
    let staged = Staged::over(Store::memory());
    staged.meanwhile(async |inner| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        write(&inner, &[Deposited { cents: 1 }]).await;
    });
    let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
    let late = conflict(deposit.deadline(Duration::from_secs(1)).await);
    assert_eq!((late.reason, late.attempts), (ConflictReason::Deadline, 1));
    assert!(late.elapsed >= Duration::from_secs(60));

    // The race is lost in time; then the store is busy until there is none.
    staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 1 }]).await);
    staged.meanwhile(async |_| tokio::time::sleep(Duration::from_secs(60)).await);
    staged.answers([Told::Truth, Told::Busy]);
    let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
    let late = conflict(deposit.deadline(Duration::from_secs(30)).await);
    assert_eq!((late.reason, late.attempts), (ConflictReason::Deadline, 2));
    assert_eq!(late.unseen, [Deposited { cents: 1 }]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_on_a_busy_store_names_the_store() {
    let staged = Staged::over(Store::memory());
    staged.meanwhile(async |_| tokio::time::sleep(Duration::from_secs(60)).await);
    staged.answers([Told::Busy]);
    let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
    let answer = deposit.deadline(Duration::from_secs(1)).await;
    let Err(DispatchError::DeadlineExceeded {
        source: Some(error),
    }) = answer
    else {
        panic!("{answer:?}");
    };
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    // One whose outcome is unknown is told as that: it may have landed.
    staged.meanwhile(async |_| tokio::time::sleep(Duration::from_secs(60)).await);
    staged.answers([Told::UnknownLanded]);
    let deposit = staged.bus().dispatch(KEY, Deposit { cents: 1 });
    let answer = deposit.deadline(Duration::from_secs(1)).await;
    assert_eq!(answer.expect_err("unknown").code(), "unknown_outcome");
}

#[test]
fn the_defaults_are_as_documented() {
    let RetryPolicy { attempts_max, .. } = BusOptions::default().retry;
    assert_eq!(attempts_max, 10);
}
