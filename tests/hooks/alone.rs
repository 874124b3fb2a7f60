//! A hook that fails, panics or waits fails its own commit, and nobody else's.

use std::sync::Arc;

use annalist::store::{CommitHook, HookError, HookResult, Tx};
use annalist::{AppendError, ExpectedVersion, RecordedEvent, StoreErrorKind, Version};
use futures_util::future::{BoxFuture, FutureExt, join_all};

use crate::meddler::Meddler;
use crate::{Place, event, open, stream};

fn why(answer: Result<annalist::Receipt, AppendError>) -> HookError {
    match answer {
        Err(AppendError::Hook { hook, source }) => {
            assert_eq!(hook, "meddler");
            source
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_hook_that_fails_undoes_its_commit_alone() {
    let place = Place::with(vec![Arc::new(Meddler)]).await;
    place
        .append("a-1", event("Noted", ""))
        .await
        .expect("an append");

    let refused = why(place.append("a-1", event("Meddled", "refuse")).await);
    assert!(
        matches!(refused, HookError::Refused(error) if error.to_string() == "no such meddling")
    );
    let panicked = why(place.append("b-1", event("Meddled", "panic")).await);
    assert!(matches!(panicked, HookError::Panicked(said) if said.message == "on purpose"));
    let at_once = why(place.append("b-1", event("PanickedAtOnce", "")).await);
    assert!(matches!(at_once, HookError::Panicked(said) if said.message == "at once"));
    let suspended = why(place.append("b-1", event("Meddled", "suspend")).await);
    assert!(matches!(suspended, HookError::Suspended));
    // There is no runtime on the thread that writes.
    let slept = why(place.append("b-1", event("Meddled", "sleep")).await);
    assert!(matches!(slept, HookError::Panicked(_)));
    let ended = why(place
        .append(
            "b-1",
            event(
                "Meddled",
                "INSERT OR ROLLBACK INTO counts SELECT type, n FROM counts",
            ),
        )
        .await);
    assert!(matches!(ended, HookError::EndedTransaction));
    let ended = why(place
        .append(
            "b-1",
            event(
                "Meddled",
                "?INSERT OR ROLLBACK INTO counts SELECT type, n FROM counts",
            ),
        )
        .await);
    assert!(
        matches!(ended, HookError::EndedTransaction),
        "also where the hook hides it"
    );

    // A statement that fails is no failure of the hook that goes on.
    let passed = place.append("b-1", event("Meddled", "?nonsense")).await;
    assert_eq!(passed.expect("an append").version(), Version::new(1));
    let next = place
        .append("a-1", event("Noted", ""))
        .await
        .expect("an append");
    assert_eq!(
        (next.version(), next.position.map(|p| p.get())),
        (Version::new(2), Some(3))
    );
    assert_eq!(place.number("SELECT sum(n) FROM counts"), 3);
    assert_eq!(place.number("SELECT count(*) FROM seen"), 3);
    assert_eq!(place.number("SELECT count(*) FROM annalist_streams"), 2);
    place.is_whole().await;
}

#[tokio::test]
async fn panics_in_the_middle_of_batches_harm_nobody_else() {
    let panics =
        std::env::var("ANNALIST_PANICS").map_or(1_000, |text| text.parse().expect("a number"));
    let place = Place::with(vec![Arc::new(Meddler)]).await;
    let mut landed = 0;
    for batch in 0..panics / 20 {
        let callers = (0..60).map(|caller| {
            let say = match caller % 6 {
                0 => event("Meddled", "panic"),
                3 => event("PanickedAtOnce", ""),
                _ => event("Noted", ""),
            };
            let (place, to) = (&place, format!("s{}-{}", caller % 7, batch % 5));
            async move { (caller, place.append(&to, say).await) }
        });
        for (caller, answer) in join_all(callers).await {
            match caller % 3 {
                0 => assert!(matches!(why(answer), HookError::Panicked(_))),
                _ => landed += i64::from(answer.is_ok()),
            }
        }
    }
    let expected = i64::from(panics / 20) * 40;
    println!("panics: {panics} commits failed, {landed} beside them landed");
    assert_eq!(landed, expected);
    assert_eq!(
        place.number("SELECT n FROM counts WHERE type = 'Noted'"),
        expected
    );
    assert_eq!(place.number("SELECT sum(n) FROM counts"), expected);
    // What the hook saw is what is stored, number by number.
    let differs = "SELECT count(*) FROM annalist_log AS l FULL JOIN seen AS s \
                   ON (l.position, l.stream, l.version) = (s.position, s.stream, s.version) \
                   WHERE l.position IS NULL OR s.position IS NULL";
    assert_eq!(place.number(differs), 0);
    place.is_whole().await;
}

#[tokio::test]
async fn a_removal_is_undone_with_its_hook() {
    let place = Place::with(vec![Arc::new(Meddler)]).await;
    for to in ["kept-1", "cursed-1", "free-1"] {
        place
            .append(to, event("Noted", ""))
            .await
            .expect("an append");
    }
    let any = ExpectedVersion::Any;
    let kept = place.store.delete(&stream("kept-1"), any).await;
    assert!(matches!(
        kept,
        Err(AppendError::Hook {
            source: HookError::Refused(_),
            ..
        })
    ));
    let cursed = place.store.close_stream(&stream("cursed-1"), any).await;
    assert!(matches!(
        cursed,
        Err(AppendError::Hook {
            source: HookError::Panicked(_),
            ..
        })
    ));
    place
        .append("kept-1", event("Noted", ""))
        .await
        .expect("it is not deleted");
    place
        .append("cursed-1", event("Noted", ""))
        .await
        .expect("it is not closed");

    place
        .store
        .delete(&stream("free-1"), any)
        .await
        .expect("a deletion");
    place
        .store
        .delete(&stream("free-1"), any)
        .await
        .expect("a repeat");
    assert_eq!(
        place.number("SELECT n FROM counts WHERE type = 'removals'"),
        1
    );
    place.is_whole().await;
}

/// Rows that refer to others, which is looked at when the transaction ends.
struct Deferring;

impl CommitHook for Deferring {
    fn name(&self) -> &str {
        "deferring"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            let tables = [
                "CREATE TABLE IF NOT EXISTS parents (stream TEXT PRIMARY KEY)",
                "CREATE TABLE IF NOT EXISTS children (stream TEXT, parent TEXT \
                 REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
            ];
            for table in tables {
                tx.execute(table, &[]).await?;
            }
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
            for event in events {
                let row: &[_] = &[(&event.stream).into()];
                let sql = match event.event_type.as_str() {
                    "Parent" => "INSERT INTO parents VALUES ($1)",
                    // Its parent is the stream `p-1`.
                    _ => "INSERT INTO children VALUES ($1, 'p-1')",
                };
                tx.execute(sql, row).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test]
async fn nobody_pays_for_a_foreign_key_that_another_left_open() {
    let place = Place::with(vec![Arc::new(Deferring)]).await;
    // Together they would resolve; each is a commit of its own.
    let (child, parent, late) = tokio::join!(
        place.append("c-1", event("Child", "")),
        place.append("p-1", event("Parent", "")),
        place.append("c-2", event("Child", "")),
    );
    match child {
        Err(AppendError::Hook {
            hook,
            source: HookError::UnresolvedForeignKey,
        }) => {
            assert_eq!(hook, "deferring");
        }
        other => panic!("{other:?}"),
    }
    parent.expect("a parent");
    late.expect("a child whose parent is there");
    assert_eq!(place.number("SELECT count(*) FROM children"), 1);

    // Within one commit the order does not matter.
    let both = annalist::Commit::new()
        .append(stream("c-3"), ExpectedVersion::Any, [event("Child", "")])
        .append(stream("p-2"), ExpectedVersion::Any, [event("Parent", "")]);
    place.store.commit(both).await.expect("a commit");
    place.is_whole().await;
}

/// Fails to be set up in a way of its own.
struct Broken(&'static str);

impl CommitHook for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            tx.execute(self.0, &[]).await?;
            Ok(())
        }
        .boxed()
    }

    fn on_events<'a>(
        &'a self,
        _: &'a [RecordedEvent],
        _: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        async { Ok(()) }.boxed()
    }
}

#[tokio::test]
async fn a_store_whose_hooks_cannot_be_set_up_is_not_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    for sql in [
        "nonsense",
        "COMMIT",
        "ROLLBACK",
        "INSERT OR ROLLBACK INTO counts SELECT 'a', 1 UNION ALL SELECT 'a', 1",
        "ALTER TABLE annalist_events ADD COLUMN extra",
        "DROP TABLE annalist_keys",
        "DROP INDEX annalist_events_by_id",
        "CREATE INDEX mine ON annalist_events (type)",
        "CREATE TRIGGER mine AFTER INSERT ON Annalist_Events BEGIN SELECT 1; END",
        "CREATE TABLE ANNALIST_mine (a)",
        "CREATE TEMP TABLE mine (a)",
        "ALTER TABLE counts RENAME TO annalist_counts",
    ] {
        let refused = open(path.clone(), vec![Arc::new(Meddler), Arc::new(Broken(sql))]).await;
        let refused = refused.expect_err(sql);
        assert_eq!(
            refused.kind(),
            StoreErrorKind::Invalid,
            "{sql}: {refused:?}"
        );
    }
    // Nothing is left of any of them.
    let store = open(path.clone(), Vec::new()).await.expect("a store");
    let conn = rusqlite::Connection::open(&path).expect("a connection");
    let others = "SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT LIKE 'annalist%'";
    let others: i64 = conn
        .query_row(others, [], |row| row.get(0))
        .expect("a number");
    assert_eq!(others, 0);
    assert!(store.verify().await.expect("a report").is_whole());
}
