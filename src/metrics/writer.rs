//! What the thread that writes reports: what waits for it, what it writes together, and how long
//! the disk takes.

use std::time::Instant;

use ::metrics::histogram;

use super::{BATCH_COMMITS, BATCH_EVENTS, COMMIT_DURATION, QUEUE_DEPTH, report};

/// So many requests wait when a batch begins, its first not counted.
pub(crate) fn waiting(requests: usize) {
    report(|| histogram!(QUEUE_DEPTH).record(requests as f64));
}

/// Runs a COMMIT.
pub(crate) fn commit<T>(run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let committed = run();
    report(|| histogram!(COMMIT_DURATION).record(began.elapsed()));
    committed
}

/// A batch is written: of each of its jobs, the commits and the events.
pub(crate) fn written(jobs: impl Iterator<Item = (usize, usize)>) {
    let sum = |(commits, events), (more_commits, more_events)| {
        (commits + more_commits, events + more_events)
    };
    let (commits, events) = jobs.fold((0, 0), sum);
    if commits > 0 {
        report(|| {
            histogram!(BATCH_COMMITS).record(commits as f64);
            histogram!(BATCH_EVENTS).record(events as f64);
        });
    }
}
