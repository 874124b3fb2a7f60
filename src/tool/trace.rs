//! `annalist trace FILE CORRELATION_ID`

use serde::Serialize;

use super::Failure;
use super::answer::{Answer, plain};
use crate::ids::{EventId, EventType, StreamId};
use crate::store::Store;
use crate::trace::TracedEvent;
use crate::version::{Position, Version};

#[derive(Serialize)]
struct Traced {
    depth: usize,
    cause: Option<EventId>,
    id: EventId,
    stream: StreamId,
    version: Version,
    position: Position,
    event_type: EventType,
}

pub(super) async fn trace(
    store: &Store,
    correlation_id: &str,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let trace = store.trace(correlation_id).await?;
    if trace.events.is_empty() {
        let told = format!("no event has the correlation id {correlation_id:?}");
        return Err(Failure::Told(told));
    }
    for TracedEvent {
        event,
        cause,
        depth,
    } in trace.events
    {
        let traced = Traced {
            depth,
            cause,
            id: event.id,
            stream: event.stream,
            version: event.version,
            position: event.position,
            event_type: event.event_type,
        };
        answer.item(&traced, line)?;
    }
    match trace.truncated {
        true => Err(Failure::Told(
            "there is more; these are the first".to_owned(),
        )),
        false => Ok(()),
    }
}

fn line(traced: &Traced) -> String {
    let (stream, version, event_type) = (&traced.stream, traced.version, &traced.event_type);
    let indent = 2 * traced.depth;
    let position = traced.position;
    plain(&format!(
        "{position:>8}  {:indent$}{stream} {version} {event_type}",
        ""
    ))
}
