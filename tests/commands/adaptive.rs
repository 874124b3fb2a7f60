//! Commands that stand in line where, and as long as, many want the same aggregate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use annalist::store::{Backend, CommitRequest, Wrapper};
use annalist::{
    AppendError, BusOptions, Command, CommandBus, Contention, Limits, OnConflict, Receipt, Store,
    Version,
};
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;

use crate::bank::{Account, AccountEvent, Deposited};
use crate::{KEY, account, on_both, write};

/// Puts money, in line where it is better.
#[derive(Clone, Serialize)]
struct Put(i64);

impl Command for Put {
    type Aggregate = Account;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "put";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
    const CONTENTION: Contention = Contention::Adaptive;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
        Ok(vec![Deposited { cents: self.0 }])
    }
}

/// A store that counts commits by how they come.
struct Counting {
    inner: Arc<dyn Backend>,
    /// Those that come by themselves, as a command does that is not in line.
    alone: AtomicUsize,
    in_line: AtomicUsize,
    /// Whether somebody else is faster than the next commit.
    races: AtomicBool,
}

impl Wrapper for Counting {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        self.alone.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            if self.races.swap(false, Ordering::SeqCst) {
                let store = Store::from_backend(Arc::clone(&self.inner), Limits::default());
                write(&store, &[Deposited { cents: 1 }]).await;
            }
            self.inner.commit(request).await
        })
    }

    fn commit_chain(
        &self,
        requests: Vec<CommitRequest>,
    ) -> BoxFuture<'_, Vec<Result<Receipt, AppendError>>> {
        self.in_line.fetch_add(requests.len(), Ordering::SeqCst);
        self.inner.commit_chain(requests)
    }
}

struct Counted {
    inner: Store,
    bus: CommandBus,
    counting: Arc<Counting>,
}

impl Counted {
    fn over(store: &Store) -> Self {
        Self::with(store, BusOptions::default())
    }

    fn with(store: &Store, mut options: BusOptions) -> Self {
        // What is kept is old after a race, and a commit on it none that has raced.
        options.aggregates_cached_max = 0;
        let counting = Arc::new(Counting {
            inner: store.backend(),
            alone: AtomicUsize::default(),
            in_line: AtomicUsize::default(),
            races: AtomicBool::default(),
        });
        let counted = Store::from_backend(counting.clone(), Limits::default());
        Self {
            inner: store.clone(),
            bus: CommandBus::with(counted, options),
            counting,
        }
    }

    /// Sends one command, and says whether it stood in line.
    async fn send(&self) -> bool {
        let before = self.counting.in_line.load(Ordering::SeqCst);
        let sent = self.bus.dispatch(KEY, Put(1)).await;
        sent.unwrap_or_else(|error| panic!("{error}"));
        self.counting.in_line.load(Ordering::SeqCst) > before
    }

    /// Sends one that loses a race, unless it is in line.
    async fn race(&self) -> bool {
        self.counting.races.store(true, Ordering::SeqCst);
        let in_line = self.send().await;
        self.counting.races.store(false, Ordering::SeqCst);
        in_line
    }
}

#[tokio::test]
async fn one_that_meets_nobody_goes_its_own_way() {
    on_both(async |staged| {
        let counted = Counted::over(&staged.inner);
        for _ in 0..100 {
            assert!(!counted.send().await);
        }
        // Now and then a race makes no difference.
        for _ in 0..20 {
            assert!(!counted.race().await);
            assert!(!counted.send().await && !counted.send().await);
        }
    })
    .await;
}

#[tokio::test]
async fn they_stand_in_line_after_a_few_races_and_go_their_own_way_again() {
    on_both(async |staged| {
        let counted = Counted::over(&staged.inner);
        counted.send().await;
        // The fourth waits in line for its next attempt, as all do from then on.
        for race in 0..4 {
            assert!(!counted.race().await, "{race}");
        }
        let mut in_line = 0;
        while counted.send().await {
            in_line += 1;
            // Every other aggregate is cold.
            let alone = counted.counting.alone.load(Ordering::SeqCst);
            let other = counted.bus.dispatch("another", Put(1)).await;
            assert_eq!(other.expect("an outcome").version, Version::new(in_line));
            assert_eq!(counted.counting.alone.load(Ordering::SeqCst), alone + 1);
            assert!(in_line < 1_000, "it never cools down");
        }
        // It did meet one in its first turn.
        assert!((60..=64).contains(&in_line), "{in_line}");
    })
    .await;
}

/// Who has lost a race waits in line, and nobody waits for its back-off.
#[tokio::test(start_paused = true)]
async fn a_command_in_line_does_not_rest_before_it_tries_again() {
    let mut options = BusOptions::default();
    options.retry.delay_base = Duration::from_secs(100);
    options.retry.delay_max = Duration::from_secs(100);
    let counted = Counted::with(&Store::memory(), options);
    for _ in 0..3 {
        counted.race().await;
    }
    let began = tokio::time::Instant::now();
    counted.counting.races.store(true, Ordering::SeqCst);
    let answers = join_all((0..6).map(|_| counted.bus.dispatch(KEY, Put(1)).into_future())).await;
    for answer in answers {
        answer.unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_all_land_each_once_most_of_them_in_line() {
    on_both(async |staged| {
        const EACH: usize = 20;
        let counted = Counted::over(&staged.inner);
        let callers = (0..64).map(|_| {
            let bus = counted.bus.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let mut sent = bus.dispatch(KEY, Put(1)).await;
                    // It may have lost too many races before the line was there.
                    while matches!(&sent, Err(error) if error.conflict().is_some()) {
                        sent = bus.dispatch(KEY, Put(1)).await;
                    }
                    sent.unwrap_or_else(|error| panic!("{error}"));
                }
            })
        });
        for caller in join_all(callers).await {
            caller.expect("a caller");
        }
        let info = counted.inner.stream_info(&account(KEY)).await;
        assert_eq!(info.expect("its facts").version.get(), 64 * EACH as u64);
    })
    .await;
}
