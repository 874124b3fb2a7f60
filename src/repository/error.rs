//! What keeps an aggregate from being loaded or saved.

use std::fmt;

use crate::aggregate::{Aggregate, Violation};
use crate::caught::Panicked;
use crate::codec::{EncodeError, FoldError};
use crate::ids::{InvalidName, StreamId};
use crate::repository::Conflict;
use crate::store::{AppendError, StoreError};
use crate::version::Version;

/// An aggregate that could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The key, or the aggregate's category, cannot be one.
    #[error(transparent)]
    Name(InvalidName),
    /// An event of it cannot be decoded or applied.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// Its stream is not so far yet.
    #[error("stream {stream} is only at version {version}, not at {asked} yet; load it as it is")]
    NotReached {
        /// The stream.
        stream: StreamId,
        /// The version that was asked for.
        asked: Version,
        /// The stream's version.
        version: Version,
    },
    /// The events that were asked for were removed.
    #[error("the events of stream {stream} before version {first} were removed; load it as it is")]
    Removed {
        /// The stream.
        stream: StreamId,
        /// The first version that can be read.
        first: Version,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoadError {
    /// The stable name of this error, such as `version_not_reached`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name(error) => error.code(),
            Self::Fold(error) => error.code(),
            Self::NotReached { .. } => "version_not_reached",
            Self::Removed { .. } => "version_removed",
            Self::Store(error) => error.code(),
        }
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// Events of an aggregate that could not be saved. Nothing was written.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SaveError<A: Aggregate> {
    /// Another writer was faster, or something was removed.
    #[error("conflict: {0}")]
    Conflict(Box<Conflict<A>>),
    /// The state after the events would be broken.
    #[error("after the events, stream {stream} would break an invariant")]
    InvariantViolated {
        /// The stream.
        stream: StreamId,
        /// What would not hold.
        source: Violation,
    },
    /// An event cannot be stored.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The aggregate's own code panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// What happened meanwhile could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store did not take them.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl<A: Aggregate> SaveError<A> {
    /// The stable name of this error, such as `conflict`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::InvariantViolated { .. } => "invariant_violated",
            Self::Encode(error) => error.code(),
            Self::Panicked(error) => error.code(),
            Self::Load(error) => error.code(),
            Self::Append(error) => error.code(),
        }
    }

    /// Whether saving the same again may succeed. A conflict is not: load again, decide
    /// again.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Load(error) => error.is_retryable(),
            Self::Append(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// The conflict, if it is one.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict<A>> {
        match self {
            Self::Conflict(conflict) => Some(conflict),
            _ => None,
        }
    }
}

impl<A: Aggregate> fmt::Debug for SaveError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, self.code(), self)
    }
}

/// Shows what an error says, and its causes: what it is about need not be shown.
pub(crate) fn debug(
    f: &mut fmt::Formatter<'_>,
    code: &str,
    error: &dyn std::error::Error,
) -> fmt::Result {
    write!(f, "{code} ({error})")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(f, ": {error}")?;
        cause = error.source();
    }
    Ok(())
}
