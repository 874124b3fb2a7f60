//! One runner of a projection at a time over all processes.

use std::time::{Duration, Instant};

use annalist::follow::{FollowOptions, FollowState};
use annalist::projection::ProjectionRunner;
use annalist::store::{Database, OldBuild};
use annalist::{Position, Store};

use crate::child::Worker;
use crate::models::{BESIDE, MEMORY, MOVES_BESIDE, Moves, all_of, follow, within};
use crate::poison::Frail;
use crate::{PATIENCE, Place, append, append_many, count, reach, told};

fn lease(database: &Database, millis: u64) -> FollowOptions {
    let mut options = within(database);
    options.lease = Duration::from_millis(millis);
    options
}

async fn assert_made(store: &Store, beside: &Database, head: Position) {
    let memory = Database::memory().await.expect("a database");
    let runner = follow::<MEMORY>(ProjectionRunner::new(store), &within(&memory));
    let anew = runner.start().expect("a runner");
    for name in crate::models::names(MEMORY) {
        reach(&anew, name, head).await;
    }
    let moves = |all: Vec<Vec<Vec<_>>>| all.into_iter().skip(3).collect::<Vec<_>>();
    let wanted = moves(all_of(&memory, MEMORY).await);
    let sql = format!("SELECT * FROM {MOVES_BESIDE} ORDER BY position");
    assert_eq!(crate::rows(beside, &sql).await, wanted[0]);
    anew.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_fills_and_the_other_stands_by_and_takes_over_when_it_is_stopped() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    let beside = place.database().await;
    let start = |store: &Store, options| {
        let runner = ProjectionRunner::new(store).follow_with(Moves::<BESIDE>, options);
        runner.start().expect("a runner")
    };
    let first = start(&one, lease(&beside, 60_000));
    told(&first, MOVES_BESIDE, |status| {
        status.state == FollowState::Live
    })
    .await;
    let second = start(&two, lease(&beside, 60_000));
    let head = append_many(&two, 300).await;
    // Whoever has appended waits where it is, and is told of the other one.
    reach(&second, MOVES_BESIDE, head).await;
    let status = told(&second, MOVES_BESIDE, |status| status.head == head).await;
    assert_eq!(status.state, FollowState::StandingBy);
    assert_eq!((status.build, status.position, status.lag()), (1, head, 0));

    let refused = second
        .retry_parked(MOVES_BESIDE)
        .await
        .expect_err("it stands by");
    assert_eq!(refused.code(), "follower_refused");
    assert_eq!(second.parked(MOVES_BESIDE).await.expect("a list"), []);

    // The lease would last a minute; one that stops gives it back.
    first.stop().await;
    let head = append(&one, 1, 7).await;
    told(&second, MOVES_BESIDE, |status| {
        status.state == FollowState::Live
    })
    .await;
    reach(&second, MOVES_BESIDE, head).await;
    assert_made(&one, &beside, head).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_asked_of_one_that_stands_by_is_done_by_the_runner() {
    let place = Place::new();
    let store = place.open().await;
    let beside = place.database().await;
    let start = || {
        let options = lease(&beside, 300);
        let runner = ProjectionRunner::new(&store).follow_with(Moves::<BESIDE>, options);
        runner.start().expect("a runner")
    };
    let head = append_many(&store, 200).await;
    let first = start();
    reach(&first, MOVES_BESIDE, head).await;
    let second = start();
    let rebuilt = second.rebuild(MOVES_BESIDE, OldBuild::Keep).await;
    rebuilt.expect("a rebuild");
    assert_eq!(first.status(MOVES_BESIDE).expect("a follower").build, 2);
    let status = second.status(MOVES_BESIDE).expect("a follower");
    assert_eq!((status.state, status.build), (FollowState::StandingBy, 2));
    assert_eq!(
        count(&beside, &format!("SELECT count(*) FROM {MOVES_BESIDE}__r1")).await,
        200
    );
    assert_made(&store, &beside, head).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_runner_is_followed_by_another_process_within_its_lease() {
    let place = Place::new();
    let store = place.open().await;
    let beside = place.database().await;
    let worker = Worker::follow(&place, 1_000, 512, &[]);
    worker.until(FollowState::Live);
    let options = lease(&beside, 1_000);
    let runner = ProjectionRunner::new(&store).follow_with(Moves::<BESIDE>, options);
    let running = runner.start().expect("a runner");
    let head = append_many(&store, 100).await;
    reach(&running, MOVES_BESIDE, head).await;
    let state = running.status(MOVES_BESIDE).expect("a follower").state;
    assert_eq!(state, FollowState::StandingBy);

    worker.kill();
    let killed = Instant::now();
    let head = append(&store, 1, 7).await;
    reach(&running, MOVES_BESIDE, head).await;
    let after = killed.elapsed();
    println!("takeover: {after:?} after the kill, of a lease of 1 s");
    assert!(after < Duration::from_secs(3), "{after:?}");
    assert_made(&store, &beside, head).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_slept_past_its_lease_writes_nothing_more() {
    let place = Place::new();
    let store = place.open().await;
    let beside = place.database().await;
    let worker = Worker::follow(&place, 300, 512, &[]);
    worker.until(FollowState::Live);
    let head = append_many(&store, 50).await;
    let there = format!("SELECT position FROM annalist_followers WHERE name = '{MOVES_BESIDE}'");
    let filled = async {
        while (count(&beside, &there).await as u64) < head.get() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, filled)
        .await
        .expect("its work");
    worker.freeze(&place);
    let options = lease(&beside, 60_000);
    let runner = ProjectionRunner::new(&store).follow_with(Moves::<BESIDE>, options);
    let running = runner.start().expect("a runner");
    told(&running, MOVES_BESIDE, |status| {
        status.state == FollowState::Live
    })
    .await;
    let fence = format!("SELECT fence FROM annalist_runners WHERE name = '{MOVES_BESIDE}'");
    let held = count(&beside, &fence).await;

    // Paused, so that all that is new could only come from the one that slept.
    running.pause(MOVES_BESIDE).await.expect("a follower");
    append_many(&store, 50).await;
    worker.signal("CONT");
    worker.until(FollowState::StandingBy);
    assert_eq!(count(&beside, &there).await as u64, head.get());
    assert_eq!(count(&beside, &fence).await, held);

    running.resume(MOVES_BESIDE).await.expect("a follower");
    let head = append(&store, 1, 7).await;
    reach(&running, MOVES_BESIDE, head).await;
    assert_made(&store, &beside, head).await;
    worker.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runners_that_overtake_each_other_all_the_time_count_each_event_once() {
    let place = Place::new();
    let store = place.open().await;
    let beside = place.database().await;
    let start = || {
        let runner = ProjectionRunner::new(&store);
        let runner = runner.follow_with(Moves::<BESIDE>, lease(&beside, 0));
        runner.start().expect("a runner")
    };
    let running = [start(), start()];
    let mut head = Position::ZERO;
    for _ in 0..20 {
        head = append_many(&store, 40).await;
        reach(&running[0], MOVES_BESIDE, head).await;
        reach(&running[1], MOVES_BESIDE, head).await;
    }
    let fence = format!("SELECT fence FROM annalist_runners WHERE name = '{MOVES_BESIDE}'");
    let changes = async {
        while count(&beside, &fence).await < 8 {
            head = append(&store, 1, 1).await;
        }
    };
    tokio::time::timeout(PATIENCE, changes)
        .await
        .expect("both take part");
    reach(&running[1], MOVES_BESIDE, head).await;
    println!(
        "takeover: {} times without a lease",
        count(&beside, &fence).await
    );
    assert_made(&store, &beside, head).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_overtaken_and_has_not_noticed_can_be_stopped() {
    let place = Place::new();
    let store = place.open().await;
    let beside = place.database().await;
    let runner = ProjectionRunner::new(&store);
    let runner = runner.follow_with(Moves::<BESIDE>, lease(&beside, 60_000));
    let running = runner.start().expect("a runner");
    let head = append(&store, 1, 1).await;
    reach(&running, MOVES_BESIDE, head).await;
    let other = rusqlite::Connection::open(place.beside()).expect("a connection");
    let sql = "UPDATE annalist_runners SET fence = fence + 1";
    other.execute(sql, []).expect("a row");
    let stopped = tokio::time::timeout(PATIENCE, running.stop()).await;
    stopped.expect("its end");
    let held = "SELECT count(*) FROM annalist_runners WHERE lease_until > 0";
    assert_eq!(
        count(&beside, held).await,
        1,
        "the other one's lease is its own"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_has_stopped_stands_by_when_another_has_come_past_its_trouble() {
    let place = Place::new();
    let store = place.open().await;
    let beside = place.database().await;
    let start = |frail: Frail| {
        let runner = ProjectionRunner::new(&store).follow_with(frail, lease(&beside, 400));
        runner.start().expect("a runner")
    };
    let stopped = start(Frail::at(30, u32::MAX));
    let head = append_many(&store, 40).await;
    told(&stopped, Frail::NAME, |status| {
        status.state == FollowState::Stopped
    })
    .await;
    let good = start(Frail::default());
    reach(&good, Frail::NAME, head).await;
    told(&stopped, Frail::NAME, |status| {
        status.state == FollowState::StandingBy
    })
    .await;
    let head = append(&store, 1, 1).await;
    reach(&stopped, Frail::NAME, head).await;
    good.stop().await;
    let head = append(&store, 1, 1).await;
    reach(&stopped, Frail::NAME, head).await;
}
