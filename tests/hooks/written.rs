//! A hook is called once for what is written, and for nothing else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use annalist::store::sqlite::SqliteOptions;
use annalist::store::{CommitHook, HookResult, Tx};
use annalist::{
    Commit, ExpectedVersion, Fingerprint, Metadata, NewEvent, Position, RecordedEvent, Store,
    StoreErrorKind, Version,
};
use futures_util::future::{BoxFuture, FutureExt, join_all};
use rusqlite::Connection;

use crate::meddler::Meddler;
use crate::{Place, event, open, stream};

/// Keeps what it was called with.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<RecordedEvent>>>);

impl Witness {
    fn seen(&self) -> Vec<RecordedEvent> {
        self.0.lock().expect("no panic").clone()
    }
}

impl CommitHook for Witness {
    fn name(&self) -> &str {
        "witness"
    }

    fn on_events<'a>(
        &'a self,
        events: &'a [RecordedEvent],
        _: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        self.0.lock().expect("no panic").extend_from_slice(events);
        async { Ok(()) }.boxed()
    }
}

#[tokio::test]
async fn a_hook_sees_events_as_a_reader_does() {
    let witness = Witness::default();
    let place = Place::with(vec![Arc::new(Meddler), Arc::new(witness.clone())]).await;
    place
        .append("a-1", event("Noted", "first"))
        .await
        .expect("an append");
    let by = |name: &str| {
        event("Noted", name)
            .with_metadata(Metadata::by(name))
            .with_schema_version(3)
    };
    let commit = Commit::new()
        .append(stream("b-1"), ExpectedVersion::NoStream, [by("x"), by("y")])
        .check(stream("c-1"), ExpectedVersion::NoStream)
        .append(stream("a-1"), Version::new(1), [by("z")]);
    place.store.commit(commit).await.expect("a commit");
    let read = place.store.read_all().collect().await.expect("all events");
    assert_eq!(witness.seen(), read);
    assert_eq!(
        read.last().map(|event| event.position),
        Some(Position::new(4))
    );
}

#[tokio::test]
async fn a_repeat_and_a_refusal_call_no_hook() {
    let witness = Witness::default();
    let place = Place::with(vec![Arc::new(witness.clone())]).await;
    let noted = event("Noted", "once");
    place.append("a-1", noted.clone()).await.expect("an append");
    place.append("a-1", noted).await.expect("a repeat");
    let keyed = |event: NewEvent| {
        let commit = Commit::new().append(stream("a-1"), ExpectedVersion::Any, [event]);
        commit.key("k", Fingerprint::of("k"))
    };
    place
        .store
        .commit(keyed(event("Noted", "keyed")))
        .await
        .expect("an append");
    place
        .store
        .commit(keyed(event("Noted", "again")))
        .await
        .expect_err("a known key");
    let stale = place
        .store
        .append(&stream("a-1"), Version::ZERO, [event("Noted", "late")])
        .await;
    stale.expect_err("a conflict");
    let check = Commit::new().check(stream("a-1"), Version::new(2));
    place.store.commit(check).await.expect("a check");
    assert_eq!(witness.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_may_be_opened_with_hooks_by_many_at_once() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let opening = (0..4).map(|_| tokio::spawn(open(path.clone(), vec![Arc::new(Meddler)])));
        let mut stores = Vec::new();
        for store in join_all(opening).await {
            stores.push(store.expect("no panic").expect("a store"));
        }
        for store in &stores {
            let (to, noted) = (stream("a-1"), event("Noted", ""));
            let noted = store.append(&to, ExpectedVersion::Any, [noted]).await;
            noted.expect("an append");
        }
        let conn = Connection::open(&path).expect("a connection");
        let noted: i64 = conn
            .query_row("SELECT sum(n) FROM counts", [], |row| row.get(0))
            .expect("a number");
        assert_eq!(noted, 4);
    }
}

#[tokio::test]
async fn a_file_that_another_program_writes_is_busy_for_hooks_too() {
    let place = Place::with(vec![Arc::new(Meddler)]).await;
    let conn = place.connect();
    conn.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut options = SqliteOptions::default();
    options.hooks = vec![Arc::new(Meddler)];
    options.busy_timeout = Duration::from_millis(20);
    let refused = Store::open_with(place.path(), options.clone()).await;
    let refused = refused.expect_err("it is locked");
    assert_eq!(refused.kind(), StoreErrorKind::Busy, "{refused}");
    assert!(refused.is_retryable());
    conn.execute_batch("ROLLBACK").expect("its end");
    let opened = Store::open_with(place.path(), options).await;
    opened.expect("it is free");
}

#[tokio::test]
async fn what_hooks_wrote_is_there_after_reopening() {
    let place = Place::with(vec![Arc::new(Meddler)]).await;
    place
        .append("a-1", event("Noted", ""))
        .await
        .expect("an append");
    place.store.close().await.expect("closed");
    let store = open(place.path(), vec![Arc::new(Meddler)])
        .await
        .expect("a store");
    let noted = store
        .append(&stream("a-1"), Version::new(1), [event("Noted", "")])
        .await;
    noted.expect("an append");
    assert_eq!(place.number("SELECT n FROM counts WHERE type = 'Noted'"), 2);
}
