//! Money that moves between accounts, by a process that is killed at every step.
//!
//! The process counts its calls of the store and kills itself before one of them, or after
//! one whose answer it then never hears. Another one goes on. `cargo test` kills at each
//! call once; `ANNALIST_TRANSFER_KILLS=1000` adds so many runs that are killed again and
//! again at random calls, from a seed that is printed (`ANNALIST_SEED`).

#![cfg(all(unix, feature = "sqlite"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use annalist::follow::FollowOptions;
use annalist::reaction::ReactionRunner;
use annalist::store::{
    AllPage, AllQuery, Backend, CommitFound, CommitRequest, FeedPage, FeedQuery, StreamInfo,
    StreamPage, StreamQuery, Wrapper,
};
use annalist::{AppendError, CommandBus, Limits, Receipt, Repository, Store, StoreError, StreamId};
use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};

#[path = "../examples/transfer/domain.rs"]
mod domain;
#[path = "../examples/transfer/move_money.rs"]
mod move_money;
#[expect(
    dead_code,
    reason = "these workers are told everything when they start"
)]
mod worker;

use domain::{Account, AccountEvent, Deposit, Freeze, Request, Transfer};
use move_money::MoveMoney;
use worker::Process;

const WORKER: &str = "ANNALIST_TRANSFER_WORKER";
const PATIENCE: Duration = Duration::from_secs(60);

/// Which transfers there are, and whether they can go well.
const TRANSFERS: [(&str, &str, &str, u32, bool); 5] = [
    ("goes-well", "ann", "bob", 300, true),
    ("too-much", "bob", "ann", 9_999, false),
    ("frozen", "ann", "cleo", 200, false),
    ("frozen-both", "cleo", "cleo", 50, false),
    ("there-and-back", "bob", "ann", 100, true),
];
const ACCOUNTS: [(&str, i64); 3] = [("ann", 800), ("bob", 1_200), ("cleo", 1_000)];

/// What a worker is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spec {
    file: PathBuf,
    /// At which call it kills itself; never if there is none.
    kill_at: Option<u64>,
    /// Whether the call is made first.
    after: bool,
}

/// A store that ends the process at one of its calls.
struct Deadly {
    inner: Arc<dyn Backend>,
    calls: AtomicU64,
    spec: Spec,
}

impl Deadly {
    fn call<'a, T: 'a>(&'a self, call: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        async move {
            let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let now = self.spec.kill_at == Some(number);
            if now && !self.spec.after {
                die();
            }
            let answer = call.await;
            if now {
                die();
            }
            answer
        }
        .boxed()
    }
}

/// As by `kill -9`: nothing is flushed, released or told.
fn die() -> ! {
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).expect("a signal");
    loop {
        std::thread::park();
    }
}

impl Wrapper for Deadly {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        self.call(self.inner.commit(request))
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        self.call(self.inner.read_stream(query))
    }

    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        self.call(self.inner.read_all(query))
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        self.call(self.inner.read_feed(query))
    }

    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>> {
        self.call(self.inner.stream_info(stream))
    }

    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>> {
        self.call(self.inner.find_commit(stream, key))
    }
}

/// Moves the money until every transfer has ended.
#[test]
#[ignore = "a worker of the other tests"]
fn worker() {
    let Some(spec) = worker::spec::<Spec>(WORKER) else {
        return;
    };
    runtime().block_on(async {
        let store = Store::open(&spec.file).await.expect("the store");
        let deadly = Deadly {
            inner: store.backend(),
            calls: AtomicU64::new(0),
            spec,
        };
        let store = Store::from_backend(Arc::new(deadly), Limits::default());
        move_all(&store).await;
        store.close().await.expect("the end");
    });
    worker::say(&"done");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn move_all(store: &Store) {
    let bus = CommandBus::new(store.clone());
    let mut options = FollowOptions::default();
    // One that was killed is not waited for much longer.
    options.lease = Duration::from_millis(150);
    let running = ReactionRunner::new(&bus)
        .manage_with(MoveMoney, options)
        .start()
        .expect("a runner");
    loop {
        let head = store.backend().head().await.expect("the head");
        let there = running.wait_for("move money", head, PATIENCE).await;
        there.expect("it comes on");
        // What it did last may have moved the head.
        if store.backend().head().await.expect("the head") == head {
            break;
        }
    }
    running.stop().await;
}

/// A store in which all transfers are requested, and none has begun.
async fn prepare(file: &Path) {
    let store = Store::open(file).await.expect("a store");
    let bus = CommandBus::new(store.clone());
    for (key, _) in ACCOUNTS {
        let deposit = bus.dispatch(key, Deposit { cents: 1_000 });
        deposit.await.expect("a deposit");
    }
    bus.dispatch("cleo", Freeze).await.expect("frozen");
    for (key, from, to, cents, _) in TRANSFERS {
        let (from, to) = (from.to_owned(), to.to_owned());
        let request = bus.dispatch(key, Request { from, to, cents });
        request.await.expect("a request");
    }
    store.close().await.expect("closed");
}

#[test]
fn the_domain_is_one() {
    domain::domain().checked().expect("a domain");
}

/// Not a cent is lost or doubled, and every transfer has ended once.
async fn check(file: &Path, what: &str) {
    let store = Store::open(file).await.expect("the store");
    let accounts = Repository::<Account>::new(store.clone());
    let transfers = Repository::<Transfer>::new(store.clone());
    for (key, balance) in ACCOUNTS {
        let account = accounts.load(key).await.expect("an account").state;
        assert_eq!(account.balance, balance, "{what}: {key}");
    }
    let mut moved = Vec::new();
    let mut ended = 0;
    let all = store.read_all().events();
    for event in futures_util::StreamExt::collect::<Vec<_>>(all).await {
        let event = event.expect("an event");
        match event.stream.category() {
            "account" => moved.extend(event.decode::<Account>().expect("an event")),
            _ => ended += usize::from(event.event_type.as_str() != "Requested"),
        }
    }
    assert_eq!(ended, TRANSFERS.len(), "{what}: each transfer ends once");
    let count = |is: fn(&AccountEvent) -> bool| moved.iter().filter(|event| is(event)).count();
    let withdrawn = count(|event| matches!(event, AccountEvent::Withdrawn { .. }));
    let credited = count(|event| matches!(event, AccountEvent::Credited { .. }));
    let refunded = count(|event| matches!(event, AccountEvent::Refunded { .. }));
    assert_eq!((withdrawn, credited, refunded), (4, 2, 2), "{what}");
    for (key, .., goes_well) in TRANSFERS {
        let state = transfers.load(key).await.expect("a transfer").state;
        let is_well = state == Transfer::Completed;
        assert_eq!(is_well, goes_well, "{what}: {key} is {state:?}");
    }
    let report = store.verify().await.expect("a report");
    assert!(report.is_whole(), "{what}: {report:?}");
    store.close().await.expect("closed");
}

/// Whether a worker came to its end before it was killed.
fn run(spec: &Spec) -> bool {
    let process = Process::<String>::start(WORKER, spec, PATIENCE);
    process.line().is_some()
}

/// One store, by workers that are killed at these calls and one that is not.
fn killed_at(prepared: &Path, kills: &[(u64, bool)]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bank.db");
    fs::copy(prepared, &file).expect("a copy");
    let mut was_killed = false;
    let killed = kills.iter().map(|(at, after)| (Some(*at), *after));
    for (kill_at, after) in killed.chain([(None, false)]) {
        let file = file.clone();
        let done = run(&Spec {
            file,
            kill_at,
            after,
        });
        was_killed |= !done;
        assert!(done || kill_at.is_some(), "the last one was not killed");
    }
    runtime().block_on(check(&file, &format!("killed at {kills:?}")));
    was_killed
}

#[test]
fn no_cent_is_lost_or_doubled_wherever_the_process_manager_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let prepared = folder.path().join("prepared.db");
    runtime().block_on(prepare(&prepared));
    let next = AtomicU64::new(1);
    // The processes wait for the disk more than for the machine.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let killed = killed_at(&prepared, &[(at, at.is_multiple_of(2))]);
                    // It has come to its end before so many calls.
                    if !killed {
                        break;
                    }
                }
            });
        }
    });
    let kills = next.into_inner() - 1;
    println!("killed at each of {kills} calls");
    assert!(kills > 50, "{kills} calls are too few to be all of them");
    at_random(&prepared, kills);
}

fn at_random(prepared: &Path, calls: u64) {
    let variable = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text: String| text.parse().ok())
    };
    let runs = variable("ANNALIST_TRANSFER_KILLS").unwrap_or(0);
    let seed = variable("ANNALIST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{runs} runs at random, ANNALIST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..runs {
        let times = random.usize(1..6);
        let kills: Vec<_> = (0..times)
            .map(|_| (random.u64(1..=calls), random.bool()))
            .collect();
        killed_at(prepared, &kills);
    }
}
