//! What a store answers when it cannot do what was asked.
//!
//! [`StoreError`] is about the store, [`AppendError`] about one commit. A busy
//! or broken store is never shown as a conflict, a conflict never as a failure.

use std::error::Error;
use std::fmt;

use crate::caught::Panicked;
use crate::conflict::Conflicts;
use crate::ids::{EventId, StreamId};
use crate::payload::Payload;
use crate::store::checkpoint::CheckpointMismatch;
use crate::store::fence::{FencingToken, LeaseName};
use crate::store::limits::LimitExceeded;
use crate::store::receipt::Receipt;
use crate::version::{Position, Version};

/// A store that could not answer.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    context: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What went wrong with a store, as far as a caller would act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Another process holds the write lock for longer than the busy time-out.
    /// Nothing was written; try again.
    Busy,
    /// The queue to the writer stayed full for longer than its time-out. Nothing
    /// was written; try again later, or with fewer callers.
    Overloaded,
    /// No space is left on the disk. Nothing was written; free some and try again.
    DiskFull,
    /// The handle was closed, or its worker is gone. Open the store again.
    HandleClosed,
    /// Whether the commit landed is not known: send the same one again, with the
    /// same event ids, after opening the store again.
    Unknown,
    /// An earlier commit of this handle ended as [`Unknown`](Self::Unknown), so it
    /// refuses to write. Nothing was written; open the store again.
    Fenced,
    /// Events were removed from a stream between two pages of a read. Read it again.
    RemovedMeanwhile,
    /// The store has an inline projection that this handle was opened without, or in
    /// another version: writing would leave it behind in silence. Nothing was written; open
    /// the store with it.
    ProjectionMissing,
    /// The store is not the one that a checkpoint was taken from, or not any more: undo
    /// what was made of its events, and read them again.
    CheckpointMismatch(CheckpointMismatch),
    /// Stored data is not what was written. Restore a backup.
    Corrupt {
        /// The damaged position; where only a version could be told, none.
        position: Option<Position>,
    },
    /// The file or its folder is not there, or may not be written by this user.
    NoAccess,
    /// The file is there but is not a store of this kind.
    NotAStore,
    /// The file was written by a newer release; use that one.
    NewerSchema {
        /// The file's schema version.
        found: u32,
        /// The newest that this release knows.
        supported: u32,
    },
    /// The request makes no sense, whatever the store holds.
    Invalid,
    /// Reading or writing failed; nothing was written.
    Io,
}

impl StoreErrorKind {
    const fn code(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Overloaded => "overloaded",
            Self::DiskFull => "disk_full",
            Self::HandleClosed => "handle_closed",
            Self::Unknown => "unknown_outcome",
            Self::Fenced => "fenced",
            Self::RemovedMeanwhile => "removed_meanwhile",
            Self::ProjectionMissing => "projection_missing",
            Self::CheckpointMismatch(_) => "checkpoint_mismatch",
            Self::Corrupt { .. } => "corrupt",
            Self::NoAccess => "no_access",
            Self::NotAStore => "not_a_store",
            Self::NewerSchema { .. } => "newer_schema",
            Self::Invalid => "invalid",
            Self::Io => "io",
        }
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the store is busy; nothing was done, try again"),
            Self::Overloaded => {
                f.write_str("the store's queue is full; nothing was done, try again later")
            }
            Self::DiskFull => {
                f.write_str("the disk is full; nothing was done, free some space and try again")
            }
            Self::HandleClosed => f.write_str("this handle is closed; open the store again"),
            Self::Unknown => f.write_str(
                "it is not known whether the commit landed; open the store again and send the same commit with the same event ids",
            ),
            Self::Fenced => f.write_str(
                "an earlier commit ended with an unknown outcome, so this handle writes no more; open the store again",
            ),
            Self::RemovedMeanwhile => {
                f.write_str("events were removed while they were read; read the stream again")
            }
            Self::ProjectionMissing => f.write_str(
                "it is recorded in the store and this handle would leave it behind; nothing was written, open the store with it, or give it up with `annalist projection drop`",
            ),
            Self::CheckpointMismatch(mismatch) => mismatch.fmt(f),
            Self::Corrupt {
                position: Some(position),
            } => write!(f, "the stored event at position {position} is damaged; restore a backup"),
            Self::Corrupt { position: None } => {
                f.write_str("stored data is damaged; restore a backup")
            }
            Self::NoAccess => f.write_str(
                "the file cannot be opened for writing; check that its folder exists and that this user may write to both",
            ),
            Self::NotAStore => f.write_str("this is not an Annalist store; name another file"),
            Self::NewerSchema { found, supported } => write!(
                f,
                "the file has schema version {found}, this release knows {supported}; use a newer release"
            ),
            Self::Invalid => f.write_str("the request is not valid"),
            Self::Io => f.write_str("the store could not read or write"),
        }
    }
}

impl StoreError {
    /// An error of a kind, and what was being done where.
    #[must_use]
    pub fn new(kind: StoreErrorKind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error for another caller: a cause cannot be told twice, so its text is.
    pub(crate) fn again(&self) -> Self {
        let again = Self::new(self.kind, self.context.clone());
        match &self.source {
            Some(source) => again.with_source(source.to_string()),
            None => again,
        }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What was being done, and where.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The stable name of this error, such as `busy`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// Whether the same request may succeed later, nothing having been written.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        use StoreErrorKind::{Busy, DiskFull, Overloaded, RemovedMeanwhile};
        matches!(self.kind, Busy | Overloaded | DiskFull | RemovedMeanwhile)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.context, self.kind)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

/// Why a commit wrote nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// At least one expectation did not hold, and none of the streams concerned
    /// is closed. Load again, decide again.
    #[error("conflict: {0}")]
    Conflict(Conflicts),
    /// At least one stream is closed: no retry can land.
    #[error("closed: {0}")]
    StreamClosed(Conflicts),
    /// An event id is in its stream already, or twice in one append, and the
    /// commit is not a repeat of the one that wrote it.
    #[error("event {id} of stream {stream} {duplicate}")]
    DuplicateEvent {
        /// The stream.
        stream: StreamId,
        /// The event.
        id: EventId,
        /// Where it stands already.
        duplicate: Duplicate,
    },
    /// The commit key took effect before, with the same fingerprint.
    #[error(
        "the commit key {key:?} took effect before in stream {stream}; nothing was written again, the receipt is the first one's"
    )]
    AlreadyCommitted {
        /// The stream that the key belongs to.
        stream: StreamId,
        /// The key.
        key: String,
        /// What the first commit wrote.
        receipt: Receipt,
    },
    /// The commit key took effect before, with another fingerprint.
    #[error(
        "the commit key {key:?} was used before in stream {stream} for something else; use a new key for a new commit"
    )]
    KeyReused {
        /// The stream that the key belongs to.
        stream: StreamId,
        /// The key.
        key: String,
    },
    /// The commit carries the token of a lease that was granted to somebody else since,
    /// or given back: look again at what it was for.
    #[error(
        "the lease {name} under token {token} is lost; nothing was written, acquire it again and load again"
    )]
    LeaseLost {
        /// The lease.
        name: LeaseName,
        /// The token that is not the last one any more.
        token: FencingToken,
    },
    /// A hook inside the transaction refused it: nothing was written.
    #[error("the hook {hook} stopped it, so that nothing was written")]
    Hook {
        /// What the hook is called.
        hook: String,
        /// Why.
        source: HookError,
    },
    /// A part of the commit is larger than the store takes.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The commit makes no sense, whatever the store holds.
    #[error("the commit is not valid: {0}")]
    Invalid(InvalidCommit),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a hook stopped what it was called in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// It said so.
    #[error("it refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// It panicked.
    #[error(transparent)]
    Panicked(Panicked),
    /// It awaited something else than its transaction.
    #[error("it waits for something that is no statement of its transaction; do that outside")]
    Suspended,
    /// It ended the transaction, by `ON CONFLICT ROLLBACK` or the like.
    #[error("it ended the transaction; leave that to the store")]
    EndedTransaction,
    /// A row that it wrote refers to one that is not there.
    #[error("it left a deferred foreign key unresolved")]
    UnresolvedForeignKey,
}

/// Where the id of an event that was to be appended stands already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Duplicate {
    /// Twice in the events sent.
    Sent,
    /// In the stream, and the events sent are not the ones that were sent with it.
    Stored {
        /// The version it has there.
        version: Version,
    },
    /// In the stream, with another type.
    OtherType {
        /// The version it has there.
        version: Version,
    },
    /// In the stream, with another payload.
    OtherPayload {
        /// The version it has there.
        version: Version,
    },
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, other) = match self {
            Self::Sent => {
                return f
                    .write_str("was sent twice in one append; give each event an id of its own");
            }
            Self::Stored { version } => {
                return write!(
                    f,
                    "is stored already at version {version}; send the first commit unchanged, or give a new event a new id"
                );
            }
            Self::OtherType { version } => (version, "type"),
            Self::OtherPayload { version } => (version, "payload"),
        };
        write!(
            f,
            "is stored already at version {version} with another {other}, compared to the byte; \
             send what was sent first, or give a new event a new id"
        )
    }
}

/// What makes a commit meaningless.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCommit {
    /// It names no stream at all.
    Empty,
    /// It names a stream twice.
    StreamTwice(StreamId),
    /// Its commit key is empty or holds a control character.
    Key,
    /// It would remove events that are not there yet.
    TruncateBeyond {
        /// The stream.
        stream: StreamId,
        /// Before which version to truncate.
        before: Version,
        /// The stream's version.
        version: Version,
    },
    /// The metadata of an event nests too deep to be read back.
    Metadata {
        /// The stream.
        stream: StreamId,
        /// The event.
        id: EventId,
    },
}

impl fmt::Display for InvalidCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it names no stream; append to one or check one"),
            Self::StreamTwice(stream) => write!(
                f,
                "it names stream {stream} twice; put all its events into one append"
            ),
            Self::TruncateBeyond {
                stream,
                before,
                version,
            } => write!(
                f,
                "it truncates stream {stream} before version {before}, but that is only at version {version}"
            ),
            Self::Key => f.write_str("its key is empty or holds a control character"),
            Self::Metadata { stream, id } => write!(
                f,
                "the metadata of event {id} of stream {stream} nests deeper than {} levels",
                Payload::DEPTH_MAX
            ),
        }
    }
}

impl AppendError {
    /// Expectations that did not hold: closed, if any of their streams is.
    pub(crate) fn of(conflicts: Conflicts) -> Self {
        match conflicts.any_closed() {
            true => Self::StreamClosed(conflicts),
            false => Self::Conflict(conflicts),
        }
    }

    /// The stable name of this error, such as `conflict`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::StreamClosed(_) => "stream_closed",
            Self::DuplicateEvent { .. } => "duplicate_event",
            Self::AlreadyCommitted { .. } => "already_committed",
            Self::KeyReused { .. } => "key_reused",
            Self::LeaseLost { .. } => "lease_lost",
            Self::Hook { .. } => "hook_failed",
            Self::Limit(_) => "limit_exceeded",
            Self::Invalid(_) => "invalid_commit",
            Self::Store(error) => error.code(),
        }
    }

    /// Whether sending the same commit again may succeed, nothing having been
    /// written. A conflict is not: its caller has to decide again first.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// The expectations that did not hold, where that is the reason.
    #[must_use]
    pub const fn conflict(&self) -> Option<&Conflicts> {
        match self {
            Self::Conflict(conflicts) | Self::StreamClosed(conflicts) => Some(conflicts),
            _ => None,
        }
    }
}
