//! SQL inside the transaction of a commit, for code that is called there.
//!
//! A [`Tx`] holds no connection: it hands each statement to whoever drives its user's
//! future, and gets the answer back. So the same code runs in every SQL database that
//! keeps a store, and nothing of it can outlive the transaction or block the thread
//! that writes without being noticed.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::future::BoxFuture;

use crate::caught::{Panicked, caught};
use crate::ids::StreamId;
use crate::store::tables::Tables;
use crate::version::{Position, Version};

/// Runs SQL in the transaction that is under way, with parameters by position: `$1` is
/// the first.
///
/// ```
/// use annalist::store::{Tx, TxError};
///
/// async fn add(account: &str, cents: i64, tx: &mut Tx<'_>) -> Result<i64, TxError> {
///     let add = "INSERT INTO balances (account, cents) VALUES ($1, $2) \
///                ON CONFLICT (account) DO UPDATE SET cents = cents + $2";
///     tx.execute(add, &[account.into(), cents.into()]).await?;
///     let rows = tx.query("SELECT cents FROM balances WHERE account = $1", &[account.into()]).await?;
///     Ok(rows.first().and_then(|row| row.get("cents")?.as_i64()).unwrap_or_default())
/// }
/// ```
#[derive(Debug)]
pub struct Tx<'a> {
    line: Line,
    /// Of whoever holds it; changed where it is handed to other code.
    rights: Rights,
    scope: PhantomData<&'a mut ()>,
}

/// What statements may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The store's own: everything.
    Ours,
    /// A hook's, while the store is opened: makes what is not the store's.
    SetUp,
    /// A hook's, in the middle of a commit: writes what is not the store's.
    Write,
    /// Makes these tables and nothing else.
    SetUpTables(Tables),
    /// Writes these tables and nothing else.
    WriteTables(Tables),
    /// Writes nothing.
    Read,
}

impl Rights {
    /// The tables whose names stand for those of one build.
    pub(crate) fn tables(&self) -> Option<&Tables> {
        match self {
            Self::SetUpTables(tables) | Self::WriteTables(tables) => Some(tables),
            Self::Ours | Self::SetUp | Self::Write | Self::Read => None,
        }
    }

    /// What is told to whoever has gone beyond them.
    pub(crate) const fn told(&self) -> &'static str {
        match self {
            Self::Ours | Self::SetUp | Self::Write => {
                "tables are made in `set_up`, those that begin with annalist_ are the store's own, \
                 and the transaction ends by itself"
            }
            Self::SetUpTables(_) | Self::WriteTables(_) => {
                "a projection makes the tables that it declares, in `set_up`, and writes those \
                 alone, and the transaction ends by itself"
            }
            Self::Read => "this reads, and changes neither tables nor settings",
        }
    }
}

impl Tx<'_> {
    /// Rows that one query answers at most.
    pub const ROWS_MAX: usize = 10_000;
    /// Bytes of text and blobs that these rows hold together at most.
    pub const BYTES_MAX: usize = 64 * 1024 * 1024;

    pub(crate) fn new(rights: Rights) -> Self {
        Self {
            line: Line::default(),
            rights,
            scope: PhantomData,
        }
    }

    /// From here on, statements have these rights.
    pub(crate) fn act_as(&mut self, rights: Rights) {
        self.rights = rights;
    }

    /// Runs one statement and tells how many rows it changed.
    ///
    /// # Errors
    ///
    /// [`TxError`] when it could not be run. Nothing of it was done then, and the
    /// transaction goes on.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the statement run or not.
    pub async fn execute(&mut self, sql: &str, params: &[SqlValue]) -> Result<u64, TxError> {
        match self.ask(sql, params, Wants::Count).await? {
            Answer::Count(rows) => Ok(rows),
            Answer::Rows(rows) => Ok(rows.len() as u64),
        }
    }

    /// Runs one query and answers all of its rows, of which there may be
    /// [`ROWS_MAX`](Self::ROWS_MAX), of [`BYTES_MAX`](Self::BYTES_MAX).
    ///
    /// # Errors
    ///
    /// [`TxError`] when it could not be run, or has more rows. One that changes rows and
    /// answers too many has changed them.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves nothing behind, but for what the query itself
    /// may have changed.
    pub async fn query(&mut self, sql: &str, params: &[SqlValue]) -> Result<Vec<SqlRow>, TxError> {
        match self.ask(sql, params, Wants::Rows).await? {
            Answer::Rows(rows) => Ok(rows),
            Answer::Count(_) => Ok(Vec::new()),
        }
    }

    async fn ask(
        &mut self,
        sql: &str,
        params: &[SqlValue],
        wants: Wants,
    ) -> Result<Answer, TxError> {
        let mut ask = Some(Ask {
            sql: sql.to_owned(),
            params: params.to_vec(),
            wants,
            rights: self.rights.clone(),
        });
        poll_fn(|cx| {
            let mut slot = self.line.slot();
            *slot = match (ask.take(), std::mem::take(&mut *slot)) {
                (Some(ask), _) => Slot::Asked(ask),
                (None, Slot::Answered(answer)) => return Poll::Ready(answer),
                (None, other) => other,
            };
            drop(slot);
            // Whoever drives it needs no waking; what stands between them may.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

/// One statement to run.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) sql: String,
    pub(crate) params: Vec<SqlValue>,
    pub(crate) wants: Wants,
    pub(crate) rights: Rights,
}

impl Ask {
    /// A query outside of any transaction of the caller's.
    pub(crate) fn query(sql: String, params: Vec<SqlValue>) -> Self {
        Self {
            sql,
            params,
            wants: Wants::Rows,
            rights: Rights::Read,
        }
    }
}

/// What is wanted of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Count,
    Rows,
}

/// What came of a statement.
#[derive(Debug)]
pub(crate) enum Answer {
    Count(u64),
    Rows(Vec<SqlRow>),
}

/// Between a [`Tx`] and whoever runs its statements.
#[derive(Clone, Debug, Default)]
struct Line(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Idle,
    Asked(Ask),
    Answered(Result<Answer, TxError>),
}

impl Line {
    /// No user code runs under the lock.
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> Option<Ask> {
        let mut slot = self.slot();
        match std::mem::take(&mut *slot) {
            Slot::Asked(ask) => Some(ask),
            _ => None,
        }
    }
}

/// Why user code did not come to an end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// It panicked.
    Panicked(Panicked),
    /// It waits for something that is no statement.
    Suspended,
}

/// Runs user code to its end on this thread: its statements by `run`, its panics caught.
pub(crate) fn drive<'a, T>(
    tx: &'a mut Tx<'_>,
    start: impl FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, T>,
    mut run: impl FnMut(Ask) -> Result<Answer, TxError>,
) -> Result<T, Stopped> {
    let line = tx.line.clone();
    // The future is made, polled and dropped inside.
    let driven = caught(|| {
        let mut future = start(tx);
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(output) => return Ok(output),
                Poll::Pending => {}
            }
            let ask = line.asked().ok_or(Stopped::Suspended)?;
            *line.slot() = Slot::Answered(run(ask));
        }
    });
    driven.unwrap_or_else(|panicked| Err(Stopped::Panicked(panicked)))
}

/// A value as SQL has it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SqlValue {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl SqlValue {
    /// The whole number, if it is one.
    #[must_use]
    pub const fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The floating-point number, if it is one.
    #[must_use]
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Real(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            _ => None,
        }
    }

    /// The bytes, if it has some.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Blob(value) => Some(value),
            _ => None,
        }
    }
}

/// Turns what Rust has into what SQL has.
macro_rules! from {
    ($($type:ty => |$value:ident| $into:expr;)*) => {
        $(impl From<$type> for SqlValue {
            fn from($value: $type) -> Self {
                $into
            }
        })*
    };
}

from! {
    i64 => |value| Self::Integer(value);
    i32 => |value| Self::Integer(value.into());
    u32 => |value| Self::Integer(value.into());
    bool => |value| Self::Integer(value.into());
    f64 => |value| Self::Real(value);
    String => |value| Self::Text(value);
    &str => |value| Self::Text(value.to_owned());
    Vec<u8> => |value| Self::Blob(value);
    &[u8] => |value| Self::Blob(value.to_vec());
    &StreamId => |value| Self::Text(value.as_str().to_owned());
    // No store has numbers beyond.
    Version => |value| Self::Integer(i64::try_from(value.get()).unwrap_or(i64::MAX));
    Position => |value| Self::Integer(i64::try_from(value.get()).unwrap_or(i64::MAX));
}

impl<T: Into<Self>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row that a query has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlRow {
    pub(crate) columns: Arc<[String]>,
    pub(crate) values: Vec<SqlValue>,
}

impl SqlRow {
    /// The value of a column; none where there is no such column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&SqlValue> {
        let index = self.columns.iter().position(|name| name == column)?;
        self.values.get(index)
    }

    /// All values, in the order of the query.
    #[must_use]
    pub fn values(&self) -> &[SqlValue] {
        &self.values
    }
}

/// Why a statement was not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TxError {
    /// It would end the transaction, attach a file, change a setting, write what is the
    /// store's own, or make a table where none is to be made.
    #[error("{sql:?} may not be run here: {why}")]
    Forbidden {
        /// The statement.
        sql: String,
        /// What may be run.
        why: &'static str,
    },
    /// Its parameters are not `$1`, `$2` and so on, one for each value given.
    #[error("{sql:?} was given {given} values; its parameters are to be $1 to ${given}")]
    Parameters {
        /// The statement.
        sql: String,
        /// How many values were given.
        given: usize,
    },
    /// It is more than one statement, or none, or holds a NUL, where SQL ends.
    #[error("{sql:?} is not one statement; run each by itself, without a NUL")]
    NotOne {
        /// The statements.
        sql: String,
    },
    /// It has more rows than are answered.
    #[error("{sql:?} has more than {} rows; ask for less", Tx::ROWS_MAX)]
    TooManyRows {
        /// The query.
        sql: String,
    },
    /// Its rows hold more than is answered.
    #[error(
        "the rows of {sql:?} hold more than {} bytes; ask for less",
        Tx::BYTES_MAX
    )]
    TooManyBytes {
        /// The query.
        sql: String,
    },
    /// The transaction was ended, by `ON CONFLICT ROLLBACK` or the like.
    #[error("the transaction was ended; nothing of it is written")]
    Ended,
    /// What a table holds is not what its reader takes it for.
    #[error("{what} cannot be read; was it written by another version of the program?")]
    Unreadable {
        /// What was read.
        what: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refused it.
    #[error("{sql:?} failed")]
    Sql {
        /// The statement.
        sql: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
