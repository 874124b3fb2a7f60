//! Command ids, by which a command is recognised for ever, and outcomes that are recorded
//! under them.

use annalist::{CommandBus, Decision, DispatchError, Store, Version};

use crate::bank::{
    Account, Deposit, Deposited, Freeze, Frozen, Overdrawn, Withdraw, Withdrawn, open, opened,
    rename, renamed, send,
};
use crate::stage::Staged;
use crate::{KEY, account, conflict, log, on_both, types, write};

#[tokio::test]
async fn a_repeated_id_answers_what_came_of_it_then() {
    on_both(async |staged| {
        let bus = staged.bus();
        let pay = || bus.dispatch(KEY, Deposit { cents: 5 }).command_id("pay-1");
        let first = pay().await.expect("an outcome");
        write(&staged.inner, &[Deposited { cents: 7 }]).await;
        let again = pay().await.expect("an outcome");
        assert_eq!(again.decided_by, Decision::AlreadyApplied);
        assert_eq!(
            (again.version, again.position),
            (first.version, first.position)
        );
        assert_eq!((again.events, again.state), (first.events, first.state));
        assert_eq!(types(&staged.inner).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_reused_id_is_refused_for_another_payload_or_command() {
    on_both(async |staged| {
        let bus = staged.bus();
        let first = bus.dispatch(KEY, Deposit { cents: 5 }).command_id("k");
        first.await.expect("an outcome");
        let payload = bus.dispatch(KEY, Deposit { cents: 6 }).command_id("k");
        let command = bus.dispatch(KEY, Withdraw { cents: 5 }).command_id("k");
        let payload = payload.await.expect_err("another payload").code();
        let command = command.await.expect_err("another command").code();
        assert_eq!([payload, command], ["command_id_reused"; 2]);
        // On another aggregate it is another id.
        let other = bus.dispatch("43", Deposit { cents: 6 }).command_id("k");
        other.await.expect("an outcome");
    })
    .await;
}

#[tokio::test]
async fn without_an_id_a_second_dispatch_is_a_second_command() {
    on_both(async |staged| {
        for balance in [5, 10] {
            let outcome = staged.bus().dispatch(KEY, Deposit { cents: 5 }).await;
            assert_eq!(outcome.expect("an outcome").state.balance, balance);
        }
    })
    .await;
}

#[tokio::test]
async fn closures_are_recognised_by_their_names() {
    on_both(async |staged| {
        let bus = staged.bus();
        let add = |name: &str| {
            let add = |_: &Account| Ok::<_, Overdrawn>(vec![Deposited { cents: 1 }]);
            bus.decide(KEY, name, add).command_id("once")
        };
        add("one").await.expect("an outcome");
        let again = add("one").await.expect("an outcome");
        assert_eq!(again.decided_by, Decision::AlreadyApplied);
        let other = add("two").await.expect_err("another name");
        assert_eq!(other.code(), "command_id_reused");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_racing_dispatches_of_one_id_write_once_and_answer_alike() {
    on_both(async |staged| {
        let staged = Staged::that_gives_way(staged.inner.clone());
        write(&staged.inner, &[opened("ann"), Deposited { cents: 10 }]).await;
        for round in 0..20 {
            write(&staged.inner, &[Deposited { cents: 10 }]).await;
            let race = (0..10).map(|_| {
                // All of it: each but the first would be rejected by what is left.
                let balance = 10 * (round == 0) as i64 + 10;
                let dispatch = staged.bus().dispatch(KEY, Withdraw { cents: balance });
                tokio::spawn(dispatch.command_id(format!("pay-{round}")).into_future())
            });
            let race: Vec<_> = race.collect();
            let mut answers = Vec::new();
            for task in race {
                let outcome = task.await.expect("no panic");
                let outcome = outcome.expect("it took effect");
                assert_eq!(outcome.state.balance, 0);
                answers.push((outcome.version, outcome.position, outcome.events));
            }
            assert!(
                answers.windows(2).all(|two| two[0] == two[1]),
                "{answers:?}"
            );
            assert_eq!(log(&staged.inner).await.len(), 4 + 2 * round);
        }
    })
    .await;
}

/// Another dispatch of the same id lands between the look-up and the load.
async fn beside_a_twin<C>(staged: &Staged, command: C) -> annalist::Outcome<Account>
where
    C: annalist::Command<Aggregate = Account> + Clone,
{
    let twin = command.clone();
    staged.before_read(async move |inner| {
        let bus = CommandBus::new(inner);
        bus.dispatch(KEY, twin)
            .command_id("k")
            .await
            .expect("the twin");
    });
    let dispatch = staged.bus().dispatch(KEY, command).command_id("k");
    dispatch.await.expect("it took effect")
}

#[tokio::test]
async fn no_answer_is_judged_on_the_commands_own_effect() {
    // Created by its twin.
    on_both(async |staged| {
        let outcome = beside_a_twin(&staged, open("ann")).await;
        assert_eq!(outcome.decided_by, Decision::AlreadyApplied);
    })
    .await;
    // Spent by its twin.
    on_both(async |staged| {
        write(&staged.inner, &[Deposited { cents: 5 }]).await;
        let outcome = beside_a_twin(&staged, Withdraw { cents: 5 }).await;
        assert_eq!(outcome.decided_by, Decision::AlreadyApplied);
        assert_eq!(outcome.events, [Withdrawn { cents: 5 }]);
    })
    .await;
    // Done by its twin.
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann")]).await;
        let outcome = beside_a_twin(&staged, Freeze).await;
        assert_eq!(outcome.decided_by, Decision::AlreadyApplied);
        assert_eq!(outcome.events, [Frozen]);
    })
    .await;
    // Nothing but a panic is left for it, by its twin.
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann"), Deposited { cents: 5 }]).await;
        let spend = |staged: &Store| {
            let bus = CommandBus::new(staged.clone());
            let spend = bus.decide(KEY, "spend", |account: &Account| {
                assert!(account.balance >= 5, "whoever calls looks first");
                Ok::<_, std::fmt::Error>(vec![Withdrawn { cents: 5 }])
            });
            spend.command_id("k")
        };
        staged.before_read(async move |inner| {
            spend(&inner).await.expect("the twin");
        });
        let outcome = spend(&staged.store).await.expect("it took effect");
        assert_eq!(outcome.decided_by, Decision::AlreadyApplied);
    })
    .await;
    // Made stale by its twin.
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann")]).await;
        staged.before_read(async |inner| {
            let twin = CommandBus::new(inner).dispatch(KEY, rename("bob"));
            twin.command_id("k").await.expect("the twin");
        });
        let demanded = staged.bus().dispatch(KEY, rename("bob")).command_id("k");
        let outcome = demanded.expecting(Version::new(1)).await;
        let outcome = outcome.expect("it took effect");
        assert_eq!(outcome.decided_by, Decision::AlreadyApplied);
    })
    .await;
}

#[tokio::test]
async fn an_id_that_another_command_took_meanwhile_is_reused() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann")]).await;
        // One writer is faster; then another command lands under the id, unseen until the
        // loser looks at what happened.
        staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 1 }]).await);
        staged.before_read(async |_| ());
        staged.before_read(async |inner| {
            let other = CommandBus::new(inner).dispatch(KEY, rename("cid"));
            other.command_id("k").await.expect("the other");
        });
        let answer = staged.bus().dispatch(KEY, Deposit { cents: 5 });
        let answer = answer.command_id("k").await.expect_err("taken");
        assert_eq!(answer.code(), "command_id_reused");
    })
    .await;
}

#[tokio::test]
async fn an_event_under_the_id_is_the_command_even_where_no_key_is() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann")]).await;
        staged.meanwhile(async |inner| {
            let event = annalist::Codec::<Account>::new().encode(&renamed("bob"));
            let metadata = annalist::Metadata::default();
            let metadata = metadata.with_command_id("k".parse().expect("an id"));
            let event = event.expect("an event").with_metadata(metadata);
            let written = inner.append(&account(KEY), Version::new(1), [event]).await;
            written.expect("an append");
        });
        let outcome = staged.bus().dispatch(KEY, rename("bob")).command_id("k");
        let outcome = outcome.await.expect("it took effect");
        assert_eq!(outcome.decided_by, Decision::AlreadyApplied);
        assert_eq!(
            (outcome.version, outcome.events),
            (Version::new(2), vec![renamed("bob")])
        );
    })
    .await;
}

#[tokio::test]
async fn ids_outlive_deletion_compaction_and_truncation() {
    on_both(async |staged| {
        let bus = staged.bus();
        let pay = |id: &str, cents| bus.dispatch(KEY, Deposit { cents }).command_id(id);
        pay("a", 1).await.expect("an outcome");
        pay("b", 2).await.expect("an outcome");
        let stream = account(KEY);
        let known = async |id: &str, cents, version| {
            let again = pay(id, cents).await.expect("an outcome");
            assert_eq!(again.decided_by, Decision::AlreadyApplied);
            assert_eq!(again.version, Version::new(version));
            let other = pay(id, cents + 1).await.expect_err("another payload");
            assert_eq!(other.code(), "command_id_reused");
            again
        };
        let truncated = staged.inner.truncate_before(&stream, Version::new(2));
        truncated.await.expect("a removal");
        assert!(
            known("a", 1, 1).await.events.is_empty(),
            "not readable any more"
        );
        assert_eq!(known("b", 2, 2).await.events, [Deposited { cents: 2 }]);
        staged
            .inner
            .delete(&stream, Version::new(2))
            .await
            .expect("a removal");
        known("b", 2, 2).await;
        staged.inner.compact().await.expect("compacted");
        known("a", 1, 1).await;
        known("b", 2, 2).await;
        assert!(
            log(&staged.inner).await.is_empty(),
            "nothing was brought back"
        );
    })
    .await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn ids_outlive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut versions = Vec::new();
    for _ in 0..3 {
        let store = annalist::Store::open(folder.path().join("bank.db")).await;
        let store = store.expect("a store");
        let bus = CommandBus::new(store.clone());
        let outcome = bus
            .dispatch(KEY, Deposit { cents: 5 })
            .command_id("k")
            .await;
        let outcome = outcome.expect("an outcome");
        versions.push((outcome.version, outcome.state.balance));
        store.close().await.expect("a clean close");
    }
    assert_eq!(versions, [(Version::new(1), 5); 3]);
}

#[tokio::test]
async fn rejections_are_decided_anew_unless_they_are_recorded() {
    on_both(async |staged| {
        let bus = staged.bus();
        let once = |id: &str| bus.dispatch(KEY, Withdraw { cents: 5 }).command_id(id);
        assert!(matches!(once("a").await, Err(DispatchError::Rejected(_))));
        let recorded = once("b").record_outcome().await;
        assert!(
            matches!(recorded, Err(DispatchError::Rejected(_))),
            "{recorded:?}"
        );
        write(&staged.inner, &[Deposited { cents: 9 }]).await;

        let repeat = once("b").record_outcome().await.expect("an outcome");
        assert_eq!(repeat.decided_by, Decision::AlreadyApplied);
        assert_eq!((repeat.version, repeat.events.len()), (Version::ZERO, 0));
        assert_eq!(repeat.state.balance, 0, "as of then");
        let other = bus.dispatch(KEY, Withdraw { cents: 6 }).command_id("b");
        assert_eq!(other.await.expect_err("reused").code(), "command_id_reused");
        let anew = once("a").await.expect("an outcome");
        assert_eq!(anew.decided_by, Decision::Appended);
    })
    .await;
}

#[tokio::test]
async fn nothing_to_do_is_recorded_where_that_is_asked_for() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann"), Frozen]).await;
        let freeze = || staged.bus().dispatch(KEY, Freeze).command_id("k");
        for decided_by in [Decision::NothingToDo, Decision::AlreadyApplied] {
            let outcome = freeze().record_outcome().await.expect("an outcome");
            assert_eq!(
                (outcome.decided_by, outcome.version),
                (decided_by, Version::new(2))
            );
        }
        assert_eq!(types(&staged.inner).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn nothing_left_after_a_lost_race_is_recorded_too() {
    on_both(async |staged| {
        write(&staged.inner, &[opened("ann")]).await;
        staged.meanwhile(async |inner| write(&inner, &[Frozen]).await);
        let freeze = || staged.bus().dispatch(KEY, Freeze).command_id("k");
        for decided_by in [Decision::NothingToDo, Decision::AlreadyApplied] {
            let outcome = freeze().record_outcome().await.expect("an outcome");
            assert_eq!(
                (outcome.decided_by, outcome.version),
                (decided_by, Version::new(2))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_recorded_answer_is_checked_against_the_version() {
    // Redecided: there is enough meanwhile.
    on_both(async |staged| {
        staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 9 }]).await);
        let withdraw = staged.bus().dispatch(KEY, Withdraw { cents: 5 });
        let outcome = withdraw.command_id("k").record_outcome().await;
        assert_eq!(outcome.expect("an outcome").decided_by, Decision::Redecided);
    })
    .await;
    // Surfacing: nobody decides that for the caller.
    on_both(async |staged| {
        staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 9 }]).await);
        let sent = staged.bus().dispatch(KEY, send(5)).command_id("k");
        let conflict = conflict(sent.record_outcome().await);
        assert_eq!((conflict.attempts, conflict.proposed.len()), (1, 0));
        assert_eq!(types(&staged.inner).await, ["Deposited"]);
    })
    .await;
    // Rejected before and after.
    on_both(async |staged| {
        staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 4 }]).await);
        let sent = || staged.bus().dispatch(KEY, send(5)).command_id("k");
        let rejected = sent().record_outcome().await;
        let Err(DispatchError::Rejected(why)) = rejected else {
            panic!("{rejected:?}");
        };
        assert_eq!(why, Overdrawn { balance: 4 });
        let again = sent().record_outcome().await.expect("an outcome");
        assert_eq!(
            (again.decided_by, again.version),
            (Decision::AlreadyApplied, Version::new(1))
        );
    })
    .await;
}

#[tokio::test]
async fn what_its_aggregate_forbids_is_recorded_too() {
    on_both(async |staged| {
        let freeze = || staged.bus().dispatch(KEY, Freeze).command_id("freeze");
        let missing = freeze().record_outcome().await;
        assert_eq!(missing.expect_err("nothing there").code(), "not_found");
        write(&staged.inner, &[opened("ann")]).await;
        let again = || staged.bus().dispatch(KEY, open("bob")).command_id("open");
        let there = again().record_outcome().await;
        assert_eq!(there.expect_err("it is there").code(), "already_exists");
        let repeat = again().await.expect("an outcome");
        assert_eq!(
            (repeat.decided_by, repeat.position),
            (Decision::AlreadyApplied, None)
        );
        let repeat = freeze().await.expect("an outcome");
        assert_eq!(
            (repeat.decided_by, repeat.version, repeat.position),
            (Decision::AlreadyApplied, Version::ZERO, None)
        );
        assert_eq!(types(&staged.inner).await, ["Opened"]);
    })
    .await;
}
