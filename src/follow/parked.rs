//! Events that a follower could not take in and has put aside, so that others go on.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::ids::StreamId;
use crate::store::{BoxError, Build, Database, QueryError, SqlRow, SqlValue, Tx, TxError};
use crate::version::{Position, Version};

/// An event that was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parked {
    /// Its place in the order over all streams.
    pub position: Position,
    /// Its stream. What happens to that waits until this is taken in or dropped.
    pub stream: StreamId,
    /// Its version there.
    pub version: Version,
    /// Why it could not be taken in; none where it waits behind another one.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

impl Parked {
    pub(super) async fn insert(
        &self,
        build: &Build,
        now: DateTime<Utc>,
        tx: &mut Tx<'_>,
    ) -> Result<(), TxError> {
        let sql = "INSERT INTO annalist_parked \
                   (name, build, position, stream, version, error, attempts, parked_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let params = [
            build.name.as_str().into(),
            build.build.into(),
            self.position.into(),
            (&self.stream).into(),
            self.version.into(),
            self.error.clone().into(),
            self.attempts.into(),
            now.timestamp_micros().into(),
        ];
        tx.execute(sql, &params).await.map(drop)
    }

    fn of(row: &SqlRow) -> Option<Self> {
        let number = |column| row.get(column)?.as_i64();
        let large = |column| u64::try_from(number(column)?).ok();
        Some(Self {
            position: Position::new(large("position")?),
            stream: row.get("stream")?.as_str()?.parse().ok()?,
            version: Version::new(large("version")?),
            error: row.get("error")?.as_str().map(str::to_owned),
            attempts: u32::try_from(number("attempts")?).ok()?,
        })
    }
}

/// All that a build has put aside after a position, in its order, as many as a query answers.
pub(super) async fn list(
    database: &Database,
    build: &Build,
    after: Position,
) -> Result<Vec<Parked>, QueryError> {
    let params = [build.name.as_str().into(), build.build.into(), after.into()];
    read(
        database,
        "name = $1 AND build = $2 AND position > $3",
        &params,
    )
    .await
}

/// All that the build that is read has put aside, in its order, as many as a query answers.
pub(super) async fn list_live(database: &Database, name: &str) -> Result<Vec<Parked>, QueryError> {
    let of_live = "name = $1 AND build = (SELECT build FROM annalist_followers \
                   WHERE name = $1 AND state = 'live')";
    read(database, of_live, &[name.into()]).await
}

/// All that waits of one stream, in its order.
pub(super) async fn of_stream(
    database: &Database,
    build: &Build,
    stream: &StreamId,
) -> Result<Vec<Parked>, QueryError> {
    let mut waiting = Vec::new();
    let mut after = Position::ZERO;
    loop {
        let (name, build) = (build.name.as_str().into(), build.build.into());
        let params = [name, build, after.into(), stream.into()];
        let of_stream = "name = $1 AND build = $2 AND position > $3 AND stream = $4";
        let page = read(database, of_stream, &params).await?;
        let Some(last) = page.last() else {
            return Ok(waiting);
        };
        after = last.position;
        waiting.extend(page);
    }
}

/// The streams that wait.
pub(super) async fn streams(
    database: &Database,
    build: &Build,
) -> Result<BTreeSet<StreamId>, QueryError> {
    let sql = format!(
        "SELECT DISTINCT stream FROM annalist_parked \
         WHERE name = $1 AND build = $2 AND stream > $3 ORDER BY stream LIMIT {}",
        Tx::ROWS_MAX
    );
    let read = |row: &SqlRow| row.get("stream")?.as_str()?.parse().ok();
    let mut waiting = BTreeSet::<StreamId>::new();
    loop {
        let after = waiting.last().map_or("", StreamId::as_str);
        let params = [build.name.as_str().into(), build.build.into(), after.into()];
        let page = database.query(&sql, &params, read).await?;
        let is_last = page.len() < Tx::ROWS_MAX;
        // One that cannot be read was not written here.
        let known = waiting.len();
        waiting.extend(page.into_iter().flatten());
        if is_last || waiting.len() == known {
            return Ok(waiting);
        }
    }
}

async fn read(
    database: &Database,
    of: &str,
    params: &[SqlValue],
) -> Result<Vec<Parked>, QueryError> {
    let sql = format!(
        "SELECT position, stream, version, error, attempts FROM annalist_parked \
         WHERE {of} ORDER BY position LIMIT {}",
        Tx::ROWS_MAX
    );
    let rows = database.query(&sql, params, Parked::of).await?;
    // One that cannot be read was not written here.
    Ok(rows.into_iter().flatten().collect())
}

/// It was taken in, or is not there any more. False if there is none.
pub(super) async fn remove(
    build: &Build,
    position: Position,
    tx: &mut Tx<'_>,
) -> Result<bool, TxError> {
    let sql = "DELETE FROM annalist_parked WHERE name = $1 AND build = $2 AND position = $3";
    let params = [
        build.name.as_str().into(),
        build.build.into(),
        position.into(),
    ];
    Ok(tx.execute(sql, &params).await? > 0)
}

/// It is not wanted, in no build: it is passed over from now on. False if it was not put
/// aside.
pub(super) async fn drop_for_good(
    name: &str,
    position: Position,
    tx: &mut Tx<'_>,
) -> Result<bool, TxError> {
    let params = [name.into(), position.into()];
    let sql = "DELETE FROM annalist_parked WHERE name = $1 AND position = $2";
    if tx.execute(sql, &params).await? == 0 {
        return Ok(false);
    }
    let sql = "INSERT OR IGNORE INTO annalist_dropped (name, position) VALUES ($1, $2)";
    tx.execute(sql, &params).await?;
    Ok(true)
}

/// The events that are passed over.
pub(super) async fn dropped(
    database: &Database,
    name: &str,
) -> Result<BTreeSet<Position>, QueryError> {
    let sql = format!(
        "SELECT position FROM annalist_dropped WHERE name = $1 AND position > $2 \
         ORDER BY position LIMIT {}",
        Tx::ROWS_MAX
    );
    let read = |row: &SqlRow| u64::try_from(row.get("position")?.as_i64()?).ok();
    let mut dropped = BTreeSet::new();
    loop {
        let after = dropped.last().copied().unwrap_or(Position::ZERO);
        let params = [name.into(), after.into()];
        let page = database.query(&sql, &params, read).await?;
        let is_last = page.len() < Tx::ROWS_MAX;
        dropped.extend(page.into_iter().flatten().map(Position::new));
        if is_last {
            return Ok(dropped);
        }
    }
}

/// It was tried once more.
pub(super) async fn tried(
    build: &Build,
    position: Position,
    why: &str,
    tx: &mut Tx<'_>,
) -> Result<(), TxError> {
    let sql = "UPDATE annalist_parked SET attempts = attempts + 1, error = $4 \
               WHERE name = $1 AND build = $2 AND position = $3";
    let params = [
        build.name.as_str().into(),
        build.build.into(),
        position.into(),
        why.into(),
    ];
    tx.execute(sql, &params).await.map(drop)
}

/// Events of a stream were removed: what was put aside of them is not waited for.
pub(super) async fn forget(
    build: &Build,
    stream: &StreamId,
    removed_to: Version,
    tx: &mut Tx<'_>,
) -> Result<(), BoxError> {
    let sql = "DELETE FROM annalist_parked \
               WHERE name = $1 AND build = $2 AND stream = $3 AND version <= $4";
    let params = [
        build.name.as_str().into(),
        build.build.into(),
        stream.into(),
        SqlValue::from(removed_to),
    ];
    tx.execute(sql, &params).await?;
    Ok(())
}
