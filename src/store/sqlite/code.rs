//! Runs the application's code inside the transaction that is open on a connection.
//!
//! Called by whoever holds the transaction. What the code is told, what it may touch, and
//! what it leaves behind when it fails are settled here, for hooks and read models alike.

use std::sync::Weak;

use futures_core::future::BoxFuture;
use rusqlite::Connection;

use super::fault::Failure;
use super::guard::Guard;
use super::statements::{Statements, query};
use crate::caught::let_go;
use crate::store::database::{BoxError, QueryError};
use crate::store::derived::NeedsRebuild;
use crate::store::error::{AppendError, HookError, StoreError};
use crate::store::tx::{Ask, Rights, SqlRow, Stopped, Tx, drive};

/// A connection for the application's code, and the statements that it has used.
pub(super) struct UserCode<'c> {
    conn: &'c Connection,
    guard: Guard,
    statements: Statements<'c>,
}

/// Why the code has not come to a good end.
pub(super) enum Failed {
    /// It is at fault. The transaction is open still, with what it did.
    Code(HookError),
    /// It is at fault, and there is no transaction any more.
    Ended(HookError),
    /// The database is.
    Database(StoreError),
}

impl Failed {
    /// Whether it is that what was removed cannot be forgotten.
    pub(super) fn needs_rebuild(&self) -> bool {
        self.is::<NeedsRebuild>()
    }

    /// Whether it is this refusal.
    pub(super) fn is<E: std::error::Error + 'static>(&self) -> bool {
        match self {
            Self::Code(HookError::Refused(error)) => error.is::<E>(),
            _ => false,
        }
    }

    /// The same, of code that is called so.
    pub(super) fn of(self, hook: String) -> Failure {
        let told = |source| AppendError::Hook { hook, source };
        match self {
            Self::Code(source) => Failure::Refused(told(source)),
            Self::Ended(source) => Failure::Ended(told(source)),
            Self::Database(error) => Failure::Broken(error),
        }
    }
}

impl<'c> UserCode<'c> {
    pub(super) fn new(conn: &'c Connection, guard: Guard) -> Self {
        Self {
            conn,
            guard,
            statements: Statements::new(conn),
        }
    }

    /// Forgets statements that were compiled for another schema.
    pub(super) fn forget(&mut self) {
        self.statements.forget();
    }

    /// Answers a query of the application's.
    pub(super) fn query(&mut self, ask: &Ask, wanted: Weak<()>) -> Result<Vec<SqlRow>, QueryError> {
        self.guard.query(wanted, || query(self.conn, ask))
    }

    /// Runs code to its end.
    pub(super) fn run<'a, T>(
        &mut self,
        tx: &'a mut Tx<'_>,
        start: impl FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, BoxError>>,
    ) -> Result<T, Failed> {
        let mut broken = None;
        let ended = drive(tx, start, |ask| {
            self.guard.now(ask.rights.clone());
            let answer = self.statements.answer(&ask, &mut broken);
            self.guard.now(Rights::Ours);
            answer
        });
        if let Some(broken) = broken {
            let_go(ended);
            return Err(Failed::Database(broken));
        }
        if self.conn.is_autocommit() {
            let_go(ended);
            return Err(Failed::Ended(HookError::EndedTransaction));
        }
        Err(Failed::Code(match ended {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => HookError::Refused(error),
            Err(Stopped::Panicked(panicked)) => HookError::Panicked(panicked),
            Err(Stopped::Suspended) => HookError::Suspended,
        }))
    }
}
