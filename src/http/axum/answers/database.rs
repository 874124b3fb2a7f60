//! Answers in the database of a store, in its file and in its backups: written by the thread
//! that appends, among the commits that wait, so that they share its flushes.

use chrono::{DateTime, Utc};
use futures_core::future::BoxFuture;
use uuid::Uuid;

use super::{Begun, Held, KeptAnswer, begin, finish};
use crate::http::idempotency::digest;
use crate::ids::StreamId;
use crate::store::{
    BoxError, Database, QueryError, SqlRow, SqlValue, Store, StoreError, StoreErrorKind,
    TransactError, Tx,
};

/// One row for each key; `seal` covers the others, so that what the disk has changed is told
/// to nobody.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS http_answers (\
     key        TEXT PRIMARY KEY, \
     stream     TEXT NOT NULL, \
     kept_until INTEGER NOT NULL, \
     held       TEXT NOT NULL, \
     seal       TEXT NOT NULL)";
const BY_TIME: &str =
    "CREATE INDEX IF NOT EXISTS http_answers_by_time ON http_answers (kept_until)";
const BY_STREAM: &str =
    "CREATE INDEX IF NOT EXISTS http_answers_by_stream ON http_answers (stream)";

const FIND: &str = "SELECT held, seal FROM http_answers WHERE key = $1";

/// How many rows are removed, whose time is over, with each request that comes.
const OVER: &str = "DELETE FROM http_answers WHERE key IN (SELECT key FROM http_answers \
     WHERE kept_until <= $1 ORDER BY kept_until LIMIT 8)";

/// What is known of a request before anything is written for it.
enum Known {
    /// All there is to know.
    Begun(Begun),
    Nothing,
    /// It is the first one of all.
    NoTable,
}

/// The answers in a database.
pub(super) struct Kept {
    database: Database,
}

impl Kept {
    /// Those in the database of a store, if it has one.
    pub(super) fn of(store: &Store) -> Option<Self> {
        let database = store.database().ok()?;
        Some(Self { database })
    }

    pub(super) async fn begin(
        &self,
        key: &str,
        new: Held,
        now: DateTime<Utc>,
    ) -> Result<Begun, StoreError> {
        let to_make: &[&str] = match self.known(key, &new, now).await? {
            Known::Begun(begun) => return Ok(begun),
            Known::Nothing => &[],
            Known::NoTable => &[TABLE, BY_TIME, BY_STREAM],
        };
        let key = key.to_owned();
        self.transact(move |tx| {
            let (key, new) = (key.clone(), new.clone());
            Box::pin(async move {
                for sql in to_make {
                    tx.execute(sql, &[]).await?;
                }
                tx.execute(OVER, &[now.timestamp_micros().into()]).await?;
                let (begun, row) = begin(find(&key, tx).await?, new, now);
                if let Some(row) = row {
                    write(&key, &row, tx).await?;
                }
                Ok(begun)
            })
        })
        .await
    }

    /// What becomes of a request where nothing has to be written down: whoever asks again and
    /// again must not keep those waiting who write.
    async fn known(&self, key: &str, new: &Held, now: DateTime<Utc>) -> Result<Known, StoreError> {
        let found = self
            .database
            .query(FIND, &[key.into()], SqlRow::clone)
            .await;
        let rows = match found {
            Ok(rows) => rows,
            // There is no table before the first request.
            Err(QueryError::Refused(_)) => return Ok(Known::NoTable),
            Err(QueryError::Store(error)) => return Err(error),
        };
        let held = read(key, rows.first()).map_err(|error| {
            let what = StoreErrorKind::Corrupt { position: None };
            StoreError::new(what, "reading an answer").with_source(error)
        })?;
        Ok(match begin(held, new.clone(), now) {
            (begun, None) => Known::Begun(begun),
            (_, Some(_)) => Known::Nothing,
        })
    }

    pub(super) async fn finish(
        &self,
        key: &str,
        claim: Uuid,
        answer: Option<KeptAnswer>,
    ) -> Result<bool, StoreError> {
        let key = key.to_owned();
        self.transact(move |tx| {
            let (key, answer) = (key.clone(), answer.clone());
            Box::pin(async move {
                match finish(find(&key, tx).await?, claim, answer) {
                    Some(row) => write(&key, &row, tx).await.map(|()| true),
                    None => Ok(false),
                }
            })
        })
        .await
    }

    pub(super) async fn forget(&self, stream: &StreamId) -> Result<u64, StoreError> {
        let stream = stream.as_str().to_owned();
        self.transact(move |tx| {
            let stream = stream.clone();
            Box::pin(async move {
                tx.execute(TABLE, &[]).await?;
                let sql = "DELETE FROM http_answers WHERE stream = $1";
                Ok(tx.execute(sql, &[stream.into()]).await?)
            })
        })
        .await
    }

    async fn transact<T: Send + 'static>(
        &self,
        run: impl for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, BoxError>>
        + Send
        + Sync
        + 'static,
    ) -> Result<T, StoreError> {
        let done = self.database.transact("http answers", run).await;
        done.map_err(|error| match error {
            TransactError::Database(error) => error,
            TransactError::Code(error) => {
                StoreError::new(StoreErrorKind::Io, "keeping an answer").with_source(error)
            }
        })
    }
}

async fn find(key: &str, tx: &mut Tx<'_>) -> Result<Option<Held>, BoxError> {
    let rows = tx.query(FIND, &[key.into()]).await?;
    read(key, rows.first())
}

fn read(key: &str, row: Option<&SqlRow>) -> Result<Option<Held>, BoxError> {
    let Some(row) = row else {
        return Ok(None);
    };
    let (held, found) = (text(row, "held"), text(row, "seal"));
    match seal(key, held) == found {
        true => Ok(Some(serde_json::from_str(held)?)),
        false => Err(format!("the answer under key {key} is not what was written").into()),
    }
}

fn text<'a>(row: &'a SqlRow, column: &str) -> &'a str {
    row.get(column)
        .and_then(SqlValue::as_str)
        .unwrap_or_default()
}

async fn write(key: &str, held: &Held, tx: &mut Tx<'_>) -> Result<(), BoxError> {
    let json = serde_json::to_string(held)?;
    let sql = "INSERT INTO http_answers (key, stream, kept_until, held, seal) \
               VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (key) DO UPDATE SET stream = excluded.stream, \
               kept_until = excluded.kept_until, held = excluded.held, seal = excluded.seal";
    let seal = seal(key, &json);
    let row: [SqlValue; 5] = [
        key.into(),
        held.stream.as_str().into(),
        held.kept_until.timestamp_micros().into(),
        json.into(),
        seal.into(),
    ];
    tx.execute(sql, &row).await?;
    Ok(())
}

fn seal(key: &str, held: &str) -> String {
    digest("annalist answer 1", &[key, held])
}
