//! The rows of `annalist_leases`: who was granted what, until when.

use chrono::{DateTime, Utc};
use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::{Failure, corrupt, fault};
use super::row::stored;
use crate::store::error::StoreError;
use crate::store::fence::{
    Fence, FencingToken, LeaseAnswer, LeaseName, LeaseRequest, LeaseState, judge_lease,
};

/// Where a lease stands, if its row is what was written.
pub(super) fn find(conn: &Connection, name: &LeaseName) -> Result<LeaseState, StoreError> {
    let sql = "SELECT token, expires_at, released, checksum FROM annalist_leases WHERE name = ?1";
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut rows| rows.query_row([name.as_str()], read).optional())
        .map_err(|error| fault(error, "looking up a lease"))?;
    match found {
        None => Ok(LeaseState::NEVER),
        Some((state, sum)) if checksum(name.as_str(), &state) == sum => Ok(state),
        Some(_) => Err(corrupt(None, format!("checking the lease {name}"))),
    }
}

/// The first of these leases that its holder has lost.
pub(super) fn lost<'a>(
    conn: &Connection,
    fences: &'a [Fence],
) -> Result<Option<&'a Fence>, StoreError> {
    for fence in fences {
        if !find(conn, &fence.name)?.admits(fence.token) {
            return Ok(Some(fence));
        }
    }
    Ok(None)
}

/// Does what is asked of a lease in the open transaction.
pub(super) fn ask(
    conn: &Connection,
    request: &LeaseRequest,
    now: DateTime<Utc>,
) -> Result<LeaseAnswer, Failure> {
    let before = find(conn, &request.name)?;
    let answer = judge_lease(before, request.ask, now);
    match answer {
        LeaseAnswer::Granted(after) if after != before => put(conn, &request.name, &after)?,
        LeaseAnswer::Granted(_) | LeaseAnswer::Refused(_) => {}
    }
    Ok(answer)
}

fn put(conn: &Connection, name: &LeaseName, state: &LeaseState) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO annalist_leases \
               (name, token, expires_at, released, checksum) VALUES (?1, ?2, ?3, ?4, ?5)";
    conn.prepare_cached(sql)?.execute(params![
        name.as_str(),
        stored(state.token.get()),
        state.expires_at.timestamp_micros(),
        state.released,
        checksum(name.as_str(), state),
    ])?;
    Ok(())
}

/// Looks at every row; the names of those that are not what was written.
pub(super) fn damaged(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT token, expires_at, released, checksum, name FROM annalist_leases";
    let look = || {
        let mut rows = conn.prepare_cached(sql)?;
        let mut rows = rows.query([])?;
        let mut damaged = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(4)?;
            let whole = read(row).is_ok_and(|(state, sum)| checksum(&name, &state) == sum);
            if !whole {
                damaged.push(name);
            }
        }
        Ok(damaged)
    };
    look().map_err(|error| fault(error, "verifying"))
}

fn read(row: &Row<'_>) -> rusqlite::Result<(LeaseState, u32)> {
    let (token, micros) = (row.get(0)?, row.get(1)?);
    let beyond = rusqlite::Error::IntegralValueOutOfRange;
    let state = LeaseState {
        token: FencingToken::new(u64::try_from(token).map_err(|_| beyond(0, token))?),
        expires_at: DateTime::from_timestamp_micros(micros).ok_or_else(|| beyond(1, micros))?,
        released: row.get(2)?,
    };
    Ok((state, row.get(3)?))
}

fn checksum(name: &str, state: &LeaseState) -> u32 {
    let mut crc = Hasher::new();
    crc.update(&state.token.get().to_le_bytes());
    crc.update(&state.expires_at.timestamp_micros().to_le_bytes());
    crc.update(&[state.released.into()]);
    crc.update(name.as_bytes());
    crc.finalize()
}
