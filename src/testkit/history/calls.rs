//! The calls of a store as operations, and clients that make and record them.

use std::fmt;

use super::record::Client;
use crate::event::{NewEvent, RecordedEvent};
use crate::ids::{EventId, StreamId};
use crate::store::{
    AppendError, Duplicate, Receipt, Store, StoreError, StoreErrorKind, StreamSlice,
};
use crate::version::{ExpectedVersion, Position, Version};

/// A call of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreCall {
    /// [`Store::append`] to one stream.
    Append {
        /// The stream.
        stream: StreamId,
        /// What the caller expected.
        expected: ExpectedVersion,
        /// The events sent; none for a check.
        events: Vec<EventId>,
    },
    /// [`Store::read_stream`] of a whole stream.
    ReadStream {
        /// The stream.
        stream: StreamId,
    },
    /// [`Store::read_all`] from behind a position to the end.
    ReadAll {
        /// The position.
        after: Position,
    },
}

/// What a store answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAnswer {
    /// A receipt for events written now, or for a check.
    Appended {
        /// The version of the first event; none where none was sent.
        first: Option<Version>,
        /// The version of the last event; of a check, that of the stream.
        last: Version,
        /// The position of the last event; none where none was sent.
        position: Option<Position>,
    },
    /// A receipt for events that were stored before.
    Replayed {
        /// The version of the first event.
        first: Option<Version>,
        /// The version of the last event.
        last: Version,
        /// The position of the last event.
        position: Option<Position>,
    },
    /// The expectation did not hold.
    Conflict {
        /// The version of the stream.
        actual: Version,
    },
    /// An event is stored already, and this is no repeat.
    Duplicate,
    /// Nothing was written, for a reason that tells nothing of the stream.
    Refused,
    /// A whole stream.
    Stream {
        /// The events in the order of their versions.
        events: Vec<EventId>,
        /// The version of the stream.
        version: Version,
    },
    /// All events behind a position.
    All {
        /// The events in the order they were read in.
        events: Vec<Placed>,
    },
}

/// An event and its place in the order over all streams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placed {
    /// Where it stands among all.
    pub position: Position,
    /// The stream.
    pub stream: StreamId,
    /// Where it stands in its stream.
    pub version: Version,
    /// The event.
    pub id: EventId,
}

impl Client<StoreCall, StoreAnswer> {
    /// Calls [`Store::append`] and records it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// As [`Store::append`]; recorded with an unknown outcome.
    pub async fn append(
        &mut self,
        store: &Store,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Result<Receipt, AppendError> {
        let expected = expected.into();
        let events: Vec<NewEvent> = events.into_iter().collect();
        let call = StoreCall::Append {
            stream: stream.clone(),
            expected,
            events: events.iter().map(|event| event.id).collect(),
        };
        self.record(call, || store.append(stream, expected, events), of_append)
            .await
    }

    /// Reads a whole stream and records it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a read that tells nothing.
    pub async fn read_stream(
        &mut self,
        store: &Store,
        stream: &StreamId,
    ) -> Result<StreamSlice, StoreError> {
        let call = StoreCall::ReadStream {
            stream: stream.clone(),
        };
        let read = || store.read_stream(stream).collect();
        self.record(call, read, |answer| {
            let slice = answer.as_ref().ok()?;
            Some(StoreAnswer::Stream {
                events: slice.events.iter().map(|event| event.id).collect(),
                version: slice.version,
            })
        })
        .await
    }

    /// Reads everything behind a position and records it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a read that tells nothing.
    pub async fn read_all(
        &mut self,
        store: &Store,
        after: Position,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let read = || store.read_all().after(after).collect();
        self.record(StoreCall::ReadAll { after }, read, |answer| {
            let events = answer.as_ref().ok()?.iter().map(|event| Placed {
                position: event.position,
                stream: event.stream.clone(),
                version: event.version,
                id: event.id,
            });
            Some(StoreAnswer::All {
                events: events.collect(),
            })
        })
        .await
    }
}

/// What an append tells; nothing where it may have landed or not.
fn of_append(answer: &Result<Receipt, AppendError>) -> Option<StoreAnswer> {
    match answer {
        Ok(receipt) => Some(of_receipt(receipt)),
        Err(AppendError::Conflict(conflicts)) => {
            let conflict = conflicts.violations().first();
            Some(StoreAnswer::Conflict {
                // A conflict that names nothing is one with no version ever held.
                actual: conflict.map_or(Version::MAX, |conflict| conflict.actual),
            })
        }
        Err(AppendError::DuplicateEvent { duplicate, .. }) => match duplicate {
            // Refused for itself, whatever is stored.
            Duplicate::Sent => Some(StoreAnswer::Refused),
            _ => Some(StoreAnswer::Duplicate),
        },
        Err(AppendError::Store(error)) => {
            wrote_nothing(error.kind()).then_some(StoreAnswer::Refused)
        }
        Err(_) => Some(StoreAnswer::Refused),
    }
}

fn of_receipt(receipt: &Receipt) -> StoreAnswer {
    // A receipt that names no stream claims version 0, which the model refuses.
    let (first, last) = match receipt.appends.first() {
        Some(append) => (append.first, append.last),
        None => (None, Version::ZERO),
    };
    let position = receipt.position;
    match receipt.replayed {
        false => StoreAnswer::Appended {
            first,
            last,
            position,
        },
        true => StoreAnswer::Replayed {
            first,
            last,
            position,
        },
    }
}

/// Whether the kind of error says so. Of the others it is not known.
const fn wrote_nothing(kind: StoreErrorKind) -> bool {
    use StoreErrorKind::{Busy, DiskFull, Fenced, Invalid, Io, Overloaded};
    matches!(kind, Busy | Overloaded | DiskFull | Fenced | Invalid | Io)
}

/// The end of an event's id: ids of one test begin alike.
pub(super) struct Short<'a>(pub(super) &'a EventId);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0.to_string();
        write!(f, "..{}", id.get(id.len() - 6..).unwrap_or(&id))
    }
}

/// Several ids, as a list.
pub(super) struct Shorts<'a>(pub(super) &'a [EventId]);

impl fmt::Display for Shorts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{}", Short(id))?;
        }
        Ok(())
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            position,
            stream,
            version,
            id,
        } = self;
        write!(
            f,
            "{} at position {position}, version {version} of {stream}",
            Short(id)
        )
    }
}

impl fmt::Display for StoreCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append {
                expected, events, ..
            } if events.is_empty() => write!(f, "check, expecting {expected}"),
            Self::Append {
                expected, events, ..
            } => write!(f, "append {}, expecting {expected}", Shorts(events)),
            Self::ReadStream { .. } => f.write_str("read_stream"),
            Self::ReadAll { after } => write!(f, "read_all after position {after}"),
        }
    }
}

impl fmt::Display for StoreAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = |f: &mut fmt::Formatter<'_>, word, first: &Option<Version>, last| match first
        {
            Some(first) => write!(f, "{word} as versions {first} to {last}"),
            None => write!(f, "it holds at version {last}"),
        };
        match self {
            Self::Appended { first, last, .. } => versions(f, "appended", first, last),
            Self::Replayed { first, last, .. } => versions(f, "stored before", first, last),
            Self::Conflict { actual } => write!(f, "conflict, it is at version {actual}"),
            Self::Duplicate => f.write_str("an event is stored already"),
            Self::Refused => f.write_str("refused, nothing written"),
            Self::Stream { events, version } => {
                write!(f, "version {version}: [{}]", Shorts(events))
            }
            Self::All { events } => write!(f, "{} events", events.len()),
        }
    }
}
