//! Copies the file while it is in use, and keeps the copy only if it is whole.
//!
//! Runs on a thread of its own, as long as it takes: the pool's threads are for reads
//! that end soon.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::fault::{Deadline, at_file, corrupt, fault};
use super::names::Names;
use super::options::SqliteOptions;
use super::schema::open_reader;
use super::verify::Verifier;
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::report::{BackedUp, VerifyReport};

/// Pages of one step, between which a caller that is gone is noticed: 1 MiB.
const STEP_PAGES: i32 = 256;

/// Copies the store at `from` into a new file. Stops early when nobody waits any more.
pub(super) fn back_up(
    from: &Path,
    to: &Path,
    options: &SqliteOptions,
    is_wanted: impl Fn() -> bool,
) -> Result<BackedUp, StoreError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(taken(to));
    }
    refuse_leftovers(to)?;
    let part = Part::new(to)?;
    copy(from, &part.path, options, &is_wanted)?;
    let report = check(&part.path, &is_wanted)?;
    if let Some(damage) = report.damages.first() {
        let what = format!(
            "backing up {}, whose copy is not kept: {damage}",
            from.display()
        );
        return Err(corrupt(damage.position, what));
    }
    let bytes = part.keep(to).map_err(|error| at_copy(to, error))?;
    Ok(BackedUp { bytes, report })
}

/// A copy that is not finished. It goes with this, unless it is kept.
struct Part {
    path: PathBuf,
}

impl Part {
    /// An empty file beside the one to be, for its owner alone.
    fn new(to: &Path) -> Result<Self, StoreError> {
        let name = to.file_name().ok_or_else(|| {
            at_file(
                to,
                StoreErrorKind::Invalid,
                "a backup needs the name of a new file; this is none:",
            )
        })?;
        let mut part = name.to_owned();
        part.push(format!(".{}.partial", Uuid::now_v7()));
        let path = to.with_file_name(part);
        let mut new = OpenOptions::new();
        new.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
        new.open(&path).map_err(|error| at_copy(to, error))?;
        Ok(Self { path })
    }

    /// Puts the copy in its place, durably, if that is still free; its size.
    fn keep(&self, to: &Path) -> io::Result<u64> {
        let file = File::open(&self.path)?;
        file.sync_all()?;
        match fs::hard_link(&self.path, to) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            // A file system without links, on which nothing better is to be had.
            Err(_) => fs::rename(&self.path, to)?,
            Ok(()) => {}
        }
        #[cfg(unix)]
        File::open(to.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // What is not there need not go.
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(with_suffix(&self.path, suffix));
        }
    }
}

fn copy(
    from: &Path,
    to: &Path,
    options: &SqliteOptions,
    is_wanted: &impl Fn() -> bool,
) -> Result<(), StoreError> {
    let sql = |error| fault(error, &format!("backing up {}", from.display()));
    let source = open_reader(from, options)?;
    // One state of the file: SQLite begins again whenever another connection has written,
    // which under load is always, unless a read that is open holds the state still.
    let snapshot = source.unchecked_transaction().map_err(sql)?;
    let begun = snapshot.query_row("SELECT epoch FROM annalist_meta", [], |_| Ok(()));
    begun.map_err(sql)?;
    let mut copy =
        Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sql)?;
    // It is flushed once, when it is whole.
    copy.pragma_update(None, "synchronous", "OFF")
        .map_err(sql)?;
    {
        let backup = Backup::new(&snapshot, &mut copy).map_err(sql)?;
        let deadline = Deadline::after(options.busy_timeout);
        loop {
            match backup.step(STEP_PAGES).map_err(sql)? {
                StepResult::Done => break,
                StepResult::Busy | StepResult::Locked if deadline.is_past() => {
                    return Err(at_file(to, StoreErrorKind::Busy, "backing up to"));
                }
                _ => {}
            }
            wanted(is_wanted, from)?;
        }
    }
    copy.close().map_err(|(_, error)| sql(error))
}

/// Looks at every row of the copy.
fn check(path: &Path, is_wanted: &impl Fn() -> bool) -> Result<VerifyReport, StoreError> {
    let sql = |error| fault(error, "opening the copy");
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sql)?;
    let (mut names, mut verifier) = (Names::new(), Verifier::new());
    let report = loop {
        wanted(is_wanted, path)?;
        match verifier.go_on(&conn, &mut names)? {
            ControlFlow::Break(report) => break report,
            ControlFlow::Continue(rest) => verifier = rest,
        }
    };
    conn.close().map_err(|(_, error)| sql(error))?;
    Ok(report)
}

fn wanted(is_wanted: &impl Fn() -> bool, from: &Path) -> Result<(), StoreError> {
    match is_wanted() {
        true => Ok(()),
        false => Err(at_file(from, StoreErrorKind::HandleClosed, "backing up")),
    }
}

fn taken(to: &Path) -> StoreError {
    let what = "a backup is written to a new file only, and there is one at";
    at_file(to, StoreErrorKind::Invalid, what)
}

/// SQLite would read a log that another file has left into the copy.
fn refuse_leftovers(to: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-journal"] {
        let beside = with_suffix(to, suffix);
        if fs::symlink_metadata(&beside).is_ok() {
            let what = "a backup is not written beside the log of another file of its name; once \
                        nobody uses it, remove";
            return Err(at_file(&beside, StoreErrorKind::Invalid, what));
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

fn at_copy(to: &Path, error: io::Error) -> StoreError {
    let kind = match error.kind() {
        ErrorKind::AlreadyExists => return taken(to),
        ErrorKind::NotFound | ErrorKind::PermissionDenied => StoreErrorKind::NoAccess,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreErrorKind::DiskFull,
        _ => StoreErrorKind::Io,
    };
    at_file(to, kind, "writing the backup").with_source(error)
}
