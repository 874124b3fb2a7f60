//! Events through the codec: what is stored, what is read back, and what is refused.

use std::collections::BTreeMap;
use std::error::Error;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::ids::EventId;
use crate::payload::Payload;
use crate::version::{Position, Version};

mod forms;
mod old;
mod round_trip;

/// An aggregate of any events, which it keeps.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "E: Serialize + DeserializeOwned")]
struct Kept<E>(Vec<E>);

impl<E> Default for Kept<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// What the tests add to an event enum to keep it in an aggregate.
trait Event: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    fn upcasters() -> Upcasters {
        Upcasters::new()
    }

    fn applied(&self) {}
}

impl<E: Event> Aggregate for Kept<E> {
    const CATEGORY: &'static str = "kept";
    type Event = E;

    fn apply(&mut self, event: &E) {
        event.applied();
        self.0.push(event.clone());
    }

    fn upcasters() -> Upcasters {
        E::upcasters()
    }
}

/// As a store would hold it.
fn recorded(event_type: &str, schema_version: u32, payload: &str) -> RecordedEvent {
    RecordedEvent {
        id: EventId::new(),
        stream: "kept-1".parse().unwrap(),
        version: Version::new(7),
        position: Position::new(70),
        event_type: event_type.parse().unwrap(),
        schema_version,
        payload: Payload::from_text(payload).unwrap(),
        metadata: crate::event::Metadata::default(),
        recorded_at: DateTime::<Utc>::UNIX_EPOCH,
    }
}

fn decode<E: Event>(event_type: &str, payload: &str) -> Result<E, DecodeError> {
    let mut events = recorded(event_type, 1, payload).decode::<Kept<E>>()?;
    assert_eq!(events.len(), 1);
    Ok(events.next().unwrap())
}

/// Event type and payload, as they are stored.
fn encode<E: Event>(event: &E) -> Result<(String, String), EncodeError> {
    let event = Codec::<Kept<E>>::new().encode(event)?;
    let text = event.payload.as_str().to_owned();
    Ok((event.event_type.as_str().to_owned(), text))
}

fn cause(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
