//! The row of `annalist_head`: how far the store has come.

use crc32fast::Hasher;
use rusqlite::{Connection, Row};

use super::fault::{corrupt, fault};
use super::row::position;
use crate::store::error::StoreError;

/// How far the store has come.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) position: i64,
    pub(super) recorded_at: i64,
    pub(super) removals: i64,
    /// The end of the index by stream.
    pub(super) edge: Edge,
}

/// The largest number of a stream that has events, and its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) stream: i64,
    pub(super) version: i64,
}

/// Reads what [`Head::of`] takes.
pub(super) const READ: &str = "SELECT last_position, last_recorded_at, removals, last_stream, last_version, checksum \
     FROM annalist_head";

/// Writes what [`Head::columns`] gives.
pub(super) const WRITE: &str = "INSERT OR REPLACE INTO annalist_head \
     (id, last_position, last_recorded_at, removals, last_stream, last_version, checksum) \
     VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)";

impl Head {
    fn checksum(self) -> u32 {
        let mut crc = Hasher::new();
        for number in self.numbers() {
            crc.update(&number.to_le_bytes());
        }
        crc.finalize()
    }

    fn numbers(self) -> [i64; 5] {
        let Edge { stream, version } = self.edge;
        [
            self.position,
            self.recorded_at,
            self.removals,
            stream,
            version,
        ]
    }

    /// The row's columns, the checksum among them.
    pub(super) fn columns(self) -> [i64; 6] {
        let [position, recorded_at, removals, stream, version] = self.numbers();
        let checksum = self.checksum().into();
        [position, recorded_at, removals, stream, version, checksum]
    }

    /// The row, if it is what was written.
    pub(super) fn of(row: &Row<'_>) -> Result<Self, StoreError> {
        let read = || {
            let head = Self {
                position: row.get(0)?,
                recorded_at: row.get(1)?,
                removals: row.get(2)?,
                edge: Edge {
                    stream: row.get(3)?,
                    version: row.get(4)?,
                },
            };
            Ok((head, row.get::<_, u32>(5)?))
        };
        let (head, checksum) = read().map_err(|error| fault(error, "reading the head"))?;
        match head.checksum() == checksum {
            true => Ok(head),
            false => {
                let at = Some(position(head.position));
                Err(corrupt(at, "checking the head of the store"))
            }
        }
    }

    /// Reads the row.
    pub(super) fn read(conn: &Connection) -> Result<Self, StoreError> {
        let sql = |error| fault(error, "reading the head");
        let mut head = conn.prepare_cached(READ).map_err(sql)?;
        let mut rows = head.query([]).map_err(sql)?;
        match rows.next().map_err(sql)? {
            Some(row) => Self::of(row),
            None => Err(corrupt(None, "reading the head of the store")),
        }
    }
}
