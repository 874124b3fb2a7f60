//! Why a hunt does not end well: a law is broken, or it could not be asked.

use super::story::CounterExample;
use crate::domain::InvalidDomain;

/// Why a hunt does not end with [`Checked`](super::Checked).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HuntError {
    /// A law is broken.
    #[error("{0}")]
    Broken(Box<CounterExample>),
    /// A command cannot be made from its serde shape.
    #[error(
        "{command} cannot be made from its serde shape: {why}\n\n  next      give a strategy: laws(&domain).commands::<TheCommand>(..)"
    )]
    Unsampled {
        /// Its name.
        command: String,
        /// What stands against it.
        why: String,
    },
    /// A strategy was given for a command that the domain does not know.
    #[error(
        "a strategy is given for {command}, which is not in the domain; register it: Domain::new().command::<TheCommand>()"
    )]
    Unknown {
        /// Its name.
        command: String,
    },
    /// A command was never accepted, so that nothing is known of it.
    #[error(
        "none of {cases} cases got {command} accepted, so nothing is known of it\n\n  rejected  {}\n  next      give a strategy that meets what it asks for: laws(&domain).commands::<TheCommand>(..), seed {seed}",
        rejection.as_deref().unwrap_or("it decides on nothing, what it requires is not met, or an invariant refuses it")
    )]
    NeverAccepted {
        /// Its name.
        command: String,
        /// How many cases were tried.
        cases: u32,
        /// What they were made from.
        seed: u64,
        /// What it said the last time that it was rejected.
        rejection: Option<String>,
    },
    /// A kept case cannot be read any more.
    #[error(
        "{at} is no case: {why}\n\n  next      mend the line, or remove it\n  line      {line}"
    )]
    Unreadable {
        /// Where it stands.
        at: String,
        /// The line.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        why: String,
    },
    /// An environment variable says nothing that can be meant.
    #[error("{name} is {value:?}; {expected}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// The state of which nothing has happened yet has no answer.
    #[error("{category} has no beginning: {why}")]
    Beginning {
        /// Its category.
        category: String,
        /// What happened.
        why: String,
    },
    /// The domain cannot be one.
    #[error(transparent)]
    Domain(#[from] InvalidDomain),
}

impl HuntError {
    /// The broken law, if one is.
    #[must_use]
    pub fn counter_example(&self) -> Option<&CounterExample> {
        match self {
            Self::Broken(found) => Some(found),
            _ => None,
        }
    }

    /// The stable name of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Broken(_) => "law_broken",
            Self::Unsampled { .. } => "command_not_sampled",
            Self::Unknown { .. } => "unknown_command",
            Self::NeverAccepted { .. } => "command_never_accepted",
            Self::Unreadable { .. } => "case_unreadable",
            Self::File { .. } => "file",
            Self::Setting { .. } => "invalid_setting",
            Self::Beginning { .. } => "no_initial_state",
            Self::Domain(error) => error.code(),
        }
    }
}
