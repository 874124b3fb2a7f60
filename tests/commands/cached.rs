//! What a bus keeps of aggregates spares reads, and changes no answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annalist::store::{Backend, StreamPage, StreamQuery, Wrapper};
use annalist::{
    BusOptions, CommandBus, Decision, DispatchError, ExpectedVersion, Limits, Repository, Store,
    StoreError, Version,
};
use futures_util::future::BoxFuture;
use proptest::prelude::*;

use crate::bank::{
    Account, Deposit, Deposited, Freeze, Frozen, Withdraw, open, opened, rename, send,
};
use crate::stage::Staged;
use crate::{KEY, account, on_both, write};

/// A store that counts what is read of streams.
struct Counting {
    inner: Arc<dyn Backend>,
    pages: AtomicUsize,
    events: AtomicUsize,
}

impl Wrapper for Counting {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        Box::pin(async {
            let page = self.inner.read_stream(query).await?;
            self.pages.fetch_add(1, Ordering::SeqCst);
            self.events.fetch_add(page.events.len(), Ordering::SeqCst);
            Ok(page)
        })
    }
}

/// A bus that keeps states, and how many pages and events it has read since it was asked.
struct Warm {
    store: Store,
    counting: Arc<Counting>,
    bus: CommandBus,
}

impl Warm {
    fn over(store: &Store) -> Self {
        let counting = Arc::new(Counting {
            inner: store.backend(),
            pages: AtomicUsize::new(0),
            events: AtomicUsize::new(0),
        });
        let counted = Store::from_backend(counting.clone(), Limits::default());
        Self {
            store: store.clone(),
            bus: CommandBus::new(counted),
            counting,
        }
    }

    fn read(&self) -> (usize, usize) {
        let pages = self.counting.pages.swap(0, Ordering::SeqCst);
        (pages, self.counting.events.swap(0, Ordering::SeqCst))
    }
}

/// One with an account that it has deposited ten times to.
async fn warm(staged: &Staged) -> Warm {
    let warm = Warm::over(&staged.inner);
    for cents in 1..=10 {
        let deposited = warm.bus.dispatch(KEY, Deposit { cents }).await;
        deposited.expect("an outcome");
    }
    warm.read();
    warm
}

#[tokio::test]
async fn an_aggregate_that_nobody_else_has_written_is_read_once() {
    on_both(async |staged| {
        let warm = Warm::over(&staged.inner);
        for cents in 1..=10 {
            let deposited = warm.bus.dispatch(KEY, Deposit { cents }).await;
            assert_eq!(deposited.expect("an outcome").version.get(), cents as u64);
        }
        assert_eq!(warm.read(), (1, 0));
        let sent = warm.bus.dispatch(KEY, send(5)).await.expect("an outcome");
        assert_eq!((sent.state.balance, sent.attempts), (50, 1));
        assert_eq!(warm.read(), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn of_what_others_have_written_only_that_is_read() {
    on_both(async |staged| {
        let warm = warm(&staged).await;
        write(&warm.store, &[Deposited { cents: 5 }]).await;
        // It declares nothing, and was raced with by nobody.
        let sent = warm.bus.dispatch(KEY, send(60)).await.expect("an outcome");
        assert_eq!((sent.state.balance, sent.version), (0, Version::new(12)));
        assert_eq!((sent.decided_by, sent.attempts), (Decision::Appended, 1));
        assert_eq!(sent.unseen, []);
        assert_eq!(warm.read().1, 1, "the one event that was new");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_appends_nothing_is_given_of_what_is_there_now() {
    on_both(async |staged| {
        let warm = warm(&staged).await;
        // 55 cents are known of.
        write(&warm.store, &[Deposited { cents: 100 }]).await;
        let withdrawn = warm.bus.dispatch(KEY, Withdraw { cents: 120 }).await;
        assert_eq!(withdrawn.expect("there is more").state.balance, 35);

        let rejected = warm.bus.dispatch(KEY, Withdraw { cents: 36 }).await;
        assert!(matches!(rejected, Err(DispatchError::Rejected(left)) if left.balance == 35));
        let (pages, events) = warm.read();
        assert_eq!(
            (pages, events),
            (2, 1),
            "it was looked, and nothing was new"
        );

        write(&warm.store, &[Frozen]).await;
        let frozen = warm.bus.dispatch(KEY, Freeze).await.expect("an outcome");
        assert_eq!(frozen.decided_by, Decision::NothingToDo);
        assert_eq!(frozen.version, Version::new(13));
    })
    .await;
}

#[tokio::test]
async fn what_has_to_be_there_or_not_is_asked_of_the_store() {
    on_both(async |staged| {
        let warm = warm(&staged).await;
        let stream = account(KEY);
        warm.store
            .delete(&stream, ExpectedVersion::Any)
            .await
            .expect("deleted");
        // It was there when it was kept.
        match warm.bus.dispatch(KEY, Freeze).await {
            Err(DispatchError::NotFound { version, .. }) => assert_eq!(version.get(), 10),
            _ => panic!("it is gone"),
        }
        let opened_again = warm.bus.dispatch(KEY, open("ann")).await;
        assert_eq!(opened_again.expect("an outcome").state.balance, 0);
        match warm.bus.dispatch(KEY, open("bob")).await {
            Err(DispatchError::AlreadyExists { version, .. }) => assert_eq!(version.get(), 11),
            _ => panic!("it is there"),
        }
        // And one that was not there when it was looked for.
        let missing = warm.bus.dispatch("43", Freeze).await;
        assert!(matches!(missing, Err(DispatchError::NotFound { .. })));
        let codec = annalist::Codec::<Account>::new();
        let event = codec.encode(&opened("cid")).expect("an event");
        let any = ExpectedVersion::Any;
        let written = warm.store.append(&account("43"), any, [event]).await;
        written.expect("an append");
        let frozen = warm.bus.dispatch("43", Freeze).await.expect("an outcome");
        assert_eq!(frozen.decided_by, Decision::Appended);
    })
    .await;
}

#[tokio::test]
async fn what_was_removed_is_folded_afresh() {
    on_both(async |staged| {
        let warm = warm(&staged).await;
        let stream = account(KEY);
        let before = Version::new(10);
        let truncated = warm.store.truncate_before(&stream, before).await;
        truncated.expect("truncated");
        let deposited = warm.bus.dispatch(KEY, Deposit { cents: 1 }).await;
        assert_eq!(deposited.expect("an outcome").state.balance, 11);
        warm.store
            .close_stream(&stream, ExpectedVersion::Any)
            .await
            .expect("closed");
        let refused = warm.bus.dispatch(KEY, Deposit { cents: 1 }).await;
        assert!(matches!(refused, Err(DispatchError::Conflict(_))));
    })
    .await;
}

#[tokio::test]
async fn a_race_that_is_lost_after_looking_is_a_conflict_as_ever() {
    on_both(async |staged| {
        let bus = CommandBus::new(staged.store.clone());
        bus.dispatch(KEY, Deposit { cents: 100 })
            .await
            .expect("warm");
        // One before the append of what was kept, one before that of what was looked at.
        for _ in 0..2 {
            staged.meanwhile(async |inner| write(&inner, &[Deposited { cents: 1 }]).await);
        }
        match bus.dispatch(KEY, send(5)).await {
            Err(DispatchError::Conflict(conflict)) => {
                assert_eq!(conflict.base.expect("what was looked at").balance, 101);
                assert_eq!(conflict.unseen.len(), 1);
                assert_eq!(conflict.attempts, 1);
            }
            _ => panic!("it declares nothing"),
        }
    })
    .await;
}

#[tokio::test]
async fn who_demands_a_version_is_told_of_what_is_there_now() {
    on_both(async |staged| {
        let warm = warm(&staged).await;
        write(&warm.store, &[Deposited { cents: 5 }]).await;
        let stale = warm.bus.dispatch(KEY, send(1)).expecting(Version::new(10));
        match stale.await {
            Err(DispatchError::Conflict(conflict)) => {
                assert_eq!(conflict.version, Version::new(11));
                assert_eq!(conflict.unseen.len(), 1);
            }
            _ => panic!("it has moved on"),
        }
        let now = warm.bus.dispatch(KEY, send(1)).expecting(Version::new(11));
        assert_eq!(now.await.expect("an outcome").state.balance, 59);
    })
    .await;
}

#[tokio::test]
async fn no_more_is_kept_than_there_is_room_for() {
    let warm = Warm::over(&Store::memory());
    let mut options = BusOptions::default();
    options.aggregates_cached_max = 2;
    let bus = CommandBus::with(warm.bus.store().clone(), options);
    for key in ["1", "2", "3", "3", "2", "1"] {
        bus.dispatch(key, Deposit { cents: 1 })
            .await
            .expect("an outcome");
    }
    assert_eq!(warm.read().0, 4, "the first was let go, and read again");
}

/// What somebody does.
#[derive(Clone, Debug)]
enum Deed {
    Deposit(i64),
    Withdraw(i64),
    Send(i64),
    Freeze,
    Open,
    Rename(bool),
    /// Past every bus.
    Written(i64),
    Delete,
    Truncate,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1_i64..50).prop_map(Deed::Deposit),
        3 => (1_i64..60).prop_map(Deed::Withdraw),
        3 => (1_i64..60).prop_map(Deed::Send),
        1 => Just(Deed::Freeze),
        1 => Just(Deed::Open),
        1 => any::<bool>().prop_map(Deed::Rename),
        2 => (1_i64..50).prop_map(Deed::Written),
        1 => Just(Deed::Delete),
        1 => Just(Deed::Truncate),
    ]
}

/// One deed by a bus, as far as it can be told.
async fn done(bus: &CommandBus, key: &str, deed: &Deed) -> String {
    macro_rules! told {
        ($command:expr) => {
            match bus.dispatch(key, $command).await {
                Ok(outcome) => format!(
                    "{} {:?} {:?} {:?}",
                    outcome.version, outcome.state, outcome.events, outcome.decided_by
                ),
                Err(error) => format!("{} {error}", error.code()),
            }
        };
    }
    match *deed {
        Deed::Deposit(cents) => told!(Deposit { cents }),
        Deed::Withdraw(cents) => told!(Withdraw { cents }),
        Deed::Send(cents) => told!(send(cents)),
        Deed::Freeze => told!(Freeze),
        Deed::Open => told!(open("ann")),
        Deed::Rename(ann) => told!(rename(if ann { "ann" } else { "bob" })),
        Deed::Written(_) | Deed::Delete | Deed::Truncate => String::new(),
    }
}

/// The same deeds by two warm buses in turn, and by buses that keep nothing.
async fn alike(deeds: &[(u8, bool, Deed)]) {
    let warm = Store::memory();
    let buses = [CommandBus::new(warm.clone()), CommandBus::new(warm.clone())];
    let cold = Store::memory();
    for (number, first, deed) in deeds {
        let key = (number % 3).to_string();
        let stream = account(&key);
        let bus = &buses[usize::from(*first)];
        let told = done(bus, &key, deed).await;
        let mut options = BusOptions::default();
        options.aggregates_cached_max = 0;
        let expected = done(&CommandBus::with(cold.clone(), options), &key, deed).await;
        assert_eq!(told, expected, "{deed:?} on {key}");
        for store in [&warm, &cold] {
            let version = store.stream_info(&stream).await.expect("it").version;
            match deed {
                Deed::Written(cents) => {
                    let codec = annalist::Codec::<Account>::new();
                    let event = codec.encode(&Deposited { cents: *cents });
                    let event = event.expect("an event");
                    let any = ExpectedVersion::Any;
                    store.append(&stream, any, [event]).await.expect("written");
                }
                Deed::Delete => {
                    let any = ExpectedVersion::Any;
                    store.delete(&stream, any).await.expect("deleted");
                }
                Deed::Truncate => {
                    store
                        .truncate_before(&stream, version)
                        .await
                        .expect("truncated");
                }
                _ => {}
            }
        }
    }
    for key in ["0", "1", "2"] {
        let of = async |store: &Store| {
            let repository = Repository::<Account>::new(store.clone());
            let loaded = repository.load(key).await.expect("an account");
            (loaded.state, loaded.version, loaded.generation)
        };
        assert_eq!(of(&warm).await, of(&cold).await);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_bus_that_keeps_states_answers_like_one_that_keeps_none(
        deeds in prop::collection::vec((any::<u8>(), any::<bool>(), deed()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(alike(&deeds));
    }
}
