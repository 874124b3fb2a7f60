//! The only reader of wall time.
//!
//! A store asks its clock when an event is recorded; a test hands it another.

use std::fmt;

use chrono::{DateTime, SubsecRound, Utc};

/// Tells the time.
///
/// It may jump, backwards too: a store never lets `recorded_at` go back, it
/// repeats the last time until the clock has caught up.
pub trait Clock: Send + Sync + 'static {
    /// The time now. What is finer than a microsecond is cut off.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Cuts a time off to what stores keep: whole microseconds.
pub(crate) fn to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
