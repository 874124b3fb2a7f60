//! Followers that are watched, waited for, paused and stopped.

use std::time::Duration;

use annalist::follow::{FollowError, FollowState, Following};
use annalist::projection::ProjectionRunner;
use annalist::store::Database;
use annalist::{PageBounds, Position, Store};

use crate::models::{Moves, OWN_FILE, within};
use crate::{PATIENCE, Place, append, append_many, count, reach, told};

const NAME: &str = crate::models::MOVES_OWN;
const MOMENT: Duration = Duration::from_millis(30);

async fn start(store: &Store) -> (Database, Following) {
    let database = Database::memory().await.expect("a database");
    let mut options = within(&database);
    options.lease = Duration::from_millis(300);
    options.batch = PageBounds {
        events_max: 16,
        ..PageBounds::default()
    };
    let runner = ProjectionRunner::new(store).follow_with(Moves::<OWN_FILE>, options);
    (database, runner.start().expect("a runner"))
}

#[tokio::test]
async fn waiting_ends_with_the_position_a_time_out_or_the_end_of_the_follower() {
    let store = Store::memory();
    let (_database, running) = start(&store).await;
    let one = append(&store, 1, 1).await;
    reach(&running, NAME, one).await;
    reach(&running, NAME, Position::ZERO).await;

    match running.wait_for(NAME, one.next(), MOMENT).await {
        Err(
            late @ FollowError::TimedOut {
                position, wanted, ..
            },
        ) => {
            assert_eq!((position, wanted), (one, one.next()));
            assert!(late.is_retryable());
        }
        other => panic!("{other:?}"),
    }
    match running.wait_for("moves", one, MOMENT).await {
        Err(FollowError::Unknown { name, known }) => {
            assert_eq!((name.as_str(), known), ("moves", vec![NAME.to_owned()]));
        }
        other => panic!("{other:?}"),
    }

    running.stop().await;
    // What it holds it holds.
    reach(&running, NAME, one).await;
    let stopped = running.wait_for(NAME, one.next(), PATIENCE).await;
    let stopped = stopped.expect_err("it has stopped");
    assert_eq!(stopped.code(), "follower_stopped");
    assert!(!stopped.is_retryable());
    for error in [
        running.pause(NAME).await,
        running.resume(NAME).await,
        running.rebuild(NAME, Default::default()).await,
    ] {
        assert_eq!(error.expect_err("it is gone").code(), "follower_stopped");
    }
    running.stop().await;
}

#[tokio::test]
async fn one_that_pauses_takes_in_nothing_and_tells_how_far_it_is_behind() {
    let store = Store::memory();
    let (database, running) = start(&store).await;
    let one = append(&store, 1, 1).await;
    reach(&running, NAME, one).await;
    running.pause(NAME).await.expect("a follower");
    let head = append_many(&store, 100).await;
    let status = told(&running, NAME, |status| status.head == head).await;
    assert_eq!((status.state, status.position), (FollowState::Paused, one));
    assert_eq!(status.lag(), 100);
    let late = running.wait_for(NAME, head, MOMENT).await;
    assert_eq!(late.expect_err("it pauses").code(), "timed_out");
    assert_eq!(count(&database, "SELECT count(*) FROM moves_c").await, 1);
    running.resume(NAME).await.expect("a follower");
    reach(&running, NAME, head).await;
    assert_eq!(count(&database, "SELECT count(*) FROM moves_c").await, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_status_tells_how_fast_it_comes_on_and_how_long_that_takes() {
    let place = Place::new();
    let store = place.open().await;
    let head = append_many(&store, 2_000).await;
    let (_database, running) = start(&store).await;
    let status = told(&running, NAME, |status| {
        status.position > Position::ZERO && status.lag() > 0
    });
    let status = status.await;
    assert_eq!(status.state, FollowState::CatchingUp);
    assert_eq!((status.head, status.build), (head, 1));
    assert_eq!(status.lag(), head.get() - status.position.get());
    assert!(status.positions_per_second > 0.0);
    assert!(status.eta().is_some_and(|eta| eta > Duration::ZERO));
    assert!(status.behind.is_some());
    assert_eq!((&status.problem, status.rebuild), (&None, None));

    let status = told(&running, NAME, |status| status.state == FollowState::Live).await;
    assert_eq!(
        (status.position, status.lag(), status.behind),
        (head, 0, None)
    );
    assert_eq!(status.eta(), Some(Duration::ZERO));
    assert_eq!(running.statuses(), [status]);
}

#[tokio::test]
async fn one_that_has_nothing_to_do_is_live_from_the_first() {
    let (_database, running) = start(&Store::memory()).await;
    let status = told(&running, NAME, |status| status.build == 1).await;
    assert_eq!(
        (status.state, status.position),
        (FollowState::Live, Position::ZERO)
    );
    reach(&running, NAME, Position::ZERO).await;
}

#[tokio::test]
async fn when_the_last_handle_is_dropped_they_stop() {
    let store = Store::memory();
    let (database, running) = start(&store).await;
    let one = append(&store, 1, 1).await;
    reach(&running, NAME, one).await;
    let mut status = running.watch(NAME).expect("a follower");
    let other = running.clone();
    drop(running);
    let two = append(&store, 1, 1).await;
    reach(&other, NAME, two).await;
    drop(other);
    let stopped = status.wait_for(|status| status.state == FollowState::Stopped);
    let stopped = tokio::time::timeout(PATIENCE, stopped).await;
    stopped.expect("its end").expect("its status");
    append(&store, 1, 1).await;
    assert_eq!(count(&database, "SELECT count(*) FROM moves_c").await, 2);
    let lease = "SELECT lease_until FROM annalist_runners";
    // The lease is given back last of all, and may be on its way.
    let given_back = async { while count(&database, lease).await > 0 {} };
    let given_back = tokio::time::timeout(PATIENCE, given_back).await;
    given_back.expect("the lease");
}

#[tokio::test]
async fn one_of_several_can_be_stopped_for_good() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let runner = ProjectionRunner::new(&store);
    let runner = crate::models::follow::<OWN_FILE>(runner, &within(&database));
    let running = runner.start().expect("a runner");
    running.stop_one(NAME).await.expect("a follower");
    let one = append(&store, 1, 1).await;
    reach(&running, "sums_c", one).await;
    let stopped = running.wait_for(NAME, one, PATIENCE).await;
    assert_eq!(stopped.expect_err("stopped").code(), "follower_stopped");
}

#[tokio::test]
async fn a_store_that_is_closed_stops_its_followers_and_they_can_be_stopped() {
    let place = Place::new();
    let store = place.open().await;
    let (_database, running) = start(&store).await;
    reach(&running, NAME, Position::ZERO).await;
    store.close().await.expect("a clean close");
    let status = told(&running, NAME, |status| {
        status.state == FollowState::Stopped
    })
    .await;
    assert!(status.problem.is_some());
    running.stop().await;
}
