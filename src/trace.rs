//! What belongs together over all streams, and what caused what: read from the metadata that
//! callers keep beside their events. Nothing here writes.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

use crate::event::RecordedEvent;
use crate::ids::EventId;
use crate::store::{Store, StoreError};

/// Everything that has one correlation id, as trees of causes; made by [`Store::trace`]. It
/// displays as an indented text, without payloads.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Trace {
    /// Each event before what it caused, otherwise in the order of positions.
    pub events: Vec<TracedEvent>,
    /// Whether there are more than [`EVENTS_MAX`](Self::EVENTS_MAX), of which these are the
    /// first.
    pub truncated: bool,
}

/// An event in a tree of causes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TracedEvent {
    /// The event.
    pub event: RecordedEvent,
    /// The event that caused it; none where that is not in the trace.
    pub cause: Option<EventId>,
    /// How many causes stand above it.
    pub depth: usize,
}

impl Store {
    /// Finds everything that has this correlation id, over all streams, and what caused what:
    /// the cause of an event is the one whose id, or whose command's id, is its causation id.
    /// Every event of the store is looked at, one page in memory at a time.
    ///
    /// ```
    /// use annalist::{ExpectedVersion, Metadata, NewEvent, Store};
    /// # use serde_json::json;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Store::memory();
    /// let of_order = || Metadata::default().with_correlation_id("order-7");
    ///
    /// let placed = NewEvent::json("Placed", &json!({}))?.with_metadata(of_order());
    /// let because = of_order().with_causation_id(placed.id.to_string());
    /// let reserved = NewEvent::json("Reserved", &json!({}))?.with_metadata(because);
    /// store.append(&"order-7".parse()?, ExpectedVersion::NoStream, [placed]).await?;
    /// store.append(&"shelf-cups".parse()?, ExpectedVersion::Any, [reserved]).await?;
    ///
    /// let trace = store.trace("order-7").await?;
    /// assert_eq!(trace.to_string(), "order-7 1 Placed\n  shelf-cups 1 Reserved\n");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn trace(&self, correlation_id: &str) -> Result<Trace, StoreError> {
        let mut found = Vec::new();
        let mut all = self.read_all().events();
        while let Some(event) = poll_fn(|cx| Pin::new(&mut all).poll_next(cx)).await {
            let event = event?;
            if event.metadata.correlation_id.as_deref() != Some(correlation_id) {
                continue;
            }
            if found.len() == Trace::EVENTS_MAX {
                return Ok(Trace::of(found, true));
            }
            found.push(event);
        }
        Ok(Trace::of(found, false))
    }
}

impl Trace {
    /// Events that a trace holds at most.
    pub const EVENTS_MAX: usize = 10_000;

    /// The trees of events that stand in the order of their positions. A cause stands before
    /// what it caused, so events that name each other make no circle.
    fn of(found: Vec<RecordedEvent>, truncated: bool) -> Self {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut causes = Vec::with_capacity(found.len());
        let mut caused: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        for (index, event) in found.iter().enumerate() {
            let cause = event.metadata.causation_id.as_ref();
            let cause = cause.and_then(|cause| known.get(cause).copied());
            causes.push(cause);
            caused.entry(cause).or_default().push(index);
            known.insert(event.id.to_string(), index);
            // The first event of a command stands for the command.
            if let Some(command) = &event.metadata.command_id {
                known.entry(command.to_string()).or_insert(index);
            }
        }
        let ids: Vec<_> = found.iter().map(|event| event.id).collect();
        let mut found: Vec<_> = found.into_iter().map(Some).collect();
        let mut events = Vec::with_capacity(found.len());
        let mut ahead = vec![(0, caused.remove(&None).unwrap_or_default().into_iter())];
        while let Some((depth, rest)) = ahead.last_mut() {
            let depth = *depth;
            let Some(index) = rest.next() else {
                ahead.pop();
                continue;
            };
            let cause = causes.get(index).copied().flatten();
            if let Some(event) = found.get_mut(index).and_then(Option::take) {
                events.push(TracedEvent {
                    event,
                    cause: cause.and_then(|cause| ids.get(cause).copied()),
                    depth,
                });
            }
            if let Some(more) = caused.remove(&Some(index)) {
                ahead.push((depth + 1, more.into_iter()));
            }
        }
        Self { events, truncated }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for TracedEvent { event, depth, .. } in &self.events {
            let (stream, version, event_type) = (&event.stream, event.version, &event.event_type);
            let indent = 2 * depth;
            writeln!(f, "{:indent$}{stream} {version} {event_type}", "")?;
        }
        match self.truncated {
            true => writeln!(f, "and more"),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Metadata, NewEvent};
    use crate::version::ExpectedVersion;

    async fn append(store: &Store, stream: &str, event: NewEvent, metadata: Metadata) -> EventId {
        let event = event.with_metadata(metadata);
        let id = event.id;
        let stream = stream.parse().unwrap();
        let appended = store.append(&stream, ExpectedVersion::Any, [event]).await;
        appended.unwrap();
        id
    }

    fn event(event_type: &str) -> NewEvent {
        NewEvent::json(event_type, &1).unwrap()
    }

    fn of(correlation: &str) -> Metadata {
        Metadata::default().with_correlation_id(correlation)
    }

    #[tokio::test]
    async fn causes_stand_above_what_they_caused_over_all_streams() {
        let store = Store::memory();
        let placed = append(&store, "order-7", event("Placed"), of("7")).await;
        append(&store, "order-8", event("Placed"), of("8")).await;
        append(&store, "order-9", event("Placed"), Metadata::default()).await;
        let because = of("7").with_causation_id(placed.to_string());
        let command = because
            .clone()
            .with_command_id("reserve-1".parse().unwrap());
        append(&store, "shelf-1", event("Reserved"), command).await;
        append(&store, "mail-7", event("Sent"), because).await;
        // Its cause is a command, of which the first event stands there.
        let because = of("7").with_causation_id("reserve-1");
        append(&store, "shelf-1", event("Emptied"), because).await;
        let elsewhere = of("7").with_causation_id("a message from outside");
        append(&store, "order-7", event("Paid"), elsewhere).await;

        let trace = store.trace("7").await.unwrap();
        assert_eq!(
            trace.to_string(),
            "order-7 1 Placed\n  shelf-1 1 Reserved\n    shelf-1 2 Emptied\n  mail-7 1 Sent\norder-7 2 Paid\n"
        );
        assert_eq!(trace.events[1].cause, Some(placed));
        assert_eq!(trace.events[4].cause, None);
        assert_eq!(store.trace("none").await.unwrap(), Trace::default());
    }

    #[tokio::test]
    async fn events_that_name_each_other_make_no_circle() {
        let store = Store::memory();
        let (one, two) = (event("One"), event("Two"));
        let because = |other: &NewEvent| of("7").with_causation_id(other.id.to_string());
        let (of_one, of_two) = (because(&two), because(&one));
        append(&store, "a-1", one, of_one).await;
        append(&store, "a-1", two, of_two).await;
        let own = event("Own");
        let of_own = because(&own);
        append(&store, "a-1", own, of_own).await;
        let trace = store.trace("7").await.unwrap();
        assert_eq!(trace.to_string(), "a-1 1 One\n  a-1 2 Two\na-1 3 Own\n");
    }

    #[tokio::test]
    async fn a_long_chain_is_cut_and_told() {
        let store = Store::memory();
        let mut events = Vec::new();
        let mut cause = None;
        for _ in 0..Trace::EVENTS_MAX {
            let mut metadata = of("7");
            metadata.causation_id = cause;
            let event = event("Next").with_metadata(metadata);
            cause = Some(event.id.to_string());
            events.push(event);
        }
        let stream = "chain-1".parse().unwrap();
        let appended = store.append(&stream, ExpectedVersion::NoStream, events);
        appended.await.unwrap();
        let whole = store.trace("7").await.unwrap();
        assert!(!whole.truncated);
        assert_eq!(whole.events.last().unwrap().depth, Trace::EVENTS_MAX - 1);
        append(&store, "chain-1", event("Last"), of("7")).await;
        let cut = store.trace("7").await.unwrap();
        assert!(cut.truncated && cut.to_string().ends_with("and more\n"));
        assert_eq!(cut.events.len(), Trace::EVENTS_MAX);
    }
}
