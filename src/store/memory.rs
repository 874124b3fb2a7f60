//! The shortest correct reading of the contract, in memory.
//!
//! Tests run on it, and the durable backends are compared with it: where they
//! answer differently, one of them is wrong. One mutex, no cleverness.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures_core::future::BoxFuture;

use crate::clock::{Clock, SystemClock};
use crate::event::{Metadata, RecordedEvent};
use crate::ids::{EventId, EventType, StreamId};
use crate::store::backend::{
    AllPage, AllQuery, Backend, Filter, ListQuery, StreamInfo, StreamPage, StreamQuery,
};
use crate::store::commit::{AppendRequest, CommitKey, CommitRequest};
use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::store::limits::Limits;
use crate::store::receipt::{AppendReceipt, Receipt};
use crate::store::scan::{Direction, Scan, numbers};
use crate::store::verdict::{Sameness, StoredEvent, StreamFacts, Target, Verdict, judge};
use crate::version::{Counter, Position, StreamState, Version};

/// How a store in memory is set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryOptions {
    /// What the store takes at most.
    pub limits: Limits,
    /// Where `recorded_at` comes from. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The store in memory.
pub(super) struct MemoryStore {
    clock: Arc<dyn Clock>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// Every event; the one at position p stands at index p - 1.
    events: Vec<RecordedEvent>,
    streams: BTreeMap<StreamId, Stream>,
    closed: bool,
}

#[derive(Default)]
struct Stream {
    /// The positions of its events; that of version v stands at index v - 1.
    positions: Vec<Position>,
    versions: HashMap<EventId, Version>,
    keys: HashMap<String, (CommitKey, Receipt)>,
}

impl MemoryStore {
    pub(super) fn new(options: MemoryOptions) -> Self {
        Self {
            clock: options.clock,
            log: Mutex::default(),
        }
    }

    /// No user code runs under the lock, so a poisoned one holds a whole log.
    fn log(&self) -> Result<MutexGuard<'_, Log>, StoreError> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        match log.closed {
            true => Err(StoreError::new(
                StoreErrorKind::HandleClosed,
                "the store in memory",
            )),
            false => Ok(log),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Log) -> T) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        let answer = self.log().map(|log| read(&log));
        Box::pin(async { answer })
    }
}

impl Backend for MemoryStore {
    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(async move {
            let now = self.clock.now();
            self.log()?.commit(request, now)
        })
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        self.read(|log| log.read_stream(&query))
    }

    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        self.read(|log| log.read_all(&query))
    }

    fn list_streams(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<StreamInfo>, StoreError>> {
        self.read(|log| log.list_streams(&query))
    }

    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>> {
        self.read(|log| log.info(stream))
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        self.read(|log| {
            let version = log.streams.get(stream)?.versions.get(&id)?;
            log.event(stream, *version).cloned()
        })
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.read(Log::head)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        *log = Log {
            closed: true,
            ..Log::default()
        };
        Box::pin(async { Ok(()) })
    }
}

impl Log {
    fn commit(
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
        let receipt = match judge(&targets) {
            Verdict::Refuse(error) => return Err(error),
            Verdict::Answer(receipt) => receipt,
            Verdict::Write => self.write(&request.appends, now)?,
        };
        if let (Some(key), false, Some(anchor)) =
            (request.key, receipt.replayed, request.appends.first())
        {
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
        let stream = anchor.stream.clone();
        let known = self
            .streams
            .get(&stream)
            .and_then(|stream| stream.keys.get(&sent.key));
        let key = sent.key.clone();
        match known {
            None => Ok(()),
            Some((known, receipt)) if known.fingerprint == sent.fingerprint => {
                let mut receipt = receipt.clone();
                receipt.replayed = true;
                Err(AppendError::AlreadyCommitted {
                    stream,
                    key,
                    receipt,
                })
            }
            Some(_) => Err(AppendError::KeyReused { stream, key }),
        }
    }

    fn target<'a>(&self, append: &'a AppendRequest) -> Target<'a> {
        let stored = |stream: &Stream| {
            let sent = append.events.iter();
            sent.map(|sent| {
                let version = *stream.versions.get(&sent.id)?;
                let stored = self.event(&append.stream, version)?;
                let same_type = stored.event_type == sent.event_type;
                let same_payload = stored.payload == sent.payload;
                Some(StoredEvent {
                    version,
                    position: stored.position,
                    same: Sameness::of(same_type, same_payload),
                })
            })
            .collect()
        };
        Target {
            append,
            facts: self.facts(&append.stream),
            stored: self
                .streams
                .get(&append.stream)
                .map(stored)
                .unwrap_or_default(),
        }
    }

    fn facts(&self, stream: &StreamId) -> StreamFacts {
        match self.streams.get(stream) {
            Some(stream) if !stream.positions.is_empty() => StreamFacts {
                version: Version::new(stream.positions.len() as u64),
                state: StreamState::Live,
                ..StreamFacts::default()
            },
            _ => StreamFacts::default(),
        }
    }

    fn write(
        &mut self,
        appends: &[AppendRequest],
        now: DateTime<Utc>,
    ) -> Result<Receipt, StoreError> {
        let last = self.events.last().map(|event| event.recorded_at);
        let recorded_at = last.map_or(now, |last| last.max(now));
        let mut receipts = Vec::new();
        for AppendRequest { stream, events, .. } in appends {
            if events.is_empty() {
                continue;
            }
            let first = self.facts(stream).version.next();
            let log = self.streams.entry(stream.clone()).or_default();
            for sent in events {
                let position = Position::new(self.events.len() as u64).next();
                log.positions.push(position);
                let version = Version::new(log.positions.len() as u64);
                log.versions.insert(sent.id, version);
                self.events.push(RecordedEvent {
                    id: sent.id,
                    stream: stream.clone(),
                    version,
                    position,
                    event_type: sent.event_type.clone(),
                    schema_version: sent.schema_version,
                    payload: sent.payload.clone(),
                    metadata: read_metadata(sent.metadata.as_deref(), position)?,
                    recorded_at: crate::clock::to_micros(recorded_at),
                });
            }
            receipts.push(AppendReceipt {
                stream: stream.clone(),
                first: Some(first),
                last: Version::new(log.positions.len() as u64),
            });
        }
        Ok(Receipt {
            appends: receipts,
            position: Some(self.head()),
            replayed: false,
        })
    }

    fn head(&self) -> Position {
        Position::new(self.events.len() as u64)
    }

    fn at(&self, position: Position) -> Option<&RecordedEvent> {
        let index = usize::try_from(position.get()).ok()?.checked_sub(1)?;
        self.events.get(index)
    }

    fn event(&self, stream: &StreamId, version: Version) -> Option<&RecordedEvent> {
        let index = usize::try_from(version.get()).ok()?.checked_sub(1)?;
        self.at(*self.streams.get(stream)?.positions.get(index)?)
    }

    fn read_stream(&self, query: &StreamQuery) -> StreamPage {
        let facts = self.facts(&query.stream);
        let page = page(query.scan, facts.version, |version| {
            let event = self.event(&query.stream, Version::new(version))?;
            is_any(&query.types, &event.event_type).then_some(event)
        });
        StreamPage {
            events: page.events,
            version: facts.version,
            generation: facts.generation,
            next: page.next.map(Version::new),
        }
    }

    fn read_all(&self, query: &AllQuery) -> AllPage {
        let page = page(query.scan, self.head(), |position| {
            let event = self.at(Position::new(position))?;
            passes(&query.filter, event).then_some(event)
        });
        AllPage {
            events: page.events,
            scanned_to: page.scanned_to.map(Position::new),
            head: self.head(),
            next: page.next.map(Position::new),
        }
    }

    fn list_streams(&self, query: &ListQuery) -> Vec<StreamInfo> {
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

    fn info(&self, stream: &StreamId) -> StreamInfo {
        let facts = self.facts(stream);
        let last = self.event(stream, facts.version);
        StreamInfo {
            stream: stream.clone(),
            version: facts.version,
            generation: facts.generation,
            state: facts.state,
            last_position: last.map(|event| event.position),
            last_event: last.map(|event| event.id),
        }
    }
}

/// Reads metadata as a row holds it.
fn read_metadata(json: Option<&str>, position: Position) -> Result<Metadata, StoreError> {
    Metadata::from_stored(json).map_err(|error| {
        let position = Some(position);
        StoreError::new(StoreErrorKind::Corrupt { position }, "reading metadata").with_source(error)
    })
}

fn is_any(types: &[EventType], event_type: &EventType) -> bool {
    types.is_empty() || types.contains(event_type)
}

fn passes(filter: &Filter, event: &RecordedEvent) -> bool {
    let Filter {
        categories,
        stream_prefixes,
        types,
    } = filter;
    let stream = event.stream.as_str();
    let category = event.stream.category();
    (categories.is_empty() || categories.iter().any(|any| any == category))
        && (stream_prefixes.is_empty() || stream_prefixes.iter().any(|any| stream.starts_with(any)))
        && is_any(types, &event.event_type)
}

struct Page {
    events: Vec<RecordedEvent>,
    scanned_to: Option<u64>,
    next: Option<u64>,
}

/// Walks over the numbers up to `last` until the page is full.
fn page<'a, N: Counter>(
    scan: Scan<N>,
    last: N,
    read: impl Fn(u64) -> Option<&'a RecordedEvent>,
) -> Page {
    let (numbers, bounds) = (numbers(&scan, last), scan.bounds);
    let mut walk: Box<dyn Iterator<Item = u64>> = match scan.direction {
        Direction::Forwards => Box::new(numbers),
        Direction::Backwards => Box::new(numbers.rev()),
    };
    let mut events: Vec<RecordedEvent> = Vec::new();
    let (mut scanned, mut scanned_to, mut bytes) = (0, None, 0);
    for number in &mut walk {
        (scanned, scanned_to) = (scanned + 1, Some(number));
        if let Some(event) = read(number) {
            bytes += event.payload.as_str().len();
            events.push(event.clone());
        }
        let full = events.len() >= bounds.events_max as usize || bytes >= bounds.bytes_max;
        if full || scanned >= bounds.scan_max {
            break;
        }
    }
    Page {
        events,
        scanned_to,
        next: walk.next(),
    }
}
