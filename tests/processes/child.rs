//! A worker process as its parent sees it: what it is told, what it says, its end.
//!
//! Nothing here waits for longer than [`PATIENCE`], and no child outlives its handle.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use annalist::{FencingToken, Position, Receipt, Version};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::plan::{Name, Rules};
use crate::worker::Process;

/// The variable of the environment that makes this binary a worker.
pub(crate) const SPEC: &str = "ANNALIST_PROCESS";

/// How long a worker may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a worker process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) path: PathBuf,
    pub(crate) role: Role,
    pub(crate) rules: Rules,
    pub(crate) round: u32,
    pub(crate) worker: u32,
    /// See [`SqliteOptions`](annalist::store::sqlite::SqliteOptions).
    pub(crate) checkpoint_pages: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// When it is told to, sends commits from so many callers at once, so many each,
    /// or until its input ends.
    Load {
        callers: u32,
        commits: Option<u32>,
        /// How long a caller rests at most before each commit. Processes that never
        /// rest hardly let each other in.
        rest_us_max: u64,
    },
    /// Reads everything in small pages, one for each line that it is given.
    Read,
    /// Takes so many turns: acquires the lease, reads the stream's version, appends upon it
    /// under the lease's token, gives the lease back.
    Turns { turns: u32, rest_ms_max: u64 },
    /// Acquires the lease for so long, and appends under its token when it is told to; then,
    /// having lost it, acquires it again and appends.
    Hold { ms: u64 },
}

/// One line of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// It runs, and opens the store next.
    Opening,
    /// The store is open.
    Opened,
    Ack(Ack),
    Page {
        events: usize,
        last: Position,
    },
    /// It was granted the lease.
    Holds(Held),
    /// It has appended under this token, to this version.
    Turn {
        token: FencingToken,
        version: Version,
    },
    /// Its append was refused: its lease is lost.
    Lost,
    /// It has stopped as it should.
    Done(Figures),
}

/// A commit that was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ack {
    /// Written as four numbers.
    name: String,
    /// Whether another process's commit took effect under this commit's key.
    pub(crate) known: bool,
    pub(crate) receipt: Receipt,
}

impl Ack {
    pub(crate) fn new(name: Name, known: bool, receipt: Receipt) -> Self {
        let name = name.to_string();
        Self {
            name,
            known,
            receipt,
        }
    }

    pub(crate) fn name(&self) -> Name {
        self.name.parse().expect("a name")
    }
}

/// A lease that a worker was granted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) token: FencingToken,
    pub(crate) expires_at: DateTime<Utc>,
}

/// What a worker met on its way.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) conflicts: u64,
    pub(crate) busy: u64,
    /// The longest that one answer took.
    pub(crate) slowest_ms: u64,
}

/// A running worker.
pub(crate) struct Worker(Process<Line>);

impl Worker {
    pub(crate) fn start(spec: &Spec) -> Self {
        Self(Process::start(SPEC, spec, PATIENCE))
    }

    /// The next line; none when the process has ended.
    pub(crate) fn line(&self) -> Option<Line> {
        self.0.line()
    }

    /// The next commit that was answered, for a worker that goes on until it is told.
    pub(crate) fn ack(&self) -> Ack {
        loop {
            match self.line() {
                Some(Line::Ack(ack)) => return ack,
                Some(Line::Opening | Line::Opened) => {}
                other => panic!("a worker that should go on said {other:?}"),
            }
        }
    }

    /// Lets a process begin, or a reader read on.
    pub(crate) fn go(&mut self) {
        self.0.go();
    }

    /// Waits until the process has opened the store.
    pub(crate) fn opened(&self) {
        let said = [self.line(), self.line()];
        let opened = matches!(said, [Some(Line::Opening), Some(Line::Opened)]);
        assert!(opened, "{said:?}");
    }

    /// Stops the process where it is, or lets it continue.
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("sh");
        kill.args(["-c", &format!("kill -{signal} {}", self.0.child.id())]);
        assert!(kill.status().expect("a shell").success());
    }

    /// Kills the process, and answers what it was still heard saying.
    pub(crate) fn kill(mut self) -> Vec<Line> {
        self.0.child.kill().expect("a process to kill");
        self.0.child.wait().expect("its end");
        std::iter::from_fn(|| self.line()).collect()
    }

    /// Lets the process finish what it has begun, and answers what it said.
    pub(crate) fn stop(mut self) -> Vec<Line> {
        self.0.end_input();
        self.finish()
    }

    /// Waits until the process is through, and answers what it said.
    pub(crate) fn finish(mut self) -> Vec<Line> {
        let lines: Vec<_> = std::iter::from_fn(|| self.line()).collect();
        self.0.ended();
        assert!(matches!(lines.last(), Some(Line::Done(_))), "{lines:?}");
        lines
    }
}
