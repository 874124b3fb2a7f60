//! One row of `annalist_events`: its columns, its checksum, and how it is read.
//!
//! The writer seals a row with its checksum, every reader checks it before
//! anything of the row is believed.

use chrono::{DateTime, Utc};
use crc32fast::Hasher;
use rusqlite::Row;
use uuid::Uuid;

use super::fault::corrupt;
use crate::event::{EventRef, Metadata, RecordedEvent};
use crate::ids::{EventId, EventType, StreamId};
use crate::payload::{Payload, PayloadRef};
use crate::store::error::StoreError;
use crate::version::{Position, Version};

/// The columns that [`Fields::of`] reads, in its order.
pub(super) const COLUMNS: &str = "position, stream, version, type, \
     schema_version, recorded_at, event_id, checksum, payload, metadata";

/// What a row holds, borrowed: names still as the small numbers that stand for them.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) position: i64,
    pub(super) stream: i64,
    pub(super) version: i64,
    pub(super) event_type: i64,
    pub(super) schema_version: u32,
    pub(super) recorded_at: i64,
    pub(super) event_id: &'a [u8],
    /// None once it was stripped from a removed event.
    pub(super) payload: Option<&'a str>,
    pub(super) metadata: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Reads the columns and the checksum, believing neither yet.
    pub(super) fn of(row: &'a Row<'_>) -> Result<(Self, u32), StoreError> {
        let read = || -> Result<_, rusqlite::Error> {
            let fields = Self {
                position: row.get(0)?,
                stream: row.get(1)?,
                version: row.get(2)?,
                event_type: row.get(3)?,
                schema_version: row.get(4)?,
                recorded_at: row.get(5)?,
                event_id: row.get_ref(6)?.as_blob()?,
                payload: row.get_ref(8)?.as_str_or_null()?,
                metadata: row.get_ref(9)?.as_str_or_null()?,
            };
            Ok((fields, row.get(7)?))
        };
        read().map_err(|error| {
            let position = row.get::<_, i64>(0).ok().map(position);
            corrupt(position, "reading an event").with_source(error)
        })
    }

    /// The checksum over every column, stream and type as text: CRC-32 (ISO-HDLC,
    /// as in gzip) finds every single flipped bit. Lengths keep neighbours apart.
    pub(super) fn checksum(&self, stream: &str, event_type: &str) -> u32 {
        let mut crc = Hasher::new();
        // In one piece, which is what the fast way of counting asks for.
        let numbers = [
            self.position,
            self.version,
            self.schema_version.into(),
            self.recorded_at,
            stream.len() as i64,
            event_type.len() as i64,
            self.event_id.len() as i64,
            self.payload.map_or(-1, |payload| payload.len() as i64),
            self.metadata.map_or(-1, |metadata| metadata.len() as i64),
        ];
        crc.update(numbers.map(i64::to_le_bytes).as_flattened());
        let texts = [Some(stream), Some(event_type), self.payload, self.metadata];
        for text in texts.into_iter().flatten() {
            crc.update(text.as_bytes());
        }
        crc.update(self.event_id);
        crc.finalize()
    }

    /// Refuses a row that is not what was written.
    pub(super) fn verify(
        &self,
        checksum: u32,
        stream: &str,
        event_type: &str,
    ) -> Result<(), StoreError> {
        match self.checksum(stream, event_type) == checksum {
            true => Ok(()),
            false => Err(corrupt(
                Some(position(self.position)),
                "checking an event's checksum",
            )),
        }
    }

    /// What the event takes up of a page.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload.map_or(0, str::len)
    }

    /// The event's id; believe it once the checksum holds.
    pub(super) fn id(&self) -> Result<EventId, StoreError> {
        let id = Uuid::from_slice(self.event_id).map_err(|error| {
            let position = Some(position(self.position));
            corrupt(position, "reading an event's id").with_source(error)
        })?;
        Ok(EventId::from_uuid(id))
    }

    /// The event of a row that was verified under these names, where it stands.
    pub(super) fn borrowed<'b>(
        &self,
        stream: &'b StreamId,
        event_type: &'b EventType,
    ) -> Result<EventRef<'b>, StoreError>
    where
        'a: 'b,
    {
        let position = position(self.position);
        let damaged = |what: &str| corrupt(Some(position), what);
        let payload = self
            .payload
            .ok_or_else(|| damaged("reading an event whose payload was stripped"))?;
        let recorded_at: DateTime<Utc> = DateTime::from_timestamp_micros(self.recorded_at)
            .ok_or_else(|| damaged("reading an event's time"))?;
        Ok(EventRef {
            id: self.id()?,
            stream,
            version: version(self.version),
            position,
            event_type,
            schema_version: self.schema_version,
            payload: PayloadRef::from_stored(payload),
            recorded_at,
        })
    }

    /// The same as a value of its own.
    pub(super) fn event(
        &self,
        stream: StreamId,
        event_type: EventType,
    ) -> Result<RecordedEvent, StoreError> {
        let EventRef {
            id,
            version,
            position,
            schema_version,
            payload,
            recorded_at,
            ..
        } = self.borrowed(&stream, &event_type)?;
        let metadata = Metadata::from_stored(self.metadata).map_err(|error| {
            corrupt(Some(position), "reading an event's metadata").with_source(error)
        })?;
        let payload = Payload::from_stored(payload.as_str());
        Ok(RecordedEvent {
            id,
            stream,
            version,
            position,
            event_type,
            schema_version,
            payload,
            metadata,
            recorded_at,
        })
    }
}

/// A stored number as a position. A negative one, which was never written, is
/// beyond every position and so never what a reader is due.
pub(super) fn position(stored: i64) -> Position {
    Position::new(u64::try_from(stored).unwrap_or(u64::MAX))
}

/// A stored number as a version, likewise.
pub(super) fn version(stored: i64) -> Version {
    Version::new(u64::try_from(stored).unwrap_or(u64::MAX))
}

/// A number as SQLite holds it; beyond its range there is nothing to find.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a stream id as a row holds it.
pub(super) fn parse_stream(name: &str, position: Option<Position>) -> Result<StreamId, StoreError> {
    name.parse()
        .map_err(|error| corrupt(position, "reading a stream id").with_source(error))
}
