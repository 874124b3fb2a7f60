//! Without the feature `metrics`, nothing is reported, and no clock is read.

/// Which commands a figure would be of.
#[derive(Clone, Copy)]
pub(crate) struct Labels;

impl Labels {
    pub(crate) const fn new(_category: &'static str, _command: &'static str) -> Self {
        Self
    }

    pub(crate) fn dispatching(self) -> Dispatching {
        Dispatching
    }

    pub(crate) fn conflict(self, _resolution: &'static str) {}

    pub(crate) fn retry(self, _cause: &'static str) {}
}

/// A command on its way.
pub(crate) struct Dispatching;

impl Dispatching {
    pub(crate) fn done(&mut self, _outcome: &'static str, _attempts: u32) {}

    pub(crate) fn failed(&mut self, _error: &'static str) {}
}

pub(crate) fn line(_category: &'static str, _commands: usize) {}

/// What the thread that writes would report.
#[cfg(feature = "sqlite")]
pub(crate) mod writer {
    pub(crate) fn waiting(_requests: usize) {}

    pub(crate) fn commit<T>(run: impl FnOnce() -> T) -> T {
        run()
    }

    /// The jobs are not looked at.
    pub(crate) fn written(_jobs: impl Iterator<Item = (usize, usize)>) {}
}
