//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;

/// A clock that tells the time it was set to.
///
/// ```
/// use std::sync::Arc;
/// use annalist::store::MemoryOptions;
/// use annalist::testkit::clock::ManualClock;
/// use annalist::{Clock, Store};
/// use chrono::TimeDelta;
///
/// let clock = Arc::new(ManualClock::default());
/// let mut options = MemoryOptions::default();
/// options.clock = clock.clone();
/// let store = Store::memory_with(options);
///
/// let before = clock.now();
/// clock.advance(TimeDelta::seconds(-5));
/// assert!(clock.now() < before);
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at this time.
    #[must_use]
    pub fn at(time: DateTime<Utc>) -> Self {
        Self(AtomicI64::new(time.timestamp_micros()))
    }

    /// Moves the clock, backwards too.
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// A clock that stands at 2020-01-01 00:00:00 UTC.
    fn default() -> Self {
        Self(AtomicI64::new(1_577_836_800_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        let micros = self.0.load(Ordering::SeqCst);
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }
}
