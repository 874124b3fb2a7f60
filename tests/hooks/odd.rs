//! Hooks that do odd things, at odd moments.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, mpsc};

use annalist::store::{CommitHook, HookError, HookResult, Removed, Tx};
use annalist::{AppendError, ExpectedVersion, RecordedEvent, StoreErrorKind, Version};
use futures_util::future::{BoxFuture, FutureExt, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{Place, event, open, stream};

/// An error that panics if it goes on the thread that writes.
#[derive(Debug)]
struct Bomb;

impl fmt::Display for Bomb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("when it is shown")
    }
}

impl Error for Bomb {}

impl Drop for Bomb {
    fn drop(&mut self) {
        let thread = std::thread::current();
        assert_ne!(thread.name(), Some("annalist-writer"), "when it goes");
    }
}

/// Refuses with a bomb, after its test has let it.
struct Bomber {
    called: UnboundedSender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Bomber {
    fn new() -> (Self, UnboundedReceiver<()>, mpsc::Sender<()>) {
        let (called, calls) = unbounded_channel();
        let (let_go_on, go_on) = mpsc::channel();
        let go_on = Mutex::new(go_on);
        (Self { called, go_on }, calls, let_go_on)
    }
}

impl CommitHook for Bomber {
    fn name(&self) -> &str {
        "bomber"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            let once =
                "CREATE TABLE IF NOT EXISTS once (a INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)";
            tx.execute(once, &[]).await?;
            tx.execute("INSERT OR IGNORE INTO once VALUES (1)", &[])
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
        async {
            let event_type = events.first().map(|event| event.event_type.as_str());
            match event_type {
                Some("Late") => {
                    let _ = self.called.send(());
                    let _ = self.go_on.lock().expect("no panic").recv();
                    Err(Bomb.into())
                }
                Some("Refused") => Err(Bomb.into()),
                Some("Ended") => {
                    let _ = tx.execute("INSERT INTO once VALUES (1)", &[]).await;
                    Err(Bomb.into())
                }
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

#[tokio::test]
async fn an_error_that_panics_when_it_goes_harms_nobody() {
    let (bomber, mut calls, let_go_on) = Bomber::new();
    let place = Arc::new(Place::with(vec![Arc::new(bomber)]).await);
    // Its caller is gone when the answer is given.
    let caller = tokio::spawn({
        let place = Arc::clone(&place);
        async move { place.append("a-1", event("Late", "")).await }
    });
    calls.recv().await.expect("the hook is called");
    caller.abort();
    assert!(caller.await.is_err(), "the caller is gone");
    // It may be called more than once, and waits no more.
    drop(let_go_on);
    // In one batch, with one that ends the transaction: what was decided is decided anew.
    for _ in 0..5 {
        let callers = (0..30).map(|caller| {
            let say = ["Noted", "Refused", "Ended"][caller % 3];
            let place = &place;
            async move { (say, place.append("a-1", event(say, "")).await) }
        });
        for (say, answer) in join_all(callers).await {
            let as_due = match (say, &answer) {
                ("Noted", Ok(_)) => true,
                ("Refused", Err(AppendError::Hook { source, .. })) => {
                    matches!(source, HookError::Refused(_))
                }
                ("Ended", Err(AppendError::Hook { source, .. })) => {
                    matches!(source, HookError::EndedTransaction)
                }
                _ => false,
            };
            assert!(as_due, "{say}: {answer:?}");
        }
    }
    let noted = place.append("a-1", event("Noted", "")).await;
    assert_eq!(noted.expect("an append").version(), Version::new(51));
    place.is_whole().await;
}

/// Reads by the names of columns.
struct Named;

impl CommitHook for Named {
    fn name(&self) -> &str {
        "named"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            tx.execute("CREATE TABLE pairs (a, b)", &[]).await?;
            tx.execute("INSERT INTO pairs VALUES ('a', 'b')", &[])
                .await?;
            Ok(())
        }
        .boxed()
    }

    fn on_events<'a>(
        &'a self,
        _: &'a [RecordedEvent],
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        async {
            let rows = tx.query("SELECT * FROM pairs", &[]).await?;
            let row = rows.first().ok_or("no row")?;
            for name in ["a", "b"] {
                let value = row.get(name).and_then(|value| value.as_str());
                if value != Some(name) {
                    return Err(format!("{name} is {value:?}").into());
                }
            }
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test]
async fn columns_keep_their_names_when_another_program_changes_the_table() {
    let place = Place::with(vec![Arc::new(Named)]).await;
    for change in [
        "SELECT 1",
        "DROP TABLE pairs; CREATE TABLE pairs (b, a); INSERT INTO pairs VALUES ('b', 'a')",
        "ALTER TABLE pairs ADD COLUMN c DEFAULT 'c'",
        "ALTER TABLE pairs RENAME COLUMN c TO d",
        "DROP TABLE pairs; CREATE TABLE pairs (d, b, a); INSERT INTO pairs VALUES ('d', 'b', 'a')",
    ] {
        place.connect().execute_batch(change).expect("a change");
        let noted = place.append("a-1", event("Noted", "")).await;
        noted.unwrap_or_else(|error| panic!("{change}: {:?}", error.source()));
    }
    place.is_whole().await;
}

/// Runs its statements when it is set up.
struct SettingUp(&'static [&'static str]);

impl CommitHook for SettingUp {
    fn name(&self) -> &str {
        "setting-up"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            for sql in self.0 {
                tx.execute(sql, &[]).await?;
            }
            Ok(())
        }
        .boxed()
    }

    /// Tries what it could do before.
    fn on_events<'a>(
        &'a self,
        _: &'a [RecordedEvent],
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        async {
            for sql in self.0 {
                if tx.execute(sql, &[]).await.is_ok() {
                    return Err(format!("{sql} was run").into());
                }
            }
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test]
async fn what_was_compiled_for_setting_up_is_not_run_later() {
    let tables = &[
        "CREATE TABLE IF NOT EXISTS mine (a)",
        // Does nothing, and so stays as it was compiled.
        "CREATE TABLE IF NOT EXISTS mine  (a)",
    ];
    let place = Place::with(vec![Arc::new(SettingUp(tables))]).await;
    let noted = place.append("a-1", event("Noted", "")).await;
    noted.unwrap_or_else(|error| panic!("{:?}", error.source()));
}

#[tokio::test]
async fn a_key_left_open_while_setting_up_is_the_hooks_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let hook = SettingUp(&[
        "CREATE TABLE parents (a PRIMARY KEY)",
        "CREATE TABLE children (a REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO children VALUES (1)",
    ]);
    let refused = open(path.clone(), vec![Arc::new(hook)]).await;
    let refused = refused.expect_err("an open key");
    assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused:?}");
    let cause = refused.source().and_then(Error::source);
    let cause = cause.map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("foreign key"), "{refused:?}");
    open(path, Vec::new()).await.expect("a store");
}

#[tokio::test]
async fn no_table_of_a_hooks_holds_the_stores_rows_fast() {
    for table in [
        "CREATE TABLE mine (a REFERENCES annalist_head (id) ON DELETE RESTRICT)",
        "CREATE TABLE mine (a REFERENCES Annalist_Leases ON DELETE RESTRICT)",
        "CREATE TABLE mine (a REFERENCES annalist_events ON UPDATE RESTRICT)",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let leaked: &'static [&'static str] = Box::leak(Box::new([table]));
        let refused = open(path.clone(), vec![Arc::new(SettingUp(leaked))]).await;
        let refused = refused.expect_err(table);
        assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused:?}");
    }
}

/// Changes more rows than a query answers, and counts them.
struct Many;

impl CommitHook for Many {
    fn name(&self) -> &str {
        "many"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            tx.execute("CREATE TABLE numbers (n)", &[]).await?;
            Ok(())
        }
        .boxed()
    }

    fn on_events<'a>(
        &'a self,
        _: &'a [RecordedEvent],
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        async {
            let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10001) \
                          INSERT INTO numbers SELECT i FROM n RETURNING n";
            assert_eq!(tx.execute(insert, &[]).await?, 10_001);
            // Longer than what is kept, and another each time.
            for n in 0..3 {
                let long = format!("SELECT {n}, '{}'", "x".repeat(100_000));
                assert_eq!(tx.query(&long, &[]).await?.len(), 1);
            }
            // Whatever stands between the hook and its transaction.
            let mut between = FuturesUnordered::new();
            between.push(tx.query("SELECT 1", &[]));
            assert_eq!(between.next().await.map(|rows| rows.map(|rows| rows.len()).ok()), Some(Some(1)));
            drop(between);
            for sql in ["SELECT 1\0", "SELECT 1\0, 2", "\0", "SELECT 1;\0SELECT 2"] {
                tx.execute(sql, &[]).await.expect_err("a NUL");
            }
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_statement_that_changes_many_rows_says_how_many() {
    let place = Place::with(vec![Arc::new(Many)]).await;
    let noted = place.append("a-1", event("Noted", "")).await;
    noted.expect("every assertion of the hook holds");
    assert_eq!(place.number("SELECT count(*) FROM numbers"), 10_001);
}

/// Leaves a deferred key open when something is removed.
struct Orphan;

impl CommitHook for Orphan {
    fn name(&self) -> &str {
        "orphan"
    }

    fn on_events<'a>(
        &'a self,
        _: &'a [RecordedEvent],
        _: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        async { Ok(()) }.boxed()
    }

    fn on_removal<'a>(
        &'a self,
        removed: &'a Removed,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        async {
            // Only while the table is there.
            let insert = "INSERT INTO children VALUES ($1)";
            let _ = tx.execute(insert, &[(&removed.stream).into()]).await;
            Ok(())
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_removal_that_leaves_a_key_open_is_undone_alone() {
    let place = Place::with(vec![Arc::new(Orphan)]).await;
    for to in ["a-1", "b-1", "c-1"] {
        let noted = place.append(to, event("Noted", "")).await;
        noted.expect("an append");
    }
    let (any, streams) = (ExpectedVersion::Any, ["a-1", "b-1", "c-1"].map(stream));
    let [a, b, c] = &streams;
    place
        .store
        .delete(a, any)
        .await
        .expect("nothing refers yet");
    // Made by another program, after the store was opened.
    let tables = "CREATE TABLE parents (name TEXT PRIMARY KEY); \
                  CREATE TABLE children (name TEXT REFERENCES parents DEFERRABLE INITIALLY DEFERRED); \
                  INSERT INTO parents VALUES ('b-1')";
    place.connect().execute_batch(tables).expect("tables");
    let lease = "billing".parse().expect("a name");
    let (noted, deleted, open, closed, leased) = tokio::join!(
        place.append("a-1", event("Noted", "")),
        place.store.delete(b, any),
        place.store.delete(c, any),
        place.store.close_stream(c, any),
        place.store.lease(lease).acquire(),
    );
    noted.expect("an append");
    deleted.expect("a removal whose key is resolved");
    for open in [open, closed] {
        let left_open = |error: &AppendError| {
            let AppendError::Hook { source, .. } = error else {
                return false;
            };
            matches!(source, HookError::UnresolvedForeignKey)
        };
        assert!(open.as_ref().is_err_and(left_open), "{open:?}");
    }
    leased.expect("a lease");
    let noted = place.append("c-1", event("Noted", "")).await;
    assert_eq!(noted.expect("it is not closed").version(), Version::new(2));
    assert_eq!(place.number("SELECT count(*) FROM children"), 1);
    place.is_whole().await;
}
