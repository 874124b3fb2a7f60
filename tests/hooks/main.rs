//! Code of the application's inside the transaction of a commit: what it writes is there
//! exactly when the events are, and whatever it does harms its own commit alone.
//!
//! The long run of the panics, in every hook and in the middle of batches:
//!
//! ```text
//! ANNALIST_PANICS=10000 cargo test --release --test hooks panics -- --nocapture
//! ```

#![cfg(feature = "sqlite")]

mod allowed;
mod alone;
mod batches;
mod meddler;
mod odd;
mod written;

use std::path::PathBuf;
use std::sync::Arc;

use annalist::store::CommitHook;
use annalist::store::sqlite::SqliteOptions;
use annalist::{AppendError, ExpectedVersion, NewEvent, Receipt, Store, StreamId};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

/// A store file with hooks.
struct Place {
    folder: TempDir,
    store: Store,
}

impl Place {
    async fn with(hooks: Vec<Arc<dyn CommitHook>>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path().join("store.db"), hooks).await;
        let store = store.expect("a store");
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// Another connection, which sees what is committed.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).expect("a connection")
    }

    fn number(&self, sql: &str) -> i64 {
        let number = self.connect().query_row(sql, [], |row| row.get(0));
        number.expect("a number")
    }

    async fn append(&self, to: &str, event: NewEvent) -> Result<Receipt, AppendError> {
        self.store
            .append(&stream(to), ExpectedVersion::Any, [event])
            .await
    }

    async fn is_whole(&self) {
        let report = self.store.verify().await.expect("a report");
        assert!(report.is_whole(), "{report:?}");
    }
}

async fn open(
    path: PathBuf,
    hooks: Vec<Arc<dyn CommitHook>>,
) -> Result<Store, annalist::StoreError> {
    let mut options = SqliteOptions::default();
    options.hooks = hooks;
    Store::open_with(path, options).await
}

fn stream(name: &str) -> StreamId {
    name.parse().expect("a stream id")
}

fn event(event_type: &str, say: &str) -> NewEvent {
    NewEvent::json(event_type, &json!({ "say": say })).expect("an event")
}
