//! An event before and after it is stored.
//!
//! A caller makes a [`NewEvent`]; a store answers a [`RecordedEvent`]. Both are
//! plain data: nothing here reads a clock, a file or a domain type.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CommandId, EventId, EventType, InvalidName, StreamId};
use crate::payload::{InvalidPayload, Payload, PayloadRef};
use crate::version::{Position, Version};

/// An event that is about to be appended.
///
/// ```
/// use annalist::{Metadata, NewEvent};
/// use serde_json::json;
///
/// let event = NewEvent::json("Deposited", &json!({ "cents": 500 }))?
///     .with_metadata(Metadata::by("teller-7"));
/// assert_eq!(event.payload.as_str(), r#"{"cents":500}"#);
/// # Ok::<(), annalist::InvalidEvent>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewEvent {
    /// Its identity: what makes sending it twice harmless.
    pub id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// Which shape of that type the payload has; 1 at first.
    pub schema_version: u32,
    /// The details, as JSON.
    pub payload: Payload,
    /// What is known about the event beside what happened.
    pub metadata: Metadata,
}

impl NewEvent {
    /// An event with a fresh id, schema version 1 and no metadata.
    #[must_use]
    pub fn new(event_type: EventType, payload: Payload) -> Self {
        Self {
            id: EventId::new(),
            event_type,
            schema_version: 1,
            payload,
            metadata: Metadata::default(),
        }
    }

    /// The same, from a type as text and a value that is written as JSON.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when the type is no type or the value has no JSON form.
    pub fn json<T: Serialize + ?Sized>(event_type: &str, value: &T) -> Result<Self, InvalidEvent> {
        Ok(Self::new(event_type.parse()?, Payload::from_value(value)?))
    }

    /// Gives the event an id of the caller's.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = id;
        self
    }

    /// Says which shape of its type the payload has.
    #[must_use]
    pub fn with_schema_version(mut self, schema_version: u32) -> Self {
        self.schema_version = schema_version;
        self
    }

    /// Adds metadata in place of what was there.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// What is known about an event beside what happened. It is stored with the
/// event and never decides anything in the store.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Metadata {
    /// What the event belongs to: the same for everything that one request caused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The id of the event or message that caused this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The command that decided the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Whatever else the application wants to keep.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl Metadata {
    /// Metadata that names who did it.
    #[must_use]
    pub fn by(actor: impl Into<String>) -> Self {
        Self {
            actor: Some(actor.into()),
            ..Self::default()
        }
    }

    /// Says what the event belongs to.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Says which event or message caused this one.
    #[must_use]
    pub fn with_causation_id(mut self, id: impl Into<String>) -> Self {
        self.causation_id = Some(id.into());
        self
    }

    /// Says which command decided the event.
    #[must_use]
    pub fn with_command_id(mut self, id: CommandId) -> Self {
        self.command_id = Some(id);
        self
    }

    /// Adds a key of the application's own.
    #[must_use]
    pub fn with_extra(mut self, key: impl Into<String>, value: serde_json::Value) -> Self {
        self.extra.insert(key.into(), value);
        self
    }

    /// Whether nothing is set; such metadata takes no space in a store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The form that a store keeps: JSON, or nothing where nothing is set.
    pub(crate) fn to_stored(&self) -> Result<Option<Box<str>>, InvalidPayload> {
        if self.is_empty() {
            return Ok(None);
        }
        let json = Payload::from_value(self)?;
        Ok(Some(json.as_str().into()))
    }

    /// Reads the form that a store keeps.
    pub(crate) fn from_stored(json: Option<&str>) -> Result<Self, serde_json::Error> {
        json.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }
}

impl fmt::Debug for Metadata {
    /// Shows which fields are set, never what they hold: a log must not learn it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
            ("correlation_id", self.correlation_id.is_some()),
            ("causation_id", self.causation_id.is_some()),
            ("command_id", self.command_id.is_some()),
            ("actor", self.actor.is_some()),
            ("extra", !self.extra.is_empty()),
        ];
        let set = fields.into_iter().filter(|(_, is_set)| *is_set);
        f.write_str("Metadata")?;
        f.debug_set().entries(set.map(|(name, _)| name)).finish()
    }
}

/// An event as a store holds it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RecordedEvent {
    /// Its identity, unique within its stream.
    pub id: EventId,
    /// The stream it was appended to.
    pub stream: StreamId,
    /// Its number in that stream, from 1.
    pub version: Version,
    /// Its place in the order over all streams, from 1.
    pub position: Position,
    /// What happened.
    pub event_type: EventType,
    /// Which shape of that type the payload has.
    pub schema_version: u32,
    /// The details, to the byte as they were appended.
    pub payload: Payload,
    /// What is known beside what happened.
    pub metadata: Metadata,
    /// When the store recorded it, in microseconds; never decreasing with position.
    pub recorded_at: DateTime<Utc>,
}

/// A recorded event where it is read: what a fold asks of it, borrowed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EventRef<'a> {
    /// Its identity.
    pub id: EventId,
    /// The stream it was appended to.
    pub stream: &'a StreamId,
    /// Its number in that stream, from 1.
    pub version: Version,
    /// Its place in the order over all streams, from 1.
    pub position: Position,
    /// What happened.
    pub event_type: &'a EventType,
    /// Which shape of that type the payload has.
    pub schema_version: u32,
    /// The details, as JSON.
    pub payload: PayloadRef<'a>,
    /// When the store recorded it.
    pub recorded_at: DateTime<Utc>,
}

impl RecordedEvent {
    /// The same, borrowed, without its metadata.
    #[must_use]
    pub fn borrowed(&self) -> EventRef<'_> {
        EventRef {
            id: self.id,
            stream: &self.stream,
            version: self.version,
            position: self.position,
            event_type: &self.event_type,
            schema_version: self.schema_version,
            payload: PayloadRef::of(&self.payload),
            recorded_at: self.recorded_at,
        }
    }
}

/// What cannot be made into an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// The event type is none.
    #[error(transparent)]
    Type(#[from] InvalidName),
    /// The payload cannot be stored.
    #[error(transparent)]
    Payload(#[from] InvalidPayload),
}

impl InvalidEvent {
    /// The stable name of this error: `invalid_name` or `invalid_payload`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Type(error) => error.code(),
            Self::Payload(error) => error.code(),
        }
    }
}
