//! Whoever writes without an inline projection that the file records is refused.

use annalist::follow::give_up;
use annalist::projection;
use annalist::{ExpectedVersion, LeaseName, Position, Store, StoreErrorKind, Version};

use crate::catching_up::Keen;
use crate::{Balances, Place, append, balances, fill, moved, stream, told, types};

/// That it reads, and writes nothing.
async fn may_only_read(store: &Store, place: &Place, name: &str) {
    let to = stream("account-0");
    let head = place.number("SELECT last_position FROM annalist_head");
    let appended = append(store, "account-0", moved(1)).await;
    let new = append(store, "account-new", moved(1)).await;
    let deleted = store.delete(&to, ExpectedVersion::Any).await;
    let truncated = store.truncate_before(&to, Version::new(1)).await;
    let closed = store.close_stream(&to, ExpectedVersion::Any).await;
    let refused = [
        appended.expect_err("it lacks one"),
        new.expect_err("it lacks one"),
        deleted.expect_err("it lacks one"),
        truncated.expect_err("it lacks one"),
        closed.expect_err("it lacks one"),
    ];
    for error in refused {
        assert_eq!(error.code(), "projection_missing", "{}", told(&error));
        let told = told(&error);
        assert!(
            told.contains(name) && told.contains("open the store with it"),
            "{told}"
        );
    }
    assert_eq!(
        place.number("SELECT last_position FROM annalist_head"),
        head
    );
    let found = store.head().await.expect("the head");
    assert_eq!(found, Position::new(head as u64));
    let slice = store.read_stream(&to).collect().await.expect("events");
    assert!(!slice.events.is_empty());
    let database = store.database().expect("a database");
    let rows = database.query("SELECT * FROM balances", &[], |_| ()).await;
    assert!(!rows.expect("rows").is_empty());
}

#[tokio::test]
async fn a_handle_without_it_reads_and_does_not_write() {
    let place = Place::new();
    let before = place.open(Vec::new()).await;
    fill(&before, 3).await;
    let with = place.open(vec![balances()]).await;
    fill(&with, 3).await;
    // It has appended before, and was told nothing.
    may_only_read(&before, &place, "balances").await;
    let after = place.open(Vec::new()).await;
    may_only_read(&after, &place, "balances").await;
    let other = place.open(vec![types()]).await;
    may_only_read(&other, &place, "balances").await;
    // Which now records one that the first one lacks.
    may_only_read(&with, &place, "events by type").await;
    let both = place.open(vec![balances(), types()]).await;
    fill(&both, 3).await;
    place.all_are_at_the_head();
}

#[tokio::test]
async fn a_handle_with_it_goes_on_beside_those_that_lack_it() {
    let place = Place::new();
    let with = place.open(vec![balances()]).await;
    let also = place.open(vec![balances()]).await;
    let without = place.open(Vec::new()).await;
    for n in 1..=5 {
        append(&with, "account-0", moved(1))
            .await
            .expect("a receipt");
        let refused = append(&without, "account-0", moved(1))
            .await
            .expect_err("it lacks one");
        assert_eq!(refused.code(), "projection_missing");
        append(&also, "account-0", moved(1))
            .await
            .expect("a receipt");
        assert_eq!(
            place.rows("SELECT * FROM balances"),
            [format!("account-0|[{0},{0}]", 2 * n)]
        );
        place.all_are_at_the_head();
    }
}

#[tokio::test]
async fn what_does_not_change_the_log_needs_no_projection() {
    let place = Place::new();
    let with = place.open(vec![balances()]).await;
    fill(&with, 3).await;
    let without = place.open(Vec::new()).await;
    let name: LeaseName = "lease".parse().expect("a name");
    without.lease(name).acquire().await.expect("the lease");
    without.compact().await.expect("compacted");
    assert!(without.verify().await.expect("a report").is_whole());
}

#[tokio::test]
async fn a_handle_of_an_older_version_is_refused_once_a_newer_one_is_recorded() {
    let place = Place::new();
    let older = place.open(vec![balances()]).await;
    fill(&older, 2_500).await;
    let raised = || vec![projection::inline(Balances::<2>).expect("a projection")];
    let newer = place.open(raised()).await;
    may_only_read(&older, &place, "balances in version 2").await;
    fill(&newer, 3).await;
    let also = place.open(raised()).await;
    fill(&also, 3).await;
    fill(&newer, 3).await;
    place.all_are_at_the_head();
    let count = place.number("SELECT sum(document ->> 1) FROM balances");
    assert_eq!(count, 2_509);
    let refused = place.try_open(vec![balances()]).await.expect_err("older");
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
}

#[tokio::test]
async fn one_that_is_found_behind_catches_up_before_the_append() {
    let place = Place::new();
    let keen = || projection::inline(Keen::new(u64::MAX)).expect("a projection");
    let store = place.open(vec![keen()]).await;
    for n in 0..3 {
        fill(&store, 1).await;
        let keep = "DROP TABLE IF EXISTS was; CREATE TABLE was AS SELECT * FROM annalist_followers";
        place.connect().execute_batch(keep).expect("kept");
        fill(&store, 2).await;
        // As if somebody had written without it.
        let back = "DELETE FROM keen__r1 WHERE position > (SELECT position FROM was); \
             UPDATE annalist_followers SET (position, event_id, checksum) = \
               (SELECT position, event_id, checksum FROM was)";
        place.connect().execute_batch(back).expect("put back");
        append(&store, "account-1", moved(1))
            .await
            .expect("a receipt");
        assert_eq!(place.number("SELECT count(*) FROM keen"), 4 * (n + 1));
        place.all_are_at_the_head();
    }
}

#[tokio::test]
async fn openings_at_once_build_it_once() {
    let place = Place::new();
    let store = place.open(Vec::new()).await;
    fill(&store, 5_000).await;
    let opened = futures_util::future::join_all((0..4).map(|_| place.open(vec![balances()])));
    for store in opened.await {
        append(&store, "account-1", moved(1))
            .await
            .expect("a receipt");
    }
    assert_eq!(
        place.number("SELECT sum(document ->> 1) FROM balances"),
        5_004
    );
    assert_eq!(place.number("SELECT count(*) FROM annalist_followers"), 1);
    place.all_are_at_the_head();
}

#[tokio::test]
async fn one_that_is_given_up_need_not_be_there_any_more() {
    let place = Place::new();
    let with = place.open(vec![balances()]).await;
    fill(&with, 10).await;
    let without = place.open(Vec::new()).await;
    may_only_read(&without, &place, "balances").await;
    with.close().await.expect("closed");

    let database = without.database().expect("a database");
    assert!(give_up(&database, "balances").await.expect("given up"));
    assert!(!give_up(&database, "balances").await.expect("nothing"));
    fill(&without, 10).await;
    let left = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'balances%'";
    assert_eq!(place.number(left), 0);
    assert_eq!(place.number("SELECT count(*) FROM annalist_followers"), 0);
    without.close().await.expect("closed");

    // Whoever has it still makes it anew.
    let with = place.open(vec![balances()]).await;
    let count = place.number("SELECT sum(document ->> 1) FROM balances");
    assert_eq!(count, 20);
    let database = with.database().expect("a database");
    assert!(give_up(&database, "balances").await.expect("given up"));
    fill(&with, 1).await;
    let count = place.number("SELECT sum(document ->> 1) FROM balances");
    assert_eq!(count, 21);
    place.all_are_at_the_head();
}
