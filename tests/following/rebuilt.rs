//! A build that is made beside the one that is read, and takes its place in one step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use annalist::follow::{FollowOptions, FollowState, Following};
use annalist::projection::{Projection, ProjectionResult, ProjectionRunner};
use annalist::store::{Database, OldBuild, Tx};
use annalist::{ExpectedVersion, PageBounds, Position, RecordedEvent, Store, Version};

use crate::models::{BESIDE, MOVES_BESIDE, Moves, within};
use crate::{PATIENCE, Place, append, append_many, count, reach, stream, told};

const NAME: &str = "log";

/// Every event with the version of the code. It does not know how to forget.
pub(crate) struct Log<const VERSION: u32>;

impl<const VERSION: u32> Projection for Log<VERSION> {
    const NAME: &'static str = NAME;
    const VERSION: u32 = VERSION;

    fn tables(&self) -> Vec<String> {
        vec!["log".to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let log = "CREATE TABLE log (position INTEGER PRIMARY KEY, amount INTEGER, code INTEGER)";
        tx.execute(log, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let amount: i64 = serde_json::from_str(event.payload.as_str())?;
        let params = [event.position.into(), amount.into(), VERSION.into()];
        tx.execute("INSERT INTO log VALUES ($1, $2, $3)", &params)
            .await?;
        Ok(())
    }
}

fn small(database: &Database) -> FollowOptions {
    let mut options = within(database);
    options.lease = Duration::from_millis(300);
    options.batch = PageBounds {
        events_max: 20,
        ..PageBounds::default()
    };
    options
}

fn start<const VERSION: u32>(store: &Store, options: FollowOptions) -> Following {
    let runner = ProjectionRunner::new(store).follow_with(Log::<VERSION>, options);
    runner.start().expect("a runner")
}

async fn seen(database: &Database) -> i64 {
    count(database, "SELECT count(*) FROM log").await
}

async fn tables(database: &Database) -> i64 {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'log%'";
    count(database, sql).await
}

async fn build(running: &Following) -> u32 {
    running.status(NAME).expect("a follower").build
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_the_old_build_whole_until_the_new_one_takes_its_place() {
    let place = Place::new();
    let store = place.open().await;
    let database = place.database().await;
    let head = append_many(&store, 1_000).await;
    let running = start::<1>(&store, small(&database));
    reach(&running, NAME, head).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        async move {
            let mut last = Position::ZERO;
            while !stop.load(Ordering::Relaxed) {
                last = append(&store, 1, 1).await;
            }
            last
        }
    });
    let looks = Arc::new(AtomicU32::new(0));
    let reading = tokio::spawn({
        let (database, stop) = (database.clone(), Arc::clone(&stop));
        let looks = Arc::clone(&looks);
        async move {
            let (mut events, mut sum) = (1_000, 0);
            while !stop.load(Ordering::Relaxed) {
                let sql = "SELECT count(*), sum(amount) FROM log";
                let rows = crate::rows(&database, sql).await;
                let [now, amount] = [0, 1].map(|n| rows[0][n].as_i64().expect("a number"));
                assert!(
                    now >= events && amount >= sum,
                    "{now} < {events}, {amount} < {sum}"
                );
                (events, sum) = (now, amount);
                looks.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for round in 2..6 {
        running
            .rebuild(NAME, OldBuild::Drop)
            .await
            .expect("a rebuild");
        assert_eq!(build(&running).await, round);
        let before = looks.load(Ordering::Relaxed);
        while looks.load(Ordering::Relaxed) < before + 3 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let last = writing.await.expect("a writer that did not panic");
    reading.await.expect("a reader that saw everything");
    reach(&running, NAME, last).await;
    assert_eq!(seen(&database).await as u64, last.get());
    assert_eq!(tables(&database).await, 1);
    println!(
        "rebuilt: 4 builds, {} looks, {last} events",
        looks.load(Ordering::Relaxed)
    );
    running.stop().await;
}

#[tokio::test]
async fn the_old_build_is_kept_if_that_is_asked_and_dropped_if_not() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let head = append_many(&store, 100).await;
    let running = start::<1>(&store, small(&database));
    reach(&running, NAME, head).await;
    running
        .rebuild(NAME, OldBuild::Keep)
        .await
        .expect("a rebuild");
    let head = append(&store, 1, 1).await;
    reach(&running, NAME, head).await;
    // It stays as it was.
    assert_eq!(count(&database, "SELECT count(*) FROM log__r1").await, 100);
    assert_eq!(seen(&database).await, 101);
    running
        .rebuild(NAME, OldBuild::Drop)
        .await
        .expect("a rebuild");
    assert_eq!(count(&database, "SELECT count(*) FROM log__r1").await, 100);
    assert_eq!(tables(&database).await, 2);
    assert_eq!(seen(&database).await, 101);
}

#[tokio::test]
async fn there_may_be_nothing_to_rebuild_it_from() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let running = start::<1>(&store, small(&database));
    for wanted in 2..4 {
        let rebuilt = running.rebuild(NAME, OldBuild::Drop);
        let rebuilt = tokio::time::timeout(PATIENCE, rebuilt).await;
        rebuilt.expect("in time").expect("a rebuild");
        assert_eq!(build(&running).await, wanted);
    }
    let head = append(&store, 1, 1).await;
    reach(&running, NAME, head).await;
    assert_eq!(seen(&database).await, 1);
}

#[tokio::test]
async fn a_raised_version_is_built_beside_and_an_older_one_is_refused() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let head = append_many(&store, 500).await;
    let running = start::<1>(&store, small(&database));
    reach(&running, NAME, head).await;
    running.stop().await;

    // What is read is told of from the first, and is the old build until the new one is whole.
    let running = start::<2>(&store, small(&database));
    let status = told(&running, NAME, |status| status.build > 0).await;
    if status.build == 1 {
        assert_eq!(status.position, head);
    }
    let sums = "SELECT count(DISTINCT code) * 1000 + count(*) FROM log";
    let mut status = running.watch(NAME).expect("a follower");
    while status.borrow_and_update().build < 2 {
        assert_eq!(count(&database, sums).await, 1_500);
        status.changed().await.expect("a runner");
    }
    assert_eq!(count(&database, "SELECT sum(code) FROM log").await, 1_000);
    assert_eq!(tables(&database).await, 1);
    running.stop().await;

    let older = start::<1>(&store, small(&database));
    let status = told(&older, NAME, |status| status.state == FollowState::Stopped).await;
    let problem = status.problem.expect("a problem");
    assert!(problem.contains("run the newer program"), "{problem}");
    append(&store, 1, 1).await;
    older.stop().await;
    let newer = start::<2>(&store, small(&database));
    reach(&newer, NAME, head.next()).await;
    assert_eq!(count(&database, "SELECT sum(code) FROM log").await, 1_002);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_was_stopped_goes_on_where_it_was() {
    let place = Place::new();
    let store = place.open().await;
    let database = place.database().await;
    let head = append_many(&store, 1_500).await;
    let running = start::<1>(&store, small(&database));
    reach(&running, NAME, head).await;
    let rebuilding = tokio::spawn({
        let running = running.clone();
        async move { running.rebuild(NAME, OldBuild::Drop).await }
    });
    let status = told(&running, NAME, |status| {
        let position = status.rebuild.as_ref().map(|rebuild| rebuild.position);
        position > Some(Position::new(100))
    });
    let status = status.await;
    assert!(status.rebuild_eta().is_some());
    running.stop().await;
    let stopped = rebuilding.await.expect("no panic");
    assert_eq!(stopped.expect_err("stopped").code(), "follower_stopped");
    let half = "SELECT position FROM annalist_followers WHERE state = 'building' AND build = 2";
    let half = count(&database, half).await as u64;
    assert!(half > 100 && half < head.get(), "{half}");

    let running = start::<1>(&store, small(&database));
    let status = told(&running, NAME, |status| status.rebuild.is_some()).await;
    let rebuild = status.rebuild.expect("it goes on");
    assert_eq!(rebuild.build, 2);
    assert!(rebuild.position.get() >= half);
    told(&running, NAME, |status| status.build == 2).await;
    assert_eq!(seen(&database).await as u64, head.get());
    running.stop().await;
}

#[tokio::test]
async fn what_does_not_know_how_to_forget_is_rebuilt_by_itself() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let running = start::<1>(&store, small(&database));
    for round in 1..8 {
        let head = append_many(&store, 256).await;
        reach(&running, NAME, head).await;
        let (first, second) = (stream(round % 4), stream((round + 1) % 4));
        let removed = store.delete(&first, ExpectedVersion::Any).await;
        let removed = removed.expect("a removal").position.expect("a marker");
        if round % 2 == 0 {
            // And another one, which the new build may meet.
            let info = store.stream_info(&second).await.expect("a read");
            store
                .truncate_before(&second, info.version)
                .await
                .expect("a removal");
        }
        reach(&running, NAME, removed).await;
        let head = append(&store, 9, 1).await;
        reach(&running, NAME, head).await;
        let all = store.read_all().collect().await.expect("a read");
        assert_eq!(seen(&database).await as usize, all.len());
        assert_eq!(tables(&database).await, 1);
    }
    assert!(build(&running).await > 7);
}

#[tokio::test]
async fn a_removal_that_leaves_more_than_is_taken_in_again_at_once_is_rebuilt() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let runner = ProjectionRunner::new(&store);
    let runner = runner.follow_with(Moves::<BESIDE>, within(&database));
    let running = runner.start().expect("a runner");
    let long = stream(1);
    for _ in 0..11 {
        let events: Vec<_> = (0..1_000).map(crate::deposited).collect();
        let appended = store.append(&long, ExpectedVersion::Any, events);
        appended.await.expect("an append");
    }
    reach(&running, MOVES_BESIDE, Position::new(11_000)).await;
    for (before, build, left) in [(501, 2, 10_500), (2_001, 2, 9_000)] {
        let truncated = store.truncate_before(&long, Version::new(before)).await;
        let marker = truncated.expect("a removal").position.expect("a marker");
        reach(&running, MOVES_BESIDE, marker).await;
        let status = running.status(MOVES_BESIDE).expect("a follower");
        assert_eq!(status.build, build);
        let sql = format!("SELECT count(*) FROM {MOVES_BESIDE}");
        assert_eq!(count(&database, &sql).await, left);
    }
}
