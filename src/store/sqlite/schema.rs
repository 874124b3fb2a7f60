//! Opens the file: makes the tables in a new one, refuses what is not ours, and
//! sets every connection up.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags, Row, Transaction};
use uuid::Uuid;

use super::fault::{at_file, fault};
use super::guard::Guard;
use super::head::{self, Head};
use super::identity::make_secrets;
use super::lock::{patiently, write_lock};
use super::migrate::{SCHEMA_VERSION, found, migrate, plain};
use super::options::{Durability, SqliteOptions};
use crate::store::error::{StoreError, StoreErrorKind};

const DDL: &str = include_str!("../../../schema.sql");

/// What a store's schema is made of, as `sqlite_schema` names it, and how.
pub(super) fn made_of(conn: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let sql = "SELECT type || ' ' || name, ifnull(sql, '') FROM sqlite_schema \
               WHERE name LIKE 'annalist^_%' ESCAPE '^'";
    let mut objects = conn.prepare(sql)?;
    let object = |row: &Row<'_>| Ok((row.get(0)?, plain(&row.get::<_, String>(1)?)));
    objects.query_map([], object)?.collect()
}

/// What it is made of when it is new.
pub(super) fn made_of_when_new() -> rusqlite::Result<BTreeMap<String, String>> {
    let new = Connection::open_in_memory()?;
    new.execute_batch(DDL)?;
    made_of(&new)
}

/// "Anna", in SQLite's header field for what an application's files are.
pub(super) const APPLICATION_ID: i32 = 0x416e_6e61;

/// Older releases can corrupt a file in write-ahead mode that several connections
/// use, which is how this store works.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Opens the connection that writes, after making the tables where there are none.
pub(super) fn open_writer(
    path: &Path,
    options: &SqliteOptions,
) -> Result<(Connection, Guard), StoreError> {
    refuse_old_sqlite(path, rusqlite::version_number())?;
    make_private(path)?;
    refuse_foreign(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut conn = open(path, flags, options)?;
    let prepared = Keeping::log_of(path)
        .set(&conn)
        .map_err(Refusal::from)
        .and_then(|()| prepare(&conn, path, options))
        .and_then(|()| Ok(Keeping::Nothing.set(&conn)?));
    prepared.map_err(|error| match error {
        Refusal::Told(error) => error,
        Refusal::Sqlite(error) => fault(error, &format!("opening {}", path.display())),
    })?;
    let guard =
        Guard::set(&mut conn).map_err(|error| fault(error, "guarding the store's tables"))?;
    Ok((conn, guard))
}

/// What the last connection leaves beside a file when it closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    /// The write-ahead log, not moved into the file.
    Log,
    Nothing,
}

impl Keeping {
    /// A log that lies beside a file is kept until the file is found to be ours: what is
    /// refused is left as it is.
    fn log_of(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        match Path::new(&log).exists() {
            true => Self::Log,
            false => Self::Nothing,
        }
    }

    fn set(self, conn: &Connection) -> rusqlite::Result<()> {
        let keep = self == Self::Log;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)?;
        Ok(())
    }
}

/// Opens a connection that reads. The writer's must be open.
pub(super) fn open_reader(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, options)?;
    let cache = options.reader_cache_bytes / options.readers.max(1);
    set_cache(&conn, cache).map_err(|error| fault(error, "setting up a reader"))?;
    Ok(conn)
}

/// Opens the file for glances: small, and never waiting for anybody.
pub(super) fn open_for_glances(
    path: &Path,
    options: &SqliteOptions,
) -> Result<Connection, StoreError> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, options)?;
    set_cache(&conn, 1024 * 1024)
        .and_then(|()| conn.busy_timeout(Duration::ZERO))
        .map_err(|error| fault(error, "setting up a reader"))?;
    Ok(conn)
}

fn refuse_old_sqlite(path: &Path, version: i32) -> Result<(), StoreError> {
    if version >= SQLITE_VERSION_MIN {
        return Ok(());
    }
    let what =
        "SQLite older than 3.51.3 can corrupt a store; build with rusqlite's `bundled` to open";
    Err(at_file(path, StoreErrorKind::Invalid, what))
}

/// Refuses a file that belongs to another user: its owner could change it under us, and
/// reads all that is written to it. Root may open any file.
#[cfg(unix)]
fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(path)
        .map_err(|error| at_file(path, StoreErrorKind::NoAccess, "opening").with_source(error))?
        .uid();
    let user = rustix::process::geteuid();
    if user.is_root() || user.as_raw() == owner {
        return Ok(());
    }
    let what = format!(
        "opening {}, which belongs to user {owner} while this process is user {user}; run as its \
         owner, or give it to this user with chown",
        path.display()
    );
    Err(StoreError::new(StoreErrorKind::NoAccess, what))
}

#[cfg(not(unix))]
fn refuse_foreign(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// Makes a new file that its owner alone can read and write; SQLite gives the files that
/// it puts beside the same rights. One that is there keeps what it has.
///
/// Closing any descriptor of a file drops all locks that this process has on it, SQLite's
/// among them. So nobody of this process opens the file while it is being made, and no
/// one but SQLite ever opens it later.
pub(super) fn make_private(path: &Path) -> Result<(), StoreError> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut new = OpenOptions::new();
    new.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    let made = match new.open(path) {
        // The umask may have taken from the owner what SQLite needs.
        #[cfg(unix)]
        Ok(file) => {
            use std::os::unix::fs::PermissionsExt;
            file.set_permissions(std::fs::Permissions::from_mode(0o600))
        }
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    made.map_err(|error| at_file(path, StoreErrorKind::NoAccess, "creating").with_source(error))
}

/// The path as every connection opens it: absolute, so that it is no URI to SQLite and
/// means the same file whatever becomes of the working directory, and no link, since
/// SQLite's log lies beside the file that a link leads to.
///
/// Refuses what SQLite takes for a database without a file, since each connection would
/// have one of its own.
pub(super) fn plain_path(path: &Path) -> Result<PathBuf, StoreError> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        let what = "a store needs a file, or use Store::memory(); this names none:";
        return Err(at_file(path, StoreErrorKind::Invalid, what));
    }
    let absolute = std::path::absolute(path)
        .map_err(|error| at_file(path, StoreErrorKind::Io, "opening").with_source(error))?;
    match absolute.is_symlink() {
        // One that leads nowhere is told when it is opened.
        true => Ok(std::fs::canonicalize(&absolute).unwrap_or(absolute)),
        false => Ok(absolute),
    }
}

fn open(path: &Path, flags: OpenFlags, options: &SqliteOptions) -> Result<Connection, StoreError> {
    // Each connection stays in one thread.
    let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let conn = opened.map_err(|error| fault(error, &format!("opening {}", path.display())))?;
    conn.busy_timeout(options.busy_timeout)
        .map_err(|error| fault(error, "setting the busy time-out"))?;
    Ok(conn)
}

/// Why a file was not opened: we say so, or SQLite does.
enum Refusal {
    Told(StoreError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn prepare(conn: &Connection, path: &Path, options: &SqliteOptions) -> Result<(), Refusal> {
    let timeout = options.busy_timeout;
    if conn.is_readonly(MAIN_DB)? {
        return Err(Refusal::Told(at_file(
            path,
            StoreErrorKind::NoAccess,
            "opening",
        )));
    }
    // Before the first write, so that a file that is not ours is left as it is.
    let is_new = is_new(&conn.unchecked_transaction()?, path)?;
    match is_new {
        true => conn.pragma_update(None, "page_size", 4096)?,
        false => refuse_newer(conn, path)?,
    }
    set_wal(conn, path, options)?;
    set_up_writer(conn, options)?;
    // Before the first commit, which may also move the log into the file.
    if options.durability == Durability::Full {
        rewrite_log(conn, path, timeout)?;
    }
    if is_new {
        create(conn, path, timeout)?;
        // Unless another process, of a newer release, was faster.
        refuse_newer(conn, path)?;
    }
    migrate(conn, timeout)?;
    begin_epoch(conn, timeout)?;
    Ok(())
}

/// Commits a row that changes. A commit that failed may have left frames in the log that
/// are read back now but are not on the disk; once this commit is flushed they are too,
/// since the log was written again, and what is answered from them holds.
fn begin_epoch(conn: &Connection, timeout: Duration) -> Result<(), Refusal> {
    let transaction = write_lock(conn, timeout)?;
    transaction.execute("UPDATE annalist_meta SET epoch = epoch + 1", [])?;
    transaction.commit()?;
    Ok(())
}

/// Writes the log once more, byte for byte. When a flush fails, Linux forgets that it was
/// asked: what it could not bring to the disk is still read, and the next flush says that
/// all is well. Only what is written again is flushed again, by the next commit.
///
/// SQLite keeps no lock on this file that closing it could drop.
fn rewrite_log(conn: &Connection, path: &Path, timeout: Duration) -> Result<(), Refusal> {
    // Nobody else writes to the log meanwhile.
    let _lock = write_lock(conn, timeout)?;
    rewrite(path).map_err(|error| {
        let what = "writing the write-ahead log again of";
        Refusal::Told(at_file(path, StoreErrorKind::Io, what).with_source(error))
    })
}

fn rewrite(path: &Path) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    let mut log = match OpenOptions::new().read(true).write(true).open(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut part = vec![0; 256 * 1024];
    loop {
        let at = log.stream_position()?;
        let length = log.read(&mut part)?;
        let Some(read) = part.get(..length).filter(|read| !read.is_empty()) else {
            return Ok(());
        };
        log.seek(SeekFrom::Start(at))?;
        log.write_all(read)?;
    }
}

/// Turns the write-ahead log on. While another process does the same, SQLite says
/// busy at once, whatever the time-out, so the waiting is done here.
fn set_wal(conn: &Connection, path: &Path, options: &SqliteOptions) -> Result<(), Refusal> {
    let mode = patiently(options.busy_timeout, || switch_to_wal(conn))?;
    if mode == "wal" {
        return Ok(());
    }
    let what = "the file system does not take SQLite's write-ahead log for";
    Err(Refusal::Told(at_file(path, StoreErrorKind::Io, what)))
}

/// Answers the mode that holds then. SQLite says which one before it writes it down, and
/// that may fail: only the statement's end tells.
fn switch_to_wal(conn: &Connection) -> rusqlite::Result<String> {
    let mut switch = conn.prepare("PRAGMA journal_mode = wal")?;
    let mut rows = switch.query([])?;
    let mut mode = String::new();
    while let Some(row) = rows.next()? {
        mode = row.get(0)?;
    }
    Ok(mode)
}

/// Whether the file is empty, as one transaction sees it. Anything else must be a
/// store.
fn is_new(transaction: &Transaction<'_>, path: &Path) -> Result<bool, Refusal> {
    let application: i32 =
        transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let sql = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = transaction.query_row(sql, [], |row| row.get(0))?;
    match (application, tables) {
        (APPLICATION_ID, _) => Ok(false),
        (0, 0) => Ok(true),
        _ => Err(Refusal::Told(at_file(
            path,
            StoreErrorKind::NotAStore,
            "opening",
        ))),
    }
}

/// Makes the tables in one transaction, unless another process just did.
fn create(conn: &Connection, path: &Path, timeout: Duration) -> Result<(), Refusal> {
    let transaction = write_lock(conn, timeout)?;
    if is_new(&transaction, path)? {
        transaction.execute_batch(DDL)?;
        transaction.execute(head::WRITE, Head::default().columns())?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute(
            "INSERT INTO annalist_meta (id, schema_version, store_id, epoch) VALUES (1, ?1, ?2, 0)",
            (SCHEMA_VERSION, Uuid::now_v7().as_bytes()),
        )?;
        make_secrets(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

fn refuse_newer(conn: &Connection, path: &Path) -> Result<(), Refusal> {
    let (found, supported) = (found(conn)?, SCHEMA_VERSION);
    if found <= supported {
        return Ok(());
    }
    let kind = StoreErrorKind::NewerSchema { found, supported };
    Err(Refusal::Told(at_file(path, kind, "opening")))
}

fn set_up_writer(conn: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    conn.pragma_update(None, "synchronous", options.durability.pragma())?;
    // Where fsync does not reach the disk's platter, which is macOS alone.
    let flush = options.durability == Durability::Full;
    conn.pragma_update(None, "fullfsync", flush)?;
    conn.pragma_update(None, "checkpoint_fullfsync", flush)?;
    // What is removed is overwritten, also where a page is split on the way.
    conn.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
    let checkpoint = options.checkpoint_pages;
    conn.query_row(
        &format!("PRAGMA wal_autocheckpoint = {checkpoint}"),
        [],
        |_| Ok(()),
    )?;
    set_cache(conn, options.writer_cache_bytes)
}

fn set_cache(conn: &Connection, bytes: usize) -> rusqlite::Result<()> {
    // Negative numbers are KiB, positive ones pages.
    let kib = i64::try_from(bytes / 1024).unwrap_or(i64::MAX);
    conn.pragma_update(None, "cache_size", -kib.max(64))?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "trusted_schema", false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_sqlite_is_refused_and_told_what_to_do() {
        let path = Path::new("bank.db");
        for version in [SQLITE_VERSION_MIN, SQLITE_VERSION_MIN + 1, 4_000_000] {
            refuse_old_sqlite(path, version).expect("new enough");
        }
        for version in [SQLITE_VERSION_MIN - 1, 3_050_004, 0] {
            let refused = refuse_old_sqlite(path, version).expect_err("too old");
            assert_eq!(refused.kind(), StoreErrorKind::Invalid);
            let told = refused.to_string();
            assert!(
                told.contains("bank.db") && told.contains("bundled"),
                "{told}"
            );
        }
    }
}
