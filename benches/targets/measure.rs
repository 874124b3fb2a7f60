//! What is measured: one ratio, of rounds in which both sides run one after the other, so that
//! they share the machine's mood.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// One measure, by name.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) target: f64,
    pub(crate) better: Better,
    pub(crate) settings: &'static str,
    /// One round: the subject's figure against the baseline's.
    pub(crate) round: fn(&Bench) -> f64,
}

/// What a round runs in, and for how long each side.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) length: Duration,
    pub(crate) is_quick: bool,
    /// Where a file lies that several measures share, once one of them has made it.
    pub(crate) file: OnceCell<TempDir>,
}

impl Bench {
    /// Runs one side.
    pub(crate) fn run<T>(&self, side: impl Future<Output = T>) -> T {
        self.runtime.block_on(side)
    }

    /// So many, or a tenth of them where it must be quick.
    pub(crate) const fn count(&self, full: usize) -> usize {
        match self.is_quick {
            true => full / 10,
            false => full,
        }
    }
}

/// How often something was done, and how long each took.
pub(crate) struct Done {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) elapsed: Duration,
}

impl Done {
    /// Of tasks that were begun together.
    pub(crate) async fn by(tasks: Vec<JoinHandle<Vec<Duration>>>, begun: Instant) -> Self {
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.expect("a caller"));
        }
        Self::of(latencies, begun.elapsed())
    }

    pub(crate) fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        Self { latencies, elapsed }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that this share of them stayed below, in seconds.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let index = (self.latencies.len() as f64 * share) as usize;
        let index = index.min(self.latencies.len().saturating_sub(1));
        let latency = self.latencies.get(index);
        latency.map_or(f64::NAN, Duration::as_secs_f64)
    }
}

pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<_> = figures.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
