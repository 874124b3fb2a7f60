//! What was asked for and met trouble: it is done once, or said not to be, and leaves nothing
//! behind.

use std::time::Duration;

use annalist::follow::{FollowOptions, FollowState, FollowStatus, Following, OnPoison};
use annalist::projection::{Projection, ProjectionResult, ProjectionRunner};
use annalist::store::sqlite::DatabaseOptions;
use annalist::store::{Database, OldBuild, Tx};
use annalist::{ExpectedVersion, PageBounds, Position, RecordedEvent, Store, Version};

use crate::models::within;
use crate::poison::Frail;
use crate::rebuilt::Log;
use crate::{Place, append, append_many, count, reach, stream, told};

const NAME: &str = "log";

fn options(database: &Database, lease: Duration) -> FollowOptions {
    let mut options = within(database);
    options.lease = lease;
    options.batch = PageBounds {
        events_max: 20,
        ..PageBounds::default()
    };
    options
}

fn start<P: Projection>(store: &Store, projection: P, options: FollowOptions) -> Following {
    let runner = ProjectionRunner::new(store).follow_with(projection, options);
    runner.start().expect("a runner")
}

fn is_stopped(status: &FollowStatus) -> bool {
    status.state == FollowState::Stopped
}

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(8), future).await;
    done.expect("in time")
}

async fn tables(database: &Database) -> i64 {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'log%'";
    count(database, sql).await
}

/// Puts a row where the next event will stand, so that this build can go no further.
async fn meddle(place: &Place, next: Position) {
    let meddler = rusqlite::Connection::open(place.beside()).expect("a connection");
    let sql = format!("INSERT INTO log__r1 VALUES ({next}, 0, 0)");
    meddler.execute(&sql, []).expect("a row");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_to_be_kept_is_kept_also_when_the_rebuild_was_stopped_meanwhile() {
    let place = Place::new();
    let store = place.open().await;
    let database = place.database().await;
    let head = append_many(&store, 1_500).await;
    let running = start(&store, Log::<1>, options(&database, SHORT));
    reach(&running, NAME, head).await;
    let rebuilding = tokio::spawn({
        let running = running.clone();
        async move { running.rebuild(NAME, OldBuild::Keep).await }
    });
    told(&running, NAME, |status| {
        let position = status.rebuild.as_ref().map(|rebuild| rebuild.position);
        position > Some(Position::new(100))
    })
    .await;
    running.stop().await;
    let stopped = rebuilding.await.expect("no panic");
    stopped.expect_err("stopped");

    let running = start(&store, Log::<1>, options(&database, SHORT));
    told(&running, NAME, |status| status.build == 2).await;
    assert_eq!(
        (
            tables(&database).await,
            count(&database, "SELECT count(*) FROM log__r1").await
        ),
        (2, 1_500)
    );
    // It was asked for once.
    running
        .rebuild(NAME, OldBuild::Drop)
        .await
        .expect("a rebuild");
    assert_eq!(tables(&database).await, 2);
    let asked = "SELECT count(*) FROM annalist_runners WHERE rebuild IS NOT NULL";
    assert_eq!(count(&database, asked).await, 0);
    running.stop().await;
}

#[tokio::test]
async fn what_rebuilds_by_itself_keeps_nothing_though_older_versions_are_kept() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let mut options = options(&database, SHORT);
    options.old = OldBuild::Keep;
    let running = start(&store, Log::<1>, options);
    let head = append_many(&store, 64).await;
    reach(&running, NAME, head).await;
    let removed = store.delete(&stream(0), ExpectedVersion::Any).await;
    let removed = removed.expect("a removal").position.expect("a marker");
    reach(&running, NAME, removed).await;
    assert_eq!(tables(&database).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_asked_of_one_that_stands_by_for_one_that_has_stopped_is_done() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    let database = place.database().await;
    let head = append_many(&one, 50).await;
    let first = start(&one, Log::<1>, options(&database, LONG));
    reach(&first, NAME, head).await;
    let second = start(&two, Log::<1>, options(&database, LONG));
    told(&second, NAME, |status| status.build == 1).await;
    meddle(&place, head.next()).await;
    let head = append(&one, 1, 1).await;
    told(&first, NAME, is_stopped).await;
    in_time(second.rebuild(NAME, OldBuild::Drop))
        .await
        .expect("a rebuild");
    reach(&second, NAME, head).await;
    assert_eq!(second.status(NAME).expect("a follower").build, 2);
    // And once.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(tables(&database).await, 1);
    let asked = "SELECT count(*) FROM annalist_runners WHERE rebuild IS NOT NULL";
    assert_eq!(count(&database, asked).await, 0);
    told(&first, NAME, |status| {
        status.state == FollowState::StandingBy
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_that_have_stopped_can_be_told_to_rebuild() {
    for asks_first in [true, false] {
        let place = Place::new();
        let (one, two) = (place.open().await, place.open().await);
        let database = place.database().await;
        let head = append_many(&one, 50).await;
        let first = start(&one, Log::<1>, options(&database, SHORT));
        reach(&first, NAME, head).await;
        let second = start(&two, Log::<1>, options(&database, SHORT));
        meddle(&place, head.next()).await;
        let head = append(&one, 1, 1).await;
        for running in [&first, &second] {
            told(running, NAME, |status| status.state == FollowState::Stopped).await;
        }
        let asked = if asks_first { &first } else { &second };
        in_time(asked.rebuild(NAME, OldBuild::Drop))
            .await
            .expect("a rebuild");
        for running in [&first, &second] {
            reach_again(running, head).await;
        }
        assert_eq!(tables(&database).await, 1);
        let build = "SELECT build FROM annalist_followers";
        assert_eq!(count(&database, build).await, 2);
    }
}

/// One that has stopped hears of it a moment later.
async fn reach_again(running: &Following, head: Position) {
    told(running, NAME, |status| status.position >= head).await;
}

#[tokio::test]
async fn an_older_program_that_is_told_to_rebuild_leaves_nothing_behind() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let head = append_many(&store, 50).await;
    let newer = start(&store, Log::<2>, options(&database, SHORT));
    reach(&newer, NAME, head).await;
    newer.stop().await;
    let older = start(&store, Log::<1>, options(&database, SHORT));
    told(&older, NAME, |status| status.state == FollowState::Stopped).await;
    let refused = in_time(older.rebuild(NAME, OldBuild::Drop)).await;
    let refused = refused.expect_err("an older program").to_string();
    assert!(refused.contains("run the newer program"), "{refused}");
    assert_eq!(tables(&database).await, 1);
    older.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_now_is_not_told_as_stopped() {
    let place = Place::new();
    let store = place.open().await;
    let mut patience = DatabaseOptions::default();
    patience.busy_timeout = Duration::from_millis(50);
    let database = Database::open_with(place.beside(), patience)
        .await
        .expect("a database");
    let head = append_many(&store, 50).await;
    let running = start(&store, Log::<1>, options(&database, LONG));
    reach(&running, NAME, head).await;
    let other = rusqlite::Connection::open(place.beside()).expect("a connection");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let refused = running
        .rebuild(NAME, OldBuild::Drop)
        .await
        .expect_err("busy");
    assert_eq!(refused.code(), "follower_refused", "{refused}");
    let refused = running.drop_parked(NAME, head).await.expect_err("busy");
    assert_eq!(refused.code(), "follower_refused", "{refused}");
    other.execute_batch("ROLLBACK").expect("a lock");
    in_time(async {
        while running.rebuild(NAME, OldBuild::Drop).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_killed_while_its_clock_was_ahead_is_followed_all_the_same() {
    let place = Place::new();
    let store = place.open().await;
    let database = place.database().await;
    let head = append_many(&store, 50).await;
    let gone = start(&store, Log::<1>, options(&database, SHORT));
    reach(&gone, NAME, head).await;
    gone.stop().await;
    let other = rusqlite::Connection::open(place.beside()).expect("a connection");
    let sql = "UPDATE annalist_runners SET lease_until = 9000000000000000";
    other.execute(sql, []).expect("a row");
    let running = start(&store, Log::<1>, options(&database, SHORT));
    in_time(told(&running, NAME, |status| {
        status.state == FollowState::Live
    }))
    .await;
    running.stop().await;
}

#[tokio::test]
async fn what_was_before_its_beginning_is_not_taken_in_by_a_rebuild_or_after_a_removal() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let begin = append_many(&store, 30).await;
    let mut options = options(&database, SHORT);
    options.begin_after = begin;
    let running = start(&store, Frail::default(), options);
    for _ in 0..10 {
        append(&store, 0, 1).await;
    }
    let taken = "SELECT count(*) FROM taken";
    reach(&running, Frail::NAME, Position::new(40)).await;
    assert_eq!(count(&database, taken).await, 10);
    let removed = store.truncate_before(&stream(0), Version::new(5)).await;
    let removed = removed.expect("a removal").position.expect("a marker");
    reach(&running, Frail::NAME, removed).await;
    assert_eq!(count(&database, taken).await, 10);
    running
        .rebuild(Frail::NAME, OldBuild::Drop)
        .await
        .expect("a rebuild");
    assert_eq!(count(&database, taken).await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_meanwhile_halts_the_rebuild_and_not_what_is_read() {
    let place = Place::new();
    let store = place.open().await;
    let database = place.database().await;
    let head = append_many(&store, 100).await;
    let running = start(&store, Log::<1>, options(&database, LONG));
    reach(&running, NAME, head).await;
    running.pause(NAME).await.expect("a follower");
    let rebuilding = tokio::spawn({
        let running = running.clone();
        async move { running.rebuild(NAME, OldBuild::Drop).await }
    });
    told(&running, NAME, |status| status.rebuild.is_some()).await;
    // Somebody has put a table in the place of the view.
    let other = rusqlite::Connection::open(place.beside()).expect("a connection");
    other
        .execute_batch("DROP VIEW log; CREATE TABLE log (n)")
        .expect("a table");
    running.resume(NAME).await.expect("a follower");
    let refused = in_time(rebuilding)
        .await
        .expect("no panic")
        .expect_err("taken");
    println!("{refused}");
    let head = append(&store, 1, 1).await;
    in_time(reach(&running, NAME, head)).await;
    assert_eq!(count(&database, "SELECT count(*) FROM log__r1").await, 101);
    other.execute_batch("DROP TABLE log").expect("a table");
    running.resume(NAME).await.expect("a follower");
    told(&running, NAME, |status| status.build == 2).await;
    running.stop().await;
}

/// The same name and version with another table.
struct Other;

impl Projection for Other {
    const NAME: &'static str = NAME;

    fn tables(&self) -> Vec<String> {
        vec!["logs".to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let logs = "CREATE TABLE logs (position INTEGER PRIMARY KEY)";
        tx.execute(logs, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let insert = "INSERT INTO logs VALUES ($1)";
        tx.execute(insert, &[event.position.into()]).await?;
        Ok(())
    }
}

#[tokio::test]
async fn other_tables_in_the_same_version_are_refused_and_park_nothing() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let head = append_many(&store, 50).await;
    let running = start(&store, Log::<1>, options(&database, SHORT));
    reach(&running, NAME, head).await;
    running.stop().await;
    let head = append_many(&store, 50).await;

    let mut options = options(&database, SHORT);
    options.on_poison = OnPoison::Park;
    let running = start(&store, Other, options);
    let status = told(&running, NAME, is_stopped).await;
    let problem = status.problem.expect("a problem");
    assert!(problem.contains("raise its VERSION"), "{problem}");
    let rebuilt = in_time(running.rebuild(NAME, OldBuild::Drop)).await;
    rebuilt.expect("a rebuild");
    reach(&running, NAME, head).await;
    assert_eq!(
        count(&database, "SELECT count(*) FROM logs").await as u64,
        head.get()
    );
    assert_eq!(tables(&database).await, 1);
    running.stop().await;
}
