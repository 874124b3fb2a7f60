//! Code of the application's that runs inside the transaction of a commit.
//!
//! The writer calls it when the events stand in the file and are not committed yet: what
//! it writes is there exactly when they are.

use std::error::Error;
use std::fmt;

use futures_core::future::BoxFuture;

use crate::event::RecordedEvent;
use crate::store::removal::Removed;
use crate::store::tx::Tx;

/// What a hook ends with when it refuses.
pub type HookResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Called with what a commit writes, inside its transaction. Inline projections are made
/// of it.
///
/// - A repeat of what is stored, a refused commit and one of checks alone call no hook.
/// - A hook that fails or panics fails that commit alone: nothing of it is written, the
///   others of its batch are. The caller is told
///   [`AppendError::Hook`](crate::AppendError::Hook).
/// - It runs on the thread that everyone's writes wait for, and in the middle of them.
///   It may await its [`Tx`] and nothing else: anything else fails the commit.
/// - It must not block on the store that calls it, as `block_on(store.append(..))` would:
///   that waits for the thread it runs on, for ever.
/// - It cannot end the transaction, attach files, change settings or write the tables of
///   the store, whose names begin with `annalist_`. It may read them; `annalist_head` is
///   moved when the batch is written, and still tells of the one before.
/// - It may be called more than once for one commit, whose earlier attempts were undone:
///   it must have no effect but by its [`Tx`].
/// - Hooks are called in the order of [`SqliteOptions::hooks`]; each sees what the ones
///   before it wrote. A process that has the store open without a hook writes without it.
///
/// Where a table of the file has a deferred foreign key, each commit is a transaction of
/// its own, since SQLite counts what is left unresolved when a transaction ends: it is
/// slower, and a commit cannot pass at the expense of another.
///
/// ```
/// use std::sync::Arc;
/// use annalist::store::{CommitHook, HookResult, Tx};
/// use annalist::store::sqlite::SqliteOptions;
/// use annalist::{NewEvent, RecordedEvent, Store, Version};
/// use futures_util::future::{BoxFuture, FutureExt};
///
/// /// How many events of each type there are.
/// struct Counts;
///
/// impl CommitHook for Counts {
///     fn name(&self) -> &str {
///         "counts"
///     }
///
///     fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
///         async {
///             let table = "CREATE TABLE IF NOT EXISTS counts (type TEXT PRIMARY KEY, n INTEGER) STRICT";
///             tx.execute(table, &[]).await?;
///             Ok(())
///         }
///         .boxed()
///     }
///
///     fn on_events<'a>(
///         &'a self,
///         events: &'a [RecordedEvent],
///         tx: &'a mut Tx<'_>,
///     ) -> BoxFuture<'a, HookResult> {
///         async move {
///             let count = "INSERT INTO counts VALUES ($1, 1) ON CONFLICT DO UPDATE SET n = n + 1";
///             for event in events {
///                 tx.execute(count, &[event.event_type.as_str().into()]).await?;
///             }
///             Ok(())
///         }
///         .boxed()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("bank.db");
/// let mut options = SqliteOptions::default();
/// options.hooks.push(Arc::new(Counts));
/// let store = Store::open_with(&path, options).await?;
/// store.append(&"account-42".parse()?, Version::ZERO, [NewEvent::json("Opened", &1)?]).await?;
/// # store.close().await?;
/// # let conn = rusqlite::Connection::open(&path)?;
/// # let n: i64 = conn.query_row("SELECT n FROM counts WHERE type = 'Opened'", [], |row| row.get(0))?;
/// # assert_eq!(n, 1);
/// # Ok(()) }
/// ```
///
/// [`SqliteOptions::hooks`]: crate::store::sqlite::SqliteOptions::hooks
pub trait CommitHook: Send + Sync + 'static {
    /// What it is called in errors.
    fn name(&self) -> &str;

    /// Makes the tables that it needs. Called each time the store is opened, so it leaves
    /// alone what is there. If it fails, the store is not opened.
    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        let _ = tx;
        Box::pin(async { Ok(()) })
    }

    /// Called with the events of one commit, of all its streams, in the order of their
    /// positions.
    fn on_events<'a>(
        &'a self,
        events: &'a [RecordedEvent],
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult>;

    /// Called when events were removed from a stream, or it was closed.
    fn on_removal<'a>(
        &'a self,
        removed: &'a Removed,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        let _ = (removed, tx);
        Box::pin(async { Ok(()) })
    }
}

impl fmt::Debug for dyn CommitHook {
    /// Shows that there is one; what it is called is user code's to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitHook")
    }
}
