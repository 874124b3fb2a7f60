//! Read models are read through the handle: of the store's file, of another, in memory.

use std::time::Duration;

use annalist::Store;
use annalist::store::sqlite::{DatabaseOptions, SqliteOptions};
use annalist::store::{Database, QueryError, SqlRow, SqlValue, Tx, TxError};

use crate::{BALANCES, Place, append, balances, moved, told};

async fn three(place: &Place) -> (annalist::Store, Vec<(&'static str, Database)>) {
    let store = place.open(vec![balances()]).await;
    let beside = Database::open(place.folder.path().join("beside.db")).await;
    let databases = vec![
        ("of the store", store.database().expect("a database")),
        ("beside it", beside.expect("a database")),
        ("in memory", Database::memory().await.expect("a database")),
    ];
    (store, databases)
}

fn values(row: &SqlRow) -> Vec<SqlValue> {
    row.values().to_vec()
}

#[tokio::test]
async fn a_query_answers_what_it_is_asked() {
    let place = Place::new();
    let (_store, databases) = three(&place).await;
    for (which, database) in databases {
        let params = [
            "it's \"so\"".into(),
            7.into(),
            0.5.into(),
            SqlValue::Null,
            vec![0_u8, 1].into(),
        ];
        let sql = "SELECT $1 AS text, $2 + 1 AS n, $3 AS real, $4, $5, $2";
        let rows = database.query(sql, &params, values).await.expect(which);
        let [text, _, real, null, blob] = params;
        assert_eq!(
            rows,
            [vec![text, 8.into(), real, null, blob, 7.into()]],
            "{which}"
        );
        let none = database.query("SELECT 1 WHERE 0", &[], values).await;
        assert!(none.expect(which).is_empty());
        let named = database.query("SELECT 1 AS one, 2 AS \"Two\"", &[], |row| {
            (
                row.get("one").cloned(),
                row.get("Two").cloned(),
                row.get("two").cloned(),
            )
        });
        let named = named.await.expect(which);
        assert_eq!(named, [(Some(1.into()), Some(2.into()), None)]);
    }
}

#[tokio::test]
async fn what_is_no_query_is_refused_and_harms_nobody() {
    let place = Place::new();
    let (store, databases) = three(&place).await;
    append(&store, "account-1", moved(1))
        .await
        .expect("a receipt");
    for (which, database) in databases {
        for sql in [
            "CREATE TABLE x (y)",
            "CREATE TEMP TABLE x (y)",
            "CREATE TEMP VIEW x AS SELECT 1",
            "INSERT INTO annalist_followers (name) VALUES ('x')",
            "DELETE FROM annalist_followers",
            "UPDATE annalist_runners SET fence = 0",
            "DELETE FROM annalist_parked RETURNING name",
            "DROP TABLE annalist_followers",
            "PRAGMA user_version = 7",
            "PRAGMA query_only = OFF",
            "PRAGMA writable_schema = ON",
            "PRAGMA user_version",
            "ATTACH ':memory:' AS x",
            "DETACH main",
            "BEGIN",
            "BEGIN IMMEDIATE",
            "COMMIT",
            "SAVEPOINT x",
            "VACUUM",
            "ANALYZE",
            "REINDEX",
        ] {
            let refused = database.query(sql, &[], values).await.expect_err(sql);
            let is_clear = matches!(refused, QueryError::Refused(TxError::Forbidden { .. }));
            assert!(is_clear, "{which}: {sql}: {}", told(&refused));
            assert!(told(&refused).contains(sql), "{}", told(&refused));
            let after = database.query("SELECT 1", &[], values).await;
            after.unwrap_or_else(|error| panic!("{which}: after {sql}: {}", told(&error)));
        }
        for sql in ["", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1\0"] {
            let refused = database.query(sql, &[], values).await.expect_err(sql);
            let is_clear = matches!(refused, QueryError::Refused(TxError::NotOne { .. }));
            assert!(is_clear, "{which}: {sql}: {}", told(&refused));
        }
        let extension = database
            .query("SELECT load_extension('x')", &[], values)
            .await;
        extension.expect_err("it loads nothing");
        let nonsense = database.query("SELECT x FROM y", &[], values).await;
        assert!(told(&nonsense.expect_err("nonsense")).contains("y"));
        for (sql, params) in [
            ("SELECT $1", vec![]),
            ("SELECT $2", vec![1.into()]),
            ("SELECT 1", vec![1.into()]),
            ("SELECT ?", vec![1.into()]),
            ("SELECT :a", vec![1.into()]),
        ] {
            let refused = database.query(sql, &params, values).await.expect_err(sql);
            let is_clear = matches!(refused, QueryError::Refused(TxError::Parameters { .. }));
            assert!(is_clear, "{which}: {sql}: {}", told(&refused));
        }
    }
    append(&store, "account-1", moved(1))
        .await
        .expect("a receipt");
    assert_eq!(place.rows("SELECT * FROM balances"), ["account-1|[2,2]"]);
}

#[tokio::test]
async fn a_query_has_as_many_rows_as_fit_and_no_more() {
    let place = Place::new();
    let (_store, databases) = three(&place).await;
    let most = Tx::ROWS_MAX;
    for (which, database) in databases {
        let rows = |count: usize| {
            format!(
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT {count}) \
                 SELECT n FROM n"
            )
        };
        let all = database.query(&rows(most), &[], |_| ()).await.expect(which);
        assert_eq!(all.len(), most);
        let more = database
            .query(&rows(most + 1), &[], |_| ())
            .await
            .expect_err(which);
        assert!(matches!(
            more,
            QueryError::Refused(TxError::TooManyRows { .. })
        ));
        assert!(told(&more).contains("10000"), "{}", told(&more));
        let large = "SELECT zeroblob($1) UNION ALL SELECT zeroblob($2)";
        let half = i64::try_from(Tx::BYTES_MAX / 2).expect("a number");
        let all = [half.into(), half.into()];
        let all = database.query(large, &all, |_| ()).await.expect(which);
        assert_eq!(all.len(), 2);
        let more = [half.into(), (half + 1).into()];
        let more = database.query(large, &more, |_| ()).await;
        let more = more.expect_err(which);
        let is_clear = matches!(more, QueryError::Refused(TxError::TooManyBytes { .. }));
        assert!(is_clear, "{}", told(&more));
        assert_eq!(
            database.query("SELECT 1", &[], |_| ()).await.expect(which),
            [()]
        );
    }
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_is_given_up() {
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.readers = 1;
    let store = Store::open_with(place.path(), options)
        .await
        .expect("a store");
    let mut options = DatabaseOptions::default();
    options.readers = 1;
    let beside = place.folder.path().join("beside.db");
    let databases = [
        store.database().expect("a database"),
        Database::open_with(beside, options)
            .await
            .expect("a database"),
        Database::memory().await.expect("a database"),
    ];
    for database in databases {
        let endless = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) \
                       SELECT count(*) FROM n";
        let endless = database.query(endless, &[], values);
        let soon = Duration::from_millis(20);
        tokio::time::timeout(soon, endless)
            .await
            .expect_err("it never ends");
        // The one thread that reads is free again.
        let after = database.query("SELECT 1", &[], |_| ()).await;
        assert_eq!(after.expect("rows"), [()]);
        database.close().await.expect("closed");
    }
    assert!(store.verify().await.expect("a report").is_whole());
    store.close().await.expect("closed");
}

#[tokio::test]
async fn a_read_sees_what_was_committed_before_it() {
    let place = Place::new();
    let store = place.open(vec![balances()]).await;
    let also = place.open(Vec::new()).await;
    let refused = Database::open(place.path()).await.expect_err("a store");
    assert!(told(&refused).contains("Store::database"), "{refused}");
    for n in 1..=50 {
        append(&store, "account-1", moved(1))
            .await
            .expect("a receipt");
        for database in [store.database(), also.database()] {
            let found = BALANCES
                .get("account-1", &database.expect("a database"))
                .await;
            assert_eq!(found.expect("an answer"), Some((n, n as u64)));
        }
    }
}

#[tokio::test]
async fn a_closed_database_says_so() {
    let place = Place::new();
    let (store, databases) = three(&place).await;
    for (which, database) in &databases {
        let clone = database.clone();
        database.close().await.expect(which);
        let after = clone.query("SELECT 1", &[], |_| ()).await;
        match *which {
            // It is the store's to close.
            "of the store" => drop(after.expect("rows")),
            _ => {
                let QueryError::Store(error) = after.expect_err("closed") else {
                    panic!("{which}");
                };
                assert_eq!(error.code(), "handle_closed");
                clone.close().await.expect("closed already");
            }
        }
    }
    store.close().await.expect("closed");
    let (_, database) = &databases[0];
    let after = database
        .query("SELECT 1", &[], |_| ())
        .await
        .expect_err("closed");
    assert!(told(&after).contains("closed"), "{}", told(&after));
    let names: Vec<_> = std::fs::read_dir(place.folder.path())
        .expect("a folder")
        .collect();
    let logs = names.iter().filter(|name| {
        let name = name.as_ref().expect("a file").file_name();
        name.to_string_lossy().ends_with("-wal")
    });
    assert_eq!(logs.count(), 0, "the last one takes the log with it");
}

#[tokio::test]
async fn what_is_no_database_is_told() {
    let place = Place::new();
    let file = place.folder.path().join("notes.txt");
    std::fs::write(
        &file,
        "no database, but text that is long enough to be looked at".repeat(40),
    )
    .expect("written");
    let before = std::fs::read(&file).expect("read");
    let refused = Database::open(&file).await.expect_err("text");
    assert!(told(&refused).contains("notes.txt"), "{}", told(&refused));
    assert_eq!(std::fs::read(&file).expect("read"), before);
    let nowhere = Database::open(place.folder.path().join("no/such.db")).await;
    assert_eq!(nowhere.expect_err("no folder").code(), "no_access");
    let memory = annalist::Store::memory().database();
    assert!(told(&memory.expect_err("no tables")).contains("Database"));
}
