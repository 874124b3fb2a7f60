//! One event, as the commands print it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

use super::answer::plain;
use crate::event::{Metadata, RecordedEvent};
use crate::ids::{EventId, EventType, StreamId};
use crate::version::{Position, Version};

/// An event as it is printed. The payload stays the text that was stored, since parsing
/// it could change a number.
#[derive(Serialize)]
pub(super) struct Shown {
    stream: StreamId,
    version: Version,
    position: Position,
    #[serde(rename = "type")]
    event_type: EventType,
    schema_version: u32,
    recorded_at: String,
    id: EventId,
    payload: String,
    metadata: Metadata,
}

impl From<RecordedEvent> for Shown {
    fn from(event: RecordedEvent) -> Self {
        Self {
            recorded_at: time(event.recorded_at),
            payload: event.payload.as_str().to_owned(),
            stream: event.stream,
            version: event.version,
            position: event.position,
            event_type: event.event_type,
            schema_version: event.schema_version,
            id: event.id,
            metadata: event.metadata,
        }
    }
}

impl Shown {
    /// A line among others of the same stream.
    pub(super) fn in_stream(&self) -> String {
        plain(&format!(
            "{:>6}  {:>8}  {}  {}  {}{}",
            self.version,
            self.position,
            self.recorded_at,
            self.event_type,
            self.payload,
            self.metadata()
        ))
    }

    /// A line among others of any stream.
    pub(super) fn in_store(&self) -> String {
        plain(&format!(
            "{:>8}  {}  {} {}  {}  {}{}",
            self.position,
            self.recorded_at,
            self.stream,
            self.version,
            self.event_type,
            self.payload,
            self.metadata()
        ))
    }

    /// Nothing where there is none.
    fn metadata(&self) -> String {
        let metadata = serde_json::to_value(&self.metadata).unwrap_or(Value::Null);
        match metadata
            .as_object()
            .is_some_and(|fields| !fields.is_empty())
        {
            true => format!("  {metadata}"),
            false => String::new(),
        }
    }
}

/// A time as it was recorded, to the microsecond.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
