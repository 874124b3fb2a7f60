//! What is promised whatever a case says.

use std::collections::BTreeMap;

use super::case::{Draft, DraftAppend};
use super::runner::{Differs, same};
use crate::event::RecordedEvent;
use crate::ids::StreamId;
use crate::store::{Receipt, Store, StoreError, StreamInfo};
use crate::version::{Generation, Position, StreamState};

/// Events and streams that are looked up one by one after a case; of more, every
/// so many.
const LOOK_UPS_MAX: usize = 256;

/// A store that could not answer.
#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
pub(super) fn broken(error: StoreError) -> Differs {
    Differs::new("an answer", format!("{}: {error}", error.code()))
}

/// Every event of a store, which its head agrees with.
pub(super) async fn snapshot(store: &Store) -> Result<Vec<RecordedEvent>, Differs> {
    let events = store.read_all().collect().await.map_err(broken)?;
    let head = store.head().await.map_err(broken)?;
    let last = events.last().map_or(Position::ZERO, |event| event.position);
    same("the head", &last, &head)?;
    Ok(events)
}

/// Refuses events that are not these, showing the first that differs only.
pub(super) fn same_events(
    what: &str,
    expected: &[RecordedEvent],
    got: &[RecordedEvent],
) -> Result<(), Differs> {
    for (expected, got) in expected.iter().zip(got) {
        same(what, expected, got)?;
    }
    let what = format!("{what}, number of events");
    same(&what, &expected.len(), &got.len())
}

/// What a receipt says of the events that were sent is so.
pub(super) fn receipt(
    draft: &Draft,
    receipt: &Receipt,
    all: &[RecordedEvent],
) -> Result<(), Differs> {
    let mut positions = Vec::new();
    if draft.events_count() == 0 {
        return same("position", &None, &receipt.position);
    }
    let named: Vec<&str> = receipt
        .appends
        .iter()
        .map(|append| append.stream.as_str())
        .collect();
    let written: Vec<&str> = draft
        .written()
        .map(|append| append.stream.as_str())
        .collect();
    same("streams of the receipt", &written, &named)?;
    for (append, described) in draft.written().zip(&receipt.appends) {
        let versions = described.first..=Some(described.last);
        let stored: Vec<&RecordedEvent> = all
            .iter()
            .filter(|event| event.stream == described.stream)
            .filter(|event| versions.contains(&Some(event.version)))
            .collect();
        is_what_was_sent(append, &stored, receipt.replayed)?;
        positions.extend(stored.iter().map(|event| event.position));
    }
    let largest = positions.iter().max().copied();
    same("position", &largest, &receipt.position)?;
    let first = positions.first().map_or(0, |first| first.get());
    let dense: Vec<Position> = (first..).take(positions.len()).map(Position::new).collect();
    match receipt.replayed {
        // The streams of a repeat may have been written one by one.
        true => Ok(()),
        false => same("positions in one piece", &dense, &positions),
    }
}

fn is_what_was_sent(
    append: &DraftAppend,
    stored: &[&RecordedEvent],
    replayed: bool,
) -> Result<(), Differs> {
    same("events described", &append.events.len(), &stored.len())?;
    for (event, stored) in append.events.iter().zip(stored) {
        let sent = event.build();
        let sent = sent.map_err(|unmade| Differs::new("events", format!("{unmade:?}")))?;
        same("event id", &sent.id, &stored.id)?;
        same("event type", &sent.event_type, &stored.event_type)?;
        let texts = (sent.payload.as_str(), stored.payload.as_str());
        same("payload", &texts.0, &texts.1)?;
        // A repeat may differ in these, and the first ones stay.
        if !replayed {
            let schema_versions = (sent.schema_version, stored.schema_version);
            same("schema version", &schema_versions.0, &schema_versions.1)?;
            let is_kept = sent.metadata == stored.metadata;
            same("metadata kept", &true, &is_kept)?;
        }
    }
    Ok(())
}

/// Everything that a store must tell about itself, whichever way it is asked.
pub(super) async fn kept(store: &Store, all: &[RecordedEvent]) -> Result<(), Differs> {
    ordered(all)?;
    let mut backwards = store
        .read_all()
        .backwards()
        .collect()
        .await
        .map_err(broken)?;
    backwards.reverse();
    same_events("all events, read backwards", all, &backwards)?;

    let mut streams: BTreeMap<&StreamId, Vec<RecordedEvent>> = BTreeMap::new();
    for event in all {
        streams
            .entry(&event.stream)
            .or_default()
            .push(event.clone());
    }
    let described: Vec<StreamInfo> = streams
        .iter()
        .map(|(stream, events)| describe(stream, events))
        .collect();
    let listed = store.list_streams().collect().await.map_err(broken)?;
    same("streams listed", &described, &listed)?;

    let every = streams.len() / LOOK_UPS_MAX + 1;
    for ((stream, events), described) in streams.iter().zip(&described).step_by(every) {
        one_stream(store, stream, events, described).await?;
    }
    let every = all.len() / LOOK_UPS_MAX + 1;
    for event in all.iter().step_by(every) {
        let found = store.find_event(&event.stream, event.id).await;
        same(
            "the event found by its id",
            &Some(event),
            &found.map_err(broken)?.as_ref(),
        )?;
    }
    Ok(())
}

/// Positions and versions count without a gap, and time does not go back.
fn ordered(all: &[RecordedEvent]) -> Result<(), Differs> {
    let mut versions: BTreeMap<&StreamId, u64> = BTreeMap::new();
    let mut recorded_at = None;
    for (position, event) in (1..).zip(all) {
        same("position", &position, &event.position.get())?;
        let version = versions.entry(&event.stream).or_default();
        *version += 1;
        same("version", &*version, &event.version.get())?;
        let at = Some(event.recorded_at);
        same("recorded_at, or later", &recorded_at.max(at), &at)?;
        let nanos = event.recorded_at.timestamp_subsec_nanos();
        same("parts of a microsecond", &0, &(nanos % 1_000))?;
        recorded_at = at;
    }
    Ok(())
}

/// What `stream_info` must say.
fn describe(stream: &StreamId, events: &[RecordedEvent]) -> StreamInfo {
    let last = events.last();
    StreamInfo {
        stream: stream.clone(),
        version: last.map(|event| event.version).unwrap_or_default(),
        generation: Generation::ZERO,
        state: StreamState::Live,
        last_position: last.map(|event| event.position),
        last_event: last.map(|event| event.id),
    }
}

async fn one_stream(
    store: &Store,
    stream: &StreamId,
    events: &[RecordedEvent],
    described: &StreamInfo,
) -> Result<(), Differs> {
    let info = store.stream_info(stream).await.map_err(broken)?;
    same("stream_info", described, &info)?;
    let read = store.read_stream(stream).collect().await.map_err(broken)?;
    same_events("events of one stream", events, &read.events)?;
    same("version that a read reports", &info.version, &read.version)?;
    same(
        "generation that a read reports",
        &info.generation,
        &read.generation,
    )?;
    let backwards = store.read_stream(stream).backwards().collect().await;
    let mut backwards = backwards.map_err(broken)?.events;
    backwards.reverse();
    same_events("events of one stream, read backwards", events, &backwards)
}
