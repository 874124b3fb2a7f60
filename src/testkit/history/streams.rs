//! What a stream does when one client uses it at a time.
//!
//! The rules of appending, stated anew: to ask the store's own code would only show
//! that it agrees with itself.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::calls::{Shorts, StoreAnswer, StoreCall};
use super::search::Model;
use crate::ids::{EventId, StreamId};
use crate::version::{ExpectedVersion, Version};

/// Streams that are appended to and read, each of them an object. They are empty at
/// first, and nothing is ever removed from them.
///
/// Reads of all streams are left out; [`check_positions`](super::check_positions)
/// judges them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Streams;

impl Model for Streams {
    type Object = StreamId;
    type State = StreamLog;
    type Op = StoreCall;
    type Answer = StoreAnswer;

    fn object(&self, op: &StoreCall) -> Option<StreamId> {
        match op {
            StoreCall::Append { stream, .. } | StoreCall::ReadStream { stream } => {
                Some(stream.clone())
            }
            StoreCall::ReadAll { .. } => None,
        }
    }

    fn initial(&self) -> StreamLog {
        StreamLog::default()
    }

    fn step(
        &self,
        log: &StreamLog,
        op: &StoreCall,
        answer: Option<&StoreAnswer>,
    ) -> Option<StreamLog> {
        match (op, answer) {
            (
                StoreCall::Append {
                    expected, events, ..
                },
                answer,
            ) => log.append(*expected, events, answer),
            (_, Some(StoreAnswer::Stream { events, version })) => {
                let is_whole = *version == log.version() && *events == *log.events;
                is_whole.then(|| log.clone())
            }
            // A read that nobody was told of has no effect.
            _ => None,
        }
    }
}

/// What a stream holds: the ids of its events.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StreamLog {
    /// Of the ids in their order. Stands first, so that logs that differ are told
    /// apart by it.
    digest: u64,
    events: Arc<Vec<EventId>>,
}

/// What becomes of an append.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The events are written, or nothing was to be written and the check holds.
    Lands,
    /// The events are stored already, from this version on.
    Repeats {
        first: Version,
    },
    Conflicts,
    Duplicates,
}

impl StreamLog {
    /// How many events it holds.
    #[must_use]
    pub fn version(&self) -> Version {
        Version::new(self.events.len() as u64)
    }

    /// The ids of its events in the order of their versions.
    #[must_use]
    pub fn events(&self) -> &[EventId] {
        &self.events
    }

    fn append(
        &self,
        expected: ExpectedVersion,
        events: &[EventId],
        answer: Option<&StoreAnswer>,
    ) -> Option<Self> {
        let outcome = self.outcome(expected, events);
        let count = events.len() as u64;
        let fits = match answer {
            // With any other outcome it has no effect.
            None => return (outcome == Outcome::Lands).then(|| self.with(events)),
            Some(StoreAnswer::Refused) => return Some(self.clone()),
            Some(StoreAnswer::Appended {
                first,
                last,
                position,
            }) => {
                let due = (count > 0).then(|| self.version().next());
                outcome == Outcome::Lands
                    && *first == due
                    && *last == self.version().plus(count)
                    && position.is_some() == due.is_some()
            }
            Some(StoreAnswer::Replayed {
                first,
                last,
                position,
            }) => first.is_some_and(|first| {
                outcome == Outcome::Repeats { first }
                    && last.next() == first.plus(count)
                    && position.is_some()
            }),
            Some(StoreAnswer::Conflict { actual }) => {
                outcome == Outcome::Conflicts && *actual == self.version()
            }
            // In the place of a repeat the contents may differ, which ids do not tell.
            Some(StoreAnswer::Duplicate) => {
                matches!(outcome, Outcome::Duplicates | Outcome::Repeats { .. })
            }
            Some(StoreAnswer::Stream { .. } | StoreAnswer::All { .. }) => false,
        };
        fits.then(|| match outcome {
            Outcome::Lands => self.with(events),
            _ => self.clone(),
        })
    }

    fn outcome(&self, expected: ExpectedVersion, events: &[EventId]) -> Outcome {
        let holds = match expected {
            ExpectedVersion::Any => true,
            ExpectedVersion::NoStream => self.events.is_empty(),
            ExpectedVersion::StreamExists => !self.events.is_empty(),
            ExpectedVersion::Exact(version) => version == self.version(),
        };
        let stored: Vec<_> = events.iter().map(|id| self.version_of(*id)).collect();
        if let Some(first) = in_one_piece(&stored)
            && may_be_at(expected, first)
        {
            return Outcome::Repeats { first };
        }
        match (holds, stored.iter().any(Option::is_some)) {
            (false, _) => Outcome::Conflicts,
            (true, true) => Outcome::Duplicates,
            (true, false) => Outcome::Lands,
        }
    }

    fn version_of(&self, id: EventId) -> Option<Version> {
        let index = self.events.iter().position(|stored| *stored == id)?;
        Some(Version::new(index as u64).next())
    }

    fn with(&self, events: &[EventId]) -> Self {
        let mut after = self.clone();
        if events.is_empty() {
            return after;
        }
        for id in events {
            // Event by event: how they were grouped when they came leaves no trace.
            let mut hasher = DefaultHasher::new();
            (after.digest, id).hash(&mut hasher);
            after.digest = hasher.finish();
        }
        Arc::make_mut(&mut after.events).extend_from_slice(events);
        after
    }
}

/// The first version, if all are stored, one after the other.
fn in_one_piece(stored: &[Option<Version>]) -> Option<Version> {
    let first = (*stored.first()?)?;
    let mut due = (0..).map(|count| Some(first.plus(count)));
    let consecutive = stored.iter().all(|version| Some(*version) == due.next());
    consecutive.then_some(first)
}

/// Whether an append under this expectation may have begun at this version.
fn may_be_at(expected: ExpectedVersion, first: Version) -> bool {
    match expected {
        ExpectedVersion::Any | ExpectedVersion::StreamExists => true,
        ExpectedVersion::NoStream => first == Version::new(1),
        ExpectedVersion::Exact(version) => version < first && version.next() == first,
    }
}

/// By the digest alone, so that a long stream costs no more than a short one.
impl Hash for StreamLog {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digest.hash(hasher);
    }
}

impl fmt::Debug for StreamLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}: [{}]", self.version(), Shorts(&self.events))
    }
}
