//! What keeps a domain from being one, and what keeps it from an answer.

use crate::caught::Panicked;
use crate::codec::{DecodeError, EncodeError, InvalidAggregate};
use crate::ids::{InvalidName, StreamId};
use crate::repository::LoadError;

/// A domain that cannot be one, whatever happens to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDomain {
    /// Two commands have one name.
    #[error("{first} and {second} are both named {name:?}; give each command a name of its own")]
    NameTaken {
        /// The name.
        name: &'static str,
        /// The Rust type that was registered first.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// Two aggregates have one category.
    #[error(
        "{first} and {second} both have the category {category:?}; give each aggregate a category of its own"
    )]
    CategoryTaken {
        /// The category.
        category: &'static str,
        /// The Rust type that was registered first.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// Two projections or reactions have one name.
    #[error(
        "{first} and {second} both follow as {name:?}; give each a name of its own, and register it once"
    )]
    FollowerTaken {
        /// The name.
        name: &'static str,
        /// The Rust type that was registered first.
        first: &'static str,
        /// The other one, or the same once more.
        second: &'static str,
    },
    /// A projection or a reaction cannot be what it declares.
    #[error("{why}")]
    Follower {
        /// Which one, and why not.
        why: String,
    },
    /// A name or a category cannot be one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// An aggregate cannot be stored.
    #[error(transparent)]
    Aggregate(#[from] InvalidAggregate),
}

impl InvalidDomain {
    /// The stable name of this error: `command_name_taken`, `category_taken`,
    /// `projection_name_taken`, `invalid_projection`, `invalid_name` or `invalid_aggregate`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NameTaken { .. } => "command_name_taken",
            Self::CategoryTaken { .. } => "category_taken",
            Self::FollowerTaken { .. } => "follower_name_taken",
            Self::Follower { .. } => "invalid_follower",
            Self::Name(error) => error.code(),
            Self::Aggregate(error) => error.code(),
        }
    }
}

/// Why a domain has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// It is none.
    #[error(transparent)]
    Invalid(#[from] InvalidDomain),
    /// No command has that name.
    #[error("no command is named {name:?}, {}", only(known))]
    UnknownCommand {
        /// The name.
        name: String,
        /// The names that are known.
        known: Vec<&'static str>,
    },
    /// No aggregate has that category.
    #[error("no aggregate has the category {category:?}, {}", only(known))]
    UnknownCategory {
        /// The category.
        category: String,
        /// The categories that are known.
        known: Vec<&'static str>,
    },
    /// The JSON is not that of the command.
    #[error("the JSON is no command {command}")]
    Malformed {
        /// The command.
        command: &'static str,
        /// Which field does not fit, as a JSON Pointer (RFC 6901); none where it is the whole.
        field: Option<String>,
        /// What does not fit, by line and column. It may quote the value.
        source: serde_json::Error,
    },
    /// The aggregate could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The event cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The event was read, and has no form in which it would be stored today.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The state has no JSON form.
    #[error("the state of stream {stream} has no JSON form")]
    State {
        /// The stream.
        stream: StreamId,
        /// Why not.
        source: serde_json::Error,
    },
    /// The application's own code panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl DomainError {
    /// The stable name of this error, such as `unknown_command`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(error) => error.code(),
            Self::UnknownCommand { .. } => "unknown_command",
            Self::UnknownCategory { .. } => "unknown_category",
            Self::Malformed { .. } => "malformed_command",
            Self::Load(error) => error.code(),
            Self::Decode(error) => error.code(),
            Self::Encode(error) => error.code(),
            Self::State { .. } => "state_without_json",
            Self::Panicked(error) => error.code(),
        }
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Load(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// The names that would have been known.
fn only(known: &[&str]) -> String {
    match known {
        [] => "none is registered".to_owned(),
        known => format!("only {}", known.join(", ")),
    }
}
