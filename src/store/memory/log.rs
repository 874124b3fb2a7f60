//! What a store in memory holds: one list of what happened, and for each stream where
//! its events stand in it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::clock::to_micros;
use crate::event::{Metadata, RecordedEvent};
use crate::ids::{EventId, StreamId};
use crate::payload::Payload;
use crate::store::backend::{
    AllPage, AllQuery, CommitFound, ListQuery, StreamInfo, StreamPage, StreamQuery,
};
use crate::store::commit::{AppendRequest, CommitKey, CommitRequest, Fingerprint};
use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::store::facts::StreamFacts;
use crate::store::feed::{FeedItem, FeedPage, FeedQuery, RemovalKind, RemovalMarker, Scanned};
use crate::store::fence::{LeaseAnswer, LeaseName, LeaseRequest, LeaseState, judge_lease};
use crate::store::filter::is_wanted;
use crate::store::fold::Snapshot;
use crate::store::receipt::{AppendReceipt, Receipt};
use crate::store::removal::{Compacted, RemovalRequest, RemovalVerdict, Removed, judge_removal};
use crate::store::report::VerifyReport;
use crate::store::scan::{Direction, Scan, numbers};
use crate::store::verdict::{Sameness, StoredEvent, Target, Verdict, judge, judge_key};
use crate::version::{Counter, Generation, Position, StreamState, Version};

/// All that a store in memory holds.
#[derive(Default)]
pub(super) struct Log {
    /// What happened; that at position p stands at index p - 1.
    entries: Vec<Entry>,
    streams: BTreeMap<StreamId, Stream>,
    leases: HashMap<LeaseName, LeaseState>,
    /// Whether the store is closed.
    pub(super) closed: bool,
}

enum Entry {
    /// An event, and whether its payload and metadata were stripped.
    Event(RecordedEvent, Payloads),
    /// Events were removed.
    Marker(RemovalMarker),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Payloads {
    Kept,
    Stripped,
}

#[derive(Default)]
struct Stream {
    /// The positions of its events; that of version v stands at index v - 1.
    positions: Vec<Position>,
    versions: HashMap<EventId, Version>,
    keys: HashMap<String, (CommitKey, Receipt)>,
    generation: Generation,
    removed_to: Version,
    closed: bool,
    deleted_at: Vec<Version>,
    /// A state that was kept; it goes when events are removed.
    snapshot: Option<Snapshot>,
}

impl Stream {
    fn facts(&self) -> StreamFacts {
        StreamFacts {
            version: Version::new(self.positions.len() as u64),
            generation: self.generation,
            removed_to: self.removed_to,
            closed: self.closed,
        }
    }
}

impl Log {
    pub(super) fn commit(
        &mut self,
        request: CommitRequest,
        now: DateTime<Utc>,
    ) -> Result<Receipt, AppendError> {
        self.look_up_key(&request)?;
        let targets: Vec<_> = request
            .appends
            .iter()
            .map(|append| self.target(append))
            .collect();
        let lost = request
            .fences
            .iter()
            .find(|fence| !self.lease_state(&fence.name).admits(fence.token));
        let receipt = match judge(&targets, lost) {
            Verdict::Refuse(error) => return Err(error),
            Verdict::Answer(receipt) => receipt,
            Verdict::Write => self.write(&request.appends, now)?,
        };
        // Of a repeat too: a key that was answered with success is known from then on.
        if let (Some(key), Some(anchor)) = (request.key, request.appends.first()) {
            let stream = self.streams.entry(anchor.stream.clone()).or_default();
            stream.keys.insert(key.key.clone(), (key, receipt.clone()));
        }
        Ok(receipt)
    }

    /// A key that took effect decides before anything else is looked at.
    fn look_up_key(&self, request: &CommitRequest) -> Result<(), AppendError> {
        let (Some(sent), Some(anchor)) = (&request.key, request.appends.first()) else {
            return Ok(());
        };
        let stream = &anchor.stream;
        let known = self
            .streams
            .get(stream)
            .and_then(|stream| stream.keys.get(&sent.key));
        match known {
            None => Ok(()),
            Some((known, receipt)) => {
                let receipt = receipt.clone();
                Err(judge_key(sent, stream, known.fingerprint, receipt))
            }
        }
    }

    /// What took effect under a key, as a repeat is told it.
    pub(super) fn find_commit(&self, stream: &StreamId, key: &str) -> Option<CommitFound> {
        let (known, receipt) = self.streams.get(stream)?.keys.get(key)?;
        Some(CommitFound {
            fingerprint: known.fingerprint,
            receipt: Receipt {
                replayed: true,
                ..receipt.clone()
            },
        })
    }

    fn target<'a>(&self, append: &'a AppendRequest) -> Target<'a> {
        let stored = |stream: &Stream| {
            let sent = append.events.iter();
            sent.map(|sent| {
                let version = *stream.versions.get(&sent.id)?;
                let (stored, payloads) = self.entry(&append.stream, version)?;
                let same_type = stored.event_type == sent.event_type;
                let same_payload = payloads == Payloads::Stripped || stored.payload == sent.payload;
                Some(StoredEvent {
                    version,
                    position: stored.position,
                    same: Sameness::of(same_type, same_payload),
                })
            })
            .collect()
        };
        let stream = self.streams.get(&append.stream);
        Target {
            append,
            facts: self.facts(&append.stream),
            stored: stream.map(stored).unwrap_or_default(),
            deleted_at: stream
                .map(|stream| stream.deleted_at.clone())
                .unwrap_or_default(),
        }
    }

    pub(super) fn facts(&self, stream: &StreamId) -> StreamFacts {
        self.streams
            .get(stream)
            .map(Stream::facts)
            .unwrap_or_default()
    }

    fn write(
        &mut self,
        appends: &[AppendRequest],
        now: DateTime<Utc>,
    ) -> Result<Receipt, StoreError> {
        let recorded_at = self.recorded_at(now);
        let (mut receipts, mut events) = (Vec::new(), Vec::new());
        // All is made before anything is written, so that a failure writes nothing.
        for AppendRequest {
            stream,
            events: sent,
            ..
        } in appends
        {
            let last = self.facts(stream).version;
            for (version, sent) in (last.get() + 1..).map(Version::new).zip(sent) {
                let position = self.head().plus(events.len() as u64 + 1);
                events.push(sent.recorded(stream, version, position, recorded_at)?);
            }
            if !sent.is_empty() {
                receipts.push(AppendReceipt {
                    stream: stream.clone(),
                    first: Some(last.next()),
                    last: last.plus(sent.len() as u64),
                });
            }
        }
        for event in events {
            let stream = self.streams.entry(event.stream.clone()).or_default();
            stream.positions.push(event.position);
            stream.versions.insert(event.id, event.version);
            self.entries.push(Entry::Event(event, Payloads::Kept));
        }
        Ok(Receipt {
            appends: receipts,
            position: Some(self.head()),
            replayed: false,
        })
    }

    /// The clock's time, or that of the last entry if the clock went back.
    fn recorded_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let now = to_micros(now);
        match self.entries.last() {
            Some(
                Entry::Event(RecordedEvent { recorded_at, .. }, _)
                | Entry::Marker(RemovalMarker { recorded_at, .. }),
            ) => now.max(*recorded_at),
            None => now,
        }
    }

    pub(super) fn remove(
        &mut self,
        request: &RemovalRequest,
        now: DateTime<Utc>,
    ) -> Result<Removed, AppendError> {
        let facts = self.facts(&request.stream);
        let after = match judge_removal(facts, request) {
            RemovalVerdict::Refuse(error) => return Err(error),
            RemovalVerdict::Nothing => {
                return Ok(Removed::new(&request.stream, &facts, None, false));
            }
            RemovalVerdict::Write(after) => after,
        };
        let removes = after.generation != facts.generation;
        if removes {
            self.entries.push(Entry::Marker(RemovalMarker {
                position: self.head().next(),
                stream: request.stream.clone(),
                kind: match after.state() {
                    StreamState::Deleted => RemovalKind::Deleted,
                    _ => RemovalKind::Truncated,
                },
                removed_to: after.removed_to,
                generation: after.generation,
                recorded_at: self.recorded_at(now),
            }));
        }
        let stream = self.streams.entry(request.stream.clone()).or_default();
        stream.generation = after.generation;
        stream.removed_to = after.removed_to;
        stream.closed = after.closed;
        if removes {
            stream.snapshot = None;
        }
        if removes && after.state() == StreamState::Deleted {
            stream.deleted_at.push(after.version);
        }
        let position = removes.then(|| self.head());
        Ok(Removed::new(&request.stream, &after, position, true))
    }

    pub(super) fn snapshot(&self, stream: &StreamId, by: Fingerprint) -> Option<Snapshot> {
        let kept = self.streams.get(stream)?.snapshot.as_ref();
        kept.filter(|kept| kept.fingerprint == by).cloned()
    }

    pub(super) fn keep_snapshot(&mut self, stream: &StreamId, snapshot: Snapshot) -> bool {
        let Some(stream) = self.streams.get_mut(stream) else {
            return false;
        };
        let is_kept = snapshot.replaces(stream.snapshot.as_ref(), &stream.facts());
        if is_kept {
            stream.snapshot = Some(snapshot);
        }
        is_kept
    }

    pub(super) fn lease(&mut self, request: &LeaseRequest, now: DateTime<Utc>) -> LeaseAnswer {
        let answer = judge_lease(self.lease_state(&request.name), request.ask, now);
        if let LeaseAnswer::Granted(state) = answer {
            self.leases.insert(request.name.clone(), state);
        }
        answer
    }

    pub(super) fn lease_state(&self, name: &LeaseName) -> LeaseState {
        self.leases.get(name).copied().unwrap_or(LeaseState::NEVER)
    }

    pub(super) fn compact(&mut self) -> Compacted {
        let mut compacted = Compacted::default();
        for entry in &mut self.entries {
            let Entry::Event(event, payloads @ Payloads::Kept) = entry else {
                continue;
            };
            let stream = self.streams.get(&event.stream);
            if stream.is_some_and(|stream| event.version <= stream.removed_to) {
                event.payload = Payload::from_stored("null");
                event.metadata = Metadata::default();
                *payloads = Payloads::Stripped;
                compacted.events += 1;
            }
        }
        compacted
    }

    /// What is in memory is what was written; there is only to count.
    pub(super) fn verify(&self) -> VerifyReport {
        let is_event = |entry: &&Entry| matches!(entry, Entry::Event(..));
        let events = self.entries.iter().filter(is_event).count();
        let keys: usize = self.streams.values().map(|stream| stream.keys.len()).sum();
        VerifyReport {
            events: events as u64,
            streams: self.streams.len() as u64,
            removals: (self.entries.len() - events) as u64,
            keys: keys as u64,
            ..VerifyReport::default()
        }
    }

    pub(super) fn head(&self) -> Position {
        Position::new(self.entries.len() as u64)
    }

    fn entry_at(&self, position: Position) -> Option<&Entry> {
        let index = usize::try_from(position.get()).ok()?.checked_sub(1)?;
        self.entries.get(index)
    }

    fn at(&self, position: Position) -> Option<(&RecordedEvent, Payloads)> {
        match self.entry_at(position)? {
            Entry::Event(event, payloads) => Some((event, *payloads)),
            Entry::Marker(_) => None,
        }
    }

    fn entry(&self, stream: &StreamId, version: Version) -> Option<(&RecordedEvent, Payloads)> {
        let index = usize::try_from(version.get()).ok()?.checked_sub(1)?;
        self.at(*self.streams.get(stream)?.positions.get(index)?)
    }

    fn event(&self, stream: &StreamId, version: Version) -> Option<&RecordedEvent> {
        self.entry(stream, version).map(|(event, _)| event)
    }

    pub(super) fn find(&self, stream: &StreamId, id: EventId) -> Option<RecordedEvent> {
        let version = self.streams.get(stream)?.versions.get(&id)?;
        self.readable(self.event(stream, *version)?).cloned()
    }

    /// The event, unless it was removed.
    fn readable<'a>(&self, event: &'a RecordedEvent) -> Option<&'a RecordedEvent> {
        (event.version > self.facts(&event.stream).removed_to).then_some(event)
    }

    pub(super) fn read_stream(&self, query: &StreamQuery) -> Result<StreamPage, StoreError> {
        let facts = self.facts(&query.stream);
        if query
            .generation
            .is_some_and(|generation| generation != facts.generation)
        {
            let doing = format!("reading stream {}", query.stream);
            return Err(StoreError::new(StoreErrorKind::RemovedMeanwhile, doing));
        }
        let mut scan = query.scan;
        scan.from = scan.from.max(facts.removed_to.next());
        let page = page(scan, facts.version, |version| {
            let event = self.event(&query.stream, Version::new(version))?;
            is_wanted(&query.types, &event.event_type).then(|| sized(event))
        });
        Ok(StreamPage {
            events: page.items,
            version: facts.version,
            generation: facts.generation,
            next: page.next.map(Version::new),
        })
    }

    pub(super) fn read_all(&self, query: &AllQuery) -> AllPage {
        let page = page(query.scan, self.head(), |position| {
            let event = self.readable(self.at(Position::new(position))?.0)?;
            let passes = query.filter.passes(&event.stream, &event.event_type);
            passes.then(|| sized(event))
        });
        AllPage {
            events: page.items,
            scanned_to: page.scanned_to.map(Position::new),
            head: self.head(),
            next: page.next.map(Position::new),
        }
    }

    pub(super) fn read_feed(&self, query: &FeedQuery) -> FeedPage {
        let filter = &query.filter;
        let page = page(query.scan(), self.head(), |position| {
            match self.entry_at(Position::new(position))? {
                Entry::Event(event, _) => {
                    let event = self.readable(event)?;
                    let (event, bytes) = filter
                        .passes(&event.stream, &event.event_type)
                        .then(|| sized(event))?;
                    Some((FeedItem::Event(event), bytes))
                }
                Entry::Marker(marker) => filter
                    .passes_stream(&marker.stream)
                    .then(|| (FeedItem::Removed(marker.clone()), 0)),
            }
        });
        FeedPage {
            items: page.items,
            scanned: page.scanned_to.map(Position::new).map(|position| Scanned {
                position,
                event: self.at(position).map(|(event, _)| event.id),
            }),
            head: self.head(),
        }
    }

    pub(super) fn list_streams(&self, query: &ListQuery) -> Vec<StreamInfo> {
        let streams = self.streams.iter();
        streams
            .filter(|(id, stream)| {
                !stream.positions.is_empty()
                    && id.as_str().starts_with(&query.prefix)
                    && query.after.as_ref().is_none_or(|after| *id > after)
            })
            .take(query.streams_max as usize)
            .map(|(id, _)| self.info(id))
            .collect()
    }

    pub(super) fn info(&self, stream: &StreamId) -> StreamInfo {
        let facts = self.facts(stream);
        let last = self.event(stream, facts.version);
        StreamInfo {
            stream: stream.clone(),
            version: facts.version,
            generation: facts.generation,
            first_version: facts.first_version(),
            state: facts.state(),
            last_position: last.map(|event| event.position),
            last_event: last.map(|event| event.id),
        }
    }
}

/// An event, and how much of a page it takes up.
fn sized(event: &RecordedEvent) -> (RecordedEvent, usize) {
    (event.clone(), event.payload.as_str().len())
}

/// What one walk has found.
struct Page<T> {
    items: Vec<T>,
    scanned_to: Option<u64>,
    next: Option<u64>,
}

/// Walks over the numbers up to `last` until the page is full.
fn page<N: Counter, T>(
    scan: Scan<N>,
    last: N,
    read: impl Fn(u64) -> Option<(T, usize)>,
) -> Page<T> {
    let (numbers, bounds) = (numbers(&scan, last), scan.bounds);
    let mut walk: Box<dyn Iterator<Item = u64>> = match scan.direction {
        Direction::Forwards => Box::new(numbers),
        Direction::Backwards => Box::new(numbers.rev()),
    };
    let mut items = Vec::new();
    let (mut scanned, mut scanned_to, mut bytes) = (0, None, 0);
    for number in &mut walk {
        (scanned, scanned_to) = (scanned + 1, Some(number));
        if let Some((item, size)) = read(number) {
            bytes += size;
            items.push(item);
        }
        let full = items.len() >= bounds.events_max as usize || bytes >= bounds.bytes_max;
        if full || scanned >= bounds.scan_max {
            break;
        }
    }
    Page {
        items,
        scanned_to,
        next: walk.next(),
    }
}
