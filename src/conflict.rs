//! What a caller learns when its expectation did not hold.
//!
//! Plain data for every layer: a store fills it in, an error carries it, a
//! caller reads from it what happened meanwhile and what to do next.

use std::fmt;

use crate::event::RecordedEvent;
use crate::ids::StreamId;
use crate::version::{ExpectedVersion, Generation, StreamState, Version};

mod report;

pub(crate) use report::changed_fields;
pub use report::{ConflictKind, ConflictReason, ConflictReport, Policy, UnseenEvent};

/// One expectation that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionConflict {
    /// The stream that is not as the caller believed.
    pub stream: StreamId,
    /// What the caller expected.
    pub expected: ExpectedVersion,
    /// The stream's version.
    pub actual: Version,
    /// The generation that the caller expected, where it did.
    pub expected_generation: Option<Generation>,
    /// The stream's generation.
    pub generation: Generation,
    /// Whether the stream can be read and written.
    pub state: StreamState,
    /// What was appended between the version that the caller acted on and the
    /// actual one, where the commit asked for it.
    pub unseen: UnseenEvents,
}

impl VersionConflict {
    /// The version that the caller acted on, where its expectation says one.
    #[must_use]
    pub const fn acted_on(&self) -> Option<Version> {
        match self.expected {
            ExpectedVersion::Exact(version) => Some(version),
            ExpectedVersion::NoStream => Some(Version::ZERO),
            ExpectedVersion::Any | ExpectedVersion::StreamExists => None,
        }
    }
}

impl fmt::Display for VersionConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            expected,
            actual,
            ..
        } = self;
        write!(f, "stream {stream}: expected {expected}, ")?;
        let expects_older = |expected| expected != self.generation;
        match (self.state, self.acted_on()) {
            (StreamState::Live, _) if self.expected_generation.is_some_and(expects_older) => {
                write!(
                    f,
                    "but events were removed from it meanwhile; load it afresh at version {actual}"
                )
            }
            (StreamState::Closed, _) => write!(
                f,
                "but it is closed at version {actual}; nothing is appended to it again"
            ),
            (StreamState::NeverWritten, _) => write!(
                f,
                "but it was never written; append with no stream expected to create it"
            ),
            (StreamState::Deleted, _) => write!(
                f,
                "but it was deleted at version {actual}; append at that version to bring it back"
            ),
            (StreamState::Live, Some(seen)) if seen > *actual => write!(
                f,
                "but it is only at version {actual}; load it again, the version was not read from it"
            ),
            (StreamState::Live, Some(seen)) if seen.next() == *actual => write!(
                f,
                "but it is at version {actual}; load the event at version {actual} and decide again"
            ),
            (StreamState::Live, Some(seen)) => write!(
                f,
                "but it is at version {actual}; load the {} events from version {} on and decide again",
                actual.get() - seen.get(),
                seen.next()
            ),
            (StreamState::Live, None) => write!(f, "but it is at version {actual}; load it again"),
        }
    }
}

/// The events between the version that a caller acted on and the current one.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum UnseenEvents {
    /// The commit did not ask for them, or its expectation names no version to count
    /// from, as `StreamExists` does not.
    #[default]
    NotRead,
    /// Read in the same call, in the order of their versions.
    Read {
        /// The events, from the first unseen one on.
        events: Vec<RecordedEvent>,
        /// Whether there are more than the commit asked for.
        truncated: bool,
    },
    /// The conflict stands, but reading the events failed.
    Unreadable {
        /// The error's text.
        reason: String,
    },
}

impl UnseenEvents {
    /// The events that were read; none where none were.
    #[must_use]
    pub fn events(&self) -> &[RecordedEvent] {
        match self {
            Self::Read { events, .. } => events,
            Self::NotRead | Self::Unreadable { .. } => &[],
        }
    }
}

/// Every expectation of one commit that did not hold, in the commit's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflicts {
    violations: Vec<VersionConflict>,
    expectations: usize,
}

impl Conflicts {
    /// What a backend found: at least one violation, of so many expectations.
    #[must_use]
    pub const fn new(violations: Vec<VersionConflict>, expectations: usize) -> Self {
        Self {
            violations,
            expectations,
        }
    }

    /// The expectations that did not hold; at least one.
    #[must_use]
    pub fn violations(&self) -> &[VersionConflict] {
        &self.violations
    }

    pub(crate) fn violations_mut(&mut self) -> &mut [VersionConflict] {
        &mut self.violations
    }

    /// How many expectations the commit stated.
    #[must_use]
    pub const fn expectations(&self) -> usize {
        self.expectations
    }

    /// Whether a violated stream is closed, so that no retry can ever land.
    #[must_use]
    pub fn any_closed(&self) -> bool {
        let mut violations = self.violations.iter();
        violations.any(|conflict| conflict.state == StreamState::Closed)
    }
}

impl<'a> IntoIterator for &'a Conflicts {
    type Item = &'a VersionConflict;
    type IntoIter = std::slice::Iter<'a, VersionConflict>;

    fn into_iter(self) -> Self::IntoIter {
        self.violations.iter()
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.expectations > 1 {
            let violated = self.violations.len();
            write!(
                f,
                "{violated} of {} expectations did not hold: ",
                self.expectations
            )?;
        }
        for (index, conflict) in self.violations.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{conflict}")?;
        }
        Ok(())
    }
}
