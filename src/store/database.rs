//! A database in which the application keeps what it makes of the events, as its code and
//! its readers reach it.
//!
//! It knows transactions, queries and nothing of what they are for. A store in a SQLite
//! file is one; another SQLite file is one, too.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;

use crate::store::error::{AppendError, HookError, StoreError};
use crate::store::tx::{SqlRow, SqlValue, Tx, TxError};

/// Any error of the application's.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What came of some [`Work`].
pub(crate) type Done = Box<dyn Any + Send>;

/// A SQL database that read models live in: the file of a store, see
/// [`Store::database`](crate::Store::database), or one beside it. Cloning it is cheap, and
/// every clone is the same database.
///
/// ```
/// use annalist::store::Database;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let database = Database::memory().await?;
/// let rows = database.query("SELECT $1 + 1 AS n", &[41.into()], |row| row.get("n").cloned()).await?;
/// assert_eq!(rows, [Some(42.into())]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Database {
    backend: Arc<dyn SqlBackend>,
}

impl Database {
    pub(crate) fn of(backend: Arc<dyn SqlBackend>) -> Self {
        Self { backend }
    }

    /// Runs a query on one of the connections that read, and answers what `row` makes of
    /// each row. Parameters are `$1`, `$2` and so on.
    ///
    /// It sees what was committed when it began, and keeps nobody waiting but other reads; in
    /// memory, where one connection reads and writes, also who writes.
    ///
    /// # Errors
    ///
    /// [`QueryError::Refused`] when it is no query, cannot be run, or has more than
    /// [`Tx::ROWS_MAX`] rows or [`Tx::BYTES_MAX`] bytes; [`QueryError::Store`] when the database cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn query<T>(
        &self,
        sql: &str,
        params: &[SqlValue],
        row: impl FnMut(&SqlRow) -> T,
    ) -> Result<Vec<T>, QueryError> {
        let asked = self.backend.query(sql.to_owned(), params.to_vec());
        Ok(asked.await?.iter().map(row).collect())
    }

    /// Runs code in one transaction, which is durable when this returns. It may be run more
    /// than once, whose earlier attempts were undone.
    pub(crate) async fn transact<T: Send + 'static>(
        &self,
        name: &str,
        run: impl for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, BoxError>>
        + Send
        + Sync
        + 'static,
    ) -> Result<T, TransactError> {
        let work = Deed {
            name: name.to_owned(),
            run,
        };
        match self.backend.transact(Arc::new(work)).await {
            Ok(done) => match done.downcast() {
                Ok(done) => Ok(*done),
                Err(_) => unreachable!("it is what was run that has made it"),
            },
            Err(AppendError::Hook { source, .. }) => Err(TransactError::Code(source)),
            Err(AppendError::Store(error)) => Err(TransactError::Database(error)),
            // Nothing else stands in the way of what appends nothing.
            Err(other) => Err(TransactError::Code(HookError::Refused(other.into()))),
        }
    }

    /// Lets what was begun come to its end, then closes the database for all of its
    /// handles. That of a store closes with the store, and not here.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the thread that writes has died.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the database closing.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.backend.close().await
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database")
            .field(&self.backend.name())
            .finish()
    }
}

/// Code of the application's in one transaction of its own.
///
/// It may be run more than once, whose earlier attempts were undone.
pub(crate) trait Work: Send + Sync + 'static {
    /// What it is called in errors.
    fn name(&self) -> String;

    /// Runs it. Its statements may do everything until it
    /// [acts as](Tx::act_as) somebody else.
    fn run<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<Done, BoxError>>;
}

/// A closure as [`Work`].
struct Deed<F> {
    name: String,
    run: F,
}

impl<T, F> Work for Deed<F>
where
    T: Send + 'static,
    F: for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, BoxError>> + Send + Sync + 'static,
{
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<Done, BoxError>> {
        let run = (self.run)(tx);
        Box::pin(async { Ok(Box::new(run.await?) as Done) })
    }
}

/// What a [`Database`] is made of.
pub(crate) trait SqlBackend: Send + Sync + 'static {
    /// Where it is.
    fn name(&self) -> String;

    fn transact(&self, work: Arc<dyn Work>) -> BoxFuture<'_, Result<Done, AppendError>>;

    fn query(
        &self,
        sql: String,
        params: Vec<SqlValue>,
    ) -> BoxFuture<'_, Result<Vec<SqlRow>, QueryError>>;

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It could not be run.
    #[error(transparent)]
    Refused(#[from] TxError),
    /// The database could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub(crate) enum TransactError {
    /// The code that ran in it is at fault.
    Code(HookError),
    /// The database is.
    Database(StoreError),
}
