//! Opening, looking into, and closing the file.

use std::fs;

use annalist::{
    CommandId, EventId, ExpectedVersion, Metadata, NewEvent, Store, StoreErrorKind, Version,
};
use chrono::DateTime;
use futures_util::future::join_all;
use serde_json::json;

use crate::{Place, event, stream};

#[tokio::test]
async fn the_log_can_be_read_with_plain_sql() {
    let place = Place::new();
    let store = place.open().await;
    let id = EventId::derived("file", "1");
    let command: CommandId = "pay-7".try_into().expect("a command id");
    let deposited = NewEvent::json("Deposited", &json!({ "cents": 500 }))
        .expect("an event")
        .with_id(id)
        .with_schema_version(2)
        .with_metadata(Metadata::by("ann").with_command_id(command));
    let account = stream("account-42");
    store
        .append(&account, ExpectedVersion::Any, [deposited])
        .await
        .expect("an append");
    let recorded = store
        .find_event(&account, id)
        .await
        .expect("a read")
        .expect("the event");

    let conn = place.connect();
    let sql = "SELECT position, stream, version, type, payload, metadata, recorded_at, event_id, \
               schema_version, json_extract(payload, '$.cents') FROM annalist_log";
    conn.query_row(sql, [], |row| {
        assert_eq!(row.get::<_, i64>(0)?, 1);
        assert_eq!(row.get::<_, String>(1)?, "account-42");
        assert_eq!(row.get::<_, i64>(2)?, 1);
        assert_eq!(row.get::<_, String>(3)?, "Deposited");
        assert_eq!(row.get::<_, String>(4)?, r#"{"cents":500}"#);
        assert_eq!(
            row.get::<_, String>(5)?,
            r#"{"command_id":"pay-7","actor":"ann"}"#
        );
        let time = DateTime::parse_from_rfc3339(&row.get::<_, String>(6)?).expect("RFC 3339");
        assert_eq!(time, recorded.recorded_at);
        assert_eq!(row.get::<_, String>(7)?, id.to_string());
        assert_eq!(row.get::<_, i64>(8)?, 2);
        assert_eq!(row.get::<_, i64>(9)?, 500);
        Ok(())
    })
    .expect("one row");
}

#[tokio::test]
async fn closing_leaves_the_file_and_its_bell_and_it_opens_again() {
    let place = Place::new();
    let store = place.open().await;
    let other_handle = store.clone();
    store
        .append(&stream("a-1"), Version::ZERO, [event(1)])
        .await
        .expect("an append");
    store.close().await.expect("a clean close");
    store.close().await.expect("closing again is no error");

    let left = fs::read_dir(place.0.path()).expect("the folder");
    let mut left: Vec<_> = left.map(|file| file.expect("a file").file_name()).collect();
    left.sort();
    let bell = cfg!(target_os = "linux").then_some("store.db-bell");
    let expected: Vec<_> = ["store.db"].into_iter().chain(bell).collect();
    assert_eq!(left, expected, "the write-ahead log is gone");
    let refused = other_handle
        .append(&stream("a-1"), Version::new(1), [event(2)])
        .await;
    let refused = refused.expect_err("closed for all handles");
    assert_eq!(refused.code(), "handle_closed");
    let refused = other_handle
        .read_all()
        .collect()
        .await
        .expect_err("closed for all handles");
    assert_eq!(refused.kind(), StoreErrorKind::HandleClosed);

    let store = place.open().await;
    assert_eq!(store.read_all().collect().await.expect("a read").len(), 1);
    store
        .append(&stream("a-1"), Version::new(1), [event(2)])
        .await
        .expect("an append");
}

#[tokio::test]
async fn a_store_that_is_only_dropped_loses_nothing() {
    let place = Place::new();
    let store = place.open().await;
    store
        .append(&stream("a-1"), Version::ZERO, [event(1)])
        .await
        .expect("an append");
    drop(store);
    let store = place.open().await;
    assert_eq!(store.head().await.expect("a read").get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_may_be_opened_by_many_at_once() {
    for _ in 0..10 {
        let place = Place::new();
        let opening = (0..8).map(|_| tokio::spawn(Store::open(place.path())));
        let mut handles = Vec::new();
        for handle in join_all(opening).await {
            handles.push(handle.expect("no panic").expect("a store"));
        }
        for handle in &handles {
            let all = stream("all-1");
            handle
                .append(&all, ExpectedVersion::Any, [event(1)])
                .await
                .expect("an append");
        }
        for handle in &handles {
            assert_eq!(handle.head().await.expect("a read").get(), 8);
        }
    }
}

#[tokio::test]
async fn what_is_not_a_store_is_refused_and_left_as_it_is() {
    for content in [&b"not a database at all, and longer than a header of one hundred bytes would be, so that it is read as such"[..], b"short"] {
        let place = Place::new();
        fs::write(place.path(), content).expect("a file");
        let refused = Store::open(place.path()).await.expect_err("not a store");
        assert_eq!(refused.kind(), StoreErrorKind::NotAStore, "{refused}");
        assert!(refused.to_string().contains("store.db"), "{refused}");
        assert_eq!(fs::read(place.path()).expect("the file"), content);
    }

    let place = Place::new();
    place
        .connect()
        .execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
        .expect("a database");
    let before = fs::read(place.path()).expect("the file");
    let refused = Store::open(place.path())
        .await
        .expect_err("another application's");
    assert_eq!(refused.kind(), StoreErrorKind::NotAStore, "{refused}");
    assert_eq!(fs::read(place.path()).expect("the file"), before);
}

#[tokio::test]
async fn a_newer_file_is_refused() {
    let place = Place::new();
    place.open().await.close().await.expect("a clean close");
    place
        .connect()
        .execute("UPDATE annalist_meta SET schema_version = 99", [])
        .expect("an update");
    let refused = Store::open(place.path()).await.expect_err("newer");
    let kind = StoreErrorKind::NewerSchema {
        found: 99,
        supported: 3,
    };
    assert_eq!(refused.kind(), kind, "{refused}");
}

#[tokio::test]
async fn names_without_a_file_are_refused() {
    for name in ["", ":memory:"] {
        let refused = Store::open(name).await.expect_err("no file");
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
        assert!(refused.to_string().contains("Store::memory()"), "{refused}");
    }
    let place = Place::new();
    let missing = place.0.path().join("no/such/folder.db");
    let refused = Store::open(&missing).await.expect_err("no folder");
    assert!(
        refused.to_string().contains("no/such/folder.db"),
        "{refused}"
    );
    Store::open(place.0.path())
        .await
        .expect_err("a folder is no file");
}

#[tokio::test]
async fn a_path_is_a_path_and_never_a_uri() {
    // Relative, since SQLite looks for a URI at the very beginning.
    let name = format!("file:annalist-{}.db?mode=memory", std::process::id());
    let store = Store::open(&name).await.expect("a store");
    let closed = store.close().await;
    let existed = fs::remove_file(&name).is_ok();
    // On systems that have one.
    let _ = fs::remove_file(format!("{name}-bell"));
    closed.expect("a clean close");
    assert!(existed, "the file has the name that was given");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let store = place.open().await;
    store
        .append(&stream("a-1"), Version::ZERO, [event(1)])
        .await
        .expect("an append");
    let mode = |name: &str| {
        let file = fs::metadata(place.0.path().join(name)).expect("a file");
        file.permissions().mode() & 0o777
    };
    let bell = cfg!(target_os = "linux").then_some("store.db-bell");
    for name in ["store.db", "store.db-wal", "store.db-shm"]
        .into_iter()
        .chain(bell)
    {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    store.close().await.expect("a clean close");
    // Whoever gave the file other rights meant it.
    let shared = fs::Permissions::from_mode(0o640);
    fs::set_permissions(place.path(), shared).expect("rights");
    place.open().await.close().await.expect("a clean close");
    assert_eq!(mode("store.db"), 0o640);
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_refused() {
    let place = Place::new();
    let missing = place.0.path().join("no").join("store.db");
    let refused = Store::open(missing).await.expect_err("no folder");
    assert_eq!(refused.kind(), StoreErrorKind::NoAccess, "{refused}");
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn a_runtime_without_timers_is_told_when_opening() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let place = Place::new();
    let _ = runtime
        .expect("a runtime")
        .block_on(Store::open(place.path()));
}

#[tokio::test]
async fn the_numbers_do_not_run_over() {
    let place = Place::new();
    let store = place.open().await;
    store
        .append(&stream("a-1"), Version::ZERO, [event(1)])
        .await
        .expect("an append");
    store.close().await.expect("a clean close");
    // One below the largest number, and the checksum that belongs to it.
    let conn = place.connect();
    let sql = "SELECT last_recorded_at FROM annalist_head";
    let recorded_at: i64 = conn.query_row(sql, [], |row| row.get(0)).expect("the head");
    let position = i64::MAX - 1;
    let numbers = [position, recorded_at, 0, 1, 1]
        .map(i64::to_le_bytes)
        .concat();
    let sql = "UPDATE annalist_head SET last_position = ?1, checksum = ?2";
    conn.execute(sql, (position, crc32fast::hash(&numbers)))
        .expect("an update");

    let store = place.open().await;
    let two = [event(2), event(3)];
    let refused = store.append(&stream("b-1"), Version::ZERO, two).await;
    assert_eq!(
        refused
            .expect_err("one number is left for two events")
            .code(),
        "corrupt"
    );
    let info = store.stream_info(&stream("b-1")).await.expect("a read");
    assert_eq!(info.version, Version::ZERO, "nothing is half written");
    store
        .append(&stream("b-1"), Version::ZERO, [event(2)])
        .await
        .expect("one fits");
}
