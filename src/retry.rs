//! When to try again, and when to stop: bounded attempts, exponential backoff with
//! full jitter, a deadline.
//!
//! The command bus asks before each further attempt. Nothing here sleeps or reads a
//! clock: the caller says how much time is left, and waits.
//!
//! A delay is drawn evenly between nothing and a ceiling that doubles with each attempt
//! ("full jitter"): writers that collided spread out instead of colliding again, see
//! Marc Brooker, [Exponential Backoff And Jitter][aws], AWS Architecture Blog, 2015.
//!
//! [aws]: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often something is attempted, and how long to wait in between.
///
/// ```
/// use std::time::Duration;
///
/// let mut policy = annalist::RetryPolicy::default();
/// policy.attempts_max = 3;
/// policy.delay_max = Duration::from_millis(50);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first included, which is made in any case. Default 10.
    pub attempts_max: u32,
    /// The ceiling of the first delay; it doubles from one delay to the next. Default
    /// 2 ms, about one durable commit.
    pub delay_base: Duration,
    /// The ceiling that no delay passes. Default 250 ms.
    pub delay_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 10,
            delay_base: Duration::from_millis(2),
            delay_max: Duration::from_millis(250),
        }
    }
}

impl RetryPolicy {
    /// The ceiling of the delay after this many attempts.
    fn ceiling(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.delay_base.saturating_mul(factor).min(self.delay_max)
    }
}

/// The attempts of one call.
///
/// ```
/// use annalist::{Backoff, GaveUp, RetryPolicy};
/// use std::time::Duration;
///
/// let mut policy = RetryPolicy::default();
/// policy.attempts_max = 2;
/// let mut backoff = Backoff::new(policy, 42);
/// // The first attempt failed, with a second left until the deadline.
/// let delay = backoff.next_delay(Some(Duration::from_secs(1)))?;
/// assert!(delay < Duration::from_millis(2));
/// // So did the second.
/// assert_eq!(backoff.next_delay(None), Err(GaveUp::Attempts));
/// # Ok::<(), GaveUp>(())
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    attempts: u32,
    jitter: fastrand::Rng,
}

impl Backoff {
    /// Begins with the first attempt. Two callers with one seed would wait alike and
    /// collide again: the seed is a random number, or a test's.
    #[must_use]
    pub fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            policy,
            attempts: 1,
            jitter: fastrand::Rng::with_seed(seed),
        }
    }

    /// How many attempts were made, the current one included.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long to wait before the next attempt, which is counted now. The wait ends
    /// before the deadline, if there is one.
    ///
    /// # Errors
    ///
    /// [`GaveUp`] when all attempts are made, or no time remains.
    pub fn next_delay(&mut self, remaining: Option<Duration>) -> Result<Duration, GaveUp> {
        if self.attempts >= self.policy.attempts_max {
            return Err(GaveUp::Attempts);
        }
        if remaining.is_some_and(|time| time.is_zero()) {
            return Err(GaveUp::Deadline);
        }
        let ceiling = self.policy.ceiling(self.attempts);
        let ceiling = remaining.map_or(ceiling, |time| time.min(ceiling));
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        self.attempts += 1;
        Ok(Duration::from_nanos(self.jitter.u64(0..nanos.max(1))))
    }
}

/// Why no further attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum GaveUp {
    /// As many were made as the policy allows.
    #[error("no attempts are left")]
    Attempts,
    /// No time remains.
    #[error("the deadline has passed")]
    Deadline,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(attempts_max: u32) -> RetryPolicy {
        RetryPolicy {
            attempts_max,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn ceilings_double_up_to_the_longest_delay() {
        let policy = RetryPolicy::default();
        let millis: Vec<_> = (1..=9).map(|n| policy.ceiling(n).as_millis()).collect();
        assert_eq!(millis, [2, 4, 8, 16, 32, 64, 128, 250, 250]);
        assert_eq!(policy.ceiling(u32::MAX), policy.delay_max);
    }

    #[test]
    fn the_first_attempt_is_made_in_any_case_and_the_last_is_told() {
        for (attempts_max, retries) in [(0, 0), (1, 0), (2, 1), (5, 4)] {
            let mut backoff = Backoff::new(patient(attempts_max), 7);
            let delays = std::iter::from_fn(|| backoff.next_delay(None).ok()).count();
            assert_eq!(delays, retries);
            assert_eq!(backoff.attempts(), attempts_max.max(1));
            assert_eq!(backoff.next_delay(None), Err(GaveUp::Attempts));
        }
    }

    #[test]
    fn delays_fill_the_whole_range_below_their_ceiling() {
        let drawn = |seed| {
            let mut backoff = Backoff::new(patient(2), seed);
            backoff.next_delay(None).unwrap()
        };
        let delays: Vec<_> = (0..1000).map(drawn).collect();
        let base = RetryPolicy::default().delay_base;
        assert!(delays.iter().all(|delay| *delay < base));
        for tenth in 0..10 {
            let part = base * tenth / 10..base * (tenth + 1) / 10;
            let within = delays.iter().filter(|delay| part.contains(delay)).count();
            assert!((50..=150).contains(&within), "{within} of 1000 in {part:?}");
        }
        assert_eq!(drawn(3), drawn(3));
    }

    #[test]
    fn a_wait_ends_before_the_deadline() {
        let remaining = Duration::from_micros(10);
        for seed in 0..1000 {
            let mut backoff = Backoff::new(patient(10), seed);
            assert!(backoff.next_delay(Some(remaining)).unwrap() < remaining);
        }
        let mut backoff = Backoff::new(patient(10), 0);
        let late = backoff.next_delay(Some(Duration::ZERO));
        assert_eq!((late, backoff.attempts()), (Err(GaveUp::Deadline), 1));
    }

    #[test]
    fn odd_policies_neither_overflow_nor_panic() {
        let mut policy = patient(u32::MAX);
        for (delay_base, delay_max) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::MAX, Duration::MAX),
            (Duration::MAX, Duration::ZERO),
        ] {
            (policy.delay_base, policy.delay_max) = (delay_base, delay_max);
            let mut backoff = Backoff::new(policy, 1);
            for _ in 0..100 {
                backoff.next_delay(Some(Duration::MAX)).unwrap();
            }
        }
    }
}
