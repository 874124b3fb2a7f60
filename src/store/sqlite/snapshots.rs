//! The rows of `annalist_snapshots`: states that are kept, so that the events before need
//! not be read again.
//!
//! A cache: one that is damaged is none, and is replaced by the next.

use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::append::Desk;
use super::fault::{Failure, fault};
use super::row::{parse_stream, stored, version};
use crate::ids::{EventId, StreamId};
use crate::store::commit::Fingerprint;
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::fold::Snapshot;
use crate::version::Generation;

/// A state to be kept.
pub(super) struct KeepRequest {
    pub(super) stream: StreamId,
    pub(super) snapshot: Snapshot,
}

const COLUMNS: &str = "fingerprint, version, generation, last_event, state, checksum";

fn checksum(snapshot: &Snapshot, stream: &StreamId) -> u32 {
    let mut crc = Hasher::new();
    let numbers = [
        stored(snapshot.version.get()),
        stored(snapshot.generation.get()),
        stream.as_str().len() as i64,
    ];
    crc.update(numbers.map(i64::to_le_bytes).as_flattened());
    crc.update(snapshot.fingerprint.as_bytes());
    crc.update(snapshot.last_event.as_uuid().as_bytes());
    crc.update(stream.as_str().as_bytes());
    crc.update(snapshot.state.as_bytes());
    crc.finalize()
}

/// The columns from `first` on, and the checksum.
fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<(Snapshot, u32)> {
    let snapshot = Snapshot {
        fingerprint: Fingerprint::from_bytes(row.get(first)?),
        version: version(row.get(first + 1)?),
        generation: Generation::new(version(row.get(first + 2)?).get()),
        last_event: EventId::from_uuid(Uuid::from_bytes(row.get(first + 3)?)),
        state: row.get(first + 4)?,
    };
    Ok((snapshot, row.get(first + 5)?))
}

/// The state that is kept of a stream, if it was folded so.
pub(super) fn find(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
    by: Fingerprint,
) -> Result<Option<Snapshot>, StoreError> {
    let found = find_any(conn, number, stream)?;
    Ok(found.filter(|kept| kept.fingerprint == by))
}

/// Whatever folded it; one that cannot be read is none.
fn find_any(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
) -> Result<Option<Snapshot>, StoreError> {
    let found = || {
        let sql = format!("SELECT {COLUMNS} FROM annalist_snapshots WHERE stream = ?1");
        let mut rows = conn.prepare_cached(&sql)?;
        rows.query_row([number], |row| read(row, 0)).optional()
    };
    match found() {
        Ok(found) => {
            let whole = found.filter(|(kept, sum)| checksum(kept, stream) == *sum);
            Ok(whole.map(|(kept, _)| kept))
        }
        Err(error) => match fault(error, "reading a kept state") {
            error if matches!(error.kind(), StoreErrorKind::Corrupt { .. }) => Ok(None),
            error => Err(error),
        },
    }
}

/// Keeps a state, unless it is none of now; says whether it did.
pub(super) fn keep(
    conn: &Connection,
    desk: &mut Desk<'_, '_>,
    request: &KeepRequest,
) -> Result<bool, Failure> {
    let KeepRequest { stream, snapshot } = request;
    let Some(known) = desk.known(stream)? else {
        return Ok(false);
    };
    let kept = find_any(conn, known.number, stream)?;
    if !snapshot.replaces(kept.as_ref(), &known.facts) {
        return Ok(false);
    }
    let sql = format!(
        "INSERT OR REPLACE INTO annalist_snapshots (stream, {COLUMNS}) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    );
    conn.prepare_cached(&sql)?.execute(params![
        known.number,
        snapshot.fingerprint.as_bytes(),
        stored(snapshot.version.get()),
        stored(snapshot.generation.get()),
        snapshot.last_event.as_uuid().as_bytes(),
        snapshot.state,
        checksum(snapshot, stream),
    ])?;
    Ok(true)
}

/// Lets go of the state of a stream from which events were removed.
pub(super) fn remove(conn: &Connection, number: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM annalist_snapshots WHERE stream = ?1";
    conn.prepare_cached(sql)?.execute([number]).map(drop)
}

/// Which of the rows after a stream's are damaged, and up to which stream they were looked at;
/// none after the last.
pub(super) fn damaged(
    conn: &Connection,
    after: i64,
    rows_max: i64,
) -> rusqlite::Result<(Vec<String>, Option<i64>)> {
    let sql = format!(
        "SELECT k.stream, s.name, {COLUMNS} FROM annalist_snapshots AS k \
         LEFT JOIN annalist_streams AS s ON s.id = k.stream \
         WHERE k.stream > ?1 ORDER BY k.stream LIMIT +?2"
    );
    let mut rows = conn.prepare_cached(&sql)?;
    let mut rows = rows.query([after, rows_max])?;
    let (mut damaged, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        // Damage would lead round in a circle.
        if number <= last.unwrap_or(after) {
            damaged.push(format!(
                "the kept state of stream number {number} is out of order"
            ));
            return Ok((damaged, None));
        }
        last = Some(number);
        let name: String = row.get::<_, Option<String>>(1)?.unwrap_or_default();
        let whole = match (read(row, 2), parse_stream(&name, None)) {
            (Ok((kept, sum)), Ok(stream)) => checksum(&kept, &stream) == sum,
            _ => false,
        };
        if !whole {
            damaged.push(format!(
                "the kept state of stream {name:?} is not what was written"
            ));
        }
    }
    Ok((damaged, last))
}
