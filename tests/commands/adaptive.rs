//! Commands that stand in line where, and as long as, many want the same aggregate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annalist::store::{Backend, CommitRequest, Wrapper};
use annalist::{
    AppendError, Command, CommandBus, Contention, Limits, OnConflict, Receipt, Store, Version,
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
}

impl Wrapper for Counting {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        self.alone.fetch_add(1, Ordering::SeqCst);
        self.inner.commit(request)
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
        let counting = Arc::new(Counting {
            inner: store.backend(),
            alone: AtomicUsize::default(),
            in_line: AtomicUsize::default(),
        });
        let counted = Store::from_backend(counting.clone(), Limits::default());
        Self {
            inner: store.clone(),
            bus: CommandBus::new(counted),
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

    /// Sends one that loses a race against somebody of whom the bus knows nothing.
    async fn race(&self) -> bool {
        write(&self.inner, &[Deposited { cents: 1 }]).await;
        self.send().await
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
        for race in 0..4 {
            assert!(!counted.race().await, "{race}");
        }
        // Races that are lost in line are no news, and every other aggregate is cold.
        let mut in_line = 0;
        while counted.race().await {
            in_line += 1;
            let other = counted.bus.dispatch("another", Put(1)).await;
            assert_eq!(other.expect("an outcome").version, Version::new(in_line));
            assert!(in_line < 1_000, "it never cools down");
        }
        assert!(in_line > 10, "one race would do to be hot again: {in_line}");
        let alone = counted.counting.alone.load(Ordering::SeqCst);
        assert!(alone as u64 > in_line, "the others were in line, too");
    })
    .await;
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
