//! A worker process: what it is told, what it does, and how its parent hears of it.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use annalist::store::sqlite::SqliteOptions;
use annalist::{Position, Store};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use crate::worker::{self, Process};
use crate::{PATIENCE, ends, processes, stalled};

/// The variable of the environment that makes this binary a worker.
const SPEC: &str = "ANNALIST_FEED_WORKER";

/// What a worker process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) path: PathBuf,
    pub(crate) role: Role,
    pub(crate) poll_ms: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Appends from so many callers at once, so many times each, once it is told to.
    Append {
        worker: u32,
        callers: u32,
        appends: u64,
    },
    /// Follows from the beginning, and says each position.
    Follow,
    /// Sleeps on its first page while so many events are appended, and says how its memory
    /// has grown, in KiB.
    Stall { events: u64 },
    /// Follows and stops, and says how many threads are left.
    Threads,
}

pub(crate) fn spec() -> Option<Spec> {
    worker::spec(SPEC)
}

/// Says a number to the parent.
pub(crate) fn say(number: u64) {
    worker::say(&number);
}

/// Runs the role that the parent gave.
pub(crate) fn run(spec: &Spec) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut options = SqliteOptions::default();
    options.poll_interval = Duration::from_millis(spec.poll_ms);
    runtime.block_on(async {
        if let Role::Stall { events } = spec.role {
            return stalled::sleep_and_read(&spec.path, events).await;
        }
        let store = Store::open_with(&spec.path, options).await;
        let store = store.expect("a store");
        say(0);
        match spec.role {
            Role::Append {
                worker,
                callers,
                appends,
            } => {
                let go = tokio::task::spawn_blocking(|| {
                    let mut line = String::new();
                    std::io::stdin().read_line(&mut line)
                });
                go.await.expect("no panic").expect("a line");
                processes::append_from(&store, worker, callers, appends).await;
            }
            Role::Follow => follow(&store).await,
            Role::Threads => ends::follow_and_stop(&store).await,
            Role::Stall { .. } => {}
        }
        store.close().await.expect("a clean close");
    });
}

/// Until the parent is through, which ends the input.
async fn follow(store: &Store) {
    let mut through = tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
    let mut items = store.subscribe(Position::ZERO).items();
    loop {
        tokio::select! {
            item = items.next() => {
                let item = item.expect("no end").expect("no error");
                say(item.position().get());
            }
            _ = &mut through => return,
        }
    }
}

/// A running worker, which says numbers.
pub(crate) struct Worker(Process<u64>);

impl Worker {
    pub(crate) fn start(spec: &Spec) -> Self {
        Self(Process::start(SPEC, spec, PATIENCE))
    }

    /// The same, once it has opened the store.
    pub(crate) fn opened(spec: &Spec) -> Self {
        let worker = Self::start(spec);
        assert_eq!(worker.hear(), 0);
        worker
    }

    /// The next number that it says.
    pub(crate) fn hear(&self) -> u64 {
        self.0.line().expect("a number, and no end")
    }

    /// Lets it begin.
    pub(crate) fn go(&mut self) {
        self.0.go();
    }

    /// Waits for its end, having told it that there is no more to come.
    pub(crate) fn finish(mut self) {
        self.0.end_input();
        self.0.ended();
    }
}
