//! What wakes a subscriber: a commit of its own process without any poll, one of another
//! process by the bell, and where there is no bell, by the poll.

use std::fs;
use std::time::Duration;

use annalist::Position;

use crate::child::{Role, Spec, Worker};
use crate::{NEVER, Place, append, next};

const ROUNDS: u64 = 20;

fn follow(place: &Place, poll: Duration) -> Worker {
    Worker::opened(&Spec {
        path: place.path(),
        role: Role::Follow,
        poll_ms: u64::try_from(poll.as_millis()).expect("a few"),
    })
}

#[tokio::test]
async fn a_commit_wakes_a_subscriber_of_its_process_without_a_poll() {
    let place = Place::new();
    let store = place.polling(NEVER).await;
    let mut items = store.subscribe(Position::ZERO).items();
    for position in 1..=ROUNDS {
        append(&store, "a-1", position).await;
        assert_eq!(next(&mut items).await.position(), Position::new(position));
    }
    store.close().await.expect("a clean close");
}

/// Two handles of one process on one file stand for two processes.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_bell_wakes_another_handle_without_a_poll() {
    let place = Place::new();
    let (store, other) = (place.polling(NEVER).await, place.polling(NEVER).await);
    let mut items = other.subscribe(Position::ZERO).items();
    for position in 1..=ROUNDS {
        append(&store, "a-1", position).await;
        assert_eq!(next(&mut items).await.position(), Position::new(position));
    }
    store.close().await.expect("a clean close");
    other.close().await.expect("a clean close");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_bell_wakes_another_process_without_a_poll() {
    let place = Place::new();
    let store = place.polling(NEVER).await;
    let reader = follow(&place, NEVER);
    for position in 1..=ROUNDS {
        append(&store, "a-1", position).await;
        assert_eq!(reader.hear(), position);
    }
    reader.finish();
    store.close().await.expect("a clean close");
}

#[tokio::test]
async fn a_poll_wakes_where_the_bell_was_removed() {
    let place = Place::new();
    let store = place.open().await;
    // On systems without a bell there is none to remove.
    let _ = fs::remove_file(place.bell());
    // This one hangs a new bell, which the other does not ring.
    let reader = follow(&place, Duration::from_millis(50));
    for position in 1..=ROUNDS {
        append(&store, "a-1", position).await;
        assert_eq!(reader.hear(), position);
    }
    reader.finish();
    store.close().await.expect("a clean close");
}

#[tokio::test]
async fn a_poll_wakes_where_no_bell_can_be_hung() {
    let place = Place::new();
    // Nobody can write to a folder, not even root.
    fs::create_dir(place.bell()).expect("a folder");
    let store = place.open().await;
    let reader = follow(&place, Duration::from_millis(50));
    let mut items = store.subscribe(Position::ZERO).items();
    for position in 1..=ROUNDS {
        append(&store, "a-1", position).await;
        assert_eq!(next(&mut items).await.position(), Position::new(position));
        assert_eq!(reader.hear(), position);
    }
    reader.finish();
    store.close().await.expect("a clean close");
    assert!(place.bell().is_dir(), "it was left as it was");
}

/// Whoever can write to the folder may have put something in the bell's place.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_no_bell_is_not_rung() {
    let precious = b"more than a bell ever holds";
    for link in [std::os::unix::fs::symlink, |of, at| fs::hard_link(of, at)] {
        let place = Place::new();
        let file = place.0.path().join("precious");
        // Short enough to be a bell, and reached by a link.
        fs::write(&file, b"secret").expect("a file");
        link(file.clone(), place.bell()).expect("a link");
        let store = place.open().await;
        append(&store, "a-1", 1).await;
        store.close().await.expect("a clean close");
        assert_eq!(fs::read(&file).expect("a file"), b"secret");
    }
    let place = Place::new();
    fs::write(place.bell(), precious).expect("a file");
    let store = place.open().await;
    append(&store, "a-1", 1).await;
    store.close().await.expect("a clean close");
    assert_eq!(fs::read(place.bell()).expect("a file"), precious);
}

#[tokio::test]
async fn many_subscribers_are_all_woken() {
    let place = Place::new();
    // Nor does that take a bell.
    fs::create_dir(place.bell()).expect("a folder");
    let store = place.polling(NEVER).await;
    let mut all: Vec<_> = (0..200)
        .map(|_| store.subscribe(Position::ZERO).items())
        .collect();
    for position in 1..=3 {
        append(&store, "a-1", position).await;
        for items in &mut all {
            assert_eq!(next(items).await.position(), Position::new(position));
        }
    }
    store.close().await.expect("a clean close");
}
