//! Commands that stand in line: each is decided on what the one before it leaves, shares the
//! fate of the commit that it is written with, and is otherwise a command like any other.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use annalist::{
    Command, CommandBus, Contention, Decision, DispatchError, OnConflict, Outcome, Store, Version,
};
use futures_util::future::join_all;
use serde::Serialize;

use crate::bank::{Account, AccountEvent, Deposited, Overdrawn, Withdrawn, opened};
use crate::stage::{Staged, Told};
use crate::{KEY, account, conflict, log, on_both, types, write};

/// Takes money, in line: decided again where others came between.
#[derive(Clone, Serialize)]
struct Take(i64);

impl Command for Take {
    type Aggregate = Account;
    type Rejection = Overdrawn;
    const NAME: &'static str = "take";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
    const CONTENTION: Contention = Contention::Queued;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
        let balance = account.balance;
        match self.0 {
            13 => panic!("thirteen"),
            0 => Ok(vec![]),
            // What it does not look at, the invariant does.
            cents if cents > 1_000 => Ok(vec![Withdrawn { cents }]),
            cents if balance < cents => Err(Overdrawn { balance }),
            cents => Ok(vec![Withdrawn { cents }]),
        }
    }
}

/// Puts money, in line: a conflict surfaces.
#[derive(Clone, Serialize)]
struct Put(i64);

impl Command for Put {
    type Aggregate = Account;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "put";
    const CONTENTION: Contention = Contention::Queued;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
        Ok(vec![Deposited { cents: self.0 }])
    }
}

/// Buses with what they keep, and without, on each store, behind a stage and not.
async fn on_each(test: impl AsyncFn(CommandBus)) {
    on_both(async |staged| test(staged.bus()).await).await;
    on_both(async |staged| test(CommandBus::new(staged.inner.clone())).await).await;
}

async fn balance(store: &Store) -> i64 {
    let accounts = annalist::Repository::<Account>::new(store.clone());
    accounts.load(KEY).await.expect("an account").state.balance
}

fn landed<C: Command<Aggregate = Account>>(
    answer: Result<Outcome<Account>, DispatchError<C>>,
) -> Outcome<Account> {
    answer.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_each_decided_once_and_all_land() {
    on_each(async |bus| {
        const EACH: usize = 10;
        let callers = (0..64).map(|_| async {
            let mut versions = Vec::new();
            for _ in 0..EACH {
                let outcome = landed(bus.dispatch(KEY, Put(1)).await);
                let (version, events) = (outcome.version, outcome.events.len());
                assert_eq!(
                    (outcome.decided_by, outcome.attempts),
                    (Decision::Appended, 1)
                );
                assert_eq!((outcome.state.balance, events), (version.get() as i64, 1));
                assert_eq!(outcome.first_version, Some(version));
                versions.push(version);
            }
            versions
        });
        let versions: Vec<Version> = join_all(callers).await.concat();
        let each: BTreeSet<_> = versions.iter().copied().collect();
        assert_eq!(each.len(), 64 * EACH, "a version was answered twice");
        assert_eq!(balance(bus.store()).await, 640);
        let head = bus.store().stream_info(&account(KEY)).await;
        assert_eq!(head.expect("its facts").version, Version::new(640));
    })
    .await;
}

/// Of those that are decided together, each is answered what it deserves.
#[tokio::test]
async fn each_is_answered_for_itself() {
    on_each(async |bus| {
        landed(bus.dispatch(KEY, Put(10)).await);
        let send = |cents| bus.dispatch(KEY, Take(cents)).into_future();
        let answers = join_all([4, 13, 7, 0, 5_000, 6, 1].map(send)).await;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().expect("an answer");
        assert_eq!(landed(next()).state.balance, 6);
        assert_eq!(next().expect_err("it panics").code(), "panicked");
        let Err(DispatchError::Rejected(why)) = next() else {
            panic!("7 of 6");
        };
        assert_eq!(why, Overdrawn { balance: 6 });
        let nothing = landed(next());
        assert_eq!(nothing.decided_by, Decision::NothingToDo);
        assert_eq!(
            (nothing.version, nothing.state.balance),
            (Version::new(2), 6)
        );
        assert_eq!(next().expect_err("below 0").code(), "invariant_violated");
        assert_eq!(landed(next()).state.balance, 0);
        assert!(matches!(next(), Err(DispatchError::Rejected(_))));
        assert_eq!(balance(bus.store()).await, 0);
    })
    .await;
}

/// What writes nothing holds for what is there when it is answered.
#[tokio::test]
async fn what_was_kept_is_not_believed_for_an_answer_that_writes_nothing() {
    on_both(async |staged| {
        let bus = CommandBus::new(staged.inner.clone());
        landed(bus.dispatch(KEY, Put(5)).await);
        write(&staged.inner, &[Deposited { cents: 90 }]).await;
        let taken = landed(bus.dispatch(KEY, Take(95)).await);
        assert_eq!(
            (taken.decided_by, taken.state.balance),
            (Decision::Appended, 0)
        );
        write(&staged.inner, &[Deposited { cents: 7 }]).await;
        let Err(DispatchError::Rejected(why)) = bus.dispatch(KEY, Take(8)).await else {
            panic!("8 of 7");
        };
        assert_eq!(why, Overdrawn { balance: 7 });
        // Nobody was raced with, though what was kept was old.
        write(&staged.inner, &[Deposited { cents: 1 }]).await;
        assert_eq!(landed(bus.dispatch(KEY, Put(1)).await).state.balance, 9);
    })
    .await;
}

/// Another process comes between: each does what it declares, in order.
#[tokio::test]
async fn a_race_that_is_lost_together_is_each_ones_own() {
    let staged = Staged::that_gives_way(Store::memory());
    write(&staged.inner, &[opened("ann"), Deposited { cents: 9 }]).await;
    // While the first is on its way the others come, and are decided together.
    staged.meanwhile(async |_| {});
    staged.meanwhile(async |inner| write(&inner, &[Withdrawn { cents: 2 }]).await);
    let bus = staged.bus();
    let (begun, first, put, second, third) = tokio::join!(
        bus.dispatch(KEY, Put(1)).into_future(),
        bus.dispatch(KEY, Take(5)).into_future(),
        bus.dispatch(KEY, Put(1)).into_future(),
        bus.dispatch(KEY, Take(3)).into_future(),
        bus.dispatch(KEY, Take(1)).into_future(),
    );
    assert_eq!(landed(begun).state.balance, 10);
    let first = landed(first);
    assert_eq!(
        (first.decided_by, first.state.balance),
        (Decision::Redecided, 3)
    );
    assert_eq!(first.unseen.len(), 1);
    let put = conflict(put);
    assert_eq!(put.proposed, [Deposited { cents: 1 }]);
    assert_eq!(
        put.base.expect("a base").balance,
        10,
        "what was there, and no draft"
    );
    let second = landed(second);
    assert_eq!(
        (second.decided_by, second.state.balance),
        (Decision::Redecided, 0)
    );
    assert!(matches!(
        third,
        Err(DispatchError::Rejected(Overdrawn { balance: 0 }))
    ));
    let types = types(&staged.inner).await;
    let expected = [
        "Opened",
        "Deposited",
        "Deposited",
        "Withdrawn",
        "Withdrawn",
        "Withdrawn",
    ];
    assert_eq!(types, expected);
}

#[tokio::test]
async fn one_id_takes_effect_once_and_holds_up_nobody() {
    on_each(async |bus| {
        let twin = || bus.dispatch(KEY, Put(5)).command_id("a").into_future();
        let other = bus.dispatch(KEY, Put(6)).command_id("a").into_future();
        let more = bus.dispatch(KEY, Put(1)).command_id("b").into_future();
        let (one, two, other, more) = tokio::join!(twin(), twin(), other, more);
        let (one, two) = (landed(one), landed(two));
        assert_eq!((one.version, one.events), (two.version, two.events));
        // Either may have come first.
        let mut decided_by = [one.decided_by, two.decided_by];
        decided_by.sort_by_key(|decision| *decision == Decision::AlreadyApplied);
        assert_eq!(decided_by, [Decision::Appended, Decision::AlreadyApplied]);
        assert_eq!(other.expect_err("reused").code(), "command_id_reused");
        landed(more);
        assert_eq!(balance(bus.store()).await, 6);
        assert_eq!(landed(twin().await).decided_by, Decision::AlreadyApplied);
    })
    .await;
}

#[tokio::test]
async fn a_rejection_is_recorded_where_that_is_asked_for() {
    on_each(async |bus| {
        let take = || bus.dispatch(KEY, Take(5)).command_id("t").record_outcome();
        let nothing = || bus.dispatch(KEY, Take(0)).command_id("n").record_outcome();
        let (put, rejected, done) = tokio::join!(
            bus.dispatch(KEY, Put(1)).into_future(),
            take().into_future(),
            nothing().into_future(),
        );
        landed(put);
        assert!(matches!(rejected, Err(DispatchError::Rejected(_))));
        assert_eq!(landed(done).decided_by, Decision::NothingToDo);
        landed(bus.dispatch(KEY, Put(100)).await);
        for again in [take().await, nothing().await] {
            let again = landed(again);
            assert_eq!(
                (again.decided_by, again.events.len()),
                (Decision::AlreadyApplied, 0)
            );
        }
        assert_eq!(balance(bus.store()).await, 101);
    })
    .await;
}

/// Nobody knows what became of a commit: it is sent again, and never decided again first.
#[tokio::test]
async fn an_unknown_outcome_is_asked_for() {
    for told in [Told::UnknownLanded, Told::UnknownLost, Told::Busy] {
        on_both(async |staged| {
            staged.answers([told]);
            let bus = staged.bus();
            let answers = join_all([1, 2, 3].map(|n| bus.dispatch(KEY, Put(n)).into_future()));
            let versions: Vec<_> = answers.await.into_iter().map(landed).collect();
            for (at, outcome) in versions.iter().enumerate() {
                assert_eq!(outcome.version, Version::new(at as u64 + 1));
                assert_eq!(outcome.decided_by, Decision::Appended, "{told:?}");
            }
            assert_eq!(balance(&staged.inner).await, 6, "{told:?}");
            assert_eq!(log(&staged.inner).await.len(), 3);
        })
        .await;
    }
    on_both(async |staged| {
        staged.answers([Told::Fenced; 4]);
        let bus = staged.bus();
        let answers = join_all([1, 2].map(|n| bus.dispatch(KEY, Put(n)).into_future())).await;
        for answer in answers {
            assert_eq!(answer.expect_err("fenced").code(), "fenced");
        }
        assert_eq!(log(&staged.inner).await.len(), 0);
    })
    .await;
}

/// All that was sent together has one fate: nothing is decided upon what may be there or not.
#[tokio::test]
async fn a_chain_whose_outcome_is_not_known_is_asked_for_as_a_whole() {
    let send = async |staged: &Staged| {
        let bus = staged.bus();
        let answers = tokio::join!(
            bus.dispatch(KEY, Put(101)).into_future(),
            bus.dispatch(KEY, Take(100)).into_future(),
            bus.dispatch(KEY, Take(2)).into_future(),
        );
        assert_eq!(staged.chains_left(), 0, "they were written together");
        answers
    };
    for chain in [Told::UnknownLanded, Told::UnknownLost, Told::Busy] {
        let staged = Staged::over(Store::memory());
        staged.answers_chains([chain]);
        let (put, take, more) = send(&staged).await;
        assert_eq!(landed(put).state.balance, 101, "{chain:?}");
        assert_eq!(landed(take).state.balance, 1, "{chain:?}");
        assert!(matches!(
            more,
            Err(DispatchError::Rejected(Overdrawn { balance: 1 }))
        ));
        assert_eq!(log(&staged.inner).await.len(), 2, "{chain:?}");
    }
    // It is not known, and nothing can be asked any more: no answer may say what is there.
    for chain in [Told::UnknownLanded, Told::UnknownLost] {
        let staged = Staged::over(Store::memory());
        staged.answers_chains([chain]);
        staged.answers([Told::Fenced; 4]);
        let (put, take, _) = send(&staged).await;
        assert_eq!(
            put.expect_err("unknown").code(),
            "unknown_outcome",
            "{chain:?}"
        );
        assert_eq!(
            take.expect_err("unknown").code(),
            "unknown_outcome",
            "{chain:?}"
        );
    }
}

/// What was kept was old, and the store was busy: nobody was raced with.
#[tokio::test]
async fn an_old_state_and_a_busy_store_are_no_race() {
    let staged = Staged::over(Store::memory());
    let bus = CommandBus::new(staged.store.clone());
    landed(bus.dispatch(KEY, Put(1)).await);
    write(&staged.inner, &[Deposited { cents: 10 }]).await;
    staged.answers_chains([Told::Busy]);
    let put = landed(bus.dispatch(KEY, Put(1)).await);
    assert_eq!(
        (put.decided_by, put.state.balance),
        (Decision::Appended, 12)
    );
}

/// A dispatch that was begun and is not polled any more keeps nobody from going on.
#[tokio::test]
async fn a_caller_that_stands_still_holds_up_nobody() {
    on_each(async |bus| {
        let mut first = Box::pin(bus.dispatch(KEY, Put(1)).into_future());
        let polled = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_ready()));
        let _ = polled.await;
        let second = bus.dispatch(KEY, Put(10)).into_future();
        let second = tokio::time::timeout(Duration::from_secs(10), second).await;
        landed(second.expect("it is served"));
        landed(first.await);
        assert_eq!(balance(bus.store()).await, 11);
    })
    .await;
}

#[tokio::test]
async fn who_demands_a_version_is_told_and_the_others_go_on() {
    on_each(async |bus| {
        landed(bus.dispatch(KEY, Put(1)).await);
        let send = |cents| bus.dispatch(KEY, Put(cents));
        let (one, stale, two, based) = tokio::join!(
            send(1).into_future(),
            send(1).expecting(Version::new(1)).into_future(),
            send(1).into_future(),
            bus.dispatch(KEY, Take(1))
                .based_on(Version::new(1))
                .into_future(),
        );
        landed(one);
        assert_eq!(conflict(stale).expected, Some(Version::new(1)));
        landed(two);
        assert_eq!(landed(based).decided_by, Decision::Redecided);
        let late = send(1).deadline(Duration::ZERO).await;
        assert_eq!(late.expect_err("too late").code(), "deadline_exceeded");
        assert_eq!(balance(bus.store()).await, 2);
    })
    .await;
}

/// Whoever serves the line goes away at any point: the others are served by the next.
#[tokio::test]
async fn a_caller_that_goes_away_holds_up_nobody() {
    for polls in 0..40 {
        let staged = Staged::that_gives_way(Store::memory());
        let bus = staged.bus();
        let mut first = Box::pin(bus.dispatch(KEY, Put(1)).into_future());
        for _ in 0..polls {
            let polled = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_ready()));
            if polled.await {
                break;
            }
        }
        let others =
            [10, 100].map(|cents| tokio::spawn(bus.dispatch(KEY, Put(cents)).into_future()));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        drop(first);
        for other in others {
            let answer = tokio::time::timeout(Duration::from_secs(10), other).await;
            landed(answer.expect("it is served").expect("no panic"));
        }
        let left = balance(&staged.inner).await;
        assert!(left == 110 || left == 111, "{polls} polls: {left}");
    }
}

/// Two handles on one file, as of two processes: no command is lost, none is done twice.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn two_lines_on_one_file_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bank.db");
    let mut buses = Vec::new();
    for _ in 0..2 {
        let store = Store::open(&file).await.expect("a store");
        let mut options = annalist::BusOptions::default();
        options.retry.attempts_max = 1_000;
        buses.push(CommandBus::with(store, options));
    }
    write(buses[0].store(), &[Deposited { cents: 400 }]).await;
    let callers = (0..16).map(|caller| {
        let bus = buses[caller % 2].clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                landed(bus.dispatch(KEY, Take(1)).await);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
    assert_eq!(balance(buses[0].store()).await, 0);
    assert_eq!(log(buses[1].store()).await.len(), 401);
    let none = buses[1].dispatch(KEY, Take(1)).await;
    assert!(matches!(none, Err(DispatchError::Rejected(_))));
}
