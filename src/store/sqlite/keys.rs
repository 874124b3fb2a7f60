//! The rows of `annalist_keys`: which commits took effect under which key.

use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::{corrupt, fault};
use super::row::{position, stored, version};
use crate::ids::StreamId;
use crate::store::backend::CommitFound;
use crate::store::commit::{CommitKey, Fingerprint};
use crate::store::error::StoreError;
use crate::store::receipt::{AppendReceipt, Receipt};

/// What a row holds beside the stream.
struct Fields {
    key: String,
    fingerprint: [u8; 16],
    first_version: Option<i64>,
    last_version: Option<i64>,
    last_position: Option<i64>,
    receipt: Option<String>,
}

impl Fields {
    fn checksum(&self, stream: &StreamId) -> u32 {
        let mut crc = Hasher::new();
        let receipt = self.receipt.as_deref();
        for number in [
            stream.as_str().len() as i64,
            self.key.len() as i64,
            self.first_version.unwrap_or(-1),
            self.last_version.unwrap_or(-1),
            self.last_position.unwrap_or(-1),
            receipt.map_or(-1, |receipt| receipt.len() as i64),
        ] {
            crc.update(&number.to_le_bytes());
        }
        crc.update(&self.fingerprint);
        for text in [stream.as_str(), &self.key, receipt.unwrap_or_default()] {
            crc.update(text.as_bytes());
        }
        crc.finalize()
    }
}

/// Keeps a key with what its commit wrote.
pub(super) fn insert(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
    key: &CommitKey,
    receipt: &Receipt,
) -> rusqlite::Result<()> {
    // Nearly every commit writes to the key's own stream alone, which the columns
    // can say; of any other the whole receipt is kept.
    let own = match receipt.appends.as_slice() {
        [only] if only.stream == *stream => Some(only),
        _ => None,
    };
    let row = Fields {
        key: key.key.clone(),
        fingerprint: *key.fingerprint.as_bytes(),
        first_version: own
            .and_then(|own| own.first)
            .map(|first| stored(first.get())),
        last_version: own.map(|own| stored(own.last.get())),
        last_position: receipt.position.map(|position| stored(position.get())),
        receipt: match own {
            Some(_) => None,
            None => Some(serde_json::to_string(receipt).map_err(to_sql)?),
        },
    };
    conn.prepare_cached(
        "INSERT INTO annalist_keys \
         (stream, key, fingerprint, first_version, last_version, last_position, receipt, checksum) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        number,
        row.key,
        row.fingerprint,
        row.first_version,
        row.last_version,
        row.last_position,
        row.receipt,
        row.checksum(stream),
    ])?;
    Ok(())
}

fn to_sql(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// Looks a key of a stream up.
pub(super) fn find(
    conn: &Connection,
    number: i64,
    stream: &StreamId,
    key: &str,
) -> Result<Option<CommitFound>, StoreError> {
    let sql = "SELECT key, fingerprint, first_version, last_version, last_position, receipt, checksum \
               FROM annalist_keys WHERE stream = ?1 AND key = ?2";
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut keys| keys.query_row(params![number, key], read).optional())
        .map_err(|error| fault(error, "looking up a commit key"))?;
    found
        .map(|(row, checksum)| believe(row, checksum, stream))
        .transpose()
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Fields, u32)> {
    let fields = Fields {
        key: row.get(0)?,
        fingerprint: row.get(1)?,
        first_version: row.get(2)?,
        last_version: row.get(3)?,
        last_position: row.get(4)?,
        receipt: row.get(5)?,
    };
    Ok((fields, row.get(6)?))
}

fn believe(row: Fields, checksum: u32, stream: &StreamId) -> Result<CommitFound, StoreError> {
    let damaged = || {
        let what = format!("checking the commit key {:?} of stream {stream}", row.key);
        corrupt(row.last_position.map(position), what)
    };
    if row.checksum(stream) != checksum {
        return Err(damaged());
    }
    let receipt = match (&row.receipt, row.last_version) {
        (Some(json), _) => {
            serde_json::from_str(json).map_err(|error| damaged().with_source(error))?
        }
        (None, Some(last)) => Receipt {
            appends: vec![AppendReceipt {
                stream: stream.clone(),
                first: row.first_version.map(version),
                last: version(last),
            }],
            position: row.last_position.map(position),
            replayed: true,
        },
        (None, None) => return Err(damaged()),
    };
    Ok(CommitFound {
        fingerprint: Fingerprint::from_bytes(row.fingerprint),
        receipt,
    })
}
