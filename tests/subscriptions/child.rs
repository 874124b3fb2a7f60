//! A worker process: what it is told, what it does, and how its parent hears of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use annalist::store::sqlite::SqliteOptions;
use annalist::{Position, Store};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use crate::{PATIENCE, ends, processes, stalled};

/// The variable of the environment that makes this binary a worker.
const SPEC: &str = "ANNALIST_FEED_WORKER";

/// What a worker's lines begin with, among what the test harness prints.
const MARK: &str = "> ";

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
    let spec = std::env::var(SPEC).ok()?;
    Some(serde_json::from_str(&spec).expect("a spec"))
}

/// Says a number to the parent.
pub(crate) fn say(number: u64) {
    println!("{MARK}{number}");
}

/// Runs the role that the parent gave.
pub(crate) fn run(spec: &Spec) {
    // The harness leaves its own line unfinished.
    println!();
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

/// A running worker. It does not outlive its handle.
pub(crate) struct Worker {
    process: Child,
    stdin: Option<ChildStdin>,
    said: Receiver<u64>,
}

impl Worker {
    pub(crate) fn start(spec: &Spec) -> Self {
        let binary = std::env::current_exe().expect("this binary");
        let mut process = Command::new(binary)
            .args(["--exact", "worker", "--ignored", "--nocapture"])
            .env(SPEC, serde_json::to_string(spec).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, said) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(number) = line.strip_prefix(MARK) {
                    let _ = sender.send(number.parse().expect("a number"));
                }
            }
        });
        Self {
            process,
            stdin,
            said,
        }
    }

    /// The same, once it has opened the store.
    pub(crate) fn opened(spec: &Spec) -> Self {
        let worker = Self::start(spec);
        assert_eq!(worker.hear(), 0);
        worker
    }

    /// The next number that it says.
    pub(crate) fn hear(&self) -> u64 {
        self.said.recv_timeout(PATIENCE).expect("a number in time")
    }

    /// Lets it begin.
    pub(crate) fn go(&mut self) {
        let stdin = self.stdin.as_mut().expect("not stopped yet");
        writeln!(stdin, "go").expect("the worker listens");
    }

    /// Waits for its end, having told it that there is no more to come.
    pub(crate) fn finish(mut self) {
        drop(self.stdin.take());
        let status = self.process.wait().expect("its end");
        assert!(status.success(), "a worker failed: {status}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended long ago; what is left to do is not to leave it running.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
