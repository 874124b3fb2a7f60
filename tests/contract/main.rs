//! Every case of the contract, by name, on every store and on every way to hold
//! one; and proof that the cases notice stores that break them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod planted;

use std::sync::LazyLock;

use annalist::Store;
#[cfg(feature = "sqlite")]
use annalist::store::sqlite::CommitThread;
use annalist::testkit::contract::{CASES, Case, Subject, run};
use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap()
});

fn main() {
    let mut trials = planted::trials();
    trials.extend(on("memory", || Box::pin(async { Store::memory() })));
    #[cfg(feature = "sqlite")]
    {
        trials.extend(on("sqlite", || {
            Box::pin(sqlite::Held::with(CommitThread::Writer))
        }));
        trials.extend(on("sqlite_on_callers", || {
            Box::pin(sqlite::Held::with(CommitThread::CallerIfIdle))
        }));
        trials.extend(on("sqlite_reopened", || {
            Box::pin(async { sqlite::Reopened(sqlite::Held::with(CommitThread::Writer).await) })
        }));
        trials.extend(on("sqlite_two_handles", || {
            Box::pin(sqlite::TwoHandles::new())
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// One test for each case, on a store of its own.
fn on<S: Subject + 'static>(
    backend: &'static str,
    make: fn() -> BoxFuture<'static, S>,
) -> impl Iterator<Item = Trial> {
    CASES.iter().map(move |case| {
        Trial::test(format!("{backend}::{}", case.name), move || {
            RUNTIME.block_on(async { Ok(run(case, &mut make().await).await?) })
        })
    })
}

fn named(name: &str) -> &'static Case {
    let case = CASES.iter().find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("no case is called {name}"))
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use annalist::Store;
    use annalist::store::sqlite::{CommitThread, SqliteOptions};
    use annalist::testkit::contract::Subject;
    use futures_util::future::BoxFuture;
    use tempfile::TempDir;

    async fn open(dir: &TempDir, thread: CommitThread) -> Store {
        let path = dir.path().join("contract.db");
        let mut options = SqliteOptions::default();
        options.commit_thread = thread;
        Store::open_with(path, options).await.unwrap()
    }

    /// One handle on a file, from one restart to the next.
    pub(super) struct Held {
        store: Store,
        dir: TempDir,
        thread: CommitThread,
    }

    impl Held {
        pub(super) async fn with(thread: CommitThread) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = open(&dir, thread).await;
            Self { store, dir, thread }
        }
    }

    impl Subject for Held {
        fn stores(&mut self) -> BoxFuture<'_, Vec<Store>> {
            let store = self.store.clone();
            Box::pin(async { vec![store] })
        }

        fn restart(&mut self) -> BoxFuture<'_, ()> {
            Box::pin(async {
                self.store.close().await.unwrap();
                self.store = open(&self.dir, self.thread).await;
            })
        }
    }

    /// A file that is closed and opened again before every step.
    pub(super) struct Reopened(pub(super) Held);

    impl Subject for Reopened {
        fn stores(&mut self) -> BoxFuture<'_, Vec<Store>> {
            Box::pin(async {
                self.0.restart().await;
                self.0.stores().await
            })
        }
    }

    /// Two handles on one file, as two processes have them. They take turns.
    pub(super) struct TwoHandles {
        stores: [Store; 2],
        dir: TempDir,
    }

    /// One of them commits on the threads of its callers.
    async fn both(dir: &TempDir) -> [Store; 2] {
        [
            open(dir, CommitThread::Writer).await,
            open(dir, CommitThread::CallerIfIdle).await,
        ]
    }

    impl TwoHandles {
        pub(super) async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let stores = both(&dir).await;
            Self { stores, dir }
        }
    }

    impl Subject for TwoHandles {
        fn stores(&mut self) -> BoxFuture<'_, Vec<Store>> {
            self.stores.reverse();
            let stores = self.stores.to_vec();
            Box::pin(async { stores })
        }

        fn restart(&mut self) -> BoxFuture<'_, ()> {
            Box::pin(async {
                for store in &self.stores {
                    store.close().await.unwrap();
                }
                self.stores = both(&self.dir).await;
            })
        }
    }
}
