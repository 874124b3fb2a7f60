//! A store to look into, and the tool as a process.

use std::path::{Path, PathBuf};
use std::process::Command;

use annalist::{ExpectedVersion, Metadata, NewEvent, Store, StreamId, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn annalist(arguments: &[&str]) -> Ran {
    let ran = Command::new(env!("CARGO_BIN_EXE_annalist"))
        .args(arguments)
        .output()
        .unwrap();
    Ran {
        code: ran.status.code().unwrap(),
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
    }
}

/// A store with a live, a deleted and a closed stream.
pub(crate) async fn store(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("bank.db");
    let store = Store::open(&path).await.unwrap();
    let stream = |name: &str| -> StreamId { name.parse().unwrap() };
    for (name, cents) in [
        ("account-1", 1),
        ("account-1", 2),
        ("account-2", 3),
        ("order-1", 4),
    ] {
        let event = NewEvent::json("Deposited", &json!({ "cents": cents })).unwrap();
        let event = event.with_metadata(Metadata::by("ann"));
        store
            .append(&stream(name), ExpectedVersion::Any, [event])
            .await
            .unwrap();
    }
    let odd = NewEvent::json("Noted", "\u{9b}2J").unwrap();
    store
        .append(&stream("account-1"), Version::new(2), [odd])
        .await
        .unwrap();
    store
        .delete(&stream("account-2"), ExpectedVersion::Any)
        .await
        .unwrap();
    store
        .close_stream(&stream("order-1"), ExpectedVersion::Any)
        .await
        .unwrap();
    store.close().await.unwrap();
    path
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn lines(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
