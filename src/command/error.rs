//! Why a command has no outcome.

use std::fmt;

use crate::aggregate::Violation;
use crate::caught::Panicked;
use crate::codec::EncodeError;
use crate::command::Command;
use crate::ids::{InvalidName, StreamId};
use crate::repository::{Conflict, LoadError, debug};
use crate::store::{AppendError, StoreError};
use crate::version::Version;

/// Why a command has no outcome. Nothing of it took effect, unless it says that it does
/// not know.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError<C: Command> {
    /// The domain says no.
    #[error("rejected")]
    Rejected(#[source] C::Rejection),
    /// Somebody else was faster, and what the command declares does not go on from there.
    #[error("conflict: {0}")]
    Conflict(Box<Conflict<C::Aggregate>>),
    /// A state would be broken, or is.
    #[error("{when} state of stream {stream} at version {version} breaks an invariant")]
    InvariantViolated {
        /// The stream.
        stream: StreamId,
        /// The version that the state was decided or loaded at.
        version: Version,
        /// Which state it is.
        when: When,
        /// What does not hold.
        source: Violation,
    },
    /// The command requires a new aggregate.
    #[error("stream {stream} exists already, at version {version}; name another one")]
    AlreadyExists {
        /// The stream.
        stream: StreamId,
        /// Its version.
        version: Version,
    },
    /// The command requires an aggregate that is there.
    #[error("stream {stream} is not there, at version {version}; create it first")]
    NotFound {
        /// The stream.
        stream: StreamId,
        /// Its version: not 0 where it is deleted.
        version: Version,
    },
    /// The command id took effect before, for another command or payload.
    #[error(
        "the command id {command_id:?} was used before on stream {stream} for something else; give each command an id of its own"
    )]
    CommandIdReused {
        /// The stream.
        stream: StreamId,
        /// The id.
        command_id: String,
    },
    /// Time ran out before there was anything to tell but this.
    #[error("the deadline has passed; nothing was written, ask again with more time")]
    DeadlineExceeded {
        /// What was in the way, if something was.
        source: Option<StoreError>,
    },
    /// What the caller said makes no sense.
    #[error("the dispatch is not valid: {0}")]
    Invalid(InvalidDispatch),
    /// The application's own code panicked.
    #[error("the command {command} cannot be decided")]
    Panicked {
        /// The command.
        command: String,
        /// What the panic said.
        source: Panicked,
    },
    /// An event or the command itself has no form that can be stored.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The aggregate could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store did not take it. Where this is
    /// [`Unknown`](crate::StoreErrorKind::Unknown), send it again under the same command id.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Which state breaks an invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum When {
    /// The one that is stored: only [`repairing`](super::Dispatch::repairing) goes on.
    Loaded,
    /// The one after what was decided.
    Decided,
    /// The one after what was decided first, on the current state.
    Commuted,
    /// The one after the merge.
    Merged,
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Loaded => "the stored",
            Self::Decided => "the decided",
            Self::Commuted => "the commuted",
            Self::Merged => "the merged",
        })
    }
}

/// What makes a dispatch meaningless.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDispatch {
    /// The key of the aggregate, or the command id, cannot be one.
    #[error(transparent)]
    Name(InvalidName),
    /// The version that the caller has seen is not reached yet, or what it was has been
    /// removed.
    #[error(transparent)]
    Version(LoadError),
}

impl<C: Command> DispatchError<C> {
    /// The stable name of this error, such as `conflict`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::Conflict(_) => "conflict",
            Self::InvariantViolated { .. } => "invariant_violated",
            Self::AlreadyExists { .. } => "already_exists",
            Self::NotFound { .. } => "not_found",
            Self::CommandIdReused { .. } => "command_id_reused",
            Self::DeadlineExceeded { .. } => "deadline_exceeded",
            Self::Invalid(InvalidDispatch::Name(error)) => error.code(),
            Self::Invalid(InvalidDispatch::Version(error)) => error.code(),
            Self::Panicked { source, .. } => source.code(),
            Self::Encode(error) => error.code(),
            Self::Load(error) => error.code(),
            Self::Append(error) => error.code(),
        }
    }

    /// Whether sending the same command again later may succeed, nothing having been
    /// written. A conflict is not: its caller has to look first.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::DeadlineExceeded { .. } => true,
            Self::Load(error) => error.is_retryable(),
            Self::Append(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// The conflict, if it is one.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict<C::Aggregate>> {
        match self {
            Self::Conflict(conflict) => Some(conflict),
            _ => None,
        }
    }
}

impl<C: Command> fmt::Debug for DispatchError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, self.code(), self)
    }
}
