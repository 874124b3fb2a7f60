//! A backup is one state of the store, whole, wherever it was begun and whatever stops it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use annalist::store::sqlite::SqliteOptions;
use annalist::{ExpectedVersion, RecordedEvent, Store, StoreErrorKind, StreamId};
use futures_util::FutureExt;
use futures_util::future::join;

use crate::{Place, event, stream};

async fn fill(store: &Store, appends: usize) {
    for number in 0..appends {
        let to = stream(&format!("s-{}", number % 10));
        let events = (0..10).map(event);
        store
            .append(&to, ExpectedVersion::Any, events)
            .await
            .expect("an append");
    }
}

async fn all(store: &Store) -> Vec<RecordedEvent> {
    store.read_all().collect().await.expect("all events")
}

/// What is in the folder beside the store's own files.
fn others(place: &Place) -> Vec<String> {
    let names = fs::read_dir(place.0.path()).expect("the folder");
    let names = names.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("text")
    });
    names.filter(|name| !name.starts_with("store.db")).collect()
}

#[tokio::test]
async fn a_backup_under_load_is_one_state_of_the_store() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 200).await;
    let copy = place.0.path().join("copy.db");
    let done = AtomicBool::new(false);
    let appending = async {
        let mut appended = 0;
        while !done.load(Ordering::Relaxed) {
            fill(&store, 1).await;
            appended += 1;
        }
        appended
    };
    let backing_up = async {
        let backed_up = store.backup(&copy).await.expect("a backup");
        done.store(true, Ordering::Relaxed);
        backed_up
    };
    let (appended, backed_up) = join(appending, backing_up).await;
    assert!(appended > 0, "nothing was appended meanwhile");
    assert!(backed_up.report.is_whole());
    let file = fs::metadata(&copy).expect("the copy");
    assert_eq!(
        (file.len(), file.permissions().mode() & 0o777),
        (backed_up.bytes, 0o600)
    );
    assert_eq!(others(&place), ["copy.db"]);

    // It is a store like any other, and holds what the store held at some point.
    let restored = Store::open(&copy).await.expect("a store");
    let (kept, source) = (all(&restored).await, all(&store).await);
    assert_eq!(kept.len() as u64, backed_up.report.events);
    assert!(kept.len() >= 2_000 && source.len() > kept.len());
    assert_eq!(kept, source[..kept.len()]);
    fill(&restored, 1).await;
    assert!(restored.verify().await.expect("a report").is_whole());
}

#[tokio::test]
async fn a_backup_never_takes_the_place_of_a_file() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 1).await;
    let taken = place.0.path().join("taken");
    fs::write(&taken, "precious").expect("a file");
    for to in [taken.clone(), place.path(), place.0.path().to_owned()] {
        let refused = store.backup(&to).await.expect_err("taken");
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
    }
    let missing = place.0.path().join("no/folder.db");
    let refused = store.backup(&missing).await.expect_err("no folder");
    assert_eq!(refused.kind(), StoreErrorKind::NoAccess, "{refused}");
    assert_eq!(fs::read_to_string(&taken).expect("the file"), "precious");
    assert_eq!(others(&place), ["taken"]);

    let refused = Store::memory()
        .backup(place.0.path().join("copy"))
        .await
        .expect_err("no file");
    assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
}

#[tokio::test]
async fn a_backup_is_not_written_beside_the_log_of_another_file() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 1).await;
    let copy = place.0.path().join("copy.db");
    let left = ["copy.db-wal", "copy.db-journal"];
    for name in left {
        let leftover = place.0.path().join(name);
        fs::write(&leftover, "left by a process that was killed").expect("a file");
        let refused = store.backup(&copy).await.expect_err("a leftover");
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
        assert!(refused.to_string().contains(name), "{refused}");
        assert_eq!(others(&place), [name]);
        fs::remove_file(&leftover).expect("a file that may go");
    }
    store.backup(&copy).await.expect("a backup");
}

#[tokio::test]
async fn a_damaged_store_is_not_taken_for_a_backup() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 1).await;
    let spoil = "UPDATE annalist_events SET payload = '{}' WHERE position = 3";
    place.connect().execute(spoil, []).expect("an update");
    let refused = store
        .backup(place.0.path().join("copy.db"))
        .await
        .expect_err("damaged");
    assert_eq!(
        refused.kind(),
        StoreErrorKind::Corrupt {
            position: Some(annalist::Position::new(3))
        }
    );
    assert!(others(&place).is_empty(), "{:?}", others(&place));
}

#[tokio::test]
async fn a_backup_that_is_stopped_leaves_nothing() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 500).await;
    // Polled once it has begun, then dropped.
    let dropped = store
        .backup(place.0.path().join("dropped.db"))
        .now_or_never();
    assert!(dropped.is_none());
    let closed = place.0.path().join("closed.db");
    let (backed_up, closing) = join(store.backup(&closed), store.close()).await;
    closing.expect("closed");
    // Closing waits for it, so that the file is free.
    match backed_up {
        Ok(_) => assert_eq!(others(&place), ["closed.db"]),
        Err(error) => {
            assert_eq!(error.kind(), StoreErrorKind::HandleClosed, "{error}");
            assert!(others(&place).is_empty(), "{:?}", others(&place));
        }
    }
    let late = store
        .backup(place.0.path().join("late.db"))
        .await
        .expect_err("closed");
    assert_eq!(late.kind(), StoreErrorKind::HandleClosed);
    let again = place.open_with(SqliteOptions::default()).await;
    let first: StreamId = stream("s-0");
    assert!(
        again
            .stream_info(&first)
            .await
            .expect("an answer")
            .version
            .get()
            > 0
    );
}
