//! What a command could not do: how it is told, and the exit code that says it.

use std::error::Error;
use std::io::{self, Write};

use super::answer::plain;
use crate::caught::caught;
use crate::domain::DomainError;
use crate::follow::FollowError;
use crate::repository::LoadError;
use crate::store::{QueryError, StoreError, StoreErrorKind, TxError};

/// What a command could not do.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error(transparent)]
    Follow(FollowError),
    #[error(transparent)]
    Query(#[from] TxError),
    #[error("writing the answer")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Told(String),
    /// The answer is already printed.
    #[error("damaged")]
    Damaged,
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => Self::Store(error),
            QueryError::Refused(error) => Self::Query(error),
        }
    }
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged => 3,
            Self::Store(error) | Self::Domain(DomainError::Load(LoadError::Store(error))) => {
                match error.kind() {
                    StoreErrorKind::Corrupt { .. } => 3,
                    _ => 1,
                }
            }
            Self::Domain(DomainError::Load(
                LoadError::Name(_) | LoadError::NotReached { .. } | LoadError::Removed { .. },
            )) => 1,
            Self::Domain(_) => 4,
            Self::Follow(_) | Self::Query(_) | Self::Output(_) | Self::Told(_) => 1,
        }
    }

    /// Says it, and what caused it.
    pub(super) fn tell(&self, err: &mut dyn Write) {
        if matches!(self, Self::Damaged) {
            return;
        }
        let _ = writeln!(err, "annalist: {}", said(self));
        let mut cause = self.source();
        while let Some(error) = cause {
            let _ = writeln!(err, "  because: {}", said(error));
            cause = error.source();
        }
    }
}

/// What an error says. One of them may be an upcaster's own, and panic.
fn said(error: &dyn Error) -> String {
    let said = caught(|| error.to_string());
    plain(&said.unwrap_or_else(|panicked| panicked.to_string()))
}
