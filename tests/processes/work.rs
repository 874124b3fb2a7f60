//! What a worker process does. It panics, and so ends with a failure, when the store
//! answers what it must never answer.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use annalist::store::sqlite::{CommitThread, SqliteOptions};
use annalist::{
    AppendError, Conflicts, ExpectedVersion, PageBounds, Position, Receipt, Store, StreamId,
    Version,
};
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt};
use tokio::runtime::Builder;

use crate::child::{Ack, Figures, Line, Role, Spec};
use crate::leases;
use crate::plan::{Dice, Keys, Name, Planned};
use crate::worker;

/// Runs the role that the parent gave.
pub(crate) fn run(spec: &Spec) {
    say(&Line::Opening);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut options = SqliteOptions::default();
        options.checkpoint_pages = spec.checkpoint_pages;
        options.commit_thread = match (spec.round + spec.worker).is_multiple_of(2) {
            true => CommitThread::CallerIfIdle,
            false => CommitThread::Writer,
        };
        let store = Store::open_with(&spec.path, options)
            .await
            .expect("a store");
        say(&Line::Opened);
        let figures = match spec.role {
            Role::Load {
                callers,
                commits,
                rest_us_max,
            } => {
                let rest = Duration::from_micros(rest_us_max);
                load(spec, &store, callers, commits, rest).await
            }
            Role::Read => read(&store).await,
            Role::Turns { turns, rest_ms_max } => {
                leases::take_turns(spec, &store, turns, rest_ms_max).await
            }
            Role::Hold { ms } => leases::hold(&store, Duration::from_millis(ms)).await,
        };
        store.close().await.expect("a clean close");
        say(&Line::Done(figures));
    });
}

/// One line, whole, as soon as it is true.
pub(crate) fn say(line: &Line) {
    worker::say(line);
}

async fn load(
    spec: &Spec,
    store: &Store,
    callers: u32,
    commits: Option<u32>,
    rest_max: Duration,
) -> Figures {
    // The first line says go, the end of all lines says stop.
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).expect("its input");
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    let shared = Arc::new(Shared {
        spec: spec.clone(),
        store: store.clone(),
        conflicts: AtomicU64::new(0),
        busy: AtomicU64::new(0),
        slowest_ms: AtomicU64::new(0),
    });
    let calling = (0..callers).map(|caller| {
        let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut dice = Dice(u64::from(shared.spec.worker) << 32 | u64::from(caller));
            let mut caller = Caller::new(caller, shared);
            let wanted = || commits.is_some() || !stop.load(Ordering::Relaxed);
            for number in (0..commits.unwrap_or(u32::MAX)).take_while(|_| wanted()) {
                if !rest_max.is_zero() {
                    let rest = rest_max.mul_f64(dice.below(1_000) as f64 / 1_000.0);
                    tokio::time::sleep(rest).await;
                }
                caller.send(number).await;
            }
        })
    });
    for caller in join_all(calling).await {
        caller.expect("a caller that did not panic");
    }
    Figures {
        conflicts: shared.conflicts.load(Ordering::Relaxed),
        busy: shared.busy.load(Ordering::Relaxed),
        slowest_ms: shared.slowest_ms.load(Ordering::Relaxed),
    }
}

/// What the callers of one process share.
struct Shared {
    spec: Spec,
    store: Store,
    conflicts: AtomicU64,
    busy: AtomicU64,
    slowest_ms: AtomicU64,
}

/// One of the callers: sends one commit after the other.
struct Caller {
    number: u32,
    shared: Arc<Shared>,
    /// What it believes of the streams, from what it was told last.
    believed: HashMap<StreamId, Version>,
}

impl Caller {
    fn new(number: u32, shared: Arc<Shared>) -> Self {
        Self {
            number,
            shared,
            believed: HashMap::new(),
        }
    }

    /// Sends a commit until it has landed, and says so.
    async fn send(&mut self, number: u32) {
        let shared = Arc::clone(&self.shared);
        let spec = &shared.spec;
        let planned = spec.rules.plan(Name {
            round: spec.round,
            worker: spec.worker,
            caller: self.number,
            number,
        });
        loop {
            let commit = planned.commit(|stream| match planned.exact {
                true => self.believes(stream).into(),
                false => ExpectedVersion::Any,
            });
            let sent = Instant::now();
            let answer = shared.store.commit(commit).await;
            let waited_ms = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX);
            shared.slowest_ms.fetch_max(waited_ms, Ordering::Relaxed);
            match answer {
                Ok(receipt) => {
                    self.landed(&planned, &receipt);
                    return say(&Line::Ack(Ack::new(planned.name, false, receipt)));
                }
                Err(AppendError::AlreadyCommitted { receipt, .. }) => {
                    assert_eq!(spec.rules.keys, Keys::Shared, "{receipt:?}");
                    return say(&Line::Ack(Ack::new(planned.name, true, receipt)));
                }
                Err(AppendError::Conflict(conflicts)) => {
                    shared.conflicts.fetch_add(1, Ordering::Relaxed);
                    assert!(planned.exact, "Any never loses a race: {conflicts}");
                    self.lost(&conflicts);
                }
                Err(error) => {
                    assert!(error.is_retryable(), "{error}");
                    assert!(matches!(error.code(), "busy" | "overloaded"), "{error}");
                    shared.busy.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn believes(&self, stream: &StreamId) -> Version {
        self.believed.get(stream).copied().unwrap_or(Version::ZERO)
    }

    fn landed(&mut self, planned: &Planned, receipt: &Receipt) {
        assert!(!receipt.replayed, "sent once, answered as a repeat");
        for append in &receipt.appends {
            if planned.exact {
                let expected = self.believes(&append.stream).next();
                assert_eq!(append.first, Some(expected), "{}", append.stream);
            }
            self.believed.insert(append.stream.clone(), append.last);
        }
    }

    fn lost(&mut self, conflicts: &Conflicts) {
        for conflict in conflicts.violations() {
            // Streams only grow: a conflict that names less read an old state.
            assert!(
                conflict.actual > self.believes(&conflict.stream),
                "{conflict}"
            );
            self.believed
                .insert(conflict.stream.clone(), conflict.actual);
        }
    }
}

/// Reads the whole log again and again, a page for each line of the parent.
async fn read(store: &Store) -> Figures {
    let mut asked = std::io::stdin().lines();
    let bounds = PageBounds {
        events_max: 16,
        ..PageBounds::default()
    };
    loop {
        let mut last = Position::ZERO;
        let mut pages = store.read_all().page_bounds(bounds).pages();
        // A read has a first page, even of nothing.
        while let Some(page) = next(&mut pages).await {
            for event in &page.events {
                assert_eq!(event.position, last.next(), "a hole");
                last = event.position;
            }
            say(&Line::Page {
                events: page.events.len(),
                last,
            });
            // Blocking is slow reading: nothing else runs here.
            if asked.next().is_none() {
                return Figures::default();
            }
        }
    }
}

async fn next<T, E: std::fmt::Display>(
    pages: &mut (impl Stream<Item = Result<T, E>> + Unpin),
) -> Option<T> {
    let page = pages.next().await?;
    Some(page.unwrap_or_else(|error| panic!("{error}")))
}
