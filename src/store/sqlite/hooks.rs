//! Hooks around one commit or removal inside the writer's transaction: all of it or
//! nothing.
//!
//! Only where there are hooks is a commit wrapped in a savepoint.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use rusqlite::{Connection, ErrorCode};

use super::append::{Appender, Desk};
use super::code::UserCode;
use super::fault::{Failure, corrupt, fault};
use super::guard::Guard;
use super::inline::{Inline, Recorded};
use super::lock::write_lock;
use super::options::SqliteOptions;
use super::remove::remove;
use crate::caught::{caught, let_go};
use crate::event::RecordedEvent;
use crate::store::commit::CommitRequest;
use crate::store::database::{Done, Work};
use crate::store::error::{AppendError, HookError, StoreError, StoreErrorKind};
use crate::store::hook::CommitHook;
use crate::store::receipt::Receipt;
use crate::store::removal::{RemovalRequest, Removed};
use crate::store::tx::{Rights, Tx};
use crate::version::Position;

/// The hooks of a store, and the statements that they have used.
pub(super) struct Hooks<'c> {
    conn: &'c Connection,
    code: UserCode<'c>,
    hung: &'c mut Hung,
}

/// The hooks of a store, and what was seen of the tables that they may use.
pub(super) struct Hung {
    hooks: Vec<Arc<dyn CommitHook>>,
    inline: Inline,
    guard: Guard,
    busy_timeout: Duration,
    /// Whether code of the application's has run, or will.
    in_use: bool,
    /// SQLite's counter of changes to the schema when it was looked at.
    schema: i64,
    /// Whether a table of the file has a deferred foreign key.
    defers: bool,
}

/// Whether tables are what they were when that was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    Same,
    Changed,
}

/// What hooks are called with.
#[derive(Clone, Copy)]
enum Call<'a> {
    SetUp,
    Events(&'a [RecordedEvent]),
    Removal(&'a Removed),
}

impl Hung {
    /// Sets every hook up, all of them or none.
    pub(super) fn new(
        conn: &Connection,
        guard: Guard,
        options: &SqliteOptions,
    ) -> Result<Self, StoreError> {
        let mut new = Self {
            hooks: options.hooks.clone(),
            inline: Inline::new(options)?,
            guard,
            busy_timeout: options.busy_timeout,
            in_use: !options.hooks.is_empty() || !options.inline.is_empty(),
            schema: -1,
            defers: false,
        };
        let mut hooks = Hooks::new(conn, &mut new);
        if !hooks.hung.hooks.is_empty() {
            hooks.set_up(options.busy_timeout)?;
        }
        hooks.catch_up()?;
        drop(hooks);
        Ok(new)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.hooks.is_empty() && self.inline.is_empty()
    }
}

impl<'c> Hooks<'c> {
    pub(super) fn new(conn: &'c Connection, hung: &'c mut Hung) -> Self {
        Self {
            conn,
            code: UserCode::new(conn, hung.guard.clone()),
            hung,
        }
    }

    /// Brings the inline projections to the end of the store.
    pub(super) fn catch_up(&mut self) -> Result<(), StoreError> {
        let Hung {
            inline,
            busy_timeout,
            ..
        } = &mut *self.hung;
        let caught_up = inline.catch_up(self.conn, &mut self.code, *busy_timeout);
        // The writer waits for the lock by itself.
        let waiting = self.conn.busy_timeout(Duration::ZERO);
        caught_up?;
        waiting.map_err(|error| fault(error, "catching up with inline projections"))
    }

    /// Compares what the file records of inline projections with those of this writer, in
    /// a transaction that begins at `head`.
    pub(super) fn look_inline(&mut self, head: i64) -> Result<Recorded, StoreError> {
        self.hung.inline.look(self.conn, head)
    }

    /// Writes down how far the inline projections have come.
    pub(super) fn seal(&mut self) -> rusqlite::Result<()> {
        self.hung.inline.seal(self.conn)
    }

    /// The transaction is no more.
    pub(super) fn forget(&mut self) {
        self.hung.inline.forget();
    }

    fn set_up(&mut self, timeout: Duration) -> Result<(), StoreError> {
        let transaction = write_lock(self.conn, timeout).map_err(setting_up)?;
        // The guard is not told what a table is renamed to, nor to which one it refers: a
        // row that may not go would keep the store from replacing its own.
        let ours = "SELECT (SELECT count(*) FROM sqlite_schema \
                            WHERE name LIKE 'annalist^_%' ESCAPE '^') \
                         + (SELECT count(*) FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS k \
                            WHERE k.\"table\" LIKE 'annalist^_%' ESCAPE '^')";
        let conn = self.conn;
        let ours = || {
            conn.query_row(ours, [], |row| row.get::<_, i64>(0))
                .map_err(setting_up)
        };
        let before = ours()?;
        let refused = |what| StoreError::new(StoreErrorKind::Invalid, what);
        self.call(Call::SetUp).map_err(|failure| match failure {
            Failure::Broken(error) => error,
            Failure::Refused(error) | Failure::Ended(error) => {
                refused("setting up the hooks").with_source(error)
            }
        })?;
        if ours()? != before {
            let what = "setting up a hook that gives a table a name beginning with annalist_, \
                        or a foreign key to such a table";
            return Err(refused(what));
        }
        // What was compiled for setting up may do more than a hook may do later.
        self.code.forget();
        transaction.commit().map_err(|error| {
            match error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
                true => refused("setting up the hooks").with_source(self.left_open()),
                false => setting_up(error),
            }
        })
    }

    /// Looks at the schema as of the transaction that has just been opened.
    pub(super) fn look(&mut self) -> Result<Schema, StoreError> {
        if !self.hung.in_use {
            return Ok(Schema::Same);
        }
        let look = |sql: &str| {
            let mut look = self.conn.prepare_cached(sql)?;
            look.query_row([], |row| row.get::<_, i64>(0))
        };
        let sql = |error| fault(error, "looking at the schema");
        let schema = look("PRAGMA schema_version").map_err(sql)?;
        if self.hung.schema == schema {
            return Ok(Schema::Same);
        }
        let defers = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE sql LIKE '%deferred%')";
        self.hung.defers = look(defers).map_err(sql)? != 0;
        self.hung.schema = schema;
        self.code.forget();
        Ok(Schema::Changed)
    }

    /// Whether each commit must have a transaction to itself.
    pub(super) fn one_at_a_time(&self) -> bool {
        self.hung.defers
    }

    /// What is told of a transaction that could not commit for its foreign keys.
    pub(super) fn unresolved(&self) -> Option<AppendError> {
        self.hung.defers.then(|| self.left_open())
    }

    fn left_open(&self) -> AppendError {
        let names = self.hung.hooks.iter().map(|hook| name(hook.as_ref()));
        let names: Vec<_> = names.chain(self.hung.inline.called()).collect();
        AppendError::Hook {
            hook: names.join(" or "),
            source: HookError::UnresolvedForeignKey,
        }
    }

    /// One commit, and the hooks with its events.
    pub(super) fn commit(
        &mut self,
        mut desk: Desk<'_, 'c>,
        appender: &mut Appender<'c>,
        request: &CommitRequest,
    ) -> Result<Receipt, Failure> {
        self.hung.inline.refuse_missing()?;
        if self.hung.is_empty() {
            return appender.apply(&mut desk, request);
        }
        self.undoable(desk, appender, |hooks, desk, appender| {
            let receipt = appender.apply(desk, request)?;
            if let (Some(last), false) = (receipt.position, receipt.replayed) {
                let recorded_at = desk.transaction.recorded_at();
                let events = recorded(request, &receipt, last, recorded_at)?;
                hooks.call(Call::Events(&events))?;
                let Hooks { conn, code, hung } = hooks;
                hung.inline.on_events(conn, &events, code)?;
            }
            Ok(receipt)
        })
    }

    /// One removal, and the hooks with what it did.
    pub(super) fn remove(
        &mut self,
        mut desk: Desk<'_, 'c>,
        appender: &mut Appender<'c>,
        request: &RemovalRequest,
    ) -> Result<Removed, Failure> {
        self.hung.inline.refuse_missing()?;
        if self.hung.is_empty() {
            return remove(self.conn, &mut desk, request);
        }
        self.undoable(desk, appender, |hooks, desk, _| {
            let removed = remove(hooks.conn, desk, request)?;
            if removed.changed {
                hooks.call(Call::Removal(&removed))?;
                let Hooks { conn, code, hung } = hooks;
                hung.inline.on_removal(conn, &removed, code)?;
            }
            Ok(removed)
        })
    }

    /// Code of the application's that appends nothing.
    pub(super) fn transact(
        &mut self,
        desk: Desk<'_, 'c>,
        appender: &mut Appender<'c>,
        work: &dyn Work,
    ) -> Result<Done, Failure> {
        if !self.hung.in_use {
            self.hung.in_use = true;
            self.look()?;
        }
        self.undoable(desk, appender, |hooks, _, _| {
            let mut tx = Tx::new(Rights::Ours);
            let ended = hooks.code.run(&mut tx, |tx| work.run(tx));
            ended.map_err(|failed| failed.of(work.name()))
        })
    }

    /// Does something that is undone if it is refused on the way.
    fn undoable<'d, T>(
        &mut self,
        mut desk: Desk<'d, 'c>,
        appender: &mut Appender<'c>,
        write: impl FnOnce(&mut Self, &mut Desk<'d, 'c>, &mut Appender<'c>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (mark, inline) = (desk.transaction.mark(), self.hung.inline.mark());
        self.run("SAVEPOINT annalist_commit")?;
        let written = write(self, &mut desk, appender);
        if let Err(Failure::Refused(AppendError::Hook { .. })) = written {
            desk.transaction.back_to(mark);
            self.hung.inline.back_to(inline);
            desk.streams.forget();
            appender.forget();
        }
        match self.settle(&written) {
            Ok(()) => written,
            Err(error) => {
                let_go(written);
                Err(error.into())
            }
        }
    }

    fn settle<T>(&self, written: &Result<T, Failure>) -> rusqlite::Result<()> {
        match written {
            Err(Failure::Refused(AppendError::Hook { .. })) => {
                self.run("ROLLBACK TO annalist_commit")?;
                self.run("RELEASE annalist_commit")
            }
            // What was refused otherwise has written nothing.
            Ok(_) | Err(Failure::Refused(_)) => self.run("RELEASE annalist_commit"),
            // The transaction is rolled back.
            Err(Failure::Broken(_) | Failure::Ended(_)) => Ok(()),
        }
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Calls every hook, until one fails.
    fn call(&mut self, call: Call<'_>) -> Result<(), Failure> {
        for hook in self.hung.hooks.clone() {
            self.call_one(hook.as_ref(), call)?;
        }
        Ok(())
    }

    fn call_one(&mut self, hook: &dyn CommitHook, call: Call<'_>) -> Result<(), Failure> {
        let rights = match call {
            Call::SetUp => Rights::SetUp,
            Call::Events(_) | Call::Removal(_) => Rights::Write,
        };
        let mut tx = Tx::new(rights);
        let ended = self.code.run(&mut tx, |tx| match call {
            Call::SetUp => hook.set_up(tx),
            Call::Events(events) => hook.on_events(events, tx),
            Call::Removal(removed) => hook.on_removal(removed, tx),
        });
        ended.map_err(|failed| failed.of(name(hook)))
    }
}

/// The name that a hook gives itself.
fn name(hook: &dyn CommitHook) -> String {
    let name = caught(|| hook.name().to_owned());
    name.unwrap_or_else(|_| "that panics when asked its name".to_owned())
}

/// The events of a commit as they stand in the file now.
fn recorded(
    request: &CommitRequest,
    receipt: &Receipt,
    last: Position,
    recorded_at: i64,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let appends = || {
        request
            .appends
            .iter()
            .filter(|append| !append.events.is_empty())
    };
    let count: usize = appends().map(|append| append.events.len()).sum();
    let mut positions = (last.get() + 1 - count as u64..).map(Position::new);
    let recorded_at = DateTime::from_timestamp_micros(recorded_at)
        .ok_or_else(|| corrupt(Some(last), "handing a time to a hook"))?;
    let mut events = Vec::with_capacity(count);
    for (append, written) in appends().zip(&receipt.appends) {
        let mut version = written.first.unwrap_or(written.last);
        for event in &append.events {
            let at = positions.next().unwrap_or(last);
            events.push(event.recorded(&append.stream, version, at, recorded_at)?);
            version = version.next();
        }
    }
    Ok(events)
}

fn setting_up(error: rusqlite::Error) -> StoreError {
    fault(error, "setting up the hooks")
}
