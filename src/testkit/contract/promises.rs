//! What is promised whatever a case says.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::case::{Draft, DraftAppend};
use super::feeds;
use super::ledger::Ledger;
use super::runner::{Differs, same};
use crate::event::{EventRef, RecordedEvent};
use crate::ids::StreamId;
use crate::store::{Receipt, Snapshot, Store, StoreError, StreamFold, StreamInfo};
use crate::version::Position;

/// Events and streams that are looked up one by one after a case; of more, every
/// so many.
const LOOK_UPS_MAX: usize = 256;

/// A store that could not answer.
#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
pub(super) fn broken(error: StoreError) -> Differs {
    Differs::new("an answer", format!("{}: {error}", error.code()))
}

/// Every event that can be read.
pub(super) async fn snapshot(store: &Store) -> Result<Vec<RecordedEvent>, Differs> {
    store.read_all().collect().await.map_err(broken)
}

/// A store holds what it must.
pub(super) async fn holds(store: &Store, ledger: &Ledger) -> Result<(), Differs> {
    let found = snapshot(store).await?;
    same_events("what the step before left", &ledger.readable(), &found)?;
    let head = store.head().await.map_err(broken)?;
    same("the head", &ledger.head(), &head)
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
pub(super) async fn kept(store: &Store, ledger: &Ledger) -> Result<(), Differs> {
    ordered(ledger)?;
    let all = ledger.readable();
    let backwards = store.read_all().backwards().collect().await;
    let mut backwards = backwards.map_err(broken)?;
    backwards.reverse();
    same_events("all events, read backwards", &all, &backwards)?;

    feeds::kept(store, ledger).await?;

    let mut streams: BTreeMap<&StreamId, Vec<RecordedEvent>> = BTreeMap::new();
    for event in &all {
        let events = streams.entry(&event.stream).or_default();
        events.push(event.clone());
    }
    let report = store.verify().await.map_err(broken)?;
    same("damages that a check finds", &Vec::new(), &report.damages)?;
    let checked = (report.events, report.removals);
    let written = (ledger.written.len() as u64, ledger.markers.len() as u64);
    same("events and removals checked", &written, &checked)?;

    let described = ledger.streams();
    let listed = store.list_streams().collect().await.map_err(broken)?;
    same("streams listed", &described, &listed)?;

    let every = described.len() / LOOK_UPS_MAX + 1;
    for described in described.iter().step_by(every) {
        let events = streams
            .get(&described.stream)
            .map_or(&[][..], Vec::as_slice);
        one_stream(store, &described.stream, events, described).await?;
    }
    let every = ledger.written.len() / LOOK_UPS_MAX + 1;
    for event in ledger.written.iter().step_by(every) {
        let readable = all
            .iter()
            .find(|readable| readable.position == event.position);
        let found = store.find_event(&event.stream, event.id).await;
        let found = found.map_err(broken)?;
        same("the event found by its id", &readable, &found.as_ref())?;
    }
    Ok(())
}

/// Positions and versions count without a gap, and time does not go back.
fn ordered(ledger: &Ledger) -> Result<(), Differs> {
    let mut versions: BTreeMap<&StreamId, u64> = BTreeMap::new();
    let mut recorded_at = None;
    let written = ledger.written.iter().map(|event| event.position);
    let mut positions: Vec<_> = written
        .chain(ledger.markers.iter().map(|marked| marked.at))
        .collect();
    positions.sort_unstable();
    let dense: Vec<_> = (1..).take(positions.len()).map(Position::new).collect();
    same("positions", &dense, &positions)?;
    for event in &ledger.written {
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
    same_events("events of one stream, read backwards", events, &backwards)?;
    let folded = store.read_stream(stream).fold(None, Folded::default());
    let folded = folded.await.map_err(broken)?;
    same("version of a fold", &info.version, &folded.version)?;
    same("generation of a fold", &info.generation, &folded.generation)?;
    for (expected, got) in events.iter().map(told).zip(&folded.fold.events) {
        same("events of one stream, folded", &expected, got)?;
    }
    same("events folded", &events.len(), &folded.fold.events.len())
}

/// What a fold was told.
#[derive(Default)]
struct Folded {
    events: Vec<String>,
}

impl StreamFold for Folded {
    fn begin(&mut self, _: &Snapshot) -> bool {
        false
    }

    fn event(&mut self, event: EventRef<'_>) -> ControlFlow<()> {
        self.events.push(shown(event));
        ControlFlow::Continue(())
    }
}

fn told(event: &RecordedEvent) -> String {
    shown(event.borrowed())
}

fn shown(event: EventRef<'_>) -> String {
    format!("{event:?} {}", event.payload.as_str())
}
