//! A SQLite file that holds no events: read models alone, written by one thread and read by
//! several.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use chrono::DateTime;
use futures_core::future::BoxFuture;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{oneshot, watch};

use super::code::{Failed, UserCode};
use super::fault::{Failure, at_commit, at_file, fault};
use super::guard::Guard;
use super::inlet::{Inlet, Outlet, queue};
use super::job::Asked;
use super::lock::patiently;
use super::options::Durability;
use super::pool::Pool;
use super::reader::Reader;
use super::schema::{APPLICATION_ID, make_private, plain_path};
use crate::store::database::{Database, Done, QueryError, SqlBackend, Work};
use crate::store::error::{AppendError, HookError, StoreError, StoreErrorKind};
use crate::store::tx::{Ask, Rights, SqlRow, SqlValue, Tx};

/// What a database keeps for its followers, and a store, too.
const DDL: &str = include_str!("followers.sql");

/// Options of a [`Database`] in a file of its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseOptions {
    /// What a transaction survives, once it is told to be done. Default
    /// [`Durability::Full`]. A read model can be made again: with `Normal`, what is lost
    /// with the machine is made again by itself, since it is lost together with its
    /// checkpoint.
    pub durability: Durability,
    /// How long a transaction waits for another process that is writing. Default 5 seconds.
    pub busy_timeout: Duration,
    /// Threads that read, each with a connection of its own. Default 2.
    pub readers: usize,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            busy_timeout: Duration::from_secs(5),
            readers: 2,
        }
    }
}

impl Database {
    /// Opens a SQLite file for read models; makes it where there is none.
    ///
    /// The file may hold tables of the application's own. Beside them it gets some that
    /// begin with `annalist_`: how far each read model has come, who fills it, what it has
    /// put aside, and what reactions keep.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be opened, is no SQLite file, or is that of a
    /// store, which has a [database](crate::Store::database) of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the file as it was, or made.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, DatabaseOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    pub async fn open_with(
        path: impl AsRef<Path>,
        options: DatabaseOptions,
    ) -> Result<Self, StoreError> {
        let database = SqliteDatabase::open(path.as_ref(), options).await?;
        Ok(Self::of(Arc::new(database)))
    }

    /// A database in memory, gone with its last handle: for tests, and for what is read
    /// once.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when no thread can be started for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn memory() -> Result<Self, StoreError> {
        Ok(Self::of(Arc::new(SqliteDatabase::memory().await?)))
    }
}

/// One thing for the thread that writes to do.
enum Job {
    Transact(Asked<Arc<dyn Work>, Done>),
    /// Of a database in memory, which has no other connection.
    Query(
        Ask,
        Weak<()>,
        oneshot::Sender<Result<Vec<SqlRow>, QueryError>>,
    ),
}

/// The database in a file, or in memory.
struct SqliteDatabase {
    name: String,
    jobs: Inlet<Job>,
    /// None in memory: the one connection reads, too.
    readers: Option<Pool>,
    /// Turns true when the file is closed.
    ended: watch::Receiver<bool>,
}

impl SqliteDatabase {
    const QUEUED_MAX: usize = 1_024;

    async fn open(path: &Path, options: DatabaseOptions) -> Result<Self, StoreError> {
        let path = plain_path(path)?;
        let name = path.display().to_string();
        let (jobs, ended) = start(Some(path.clone()), options.clone()).await?;
        let readers = (0..options.readers.max(1)).map(|_| {
            let conn = connect(Some(&path), OpenFlags::SQLITE_OPEN_READ_ONLY, &options)?;
            Reader::new(conn).map_err(|error| fault(error, "setting up a reader"))
        });
        let (pool, _) = Pool::start(readers.collect::<Result<_, _>>()?).map_err(no_thread)?;
        Ok(Self {
            name,
            jobs,
            readers: Some(pool),
            ended,
        })
    }

    async fn memory() -> Result<Self, StoreError> {
        let (jobs, ended) = start(None, DatabaseOptions::default()).await?;
        Ok(Self {
            name: "in memory".to_owned(),
            jobs,
            readers: None,
            ended,
        })
    }

    /// Hands a job to the thread that writes, and waits for what it sends back.
    async fn ask<T>(&self, job: Job, answered: oneshot::Receiver<T>) -> Result<T, StoreError> {
        let closed = || StoreError::new(StoreErrorKind::HandleClosed, self.name.clone());
        self.jobs.send(job, 0).await.map_err(|_| closed())?;
        let answer = self.jobs.answer_or_gone(answered).await;
        answer.ok_or_else(closed)
    }
}

impl SqlBackend for SqliteDatabase {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn transact(&self, work: Arc<dyn Work>) -> BoxFuture<'_, Result<Done, AppendError>> {
        Box::pin(async {
            // Nothing is recorded at a time here.
            let (asked, answered) = Asked::new(work, DateTime::UNIX_EPOCH);
            self.ask(Job::Transact(asked), answered).await?.told
        })
    }

    fn query(
        &self,
        sql: String,
        params: Vec<SqlValue>,
    ) -> BoxFuture<'_, Result<Vec<SqlRow>, QueryError>> {
        // Dropped with the future: then nobody wants to know.
        let here = Arc::new(());
        let wanted = Arc::downgrade(&here);
        Box::pin(async move {
            let answer = match &self.readers {
                Some(readers) => {
                    let run = move |reader: &mut Reader| Ok(reader.query(sql, params, wanted));
                    readers.run(run).await
                }
                None => {
                    let (answer, answered) = oneshot::channel();
                    let query = Job::Query(Ask::query(sql, params), wanted, answer);
                    self.ask(query, answered).await
                }
            };
            drop(here);
            answer?
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // At once, so that a dropped future closes too.
        if let Some(readers) = &self.readers {
            readers.close();
        }
        self.jobs.close();
        Box::pin(async {
            let mut ended = self.ended.clone();
            let closed = ended.wait_for(|ended| *ended).await;
            let died = |_| StoreError::new(StoreErrorKind::Io, self.name.clone());
            closed.map(drop).map_err(died)
        })
    }
}

/// Starts the thread that writes, which opens its connection itself.
async fn start(
    path: Option<PathBuf>,
    options: DatabaseOptions,
) -> Result<(Inlet<Job>, watch::Receiver<bool>), StoreError> {
    let (jobs, queue) = queue(SqliteDatabase::QUEUED_MAX, 0);
    let (opened, is_open) = oneshot::channel();
    let (ending, ended) = watch::channel(false);
    let run = move || {
        match open(path.as_deref(), &options) {
            Ok((conn, guard)) => {
                // If the caller of open is gone, so is the queue's other end.
                let _ = opened.send(Ok(()));
                serve(&conn, guard, queue, options.busy_timeout);
                // What is left in the log is read at the next opening.
                let _ = conn.close();
            }
            Err(error) => drop(opened.send(Err(error))),
        }
        let _ = ending.send(true);
    };
    let thread = thread::Builder::new().name("annalist-database".to_owned());
    thread.spawn(run).map_err(no_thread)?;
    let died = |_| StoreError::new(StoreErrorKind::Io, "opening a database");
    is_open.await.map_err(died)??;
    Ok((jobs, ended))
}

fn open(path: Option<&Path>, options: &DatabaseOptions) -> Result<(Connection, Guard), StoreError> {
    if let Some(path) = path {
        make_private(path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut conn = connect(path, flags, options)?;
    if let Some(path) = path {
        refuse_store(&conn, path)?;
    }
    let prepared = patiently(options.busy_timeout, || prepare(&conn, options.durability))
        .and_then(|()| Guard::set_for_queries(&mut conn));
    match prepared {
        Ok(guard) => Ok((conn, guard)),
        Err(error) => Err(fault(error, &opening(path))),
    }
}

/// A store has a writer of its own, which would not know what is written past it.
fn refuse_store(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let application = conn.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    match application {
        Ok(APPLICATION_ID) => {
            let what = "this is a store, whose tables are reached by Store::database; opening";
            Err(at_file(path, StoreErrorKind::Invalid, what))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(fault(error, &opening(Some(path)))),
    }
}

fn connect(
    path: Option<&Path>,
    flags: OpenFlags,
    options: &DatabaseOptions,
) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match path {
        Some(path) => Connection::open_with_flags(path, flags),
        None => Connection::open_in_memory_with_flags(flags),
    };
    conn.and_then(|conn| {
        conn.busy_timeout(options.busy_timeout)?;
        conn.pragma_update(None, "trusted_schema", false)?;
        Ok(conn)
    })
    .map_err(|error| fault(error, &opening(path)))
}

fn opening(path: Option<&Path>) -> String {
    match path {
        Some(path) => format!("opening {}", path.display()),
        None => "opening a database in memory".to_owned(),
    }
}

/// Readers are not to wait for who writes, which takes a write-ahead log.
fn prepare(conn: &Connection, durability: Durability) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", durability.pragma())?;
    conn.execute_batch(DDL)
}

/// Runs what comes until the queue is closed and empty.
fn serve(conn: &Connection, guard: Guard, mut queue: Outlet<Job>, busy_timeout: Duration) {
    let mut code = UserCode::new(conn, guard);
    let mut schema = 0;
    while let Some(job) = queue.recv() {
        match job {
            Job::Query(ask, wanted, answer) => {
                // A caller that is gone needs no rows.
                let _ = answer.send(code.query(&ask, wanted));
            }
            Job::Transact(mut asked) => {
                let run = |work: &Arc<dyn Work>, _| {
                    let prepared = (&mut code, &mut schema);
                    transact(conn, prepared, work, busy_timeout)
                };
                match asked.decide(run) {
                    Ok(()) => asked.answer(),
                    Err(error) => asked.tell(Err(error)),
                }
            }
        }
    }
}

/// One piece of work in a transaction of its own: all of it, or nothing.
fn transact(
    conn: &Connection,
    (code, schema): (&mut UserCode<'_>, &mut i64),
    work: &Arc<dyn Work>,
    busy_timeout: Duration,
) -> Result<Done, Failure> {
    let doing = |error| fault(error, "beginning a transaction");
    conn.busy_timeout(Duration::ZERO).map_err(doing)?;
    patiently(busy_timeout, || conn.execute_batch("BEGIN IMMEDIATE")).map_err(doing)?;
    let mut tx = Tx::new(Rights::Ours);
    let done = look(conn, (code, schema))
        .map_err(Failure::Broken)
        .and_then(|()| {
            let done = code.run(&mut tx, |tx| work.run(tx));
            done.map_err(|failed| failed.of(work.name()))
        })
        .and_then(|done| match conn.execute_batch("COMMIT") {
            Ok(()) => Ok(done),
            Err(error) => Err(committing(error, work.name())),
        });
    if done.is_err() && !conn.is_autocommit() {
        // If it cannot be undone, the next BEGIN says so.
        let _ = conn.execute_batch("ROLLBACK");
    }
    done
}

/// Forgets statements that were compiled for another schema.
fn look(
    conn: &Connection,
    (code, schema): (&mut UserCode<'_>, &mut i64),
) -> Result<(), StoreError> {
    let found = conn
        .prepare_cached("PRAGMA schema_version")
        .and_then(|mut look| look.query_row([], |row| row.get(0)));
    let found: i64 = found.map_err(|error| fault(error, "looking at the schema"))?;
    if std::mem::replace(schema, found) != found {
        code.forget();
    }
    Ok(())
}

/// Of the errors of COMMIT, one is the fault of who wrote.
fn committing(error: rusqlite::Error, name: String) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            Failed::Code(HookError::UnresolvedForeignKey).of(name)
        }
        _ => Failure::Broken(at_commit(error)),
    }
}

fn no_thread(error: std::io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Io, "starting a thread for a database").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_keeps_of_its_followers_what_a_database_does() {
        let schema = include_str!("../../../schema.sql");
        let beside = DDL.replace("CREATE TABLE IF NOT EXISTS", "CREATE TABLE");
        assert_ne!(beside, DDL);
        assert!(
            schema.contains(&beside),
            "schema.sql and followers.sql differ"
        );
    }

    #[test]
    fn what_it_keeps_is_made_once() {
        let conn = Connection::open_in_memory().expect("a database");
        for _ in 0..2 {
            prepare(&conn, Durability::Off).expect("prepared");
        }
    }
}
