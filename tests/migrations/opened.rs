//! Opening an older file, once and again, by one and by many; and files that say of
//! themselves what cannot be.

use annalist::{Store, StoreErrorKind};
use futures_util::future::join_all;
use rusqlite::Connection;

use crate::SCHEMA_VERSION;
use crate::planted::{Planted, Seen, USER_VERSION, assert_goes_on};

#[tokio::test]
async fn an_older_file_is_read_and_written_as_before() {
    let planted = Planted::new().await;
    let before = Seen::of(&planted.path());
    assert_eq!(before.version, 1);

    let store = Store::open(planted.path()).await.expect("a store");
    assert_goes_on(&store, &planted.holds).await;
    store.close().await.expect("a clean close");
    let after = Seen::of(&planted.path());
    assert_eq!(
        (after.version, after.user_version, after.epoch),
        (SCHEMA_VERSION, USER_VERSION, before.epoch + 1)
    );
    let folder = tempfile::tempdir().expect("a folder");
    let new = folder.path().join("new.db");
    let store = Store::open(&new).await.expect("a store");
    store.close().await.expect("a clean close");
    assert_eq!(after.schema, Seen::of(&new).schema, "as in a new file");

    let store = Store::open(planted.path()).await.expect("a store");
    store.close().await.expect("a clean close");
    let again = Seen::of(&planted.path());
    let epoch = after.epoch + 1;
    assert_eq!(
        again,
        Seen { epoch, ..after },
        "nothing but the epoch moves"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_file_may_be_opened_by_many_at_once() {
    let planted = Planted::new().await;
    let before = Seen::of(&planted.path());
    for _ in 0..5 {
        let (_folder, path) = planted.copy();
        let opening = (0..4).map(|_| tokio::spawn(Store::open(path.clone())));
        let mut stores = Vec::new();
        for opened in join_all(opening).await {
            stores.push(opened.expect("no panic").expect("a store"));
        }
        let store = stores.pop().expect("a store");
        assert_goes_on(&store, &planted.holds).await;
        let after = Seen::of(&path);
        assert_eq!(
            (after.version, after.epoch),
            (SCHEMA_VERSION, before.epoch + 4)
        );
    }
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_file_as_it_was() {
    let planted = Planted::new().await;
    let change = |sql: &str| {
        let conn = Connection::open(planted.path()).expect("a connection");
        conn.execute_batch(sql).expect("a change");
    };
    // Something of another program's stands where the step makes a table.
    change("CREATE TABLE annalist_leases (mine); INSERT INTO annalist_leases VALUES (1)");
    let before = Seen::of(&planted.path());
    let refused = Store::open(planted.path()).await.expect_err("in the way");
    assert!(refused.to_string().contains("store.db"), "{refused}");
    assert_eq!(Seen::of(&planted.path()), before);

    change("DROP TABLE annalist_leases");
    let store = Store::open(planted.path()).await.expect("a store");
    assert_goes_on(&store, &planted.holds).await;
}

#[tokio::test]
async fn a_file_without_a_sound_version_is_damaged_and_left_as_it_is() {
    let planted = Planted::new().await;
    let loose = "DROP TABLE annalist_meta; \
         CREATE TABLE annalist_meta (id INTEGER PRIMARY KEY, schema_version, store_id, epoch); \
         INSERT INTO annalist_meta VALUES (1, 'two', zeroblob(16), 0)";
    for change in [
        "UPDATE annalist_meta SET schema_version = 0",
        "UPDATE annalist_meta SET schema_version = -1",
        "UPDATE annalist_meta SET schema_version = -9223372036854775808",
        "DELETE FROM annalist_meta",
        loose,
    ] {
        let (_folder, path) = planted.copy();
        let conn = Connection::open(&path).expect("a connection");
        conn.execute_batch(change).expect("a change");
        conn.close().expect("a clean close");
        let before = std::fs::read(&path).expect("the file");
        let refused = Store::open(&path).await.expect_err(change);
        let corrupt = StoreErrorKind::Corrupt { position: None };
        assert_eq!(refused.kind(), corrupt, "{change}: {refused:?}");
        assert!(refused.to_string().contains("store.db"), "{refused}");
        let after = std::fs::read(&path).expect("the file");
        assert!(before == after, "{change}: the file was changed");
    }
}
