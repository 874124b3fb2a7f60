//! Removing events and sealing streams: what is asked, what is answered, and the
//! rules between them as a pure function.
//!
//! Removing never changes a number: versions and positions go on where they were,
//! ids and commit keys stay known. Repeating a removal is no error and writes
//! nothing, so a caller that lost the answer may ask again.

use crate::conflict::Conflicts;
use crate::ids::StreamId;
use crate::store::error::{AppendError, InvalidCommit};
use crate::store::facts::StreamFacts;
use crate::version::{ExpectedVersion, Generation, Position, StreamState, Version};

/// What is to become of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// All of its events are removed; it can be written again.
    Delete(ExpectedVersion),
    /// The events before this version are removed.
    TruncateBefore(Version),
    /// Nothing is appended to it again; what it holds stays readable.
    Close(ExpectedVersion),
}

/// A removal as a [`Backend`](crate::store::Backend) takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalRequest {
    /// The stream.
    pub stream: StreamId,
    /// What is to become of it.
    pub removal: Removal,
}

/// What a stream is after a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The stream.
    pub stream: StreamId,
    /// How many events were ever appended to it.
    pub version: Version,
    /// How often events were removed from it.
    pub generation: Generation,
    /// Whether it can be read and written.
    pub state: StreamState,
    /// The position of the marker that tells followers; none where no event was
    /// removed.
    pub position: Option<Position>,
    /// Whether anything was written: not when the removal was done before.
    pub changed: bool,
}

impl Removed {
    pub(crate) fn new(
        stream: &StreamId,
        facts: &StreamFacts,
        position: Option<Position>,
        changed: bool,
    ) -> Self {
        Self {
            stream: stream.clone(),
            version: facts.version,
            generation: facts.generation,
            state: facts.state(),
            position,
            changed,
        }
    }
}

/// What `compact` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Removed events whose payload and metadata are gone now.
    pub events: u64,
}

/// What a backend does with a removal.
#[derive(Debug)]
pub(crate) enum RemovalVerdict {
    /// Make the stream so; with a marker if its generation has risen.
    Write(StreamFacts),
    /// Write nothing: it is so already.
    Nothing,
    /// Write nothing: it cannot be.
    Refuse(AppendError),
}

/// Decides on a removal.
pub(crate) fn judge_removal(facts: StreamFacts, request: &RemovalRequest) -> RemovalVerdict {
    match request.removal {
        Removal::Delete(expected) => delete(facts, &request.stream, expected),
        Removal::TruncateBefore(version) => truncate(facts, &request.stream, version),
        Removal::Close(expected) => close(facts, &request.stream, expected),
    }
}

fn delete(facts: StreamFacts, stream: &StreamId, expected: ExpectedVersion) -> RemovalVerdict {
    let is_deleted = facts.state() == StreamState::Deleted;
    // Deleting may have been asked of a stream that existed; so it is when repeated.
    let repeated = is_deleted && expected == ExpectedVersion::StreamExists;
    if !facts.hold(expected) && !repeated {
        return refuse(facts, stream, expected);
    }
    if facts.removed_to == facts.version {
        return RemovalVerdict::Nothing;
    }
    remove_to(facts, facts.version)
}

fn truncate(facts: StreamFacts, stream: &StreamId, before: Version) -> RemovalVerdict {
    if before > facts.version {
        let beyond = InvalidCommit::TruncateBeyond {
            stream: stream.clone(),
            before,
            version: facts.version,
        };
        return RemovalVerdict::Refuse(AppendError::Invalid(beyond));
    }
    let to = Version::new(before.get().saturating_sub(1));
    match to > facts.removed_to {
        true => remove_to(facts, to),
        false => RemovalVerdict::Nothing,
    }
}

fn close(facts: StreamFacts, stream: &StreamId, expected: ExpectedVersion) -> RemovalVerdict {
    let open = StreamFacts {
        closed: false,
        ..facts
    };
    match (open.hold(expected), facts.closed) {
        (false, _) => refuse(facts, stream, expected),
        (true, true) => RemovalVerdict::Nothing,
        (true, false) => RemovalVerdict::Write(StreamFacts {
            closed: true,
            ..facts
        }),
    }
}

fn remove_to(facts: StreamFacts, removed_to: Version) -> RemovalVerdict {
    RemovalVerdict::Write(StreamFacts {
        removed_to,
        generation: facts.generation.next(),
        ..facts
    })
}

fn refuse(facts: StreamFacts, stream: &StreamId, expected: ExpectedVersion) -> RemovalVerdict {
    let conflicts = Conflicts::new(vec![facts.conflict(stream, expected)], 1);
    RemovalVerdict::Refuse(AppendError::of(conflicts))
}
