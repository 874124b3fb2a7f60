//! One commit inside the writer's transaction: gather the facts, ask for the
//! verdict, insert the rows.
//!
//! Called by the writer alone. Nothing here is answered before the
//! transaction is on disk; that is the writer's business.

use chrono::{DateTime, Utc};
use hashlink::LruCache;
use rusqlite::{CachedStatement, Connection, params};

use super::fault::{Failure, corrupt};
use super::keys;
use super::leases;
use super::names::{Names, type_number};
use super::removals;
use super::row::{COLUMNS, Fields, position, stored, version};
use super::streams::{Events, KnownStream, Streams};
use super::transaction::Transaction;
use crate::ids::{EventType, StreamId};
use crate::store::commit::{AppendRequest, CommitKey, CommitRequest, EventRequest};
use crate::store::facts::StreamFacts;
use crate::store::receipt::{AppendReceipt, Receipt};
use crate::store::verdict::{Sameness, StoredEvent, Target, Verdict, judge, judge_key};
use crate::version::{ExpectedVersion, Version};

/// The statements of an append, and the names that it has looked up.
pub(super) struct Appender<'c> {
    conn: &'c Connection,
    find_id: CachedStatement<'c>,
    insert: CachedStatement<'c>,
    known: &'c mut KnownTypes,
}

/// The event types that were looked up, both ways.
pub(super) struct KnownTypes {
    numbers: LruCache<EventType, i64>,
    names: Names,
}

impl KnownTypes {
    const KEPT_MAX: usize = 8_192;

    pub(super) fn new() -> Self {
        Self {
            numbers: LruCache::new(Self::KEPT_MAX),
            names: Names::new(),
        }
    }
}

/// What a commit is written with: the transaction, and the streams in it.
pub(super) struct Desk<'a, 'c> {
    pub(super) transaction: &'a mut Transaction<'c>,
    pub(super) streams: &'a mut Streams<'c>,
    pub(super) now: DateTime<Utc>,
}

impl Desk<'_, '_> {
    pub(super) fn known(&mut self, stream: &StreamId) -> Result<Option<KnownStream>, Failure> {
        self.streams.known(stream, self.transaction.head())
    }
}

impl<'c> Appender<'c> {
    pub(super) fn new(conn: &'c Connection, known: &'c mut KnownTypes) -> rusqlite::Result<Self> {
        Ok(Self {
            conn,
            find_id: conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM annalist_events WHERE event_id = ?1 AND stream = ?2"
            ))?,
            insert: conn.prepare_cached(&format!(
                "INSERT INTO annalist_events ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            ))?,
            known,
        })
    }

    /// Forgets numbers that were given in a transaction that is no more.
    pub(super) fn forget(&mut self) {
        self.known.numbers.clear();
        self.known.names = Names::new();
    }

    /// Writes one commit into the open transaction, or says why not.
    pub(super) fn apply(
        &mut self,
        desk: &mut Desk<'_, 'c>,
        request: &CommitRequest,
    ) -> Result<Receipt, Failure> {
        if let (Some(key), Some(anchor)) = (&request.key, request.appends.first()) {
            self.refuse_known_key(desk, key, &anchor.stream)?;
        }
        let mut targets = Vec::with_capacity(request.appends.len());
        let mut known = Vec::with_capacity(request.appends.len());
        for append in &request.appends {
            let stream = desk.known(&append.stream)?;
            targets.push(self.target(append, stream)?);
            known.push(stream);
        }
        let lost = leases::lost(self.conn, &request.fences)?;
        let receipt = match judge(&targets, lost) {
            Verdict::Refuse(error) => return Err(Failure::Refused(error)),
            Verdict::Answer(receipt) => receipt,
            Verdict::Write => self.write(desk, &request.appends, &known)?,
        };
        // Of a repeat too: a key that was answered with success is known from then on.
        if let (Some(key), Some(anchor)) = (&request.key, request.appends.first()) {
            let number = match desk.known(&anchor.stream)? {
                Some(stream) => stream.number,
                None => desk.streams.create(&anchor.stream, Events::None)?.number,
            };
            keys::insert(self.conn, number, &anchor.stream, key, &receipt)?;
        }
        Ok(receipt)
    }

    fn refuse_known_key(
        &self,
        desk: &mut Desk<'_, 'c>,
        key: &CommitKey,
        stream: &StreamId,
    ) -> Result<(), Failure> {
        let Some(KnownStream { number, .. }) = desk.known(stream)? else {
            return Ok(());
        };
        let Some(known) = keys::find(self.conn, number, stream, &key.key)? else {
            return Ok(());
        };
        let refused = judge_key(key, stream, known.fingerprint, known.receipt);
        Err(Failure::Refused(refused))
    }

    fn target<'a>(
        &mut self,
        append: &'a AppendRequest,
        stream: Option<KnownStream>,
    ) -> Result<Target<'a>, Failure> {
        let mut target = Target {
            append,
            facts: stream.map_or_else(StreamFacts::default, |stream| stream.facts),
            stored: Vec::new(),
            deleted_at: Vec::new(),
        };
        // A stream without events holds no id.
        let Some(KnownStream { number, facts, .. }) = stream else {
            return Ok(target);
        };
        if facts.version == Version::ZERO {
            return Ok(target);
        }
        for (index, sent) in append.events.iter().enumerate() {
            let found = self.stored(sent, number, &append.stream)?;
            // Nearly always nothing is found, and nothing allocated.
            if found.is_some() && target.stored.is_empty() {
                target.stored.resize(append.events.len(), None);
            }
            if let Some(place) = target.stored.get_mut(index) {
                *place = found;
            }
        }
        if target.stored.is_empty() && self.is_hidden(&target, number)? {
            let stream = &append.stream;
            let what = format!("looking up events of stream {stream}, which the index hides");
            return Err(corrupt(None, what).into());
        }
        if !target.stored.is_empty() && facts.removed_to > Version::ZERO {
            let stream = &append.stream;
            target.deleted_at = removals::deleted_at(self.conn, number, stream, facts.generation)?;
        }
        Ok(target)
    }

    /// Whether events that the index of ids does not find stand where they would if they
    /// had been sent before. Asked before a conflict is told in place of a receipt.
    fn is_hidden(&self, target: &Target<'_>, number: i64) -> Result<bool, Failure> {
        let facts = target.facts;
        let stale = match target.append.expected {
            ExpectedVersion::Exact(before) if before < facts.version => [Some(before), None],
            ExpectedVersion::NoStream => [Some(Version::ZERO), Some(facts.removed_to)],
            _ => return Ok(false),
        };
        let Some(first) = target.append.events.first() else {
            return Ok(false);
        };
        let sql = "SELECT EXISTS (SELECT 1 FROM annalist_events \
                   INDEXED BY annalist_events_by_stream \
                   WHERE stream = ?1 AND version = ?2 AND +event_id = ?3)";
        for before in stale.into_iter().flatten() {
            let version = stored(before.next().get());
            let params = params![number, version, first.id.as_uuid().as_bytes()];
            let mut hidden = self.conn.prepare_cached(sql)?;
            if hidden.query_row(params, |row| row.get(0))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where an event that is sent stands already.
    fn stored(
        &mut self,
        sent: &EventRequest,
        number: i64,
        stream: &StreamId,
    ) -> Result<Option<StoredEvent>, Failure> {
        let params = params![sent.id.as_uuid().as_bytes(), number];
        let mut rows = self.find_id.query(params)?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let (fields, checksum) = Fields::of(row)?;
        let event_type = self
            .known
            .names
            .verified(self.conn, (&fields, checksum), stream)?;
        // Of a stripped event, id and type decide.
        let same_payload = fields
            .payload
            .is_none_or(|payload| payload == sent.payload.as_str());
        Ok(Some(StoredEvent {
            version: version(fields.version),
            position: position(fields.position),
            same: Sameness::of(event_type == sent.event_type, same_payload),
        }))
    }

    /// Inserts the events. The verdict was given upon `known`.
    fn write(
        &mut self,
        desk: &mut Desk<'_, 'c>,
        appends: &[AppendRequest],
        known: &[Option<KnownStream>],
    ) -> Result<Receipt, Failure> {
        let events = appends.iter().map(|append| append.events.len()).sum();
        desk.transaction.has_room_for(events)?;
        let recorded_at = desk.transaction.record_at(desk.now.timestamp_micros());
        let mut receipts = Vec::new();
        for (append, known) in appends.iter().zip(known) {
            if append.events.is_empty() {
                continue;
            }
            let stream = match known {
                Some(stream) => {
                    if stream.facts.version == Version::ZERO {
                        desk.streams.begin(*stream)?;
                    }
                    *stream
                }
                None => desk.streams.create(&append.stream, Events::Some)?,
            };
            receipts.push(self.write_stream(desk, append, stream, recorded_at)?);
        }
        Ok(Receipt {
            appends: receipts,
            position: Some(position(desk.transaction.position())),
            replayed: false,
        })
    }

    fn write_stream(
        &mut self,
        desk: &mut Desk<'_, 'c>,
        append: &AppendRequest,
        mut stream: KnownStream,
        recorded_at: i64,
    ) -> Result<AppendReceipt, Failure> {
        let first = stream.facts.version.next();
        for event in &append.events {
            stream.facts.version = stream.facts.version.next();
            let row = Fields {
                position: desk.transaction.next_position(),
                stream: stream.number,
                version: stored(stream.facts.version.get()),
                event_type: self.type_number(&event.event_type)?,
                schema_version: event.schema_version,
                recorded_at,
                event_id: event.id.as_uuid().as_bytes(),
                payload: Some(event.payload.as_str()),
                metadata: event.metadata.as_deref(),
            };
            let checksum = row.checksum(append.stream.as_str(), event.event_type.as_str());
            self.insert.execute(params![
                row.position,
                row.stream,
                row.version,
                row.event_type,
                row.schema_version,
                row.recorded_at,
                row.event_id,
                checksum,
                row.payload,
                row.metadata,
            ])?;
        }
        let end = stored(stream.facts.version.get());
        desk.transaction.note_end(stream.number, end);
        desk.streams.keep(&append.stream, stream);
        Ok(AppendReceipt {
            stream: append.stream.clone(),
            first: Some(first),
            last: stream.facts.version,
        })
    }

    fn type_number(&mut self, event_type: &EventType) -> Result<i64, Failure> {
        if let Some(number) = self.known.numbers.get(event_type) {
            return Ok(*number);
        }
        let name = event_type.as_str();
        let number = match type_number(self.conn, name)? {
            Some(number) => number,
            None => {
                let sql = "INSERT INTO annalist_types (name) VALUES (?1)";
                self.conn.prepare_cached(sql)?.insert([name])?
            }
        };
        self.known.numbers.insert(event_type.clone(), number);
        Ok(number)
    }
}
