//! What the bus and the writer report to the crate [metrics](https://docs.rs/metrics) (feature
//! `metrics`): how often commands conflict, how often they are tried again, how full batches
//! and queues are.
//!
//! Nothing here decides or waits, and no figure is read back. What is reported goes to the
//! recorder of the process, which an exporter installs; without one it is lost, which costs a
//! fraction of a microsecond for each command. Without the feature there is no trace of it.
//!
//! ```
//! // In `main`, before anything is dispatched. A program takes an exporter here, such as
//! // `metrics_exporter_prometheus::PrometheusBuilder::new().install()?`.
//! let recorder = metrics::NoopRecorder;
//! metrics::set_global_recorder(recorder)?;
//! annalist::metrics::describe(); // units and help texts, once
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is reported
//!
//! | name | kind | unit | labels | what to look for |
//! |---|---|---|---|---|
//! | `annalist_dispatches_total` | counter | | `category`, `command`, `outcome` | the traffic, and the part of it that has no good outcome: `conflict`, `busy`, `overloaded`, `dropped`; an alarm on `unknown_outcome`, `fenced` and `corrupt` |
//! | `annalist_dispatch_duration_seconds` | histogram | seconds | `category`, `command` | what callers wait, with all attempts and the pauses in between |
//! | `annalist_dispatch_attempts` | histogram | attempts | `category`, `command` | attempts of a dispatch that has an outcome: 1 is a quiet aggregate; from 3 on a command is one to be [`Queued`](crate::Contention::Queued), or an aggregate one to be split |
//! | `annalist_conflicts_total` | counter | | `category`, `command`, `resolution` | attempts that lost, and what became of each: much `declared` is a command that declares nothing where it could, much `clash` or `attempts` an aggregate that too many want |
//! | `annalist_retries_total` | counter | | `category`, `command`, `cause` | further attempts: those for `conflict` cost a load and a decision each, those for `busy` say that another process holds the file |
//! | `annalist_line_depth` | histogram | commands | `category` | commands in line for one aggregate when a turn begins; a line that stays long is an aggregate that is at its limit |
//! | `annalist_queue_depth` | histogram | requests | | what else waits for the writer when it begins a batch; near [`queue_commits_max`](crate::store::sqlite::SqliteOptions::queue_commits_max) callers are about to be `overloaded` |
//! | `annalist_batch_commits` | histogram | commits | | commits that share one flush: 1 under load are callers that wait for each other, [`batch_commits_max`](crate::store::sqlite::SqliteOptions::batch_commits_max) a writer that is at its limit |
//! | `annalist_batch_events` | histogram | events | | events that share one flush |
//! | `annalist_commit_duration_seconds` | histogram | seconds | | one COMMIT, which is one flush of the disk: where everything is slow and this is not, it is not the disk |
//!
//! The labels are few: what a program declares, and the names of what may come of it, never a
//! key or an id.
//!
//! - `category` is [`Aggregate::CATEGORY`](crate::Aggregate::CATEGORY), `command` is
//!   [`Command::NAME`](crate::Command::NAME). Closures are all `decide`, whatever they are
//!   called.
//! - `outcome` is [`Decision::code`](crate::Decision::code) or
//!   [`DispatchError::code`](crate::DispatchError::code); `dropped` where the future was dropped
//!   before there was one, as by a time-out.
//! - `resolution` is what the command goes on with: `redecide`, `commute`, `merge`,
//!   `nothing_to_do`, `already_applied`; or why it does not: the
//!   [reason](crate::ConflictReason::code) of the conflict that surfaces, or the code of another
//!   error. A state that a bus kept and that is found to be old is no conflict.
//! - `cause` is `conflict`, or the code of what the store answered.
//!
//! Whoever loads and saves by hand is told of a conflict, and it is not counted: nothing is
//! tried again.
//!
//! Batches are those of [`Store::open`](crate::Store::open), of all stores of the process
//! together; a store in memory has no writer. A batch in which no commit landed, such as one of
//! refusals, removals, leases or kept states, has a duration and no size. Commits that were
//! stored before, and checks without events, count as commits of no events.
//!
//! Histograms are given every value. Where an exporter needs buckets, begin with powers of two
//! for depths and sizes, and with 100 µs for durations.

use std::time::Instant;

use ::metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::caught::caught;

#[cfg(feature = "sqlite")]
pub(crate) mod writer;

const DISPATCHES: &str = "annalist_dispatches_total";
const DISPATCH_DURATION: &str = "annalist_dispatch_duration_seconds";
const DISPATCH_ATTEMPTS: &str = "annalist_dispatch_attempts";
const CONFLICTS: &str = "annalist_conflicts_total";
const RETRIES: &str = "annalist_retries_total";
const LINE_DEPTH: &str = "annalist_line_depth";
const QUEUE_DEPTH: &str = "annalist_queue_depth";
const BATCH_COMMITS: &str = "annalist_batch_commits";
const BATCH_EVENTS: &str = "annalist_batch_events";
const COMMIT_DURATION: &str = "annalist_commit_duration_seconds";

/// Tells the recorder the unit and the meaning of each figure. Call it once, when the recorder
/// is installed: one that comes later has not heard it.
pub fn describe() {
    let counts = [
        (DISPATCHES, "Commands dispatched, by what came of them."),
        (
            CONFLICTS,
            "Attempts that lost a race, by what became of them.",
        ),
        (RETRIES, "Further attempts, by what they were made for."),
    ];
    for (name, meaning) in counts {
        describe_counter!(name, Unit::Count, meaning);
    }
    let durations = [
        (DISPATCH_DURATION, "From the dispatch to its answer."),
        (COMMIT_DURATION, "One COMMIT of the writer."),
    ];
    for (name, meaning) in durations {
        describe_histogram!(name, Unit::Seconds, meaning);
    }
    let sizes = [
        (
            DISPATCH_ATTEMPTS,
            "Attempts of a dispatch that has an outcome.",
        ),
        (
            LINE_DEPTH,
            "Commands in line for one aggregate when a turn begins.",
        ),
        (
            QUEUE_DEPTH,
            "Requests that wait for the writer when it begins a batch.",
        ),
        (BATCH_COMMITS, "Commits that were written together."),
        (BATCH_EVENTS, "Events that were written together."),
    ];
    for (name, meaning) in sizes {
        describe_histogram!(name, Unit::Count, meaning);
    }
}

/// Which commands a figure is of.
#[derive(Clone, Copy)]
pub(crate) struct Labels {
    category: &'static str,
    command: &'static str,
}

impl Labels {
    pub(crate) const fn new(category: &'static str, command: &'static str) -> Self {
        Self { category, command }
    }

    /// One of them is on its way.
    pub(crate) fn dispatching(self) -> Dispatching {
        Dispatching {
            labels: self,
            began: Instant::now(),
            outcome: "dropped",
            attempts: None,
        }
    }

    /// An attempt of one has lost.
    pub(crate) fn conflict(self, resolution: &'static str) {
        let Self { category, command } = self;
        report(|| {
            counter!(CONFLICTS, "category" => category, "command" => command, "resolution" => resolution)
                .increment(1);
        });
    }

    /// One is tried again.
    pub(crate) fn retry(self, cause: &'static str) {
        let Self { category, command } = self;
        report(|| {
            counter!(RETRIES, "category" => category, "command" => command, "cause" => cause)
                .increment(1);
        });
    }
}

/// A command on its way. It is reported when this is dropped, also with its future: those that
/// somebody gave up on are the slow ones.
pub(crate) struct Dispatching {
    labels: Labels,
    began: Instant,
    outcome: &'static str,
    attempts: Option<u32>,
}

impl Dispatching {
    /// It has an outcome, after so many attempts.
    pub(crate) fn done(&mut self, outcome: &'static str, attempts: u32) {
        self.outcome = outcome;
        self.attempts = Some(attempts);
    }

    /// It has none.
    pub(crate) fn failed(&mut self, error: &'static str) {
        self.outcome = error;
    }
}

impl Drop for Dispatching {
    fn drop(&mut self) {
        let Labels { category, command } = self.labels;
        report(|| {
            counter!(DISPATCHES, "category" => category, "command" => command, "outcome" => self.outcome)
                .increment(1);
            histogram!(DISPATCH_DURATION, "category" => category, "command" => command)
                .record(self.began.elapsed());
            if let Some(attempts) = self.attempts {
                histogram!(DISPATCH_ATTEMPTS, "category" => category, "command" => command)
                    .record(attempts);
            }
        });
    }
}

/// So many stand in line for one aggregate.
pub(crate) fn line(category: &'static str, commands: usize) {
    report(|| histogram!(LINE_DEPTH, "category" => category).record(commands as f64));
}

/// The recorder is somebody else's code. What it does wrong must not keep an answer from a
/// caller, nor end the thread that writes.
fn report(record: impl FnOnce()) {
    let _ = caught(record);
}
