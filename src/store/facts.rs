//! What a store knows of a stream without reading its events, and the truth table of
//! expectations over it: one pure function that every backend asks.

use crate::conflict::{UnseenEvents, VersionConflict};
use crate::ids::StreamId;
use crate::version::{ExpectedVersion, Generation, StreamState, Version};

/// A stream as an expectation sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamFacts {
    /// How many events were ever appended.
    pub(crate) version: Version,
    /// How often events were removed.
    pub(crate) generation: Generation,
    /// The last event that was removed; those up to it are not read again.
    pub(crate) removed_to: Version,
    /// Whether nothing is appended again.
    pub(crate) closed: bool,
}

impl StreamFacts {
    pub(crate) fn state(&self) -> StreamState {
        match (self.closed, self.version) {
            (true, _) => StreamState::Closed,
            (false, Version::ZERO) => StreamState::NeverWritten,
            // Truncating leaves an event at least, so only a deletion comes so far.
            (false, version) if self.removed_to == version => StreamState::Deleted,
            (false, _) => StreamState::Live,
        }
    }

    /// The first event that can be read.
    pub(crate) fn first_version(&self) -> Option<Version> {
        (self.removed_to < self.version).then(|| self.removed_to.next())
    }

    /// One cell of the truth table of [`ExpectedVersion`].
    pub(crate) fn hold(&self, expected: ExpectedVersion) -> bool {
        use StreamState::{Closed, Deleted, Live, NeverWritten};
        match (self.state(), expected) {
            (Closed, _) => false,
            (_, ExpectedVersion::Any) => true,
            (NeverWritten | Deleted, ExpectedVersion::NoStream) => true,
            (Live, ExpectedVersion::NoStream) => false,
            (state, ExpectedVersion::StreamExists) => state == Live,
            (_, ExpectedVersion::Exact(version)) => version == self.version,
        }
    }

    /// What a caller is told whose expectation does not hold.
    pub(crate) fn conflict(&self, stream: &StreamId, expected: ExpectedVersion) -> VersionConflict {
        VersionConflict {
            stream: stream.clone(),
            expected,
            actual: self.version,
            expected_generation: None,
            generation: self.generation,
            state: self.state(),
            unseen: UnseenEvents::NotRead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_table_of_expectations() {
        use ExpectedVersion::{Any, Exact, NoStream, StreamExists};

        let facts = |version, removed_to, closed| StreamFacts {
            version: Version::new(version),
            removed_to: Version::new(removed_to),
            closed,
            ..StreamFacts::default()
        };
        let columns = [
            (facts(0, 0, false), StreamState::NeverWritten),
            (facts(3, 0, false), StreamState::Live),
            (facts(3, 2, false), StreamState::Live),
            (facts(3, 3, false), StreamState::Deleted),
            (facts(3, 0, true), StreamState::Closed),
            (facts(3, 3, true), StreamState::Closed),
            (facts(0, 0, true), StreamState::Closed),
        ];
        let exact = |version| Exact(Version::new(version));
        for (expected, [never, live, deleted]) in [
            (Any, [true, true, true]),
            (NoStream, [true, false, true]),
            (StreamExists, [false, true, false]),
            (exact(0), [true, false, false]),
            (exact(2), [false, false, false]),
            (exact(3), [false, true, true]),
            (exact(4), [false, false, false]),
            (exact(u64::MAX), [false, false, false]),
        ] {
            let cells = [never, live, live, deleted, false, false, false];
            for ((facts, state), ok) in columns.into_iter().zip(cells) {
                assert_eq!(facts.state(), state);
                assert_eq!(facts.hold(expected), ok, "{expected} on {facts:?}");
            }
        }
    }
}
