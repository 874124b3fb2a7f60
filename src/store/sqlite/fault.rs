//! What SQLite says, in the store's words.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::version::Position;

/// Turns an error of SQLite into one of the store: `doing` says at what. A row that is
/// not there or cannot be read is damage, where the caller has not asked whether it is.
///
/// Not for an error of COMMIT, which may leave the outcome unknown: see
/// [`at_commit`].
pub(super) fn fault(error: rusqlite::Error, doing: &str) -> StoreError {
    let kind = match error.sqlite_error_code() {
        _ if is_busy(&error) => StoreErrorKind::Busy,
        Some(ErrorCode::DiskFull) => StoreErrorKind::DiskFull,
        // Two rows with one version: the index and the versions read disagree.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation) => {
            StoreErrorKind::Corrupt { position: None }
        }
        None if is_unreadable(&error) => StoreErrorKind::Corrupt { position: None },
        Some(ErrorCode::NotADatabase) => StoreErrorKind::NotAStore,
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            StoreErrorKind::NoAccess
        }
        _ => StoreErrorKind::Io,
    };
    StoreError::new(kind, doing).with_source(error)
}

/// Whether a row that was found is not what was written, or none was found.
fn is_unreadable(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as Is;
    matches!(
        error,
        Is::QueryReturnedNoRows
            | Is::InvalidColumnType(..)
            | Is::IntegralValueOutOfRange(..)
            | Is::FromSqlConversionFailure(..)
            | Is::Utf8Error(..)
    )
}

/// Whether another connection holds what was asked for.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Turns an error of COMMIT into one of the store. A full disk and a busy file are
/// told before anything is written; of everything else SQLite cannot say whether
/// the commit will be there after a crash.
pub(super) fn at_commit(error: rusqlite::Error) -> StoreError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreErrorKind::DiskFull,
        Some(ErrorCode::DatabaseBusy) => StoreErrorKind::Busy,
        _ => StoreErrorKind::Unknown,
    };
    StoreError::new(kind, "committing").with_source(error)
}

/// Turns an error of ROLLBACK into one of the store: what the transaction held may still
/// be there.
pub(super) fn at_rollback(error: rusqlite::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unknown, "rolling back").with_source(error)
}

/// Stored data that is not what was written.
pub(super) fn corrupt(position: Option<Position>, what: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt { position }, what)
}

/// An error about the file itself.
pub(super) fn at_file(path: &Path, kind: StoreErrorKind, what: &str) -> StoreError {
    StoreError::new(kind, format!("{what} {}", path.display()))
}

/// Why something was not written.
pub(super) enum Failure {
    /// It was decided so, before anything was written: the transaction stands.
    Refused(AppendError),
    /// SQLite failed, or what it read is damaged. It may have ended the transaction by
    /// itself, and that must be rolled back.
    Broken(StoreError),
    /// User code has ended the transaction: what is left of it must be rolled back, and
    /// whose code it was is told this.
    Ended(AppendError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(fault(error, "appending"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Broken(error)
    }
}

impl Failure {
    /// The store's part of it, for work that no expectation can refuse.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Broken(error) => error,
            Self::Refused(error) | Self::Ended(error) => store_error(error),
        }
    }
}

/// The store's part of an error, for what no expectation can refuse.
pub(super) fn store_error(error: AppendError) -> StoreError {
    match error {
        AppendError::Store(error) => error,
        error => StoreError::new(StoreErrorKind::Invalid, "writing").with_source(error),
    }
}

/// A point in time after which nothing is waited for. Time-outs beyond what can be
/// counted have none.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    pub(super) fn is_past(self) -> bool {
        self.0.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
