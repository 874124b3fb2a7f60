//! A worker process: what it is told, what it does, what it says.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use annalist::follow::{FollowState, Following};
use annalist::projection::ProjectionRunner;
use annalist::store::{Database, OldBuild};
use annalist::{PageBounds, Store};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use crate::models::{BESIDE, MOVES_BESIDE, OWN_FILE, follow, names, within};
use crate::worker::{Process, say};
use crate::{PATIENCE, Place, append};

/// The variable of the environment that makes this binary a worker.
pub(crate) const SPEC: &str = "ANNALIST_FOLLOWING";

/// What a worker process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    store: PathBuf,
    beside: PathBuf,
    pub(crate) role: Role,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Follows with every read model, in the store's file and in the one beside it, until
    /// its input ends.
    Follow {
        lease_ms: u64,
        events_max: u32,
        /// Which ones it rebuilds meanwhile.
        rebuild: Vec<String>,
    },
    /// So many writers append so many events each to as many shared streams.
    Append { writers: u64, events: u64 },
}

/// One line of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// It follows.
    Running,
    /// What it tells of the moves beside the store.
    State {
        state: String,
        build: u32,
        position: u64,
    },
    /// It has stopped as it should.
    Done,
}

/// A running worker.
pub(crate) struct Worker(Process<Line>);

impl Worker {
    pub(crate) fn start(place: &Place, role: Role) -> Self {
        let spec = Spec {
            store: place.store(),
            beside: place.beside(),
            role,
        };
        Self(Process::start(SPEC, &spec, PATIENCE))
    }

    /// One that follows, and does.
    pub(crate) fn follow(place: &Place, lease_ms: u64, events_max: u32, rebuild: &[&str]) -> Self {
        let rebuild = rebuild.iter().map(|name| (*name).to_owned()).collect();
        let worker = Self::start(
            place,
            Role::Follow {
                lease_ms,
                events_max,
                rebuild,
            },
        );
        assert!(matches!(worker.0.line(), Some(Line::Running)));
        worker
    }

    /// Waits until it tells that it is in a state.
    pub(crate) fn until(&self, wanted: FollowState) {
        loop {
            match self.0.line() {
                Some(Line::State { state, .. }) if state == wanted.to_string() => return,
                Some(_) => {}
                None => panic!("it has ended before it was {wanted}"),
            }
        }
    }

    /// Stops the process where it holds no lock on either file.
    pub(crate) fn freeze(&self, place: &Place) {
        loop {
            self.signal("STOP");
            if [place.store(), place.beside()]
                .iter()
                .all(|file| is_free(file))
            {
                return;
            }
            self.signal("CONT");
        }
    }

    /// Stops the process where it is, or lets it continue.
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("sh");
        kill.args(["-c", &format!("kill -{signal} {}", self.0.child.id())]);
        assert!(kill.status().expect("a shell").success());
    }

    pub(crate) fn kill(mut self) {
        self.0.child.kill().expect("a process to kill");
        self.0.child.wait().expect("its end");
    }

    /// Lets it finish what it has begun.
    pub(crate) fn stop(mut self) {
        self.0.end_input();
        self.finish();
    }

    /// Waits until it is through.
    pub(crate) fn finish(mut self) {
        let lines: Vec<_> = std::iter::from_fn(|| self.0.line()).collect();
        self.0.ended();
        let done = lines.iter().any(|line| matches!(line, Line::Done));
        assert!(done, "{lines:?}");
    }
}

/// Whether nobody writes to a file for longer than it takes.
fn is_free(file: &Path) -> bool {
    let conn = Connection::open(file).expect("a connection");
    let patience = Duration::from_millis(500);
    conn.busy_timeout(patience).expect("a connection");
    conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
}

/// Runs the role that the parent gave.
pub(crate) fn run(spec: &Spec) {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let store = Store::open(&spec.store).await.expect("a store");
        match &spec.role {
            Role::Follow {
                lease_ms,
                events_max,
                rebuild,
            } => {
                let beside = Database::open(&spec.beside).await.expect("a database");
                let mut options = within(&beside);
                options.lease = Duration::from_millis(*lease_ms);
                options.batch = PageBounds {
                    events_max: *events_max,
                    ..PageBounds::default()
                };
                let runner = follow::<BESIDE>(ProjectionRunner::new(&store), &options);
                options.database = None;
                let runner = follow::<OWN_FILE>(runner, &options);
                let running = runner.start().expect("a runner");
                say(&Line::Running);
                follow_until_told(&running, rebuild).await;
            }
            Role::Append { writers, events } => append_all(&store, *writers, *events).await,
        }
        store.close().await.expect("a clean close");
        say(&Line::Done);
    });
}

async fn follow_until_told(running: &Following, rebuild: &[String]) {
    for name in rebuild {
        let (running, name) = (running.clone(), name.clone());
        // If it is killed before, it goes on with the next one.
        tokio::spawn(async move { running.rebuild(&name, OldBuild::Drop).await });
    }
    let mut status = running.watch(MOVES_BESIDE).expect("a follower");
    tokio::spawn(async move {
        while status.changed().await.is_ok() {
            let status = status.borrow_and_update().clone();
            say(&Line::State {
                state: status.state.to_string(),
                build: status.build,
                position: status.position.get(),
            });
        }
    });
    let end = || drop(std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::task::spawn_blocking(end).await.expect("its input");
    running.stop().await;
    for name in names(BESIDE).into_iter().chain(names(OWN_FILE)) {
        let state = running.status(name).expect("a follower").state;
        assert_eq!(state, FollowState::Stopped);
    }
}

async fn append_all(store: &Store, writers: u64, events: u64) {
    let writing = (0..writers).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for event in 0..events {
                append(&store, (writer + event) % writers, event as i64).await;
            }
        })
    });
    for writer in writing.collect::<Vec<_>>() {
        writer.await.expect("a writer that did not panic");
    }
}
