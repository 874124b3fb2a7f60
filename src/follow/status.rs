//! What a runner tells of each of its followers.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::version::Position;

/// How far a follower has come, as its runner last told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FollowStatus {
    /// What it is called.
    pub name: String,
    /// What its runner is doing.
    pub state: FollowState,
    /// Which build of its tables is read; 0 before there is one.
    pub build: u32,
    /// The last position that the build holds, with all before it.
    pub position: Position,
    /// The largest position in the store when that was last looked at.
    pub head: Position,
    /// How old the event is that is taken in next; none at the end of the store.
    pub behind: Option<Duration>,
    /// Positions that it has come on in a second, averaged over the last few.
    pub positions_per_second: f64,
    /// How many streams wait behind an event that was put aside.
    pub parked_streams: usize,
    /// The build that is filled beside the one that is read.
    pub rebuild: Option<RebuildStatus>,
    /// What went wrong last: why it has stopped, or why it rests before it tries again.
    pub problem: Option<String>,
}

/// What the runner of a follower is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FollowState {
    /// Another runner, of this process or another one, fills it; this one takes over when
    /// that is not heard of.
    StandingBy,
    /// There is more to take in.
    CatchingUp,
    /// It holds everything, and waits for more.
    Live,
    /// It was told to pause.
    Paused,
    /// It cannot go on, see [`FollowStatus::problem`]; or it was told to stop.
    Stopped,
}

/// How far a rebuild has come.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RebuildStatus {
    /// Which build it makes.
    pub build: u32,
    /// The last position that it holds.
    pub position: Position,
    /// Positions that it has come on in a second, averaged over the last few.
    pub positions_per_second: f64,
    /// Why it cannot go on. The build that is read goes on without it; resumed, it tries
    /// again.
    pub problem: Option<String>,
}

impl FollowStatus {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: FollowState::StandingBy,
            build: 0,
            position: Position::ZERO,
            head: Position::ZERO,
            behind: None,
            positions_per_second: 0.0,
            parked_streams: 0,
            rebuild: None,
            problem: None,
        }
    }

    /// Positions that are not taken in yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.head.get().saturating_sub(self.position.get())
    }

    /// How long it takes to the end of the store at the rate of the last seconds; none
    /// where it does not come on.
    #[must_use]
    pub fn eta(&self) -> Option<Duration> {
        eta(self.lag(), self.positions_per_second)
    }

    /// How long the rebuild takes; none where there is none, or it does not come on.
    #[must_use]
    pub fn rebuild_eta(&self) -> Option<Duration> {
        let rebuild = self.rebuild.as_ref()?;
        let lag = self.head.get().saturating_sub(rebuild.position.get());
        eta(lag, rebuild.positions_per_second)
    }
}

fn eta(lag: u64, per_second: f64) -> Option<Duration> {
    // Counts of positions are far below what a float holds to the unit.
    let seconds = lag as f64 / per_second;
    Duration::try_from_secs_f64(seconds).ok()
}

impl fmt::Display for FollowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StandingBy => "standing by",
            Self::CatchingUp => "catching up",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// How fast something comes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauge {
    at: Instant,
    position: Position,
    per_second: f64,
}

impl Gauge {
    /// Seconds after which what was before counts for a third.
    const MEMORY_SECONDS: f64 = 2.0;

    pub(super) fn new(position: Position) -> Self {
        Self {
            at: Instant::now(),
            position,
            per_second: 0.0,
        }
    }

    /// What was before does not count as slow.
    pub(super) fn begin(&mut self) {
        self.at = Instant::now();
    }

    pub(super) fn moved(&mut self, position: Position) {
        let now = Instant::now();
        let seconds = now.duration_since(self.at).as_secs_f64();
        let moved = position.get().saturating_sub(self.position.get());
        if seconds > 0.0 {
            let fresh = 1.0 - (-seconds / Self::MEMORY_SECONDS).exp();
            let rate = moved as f64 / seconds;
            // The first one has nothing before it.
            self.per_second = match self.per_second == 0.0 {
                true => rate,
                false => self.per_second + fresh * (rate - self.per_second),
            };
        }
        (self.at, self.position) = (now, position);
    }

    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }
}

/// How old something is, if it is not of the future.
pub(super) fn age(recorded_at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - recorded_at).to_std().unwrap_or_default()
}
