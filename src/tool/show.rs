//! `annalist show FILE STREAM`

use serde::Serialize;
use serde_json::Value;

use super::answer::{Answer, plain};
use super::{Failure, next};
use crate::event::{Metadata, RecordedEvent};
use crate::ids::{EventId, EventType, StreamId};
use crate::store::Store;
use crate::version::{Position, StreamState, Version};

/// An event as it is printed. The payload stays the text that was stored, since parsing
/// it could change a number.
#[derive(Serialize)]
struct Shown {
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
            recorded_at: event
                .recorded_at
                .to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
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

pub(super) async fn show(
    store: &Store,
    stream: &str,
    backwards: bool,
    limit: Option<u64>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let stream: StreamId = stream
        .parse()
        .map_err(|error| Failure::Told(format!("{error}")))?;
    let info = store.stream_info(&stream).await?;
    if info.state == StreamState::NeverWritten {
        let told =
            format!("there is no stream {stream}; `annalist streams` lists those that there are");
        return Err(Failure::Told(told));
    }
    let mut read = store.read_stream(&stream);
    if backwards {
        read = read.backwards();
    }
    if let Some(limit) = limit {
        read = read.limit(limit);
    }
    let mut events = read.events();
    while let Some(event) = next(&mut events).await {
        answer.item(&Shown::from(event?), line)?;
    }
    let state = format!("{:?}", info.state).to_lowercase();
    answer.remark(format_args!(
        "{}: {state} at version {}",
        plain(stream.as_str()),
        info.version
    ))?;
    Ok(())
}

fn line(event: &Shown) -> String {
    let metadata = serde_json::to_value(&event.metadata).unwrap_or(Value::Null);
    let metadata = match metadata
        .as_object()
        .is_some_and(|fields| !fields.is_empty())
    {
        true => format!("  {metadata}"),
        false => String::new(),
    };
    plain(&format!(
        "{:>6}  {:>8}  {}  {}  {}{metadata}",
        event.version, event.position, event.recorded_at, event.event_type, event.payload
    ))
}
