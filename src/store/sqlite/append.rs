//! One commit inside the writer's transaction: gather the facts, ask for the
//! verdict, insert the rows.
//!
//! Called by the writer alone, on its thread. Nothing here is answered before the
//! transaction is on disk; that is the writer's business.

use chrono::{DateTime, Utc};
use hashlink::LruCache;
use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::fault::{corrupt, fault};
use super::keys;
use super::names::{Names, category_number, stream_number, type_number};
use super::row::{COLUMNS, Fields, position, stored, version};
use crate::event::RecordedEvent;
use crate::ids::{EventId, EventType, StreamId};
use crate::store::commit::{AppendRequest, CommitKey, CommitRequest, EventRequest};
use crate::store::error::{AppendError, StoreError};
use crate::store::receipt::{AppendReceipt, Receipt};
use crate::store::verdict::{Sameness, StoredEvent, StreamFacts, Target, Verdict, judge};
use crate::version::{Position, StreamState, Version};

/// What the writer knows while it holds the file, and the statements it runs most.
pub(super) struct Appender<'c> {
    conn: &'c Connection,
    begin: Statement<'c>,
    data_version: Statement<'c>,
    max_version: Statement<'c>,
    find_id: Statement<'c>,
    insert: Statement<'c>,
    move_head: Statement<'c>,
    commit: Statement<'c>,
    /// As of the open transaction; written back when it commits.
    head: Head,
    /// Whether the open transaction has moved the head.
    wrote: bool,
    /// SQLite's counter of what other connections committed. As long as it stands
    /// still, what is kept below is what the file holds. None: nothing is known.
    seen: Option<i64>,
    /// The versions of the streams written last. Reading one from the index costs
    /// 3 to 9 % of an append, a row per stream 20 to 50 %.
    streams: LruCache<StreamId, KnownStream>,
    types: LruCache<EventType, i64>,
    names: Names,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Head {
    position: i64,
    recorded_at: i64,
}

/// A stream's row, and the version of its last event.
#[derive(Clone, Copy)]
struct KnownStream {
    number: i64,
    category: i64,
    version: Version,
}

/// Why a commit was not written.
pub(super) enum Failure {
    /// It was decided so, before anything was written: the transaction stands.
    Refused(AppendError),
    /// SQLite failed: the transaction may hold a part of it and must be rolled back.
    Broken(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(fault(error, "appending"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl<'c> Appender<'c> {
    const TYPES_KEPT_MAX: usize = 8_192;

    pub(super) fn new(conn: &'c Connection, streams_kept_max: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            conn,
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            data_version: conn.prepare("PRAGMA data_version")?,
            max_version: conn.prepare("SELECT max(version) FROM annalist_events WHERE stream = ?1")?,
            find_id: conn.prepare(&format!(
                "SELECT {COLUMNS} FROM annalist_events WHERE event_id = ?1 AND stream = ?2"
            ))?,
            insert: conn.prepare(&format!(
                "INSERT INTO annalist_events ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
            ))?,
            move_head: conn
                .prepare("UPDATE annalist_head SET last_position = ?1, last_recorded_at = ?2")?,
            commit: conn.prepare("COMMIT")?,
            head: Head {
                position: 0,
                recorded_at: 0,
            },
            wrote: false,
            seen: None,
            streams: LruCache::new(streams_kept_max.max(1)),
            types: LruCache::new(Self::TYPES_KEPT_MAX),
            names: Names::new(),
        })
    }

    /// Takes the write lock, and forgets what another connection has changed.
    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.execute([])?;
        let seen = self.data_version.query_row([], |row| row.get(0))?;
        if self.seen != Some(seen) {
            let sql = "SELECT last_position, last_recorded_at FROM annalist_head";
            let head = self.conn.query_row(sql, [], |row| {
                Ok(Head {
                    position: row.get(0)?,
                    recorded_at: row.get(1)?,
                })
            })?;
            // Someone may have committed what is not events; versions stand then.
            if self.seen.is_none() || self.head != head {
                self.streams.clear();
            }
            self.head = head;
            self.seen = Some(seen);
        }
        Ok(())
    }

    /// Makes durable what the open transaction holds.
    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        if self.wrote {
            let Head {
                position,
                recorded_at,
            } = self.head;
            self.move_head.execute([position, recorded_at])?;
        }
        self.commit.execute([])?;
        self.wrote = false;
        Ok(())
    }

    /// Drops what the open transaction holds, if one is open, and all that was
    /// learned in it.
    pub(super) fn roll_back(&mut self) -> rusqlite::Result<()> {
        self.wrote = false;
        self.seen = None;
        self.streams.clear();
        self.types.clear();
        match self.conn.is_autocommit() {
            true => Ok(()),
            false => self.conn.execute_batch("ROLLBACK"),
        }
    }

    /// Writes one commit into the open transaction, or says why not.
    pub(super) fn apply(
        &mut self,
        request: &CommitRequest,
        now: DateTime<Utc>,
    ) -> Result<Receipt, Failure> {
        if let (Some(key), Some(anchor)) = (&request.key, request.appends.first()) {
            self.refuse_known_key(key, &anchor.stream)?;
        }
        let mut targets = Vec::with_capacity(request.appends.len());
        let mut known = Vec::with_capacity(request.appends.len());
        for append in &request.appends {
            let stream = self.known(&append.stream)?;
            targets.push(self.target(append, stream)?);
            known.push(stream);
        }
        let receipt = match judge(&targets) {
            Verdict::Refuse(error) => return Err(Failure::Refused(error)),
            Verdict::Answer(receipt) => receipt,
            Verdict::Write => self.write(&request.appends, &known, now)?,
        };
        if let (Some(key), false, Some(anchor)) =
            (&request.key, receipt.replayed, request.appends.first())
        {
            let number = match self.known(&anchor.stream)? {
                Some(stream) => stream.number,
                None => self.create(&anchor.stream)?.number,
            };
            keys::insert(self.conn, number, &anchor.stream, key, &receipt)?;
        }
        Ok(receipt)
    }

    fn refuse_known_key(&mut self, key: &CommitKey, stream: &StreamId) -> Result<(), Failure> {
        let Some(KnownStream { number, .. }) = self.known(stream)? else {
            return Ok(());
        };
        let Some(known) = keys::find(self.conn, number, stream, &key.key)? else {
            return Ok(());
        };
        let (stream, text) = (stream.clone(), key.key.clone());
        Err(Failure::Refused(
            match known.fingerprint == key.fingerprint {
                true => AppendError::AlreadyCommitted {
                    stream,
                    key: text,
                    receipt: known.receipt,
                },
                false => AppendError::KeyReused { stream, key: text },
            },
        ))
    }

    /// What the file holds of a stream; none if it has no row.
    fn known(&mut self, stream: &StreamId) -> rusqlite::Result<Option<KnownStream>> {
        if let Some(known) = self.streams.get(stream) {
            return Ok(Some(*known));
        }
        let sql = "SELECT id, category FROM annalist_streams WHERE name = ?1";
        let row = self
            .conn
            .prepare_cached(sql)?
            .query_row([stream.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((number, category)) = row else {
            return Ok(None);
        };
        let last: Option<i64> = self.max_version.query_row([number], |row| row.get(0))?;
        let known = KnownStream {
            number,
            category,
            version: last.map_or(Version::ZERO, version),
        };
        self.streams.insert(stream.clone(), known);
        Ok(Some(known))
    }

    fn target<'a>(
        &mut self,
        append: &'a AppendRequest,
        stream: Option<KnownStream>,
    ) -> Result<Target<'a>, Failure> {
        let version = stream.map_or(Version::ZERO, |stream| stream.version);
        let state = match version {
            Version::ZERO => StreamState::NeverWritten,
            _ => StreamState::Live,
        };
        let mut stored = Vec::new();
        if let (Some(KnownStream { number, .. }), StreamState::Live) = (stream, state) {
            for (index, sent) in append.events.iter().enumerate() {
                let found = self.stored(sent, number, &append.stream)?;
                // Nearly always nothing is found, and nothing allocated.
                if found.is_some() && stored.is_empty() {
                    stored.resize(append.events.len(), None);
                }
                if let Some(place) = stored.get_mut(index) {
                    *place = found;
                }
            }
        }
        let facts = StreamFacts {
            version,
            state,
            ..StreamFacts::default()
        };
        Ok(Target {
            append,
            facts,
            stored,
        })
    }

    /// Where an event that is sent stands already.
    fn stored(
        &mut self,
        sent: &EventRequest,
        number: i64,
        stream: &StreamId,
    ) -> Result<Option<StoredEvent>, Failure> {
        let Some(event) = self.find(sent.id, number, stream)? else {
            return Ok(None);
        };
        let same_type = event.event_type == sent.event_type;
        let same_payload = event.payload == sent.payload;
        Ok(Some(StoredEvent {
            version: event.version,
            position: event.position,
            same: Sameness::of(same_type, same_payload),
        }))
    }

    fn find(
        &mut self,
        id: EventId,
        number: i64,
        stream: &StreamId,
    ) -> Result<Option<RecordedEvent>, Failure> {
        let mut rows = self
            .find_id
            .query(params![id.as_uuid().as_bytes(), number])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let (fields, checksum) = Fields::of(row)?;
        let at = position(fields.position);
        let event_type = self.names.event_type(self.conn, fields.event_type, at)?;
        Ok(Some(fields.event(checksum, stream.clone(), event_type)?))
    }

    /// Inserts the events. The verdict was given upon `known`.
    fn write(
        &mut self,
        appends: &[AppendRequest],
        known: &[Option<KnownStream>],
        now: DateTime<Utc>,
    ) -> Result<Receipt, Failure> {
        let events: usize = appends.iter().map(|append| append.events.len()).sum();
        if self.head.position.checked_add(events as i64).is_none() {
            return Err(used_up());
        }
        let recorded_at = now.timestamp_micros().max(self.head.recorded_at);
        let mut receipts = Vec::new();
        for (append, known) in appends.iter().zip(known) {
            if append.events.is_empty() {
                continue;
            }
            let stream = match known {
                Some(stream) => *stream,
                None => self.create(&append.stream)?,
            };
            receipts.push(self.write_stream(append, stream, recorded_at)?);
        }
        self.head.recorded_at = recorded_at;
        Ok(Receipt {
            appends: receipts,
            position: Some(position(self.head.position)),
            replayed: false,
        })
    }

    fn write_stream(
        &mut self,
        append: &AppendRequest,
        mut stream: KnownStream,
        recorded_at: i64,
    ) -> Result<AppendReceipt, Failure> {
        let first = stream.version.next();
        self.wrote = true;
        for event in &append.events {
            let position = self.head.position + 1;
            stream.version = stream.version.next();
            let row = Fields {
                position,
                stream: stream.number,
                version: stored(stream.version.get()),
                category: stream.category,
                event_type: self.type_number(&event.event_type)?,
                schema_version: event.schema_version,
                recorded_at,
                event_id: event.id.as_uuid().as_bytes(),
                payload: event.payload.as_str(),
                metadata: event.metadata.as_deref(),
            };
            let checksum = row.checksum(append.stream.as_str(), event.event_type.as_str());
            self.insert.execute(params![
                row.position,
                row.stream,
                row.version,
                row.category,
                row.event_type,
                row.schema_version,
                row.recorded_at,
                row.event_id,
                checksum,
                row.payload,
                row.metadata,
            ])?;
            self.head.position = position;
        }
        self.streams.insert(append.stream.clone(), stream);
        Ok(AppendReceipt {
            stream: append.stream.clone(),
            first: Some(first),
            last: stream.version,
        })
    }

    /// Makes the row of a stream that is written for the first time.
    fn create(&mut self, stream: &StreamId) -> rusqlite::Result<KnownStream> {
        let category = stream.category();
        let category = match category_number(self.conn, category)? {
            Some(number) => number,
            None => self.number(
                "INSERT INTO annalist_categories (name) VALUES (?1)",
                category,
            )?,
        };
        // Another append of this commit's batch may have made it with a key alone.
        let number = match stream_number(self.conn, stream)? {
            Some(number) => number,
            None => {
                let sql = "INSERT INTO annalist_streams (name, category) VALUES (?1, ?2)";
                let mut insert = self.conn.prepare_cached(sql)?;
                insert.insert(params![stream.as_str(), category])?
            }
        };
        Ok(KnownStream {
            number,
            category,
            version: Version::ZERO,
        })
    }

    fn type_number(&mut self, event_type: &EventType) -> rusqlite::Result<i64> {
        if let Some(number) = self.types.get(event_type) {
            return Ok(*number);
        }
        let name = event_type.as_str();
        let number = match type_number(self.conn, name)? {
            Some(number) => number,
            None => self.number("INSERT INTO annalist_types (name) VALUES (?1)", name)?,
        };
        self.types.insert(event_type.clone(), number);
        Ok(number)
    }

    fn number(&self, sql: &str, name: &str) -> rusqlite::Result<i64> {
        self.conn.prepare_cached(sql)?.insert([name])
    }
}

/// Told before anything is written: the file says it is at the end of all numbers.
fn used_up() -> Failure {
    let last = Some(Position::new(i64::MAX as u64));
    Failure::Refused(corrupt(last, "numbering an event after the largest number").into())
}
