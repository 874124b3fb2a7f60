//! A checkpoint is believed by the store that it was taken from, as long as that is what
//! it was.

use annalist::store::sqlite::SqliteOptions;
use annalist::{
    Checkpoint, CheckpointMismatch, ExpectedVersion, Position, Store, StoreError, StoreErrorKind,
};
use futures_util::StreamExt;

use crate::{Place, append, next, stream, until};

async fn refused(store: &Store, checkpoint: Checkpoint) -> (CheckpointMismatch, StoreError) {
    let mut pages = store.subscribe(checkpoint).pages();
    let refused = pages.next().await.expect("an item").expect_err("a refusal");
    assert!(pages.next().await.is_none(), "it has ended");
    assert!(!refused.is_retryable());
    assert_eq!(refused.code(), "checkpoint_mismatch");
    match refused.kind() {
        StoreErrorKind::CheckpointMismatch(mismatch) => (mismatch, refused),
        _ => panic!("{refused}"),
    }
}

/// Where a reader has come that has read all.
async fn taken(store: &Store) -> Checkpoint {
    let mut pages = store.subscribe(Position::ZERO).pages();
    loop {
        let page = next(&mut pages).await;
        if page.is_last() {
            return page.checkpoint;
        }
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_store_is_refused() {
    let (store, other) = (Store::memory(), Store::memory());
    append(&store, "a-1", 1).await;
    append(&other, "a-1", 1).await;
    let (mismatch, refused) = refused(&other, taken(&store).await).await;
    let expected = CheckpointMismatch::Store {
        checkpoint: store.id(),
        found: other.id(),
    };
    assert_eq!(mismatch, expected);
    let told = refused.to_string();
    let ids = [store.id(), other.id()].map(|id| id.to_string());
    assert!(ids.iter().all(|id| told.contains(id)), "{told}");
    // One of the beginning too.
    let start = Checkpoint::start(store.id());
    next(&mut store.subscribe(start).pages()).await;
    assert_eq!(self::refused(&other, start).await.0, expected);
}

#[tokio::test]
async fn a_checkpoint_after_a_removal_is_believed() {
    let store = Store::memory();
    append(&store, "a-1", 1).await;
    let at_event = taken(&store).await;
    let deleted = store.delete(&stream("a-1"), ExpectedVersion::Any).await;
    deleted.expect("a removal");
    let at_marker = taken(&store).await;
    assert_eq!(
        (at_marker.position, at_marker.event),
        (Position::new(2), None)
    );
    append(&store, "a-1", 2).await;
    store.compact().await.expect("a compaction");
    // The event is removed and stripped, and still known.
    let mut pages = store.subscribe(at_event).pages();
    assert_eq!(until(&mut pages, Position::new(3)).await.len(), 2);
    let mut pages = store.subscribe(at_marker).pages();
    assert_eq!(until(&mut pages, Position::new(3)).await.len(), 1);
}

#[tokio::test]
async fn a_checkpoint_of_a_store_that_was_restored_is_refused() {
    let place = Place::new();
    let store = place.open().await;
    append(&store, "a-1", 1).await;
    let old = taken(&store).await;
    let backup = place.0.path().join("backup.db");
    store.backup(&backup).await.expect("a backup");
    append(&store, "a-1", 2).await;
    let event = taken(&store).await;
    let deleted = store.delete(&stream("a-1"), ExpectedVersion::Any).await;
    deleted.expect("a removal");
    let marker = taken(&store).await;
    store.close().await.expect("a clean close");

    let restored = Store::open_with(&backup, SqliteOptions::default()).await;
    let restored = restored.expect("a store");
    assert_eq!(restored.id(), old.store);
    // It ends before what the reader has seen.
    let ahead = CheckpointMismatch::Ahead {
        checkpoint: Position::new(2),
        head: Position::new(1),
    };
    let (mismatch, told) = refused(&restored, event).await;
    assert_eq!(mismatch, ahead);
    assert!(
        told.to_string().contains("restored from a backup"),
        "{told}"
    );
    let mut bare = restored.subscribe(Position::new(2)).pages();
    let bare = bare.next().await.expect("an item").expect_err("a refusal");
    assert_eq!(bare.kind(), StoreErrorKind::CheckpointMismatch(ahead));
    // It has something else there by now.
    append(&restored, "b-1", 1).await;
    append(&restored, "b-1", 2).await;
    let found = taken(&restored).await.event;
    for (checkpoint, position) in [(event, 2), (marker, 3)] {
        let (mismatch, told) = refused(&restored, checkpoint).await;
        match mismatch {
            CheckpointMismatch::Event {
                position: at,
                checkpoint: seen,
                found: stands,
            } => {
                assert_eq!((at, seen), (Position::new(position), checkpoint.event));
                assert!(stands.is_some() && stands != seen, "{told}");
            }
            _ => panic!("{told}"),
        }
    }
    assert!(found.is_some());
    // What was read before the backup goes on.
    let mut pages = restored.subscribe(old).pages();
    assert_eq!(until(&mut pages, Position::new(3)).await.len(), 2);
    restored.close().await.expect("a clean close");
}
