//! What a store must hold, as far as the steps so far tell: every event that was
//! written, and what was removed since.

use std::collections::BTreeMap;

use crate::event::RecordedEvent;
use crate::ids::EventId;
use crate::ids::StreamId;
use crate::store::{Removal, RemovalKind, Removed, StreamInfo};
use crate::version::{Generation, Position, StreamState, Version};

/// The store as it must be.
#[derive(Default)]
pub(super) struct Ledger {
    /// Every event that was ever written, in the order of positions.
    pub(super) written: Vec<RecordedEvent>,
    /// The removals that took a position.
    pub(super) markers: Vec<Marked>,
    fates: BTreeMap<StreamId, Fate>,
}

/// A removal that took a position, but for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) at: Position,
    pub(super) stream: StreamId,
    pub(super) kind: RemovalKind,
    pub(super) removed_to: Version,
    pub(super) generation: Generation,
}

/// What became of a stream beside being written.
#[derive(Clone, Copy, Default)]
struct Fate {
    removed_to: Version,
    generation: Generation,
    closed: bool,
}

impl Ledger {
    fn fate(&self, stream: &StreamId) -> Fate {
        self.fates.get(stream).copied().unwrap_or_default()
    }

    /// The largest position that was ever given.
    pub(super) fn head(&self) -> Position {
        let last = self.written.last().map(|event| event.position);
        let marker = self.markers.last().map(|marked| marked.at);
        last.max(marker).unwrap_or_default()
    }

    /// The event that was written at a position, if it was one.
    pub(super) fn event_at(&self, position: Position) -> Option<EventId> {
        let mut written = self.written.iter();
        let event = written.find(|event| event.position == position);
        event.map(|event| event.id)
    }

    /// The events that can be read.
    pub(super) fn readable(&self) -> Vec<RecordedEvent> {
        let written = self.written.iter();
        let readable = written.filter(|event| event.version > self.fate(&event.stream).removed_to);
        readable.cloned().collect()
    }

    /// The streams that were ever written, and what must be told of them.
    pub(super) fn streams(&self) -> Vec<StreamInfo> {
        let mut last: BTreeMap<&StreamId, &RecordedEvent> = BTreeMap::new();
        for event in &self.written {
            last.insert(&event.stream, event);
        }
        let streams = last.into_iter();
        streams
            .map(|(stream, last)| {
                let fate = self.fate(stream);
                let is_empty = fate.removed_to == last.version;
                StreamInfo {
                    stream: stream.clone(),
                    version: last.version,
                    generation: fate.generation,
                    first_version: (!is_empty).then(|| fate.removed_to.next()),
                    state: match (fate.closed, is_empty) {
                        (true, _) => StreamState::Closed,
                        (false, true) => StreamState::Deleted,
                        (false, false) => StreamState::Live,
                    },
                    last_position: Some(last.position),
                    last_event: Some(last.id),
                }
            })
            .collect()
    }

    /// Takes note of a removal that was answered.
    pub(super) fn note(&mut self, removal: Removal, removed: &Removed) {
        if !removed.changed {
            return;
        }
        let fate = self.fates.entry(removed.stream.clone()).or_default();
        fate.generation = removed.generation;
        match removal {
            Removal::Delete(_) => fate.removed_to = removed.version,
            Removal::TruncateBefore(version) => {
                fate.removed_to = Version::new(version.get().saturating_sub(1));
            }
            Removal::Close(_) => fate.closed = true,
        }
        self.markers.extend(removed.position.map(|at| Marked {
            at,
            stream: removed.stream.clone(),
            kind: match removal {
                Removal::Delete(_) => RemovalKind::Deleted,
                _ => RemovalKind::Truncated,
            },
            removed_to: fate.removed_to,
            generation: fate.generation,
        }));
    }
}
