//! Code that does what it must not, and checkpoints that are of another store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use annalist::follow::{FollowError, FollowState, Following};
use annalist::projection::{Projection, ProjectionResult, ProjectionRunner};
use annalist::store::{Database, OldBuild, Tx};
use annalist::{Position, RecordedEvent, Store};

use crate::models::{BESIDE, MOVES_BESIDE, Moves, within};
use crate::{PATIENCE, Place, append, append_many, count, reach, told};

const NAME: &str = "rogue";

#[derive(Clone, Copy, Debug)]
enum Deed {
    Panic,
    Suspend,
    Commit,
    Rollback,
    WriteOthers,
    WriteOurs,
    DropOwn,
    Attach,
    ForgetTable,
}

/// Takes in every event, and at the fifth does what it must not, until it is good.
#[derive(Clone)]
struct Rogue {
    deed: Deed,
    is_good: Arc<AtomicBool>,
}

impl Projection for Rogue {
    const NAME: &'static str = NAME;

    fn tables(&self) -> Vec<String> {
        vec!["rogues".to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let is_good = self.is_good.load(Ordering::Relaxed);
        if matches!(self.deed, Deed::ForgetTable) && !is_good {
            return Ok(());
        }
        let sql = "CREATE TABLE rogues (position INTEGER PRIMARY KEY)";
        tx.execute(sql, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let insert = "INSERT INTO rogues VALUES ($1)";
        tx.execute(insert, &[event.position.into()]).await?;
        if event.position.get() != 5 || self.is_good.load(Ordering::Relaxed) {
            return Ok(());
        }
        let sql = match self.deed {
            Deed::Panic => panic!("a rogue"),
            Deed::Suspend => {
                tokio::task::yield_now().await;
                std::future::pending().await
            }
            Deed::Commit => "COMMIT",
            Deed::Rollback => "INSERT OR ROLLBACK INTO rogues VALUES (5)",
            Deed::WriteOthers => "DELETE FROM own",
            Deed::WriteOurs => "UPDATE annalist_followers SET position = 1000",
            Deed::DropOwn => "DROP TABLE rogues",
            Deed::Attach => "ATTACH 'other.db' AS other",
            Deed::ForgetTable => "SELECT 1",
        };
        tx.execute(sql, &[]).await?;
        Ok(())
    }
}

fn start(store: &Store, database: &Database, rogue: &Rogue) -> Following {
    let runner = ProjectionRunner::new(store).follow_with(rogue.clone(), within(database));
    runner.start().expect("a runner")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_does_what_it_must_not_stops_before_that_event_and_nothing_is_left_of_it() {
    for deed in [
        Deed::Panic,
        Deed::Suspend,
        Deed::Commit,
        Deed::Rollback,
        Deed::WriteOthers,
        Deed::WriteOurs,
        Deed::DropOwn,
        Deed::Attach,
    ] {
        let place = Place::new();
        rusqlite::Connection::open(place.beside())
            .and_then(|conn| conn.execute_batch("CREATE TABLE own (n); INSERT INTO own VALUES (1)"))
            .expect("a table of another one");
        let (store, database) = (Store::memory(), place.database().await);
        append_many(&store, 20).await;
        let is_good = Arc::new(AtomicBool::new(false));
        let rogue = Rogue { deed, is_good };
        let running = start(&store, &database, &rogue);
        let status = told(&running, NAME, |status| {
            status.state == FollowState::Stopped
        })
        .await;
        assert_eq!(status.position, Position::new(4), "{deed:?}: {status:?}");
        let problem = status.problem.expect("a problem");
        assert!(problem.contains("at position 5 "), "{deed:?}: {problem}");
        assert_eq!(count(&database, "SELECT count(*) FROM rogues").await, 4);
        assert_eq!(count(&database, "SELECT count(*) FROM own").await, 1);
        let told = running.wait_for(NAME, Position::new(5), PATIENCE).await;
        assert_eq!(told.expect_err("stopped").code(), "follower_stopped");

        rogue.is_good.store(true, Ordering::Relaxed);
        running.resume(NAME).await.expect("a follower");
        reach(&running, NAME, Position::new(20)).await;
        assert_eq!(count(&database, "SELECT count(*) FROM rogues").await, 20);
        running.stop().await;
    }
}

#[tokio::test]
async fn a_table_that_is_declared_and_not_made_is_told() {
    let (store, database) = (
        Store::memory(),
        Database::memory().await.expect("a database"),
    );
    let rogue = Rogue {
        deed: Deed::ForgetTable,
        is_good: Arc::default(),
    };
    let running = start(&store, &database, &rogue);
    let status = told(&running, NAME, |status| {
        status.state == FollowState::Stopped
    })
    .await;
    let problem = status.problem.expect("a problem");
    assert!(
        problem.contains("has not made the table rogues"),
        "{problem}"
    );
    rogue.is_good.store(true, Ordering::Relaxed);
    running.resume(NAME).await.expect("a follower");
    reach(&running, NAME, Position::ZERO).await;
}

#[tokio::test]
async fn two_of_one_name_are_refused_and_so_is_a_store_without_tables() {
    let database = Database::memory().await.expect("a database");
    let store = Store::memory();
    let twice = ProjectionRunner::new(&store)
        .follow_with(Moves::<BESIDE>, within(&database))
        .follow_with(Moves::<BESIDE>, within(&database))
        .start();
    assert!(matches!(twice, Err(FollowError::Twice { .. })), "{twice:?}");
    let nowhere = ProjectionRunner::new(&store)
        .follow(Moves::<BESIDE>)
        .start();
    assert!(matches!(nowhere, Err(FollowError::Store(_))), "{nowhere:?}");
}

fn follow_moves(store: &Store, database: &Database) -> Following {
    let runner = ProjectionRunner::new(store);
    let runner = runner.follow_with(Moves::<BESIDE>, within(database));
    runner.start().expect("a runner")
}

async fn stops_with_a_mismatch(running: &Following, why: &str) {
    let status = told(running, MOVES_BESIDE, |status| {
        status.state == FollowState::Stopped
    });
    let problem = status.await.problem.expect("a problem");
    assert!(problem.contains(why), "{problem}");
}

#[tokio::test]
async fn a_checkpoint_of_another_store_stops_it_until_it_is_rebuilt() {
    let (one, two) = (Store::memory(), Store::memory());
    let database = Database::memory().await.expect("a database");
    let head = append_many(&one, 50).await;
    let running = follow_moves(&one, &database);
    reach(&running, MOVES_BESIDE, head).await;
    running.stop().await;

    let head = append_many(&two, 70).await;
    let running = follow_moves(&two, &database);
    stops_with_a_mismatch(&running, "the checkpoint is of store").await;
    assert_eq!(count(&database, &moves()).await, 50);
    let written = "SELECT count(*) FROM annalist_followers WHERE problem LIKE '%of store%'";
    assert_eq!(count(&database, written).await, 1);
    let rebuilt = running.rebuild(MOVES_BESIDE, OldBuild::Drop);
    let rebuilt = tokio::time::timeout(PATIENCE, rebuilt).await;
    rebuilt.expect("in time").expect("a rebuild");
    reach(&running, MOVES_BESIDE, head).await;
    assert_eq!(count(&database, &moves()).await, 70);
}

#[tokio::test]
async fn a_store_that_was_restored_from_a_backup_stops_it_until_it_is_rebuilt() {
    let place = Place::new();
    let store = place.open().await;
    let database = place.database().await;
    append_many(&store, 50).await;
    let backup = place.store().with_extension("backup");
    store.backup(&backup).await.expect("a backup");
    let head = append_many(&store, 50).await;
    let running = follow_moves(&store, &database);
    reach(&running, MOVES_BESIDE, head).await;
    running.stop().await;
    store.close().await.expect("a clean close");

    let store = Store::open(&backup).await.expect("a store");
    let running = follow_moves(&store, &database);
    stops_with_a_mismatch(&running, "the store ends at 50").await;
    running.stop().await;
    // Other things happen where it was.
    for _ in 0..60 {
        append(&store, 5, 1).await;
    }
    let running = follow_moves(&store, &database);
    stops_with_a_mismatch(&running, "stands now").await;
    let rebuilt = running.rebuild(MOVES_BESIDE, OldBuild::Drop);
    let rebuilt = tokio::time::timeout(PATIENCE, rebuilt).await;
    rebuilt.expect("in time").expect("a rebuild");
    assert_eq!(count(&database, &moves()).await, 110);
    running.stop().await;
}

#[tokio::test]
async fn a_projection_that_was_poisoned_by_what_is_in_its_tables_can_be_rebuilt() {
    let place = Place::new();
    let (store, database) = (Store::memory(), place.database().await);
    let head = append_many(&store, 50).await;
    let running = follow_moves(&store, &database);
    reach(&running, MOVES_BESIDE, head).await;
    // Somebody has meddled: the next event stands there already.
    let meddler = rusqlite::Connection::open(place.beside()).expect("a connection");
    let sql = format!(
        "INSERT INTO {MOVES_BESIDE}__r1 SELECT 51, 'x', 1, event, amount FROM {MOVES_BESIDE}__r1 LIMIT 1"
    );
    meddler.execute(&sql, []).expect("a row");
    let head = append(&store, 1, 1).await;
    stops_with_a_mismatch(&running, "at position 51 ").await;
    let rebuilt = running.rebuild(MOVES_BESIDE, OldBuild::Drop);
    let rebuilt = tokio::time::timeout(PATIENCE, rebuilt).await;
    rebuilt.expect("in time").expect("a rebuild");
    reach(&running, MOVES_BESIDE, head).await;
    assert_eq!(count(&database, &moves()).await, 51);
    running.stop().await;
}

fn moves() -> String {
    format!("SELECT count(*) FROM {MOVES_BESIDE}")
}
