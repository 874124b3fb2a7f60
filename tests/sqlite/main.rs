//! What holds of the store in a SQLite file beside the contract: the file itself,
//! and many callers at once.

#![cfg(feature = "sqlite")]

mod backup;
mod callers;
mod damage;
mod file;

use std::path::PathBuf;

use annalist::store::sqlite::SqliteOptions;
use annalist::{NewEvent, Store, StreamId};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

/// A folder of its own for one store file.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    async fn open(&self) -> Store {
        self.open_with(SqliteOptions::default()).await
    }

    async fn open_with(&self, options: SqliteOptions) -> Store {
        Store::open_with(self.path(), options)
            .await
            .expect("a store")
    }

    /// Another connection to the file, as any program may have one.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).expect("a connection")
    }
}

fn stream(name: &str) -> StreamId {
    name.parse().expect("a stream id")
}

fn event(number: usize) -> NewEvent {
    NewEvent::json("Noted", &json!({ "number": number })).expect("an event")
}
