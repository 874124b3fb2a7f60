//! Who may write something, across processes, until when: the words, and the rules as
//! one pure function that every backend asks.
//!
//! A lease keeps others from starting work that they would lose; it does not make a
//! write safe. What does is its [`FencingToken`], compared inside the commit: a holder
//! that slept past its time and was overtaken is refused there. A commit without a token
//! relies on the version check alone.
//!
//! The idea of the token is from M. Kleppmann, "How to do distributed locking" (2016),
//! after C. Gray and D. Cheriton, "Leases" (1989).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::clock::to_micros;
use crate::ids::StreamId;

/// What a lease is about: a stream, or anything else that has a name.
///
/// ```
/// use annalist::{LeaseName, StreamId};
///
/// let nightly: LeaseName = "nightly-report".parse()?;
/// let account = LeaseName::from(&"account-42".parse::<StreamId>()?);
/// assert!("".parse::<LeaseName>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseName(Arc<str>);

impl LeaseName {
    /// Bytes of a name that is parsed. A stream's name may be as long as its id.
    pub const BYTES_MAX: usize = 512;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&StreamId> for LeaseName {
    fn from(stream: &StreamId) -> Self {
        Self(stream.as_str().into())
    }
}

impl FromStr for LeaseName {
    type Err = InvalidLeaseName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.is_empty() || name.len() > Self::BYTES_MAX || name.contains(char::is_control) {
            true => Err(InvalidLeaseName),
            false => Ok(Self(name.into())),
        }
    }
}

/// A text that names no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a lease's name has 1 to {} bytes and no control characters",
    LeaseName::BYTES_MAX
)]
pub struct InvalidLeaseName;

/// How often a lease was granted: larger with every new holder, never the same again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Names a number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A token that a commit must still hold, see [`Commit::fenced_by`](crate::Commit::fenced_by).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lease.
    pub name: LeaseName,
    /// The token of whoever commits.
    pub token: FencingToken,
}

/// What a caller asks of a lease.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// The lease.
    pub name: LeaseName,
    /// What is asked.
    pub ask: LeaseAsk,
}

/// What can be asked of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAsk {
    /// To hold it for so long, unless somebody does.
    Acquire(Duration),
    /// To hold it for so long from now on.
    Renew(FencingToken, Duration),
    /// To give it back.
    Release(FencingToken),
}

/// Where a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseState {
    /// The token granted last.
    pub token: FencingToken,
    /// When its holder's time is over.
    pub expires_at: DateTime<Utc>,
    /// Whether its holder has given it back.
    pub released: bool,
}

impl LeaseState {
    /// A lease that was never granted.
    pub const NEVER: Self = Self {
        token: FencingToken(0),
        expires_at: DateTime::UNIX_EPOCH,
        released: true,
    };

    /// Whether somebody holds it at this time.
    #[must_use]
    pub fn is_held(&self, now: DateTime<Utc>) -> bool {
        !self.released && now < self.expires_at
    }

    /// Whether a commit under this token may write: nobody was granted the lease since,
    /// and it was not given back. That its time is over does no harm until then.
    pub(crate) fn admits(&self, token: FencingToken) -> bool {
        self.token == token && !self.released
    }
}

/// What a request for a lease is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// It is so now.
    Granted(LeaseState),
    /// It is not: somebody else holds it, or was granted it since.
    Refused(LeaseState),
}

/// What becomes of a request. What is granted is written down if it is not so already.
pub(crate) fn judge_lease(state: LeaseState, ask: LeaseAsk, now: DateTime<Utc>) -> LeaseAnswer {
    let until = |duration| {
        let duration = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let until = now.checked_add_signed(duration);
        to_micros(until.unwrap_or(DateTime::<Utc>::MAX_UTC))
    };
    match ask {
        LeaseAsk::Acquire(duration) if !state.is_held(now) => LeaseAnswer::Granted(LeaseState {
            token: FencingToken(state.token.0.saturating_add(1)),
            expires_at: until(duration),
            released: false,
        }),
        LeaseAsk::Renew(token, duration) if state.admits(token) => {
            LeaseAnswer::Granted(LeaseState {
                expires_at: until(duration),
                ..state
            })
        }
        LeaseAsk::Release(token) if state.token == token => LeaseAnswer::Granted(LeaseState {
            released: true,
            ..state
        }),
        _ => LeaseAnswer::Refused(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_table_of_leases() {
        use LeaseAsk::{Acquire, Release, Renew};

        let at = |second| DateTime::<Utc>::from_timestamp(second, 0).expect("a time");
        let state = |token, expires, released| LeaseState {
            token: FencingToken(token),
            expires_at: at(expires),
            released,
        };
        let (token, minute) = (FencingToken, Duration::from_secs(60));
        let held = state(3, 150, false);
        let over = state(3, 100, false);
        let given_back = state(3, 150, true);
        // What is asked at second 100, and the token and end that are granted.
        let table = [
            (
                LeaseState::NEVER,
                Acquire(minute),
                Some(state(1, 160, false)),
            ),
            (held, Acquire(minute), None),
            (over, Acquire(minute), Some(state(4, 160, false))),
            (given_back, Acquire(minute), Some(state(4, 160, false))),
            (LeaseState::NEVER, Renew(token(0), minute), None),
            (held, Renew(token(3), minute), Some(state(3, 160, false))),
            (held, Renew(token(2), minute), None),
            (held, Renew(token(4), minute), None),
            (over, Renew(token(3), minute), Some(state(3, 160, false))),
            (given_back, Renew(token(3), minute), None),
            (LeaseState::NEVER, Release(token(1)), None),
            (held, Release(token(3)), Some(given_back)),
            (held, Release(token(2)), None),
            (given_back, Release(token(3)), Some(given_back)),
        ];
        for (state, ask, granted) in table {
            let answer = granted.map_or(LeaseAnswer::Refused(state), LeaseAnswer::Granted);
            assert_eq!(
                judge_lease(state, ask, at(100)),
                answer,
                "{ask:?} of {state:?}"
            );
        }
        for (state, admits) in [(held, true), (over, true), (given_back, false)] {
            assert_eq!(state.admits(token(3)), admits, "{state:?}");
            assert!(!state.admits(token(2)), "{state:?}");
        }
    }
}
