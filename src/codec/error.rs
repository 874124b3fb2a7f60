//! What keeps an event from being written, read or applied. Callers of the codec get it
//! with the place where it happened.

use crate::caught::Panicked;
use crate::ids::{EventType, InvalidName, StreamId};
use crate::payload::InvalidPayload;
use crate::upcast::UpcastError;
use crate::version::Version;

/// An event that cannot be stored. Nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The aggregate is declared so that none of its events can be.
    #[error(transparent)]
    Aggregate(#[from] InvalidAggregate),
    /// The variant's name is no event type.
    #[error(transparent)]
    Type(#[from] InvalidName),
    /// The event has no JSON form.
    #[error("an event of type {event_type:?} cannot be stored")]
    Payload {
        /// Its type.
        event_type: String,
        /// Why not.
        source: InvalidPayload,
    },
    /// The event would not be read as what it is.
    #[error("an event of type {event_type:?} would not be read back: {problem}")]
    NotReadable {
        /// Its type.
        event_type: String,
        /// What it would be read as.
        problem: String,
    },
    /// The event's `Serialize` panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl EncodeError {
    /// The stable name of this error: `invalid_aggregate`, `invalid_name`,
    /// `invalid_payload`, `event_not_readable` or `panicked`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Aggregate(error) => error.code(),
            Self::Type(error) => error.code(),
            Self::Payload { source, .. } => source.code(),
            Self::NotReadable { .. } => "event_not_readable",
            Self::Panicked(error) => error.code(),
        }
    }
}

/// A recorded event that cannot be read as one of the domain.
#[derive(Debug, thiserror::Error)]
#[error(
    "event {version} of stream {stream}, of type {event_type:?} and schema version {schema_version}, cannot be decoded"
)]
#[non_exhaustive]
pub struct DecodeError {
    /// The stream.
    pub stream: StreamId,
    /// The event's number in it.
    pub version: Version,
    /// The type that it was stored under.
    pub event_type: EventType,
    /// The schema version that it was stored under.
    pub schema_version: u32,
    /// Why not.
    #[source]
    pub kind: DecodeErrorKind,
}

impl DecodeError {
    /// The stable name of this error: `unknown_event_type`, `undecodable_payload`,
    /// `invalid_aggregate`, `panicked`, or that of the [`UpcastError`].
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match &self.kind {
            DecodeErrorKind::UnknownType { .. } => "unknown_event_type",
            DecodeErrorKind::Payload { .. } => "undecodable_payload",
            DecodeErrorKind::Upcast(error) => error.code(),
            DecodeErrorKind::Aggregate(error) => error.code(),
            DecodeErrorKind::Panicked(error) => error.code(),
        }
    }
}

/// Why a recorded event cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// No variant has the name of the type.
    #[error(
        "no variant is named {read_as:?}, only {}; add one, or an upcaster that renames or drops it",
        known.join(", ")
    )]
    UnknownType {
        /// The type, after the upcasters.
        read_as: String,
        /// The types that are known.
        known: &'static [&'static str],
    },
    /// The payload does not fit the variant.
    #[error("the payload does not fit {read_as:?}; add an upcaster from its schema version")]
    Payload {
        /// The type, after the upcasters.
        read_as: String,
        /// What does not fit, and where. It quotes the value.
        source: serde_json::Error,
    },
    /// The upcasters do not lead to a shape of today.
    #[error(transparent)]
    Upcast(#[from] UpcastError),
    /// The aggregate is declared so that none of its events can be read.
    #[error(transparent)]
    Aggregate(#[from] InvalidAggregate),
    /// The event's `Deserialize` panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl DecodeErrorKind {
    pub(super) fn payload(read_as: &str, source: serde_json::Error) -> Self {
        let read_as = read_as.to_owned();
        Self::Payload { read_as, source }
    }
}

/// A recorded event that cannot be applied to a state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// It cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The aggregate's `apply` panicked.
    #[error("event {version} of stream {stream}, of type {event_type:?}, cannot be applied")]
    Panicked {
        /// The stream.
        stream: StreamId,
        /// The event's number in it.
        version: Version,
        /// The type that it was stored under.
        event_type: EventType,
        /// What the panic said.
        source: Panicked,
    },
}

impl FoldError {
    /// The stable name of this error: that of the [`DecodeError`], or `panicked`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Decode(error) => error.code(),
            Self::Panicked { source, .. } => source.code(),
        }
    }
}

/// An aggregate whose declaration cannot work, whatever happens to it. Nothing is read or
/// written, so that the first test tells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{aggregate} is no aggregate that can be stored: {problem}")]
#[non_exhaustive]
pub struct InvalidAggregate {
    /// The Rust type.
    pub aggregate: &'static str,
    /// What is wrong, and what to change.
    pub problem: String,
}

impl InvalidAggregate {
    /// The stable name of this error: `invalid_aggregate`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_aggregate"
    }
}
