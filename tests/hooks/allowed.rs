//! What the statements of a hook may do.

use std::sync::Arc;

use annalist::store::{CommitHook, HookError, HookResult, SqlValue, Tx, TxError};
use annalist::{AppendError, RecordedEvent};
use futures_util::future::{BoxFuture, FutureExt};

use crate::meddler::Meddler;
use crate::{Place, event};

#[tokio::test]
async fn a_hook_neither_ends_the_transaction_nor_writes_what_is_the_stores() {
    let place = Place::with(vec![Arc::new(Meddler)]).await;
    place
        .append("a-1", event("Noted", ""))
        .await
        .expect("an append");
    for sql in [
        "COMMIT",
        "END",
        "ROLLBACK",
        "ROLLBACK TO annalist_commit",
        "RELEASE annalist_commit",
        "BEGIN",
        "SAVEPOINT mine",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM INTO 'copy.db'",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA synchronous = OFF",
        "PRAGMA user_version = 7",
        "PRAGMA writable_schema = ON",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA defer_foreign_keys = ON",
        "SELECT * FROM pragma_table_info('annalist_events')",
        "ANALYZE",
        "REINDEX",
        "DELETE FROM annalist_events",
        "UPDATE Annalist_Head SET last_position = 0",
        "INSERT INTO \"ANNALIST_TYPES\" (name) VALUES ('Mine')",
        "INSERT OR REPLACE INTO main.annalist_meta VALUES (1, 1, zeroblob(16), 0)",
        "DELETE FROM annalist_leases RETURNING name",
        "WITH gone AS (SELECT 1) UPDATE annalist_keys SET key = 'other'",
        // By a trigger of its own.
        "INSERT INTO meddled VALUES ('sly')",
        "UPDATE sqlite_schema SET sql = NULL",
        "DROP TABLE counts",
        "CREATE TABLE late (a)",
        "CREATE TEMP VIEW mine AS SELECT 1",
        "ALTER TABLE counts RENAME TO counted",
        "SELECT load_extension('mine')",
    ] {
        let answer = place.append("b-1", event("Meddled", sql)).await;
        let Err(AppendError::Hook {
            source: HookError::Refused(why),
            ..
        }) = answer
        else {
            panic!("{sql}: {answer:?}")
        };
        let why = why
            .downcast::<TxError>()
            .expect("what the transaction said");
        let forbidden = matches!(*why, TxError::Forbidden { .. });
        // SQLite itself knows better in a few cases.
        let refused = matches!(*why, TxError::Sql { .. })
            && ["UPDATE sqlite_schema", "VACUUM", "SELECT load"]
                .iter()
                .any(|begin| sql.starts_with(begin));
        assert!(forbidden || refused, "{sql}: {why:?}");
    }
    assert_eq!(place.number("SELECT sum(n) FROM counts"), 1);
    place.is_whole().await;
}

#[tokio::test]
async fn a_statement_that_the_store_runs_too_is_not_the_hooks_to_run() {
    let place = Place::with(vec![Arc::new(Meddler)]).await;
    // The store has these compiled and kept.
    for sql in [
        "INSERT INTO annalist_streams (name) VALUES (?1)",
        "INSERT INTO annalist_types (name) VALUES (?1)",
        "SAVEPOINT annalist_commit",
        "BEGIN IMMEDIATE",
    ] {
        let answer = place.append("b-1", event("Meddled", sql)).await;
        assert!(
            matches!(answer, Err(AppendError::Hook { .. })),
            "{sql}: {answer:?}"
        );
    }
    place.is_whole().await;
}

/// Asks in every way that a statement can be asked.
struct Asker;

#[expect(
    clippy::indexing_slicing,
    reason = "a row that is missing fails the test"
)]
impl CommitHook for Asker {
    fn name(&self) -> &str {
        "asker"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            let search = "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(word)";
            tx.execute(search, &[]).await?;
            tx.execute("CREATE TABLE IF NOT EXISTS kinds (a, b, c, d, e)", &[])
                .await?;
            Ok(())
        }
        .boxed()
    }

    fn on_events<'a>(
        &'a self,
        events: &'a [RecordedEvent],
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        async move {
            let text = events[0].payload.as_str();
            tx.execute("INSERT INTO words VALUES ($1)", &[text.into()]).await?;
            let found = tx.query("SELECT count(*) AS n FROM words WHERE words MATCH 'albatross'", &[]).await?;
            assert_eq!(found[0].get("n"), Some(&SqlValue::Integer(1)));
            assert_eq!(found[0].get("m"), None);

            // Parameters go by their number, wherever they stand and however often.
            let kinds = [SqlValue::Null, 7.into(), 2.5.into(), "text".into(), vec![1, 0].into()];
            let insert = "INSERT INTO kinds VALUES ($5, $4, $3, $2, $1), ($1, $1, $1, $1, $1)";
            assert_eq!(tx.execute(insert, &kinds).await?, 2);
            let rows = tx.query("SELECT e, d, c, b, a FROM kinds LIMIT 1", &[]).await?;
            assert_eq!(rows[0].values(), kinds);
            let row = tx.query("DELETE FROM kinds RETURNING b", &[]).await?;
            assert_eq!(row[0].get("b").and_then(SqlValue::as_str), Some("text"));

            // The store's tables may be read, and hold the events already.
            let log = tx.query("SELECT stream, version FROM annalist_log ORDER BY position DESC LIMIT 1", &[]).await?;
            assert_eq!(log[0].get("stream").and_then(SqlValue::as_str), Some(events[0].stream.as_str()));

            for (sql, given) in [
                ("SELECT $1, $2", 1),
                ("SELECT $2", 1),
                ("SELECT $1", 2),
                ("SELECT ?1", 1),
                ("SELECT ?", 1),
                ("SELECT :a", 1),
                ("SELECT $0", 1),
            ] {
                let values: Vec<SqlValue> = (0..given).map(SqlValue::from).collect();
                let refused = tx.query(sql, &values).await;
                assert!(matches!(refused, Err(TxError::Parameters { .. })), "{sql}: {refused:?}");
            }
            for sql in ["", " -- nothing", "SELECT 1; SELECT 2"] {
                let refused = tx.execute(sql, &[]).await;
                assert!(matches!(refused, Err(TxError::NotOne { .. })), "{sql}: {refused:?}");
            }
            let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT $1";
            assert_eq!(tx.query(many, &[10_000.into()]).await?.len(), Tx::ROWS_MAX);
            let refused = tx.query(many, &[10_001.into()]).await;
            assert!(matches!(refused, Err(TxError::TooManyRows { .. })));
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_hook_runs_sql_with_parameters_by_position() {
    let place = Place::with(vec![Arc::new(Asker)]).await;
    let said = place.append("a-1", event("Noted", "an albatross")).await;
    said.expect("every assertion of the hook holds");
    place.is_whole().await;
}
