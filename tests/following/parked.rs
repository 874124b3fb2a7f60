//! Events that are put aside: the others go on, those of their streams wait, and all of them
//! are listed, tried again, or dropped by somebody who says so.
//!
//! 200 positions in `cargo test`; `ANNALIST_POISONS` sets how many.

use std::collections::BTreeSet;

use annalist::follow::{Following, OnPoison, Parked};
use annalist::projection::ProjectionRunner;
use annalist::store::OldBuild;
use annalist::{ExpectedVersion, Position, Version};

use crate::history::Dice;
use crate::models::{MEMORY, Moves};
use crate::poison::{Bench, Frail};
use crate::{append, number, reach, rows, seed, stream, told};

async fn parked(running: &Following) -> Vec<Parked> {
    running.parked(Frail::NAME).await.expect("a list")
}

#[tokio::test]
async fn others_go_on_and_the_stream_of_a_poison_waits_in_its_order() {
    let dice = &mut Dice(seed("parked"));
    let bench = Bench::new().await;
    let frail = Frail::default();
    let running = bench.start(&frail, bench.options(OnPoison::Park, dice));
    let streams = 60;
    let mut poisons = BTreeSet::new();
    // By position: whose it is, and whether it waits.
    let mut all = Vec::new();
    let mut waits = BTreeSet::new();
    let mut streams_waiting = BTreeSet::new();
    for _ in 0..number("ANNALIST_POISONS", 200u64) {
        let burst = 1 + dice.below(20);
        for _ in 0..burst {
            let at = all.len() as u64 + 1;
            let of = dice.below(streams);
            if dice.below(10) == 0 {
                frail.break_at(at, u32::MAX);
                if streams_waiting.insert(of) {
                    poisons.insert(at);
                }
            }
            if streams_waiting.contains(&of) {
                waits.insert(at);
            }
            assert_eq!(append(&bench.store, of, 1).await.get(), at);
            all.push(of);
        }
        let end = Position::new(all.len() as u64);
        reach(&running, Frail::NAME, end).await;
        let listed = parked(&running).await;
        let positions: BTreeSet<_> = listed.iter().map(|parked| parked.position.get()).collect();
        assert_eq!(positions, waits);
        for parked in &listed {
            let is_poison = poisons.contains(&parked.position.get());
            assert_eq!(parked.error.is_some(), is_poison, "{parked:?}");
            assert_eq!(parked.attempts, u32::from(is_poison));
            let of = all[parked.position.get() as usize - 1];
            assert_eq!(parked.stream, stream(of));
        }
        let taken: BTreeSet<_> = bench.taken().await.into_iter().collect();
        let wanted = (1..=end.get()).filter(|at| !waits.contains(at));
        assert_eq!(taken, wanted.collect());
        let waiting = streams_waiting.len();
        told(&running, Frail::NAME, |status| {
            status.parked_streams == waiting
        })
        .await;
        if dice.below(4) > 0 {
            continue;
        }
        // Nothing is mended: the first of each stream fails once more.
        if !waits.is_empty() {
            let retried = running.retry_parked(Frail::NAME).await.expect("the runner");
            assert_eq!((retried.taken_in, retried.failed), (0, waiting as u64));
            let listed = parked(&running).await;
            let twice = listed.iter().filter(|parked| parked.attempts == 2).count();
            assert_eq!(twice, waiting);
        }
        frail.mend();
        let retried = running.retry_parked(Frail::NAME).await.expect("the runner");
        assert_eq!((retried.taken_in, retried.failed), (waits.len() as u64, 0));
        assert_eq!(parked(&running).await, []);
        for set in [&mut waits, &mut poisons, &mut streams_waiting] {
            set.clear();
        }
    }
    frail.mend();
    running.retry_parked(Frail::NAME).await.expect("the runner");
    let end = all.len() as u64;
    assert_eq!(bench.taken().await, (1..=end).collect::<Vec<_>>());
    let before = everything(&bench).await;
    running
        .rebuild(Frail::NAME, OldBuild::Drop)
        .await
        .expect("a rebuild");
    assert_eq!(everything(&bench).await, before);
    println!(
        "parked: {end} events, {} taken in",
        bench.taken().await.len()
    );
}

async fn everything(bench: &Bench) -> Vec<Vec<annalist::store::SqlValue>> {
    rows(&bench.database, "SELECT * FROM taken ORDER BY position").await
}

/// Five events of each of two streams, the second of the first stream poison.
async fn two_streams(bench: &Bench, dice: &mut Dice) -> (Frail, Following) {
    let frail = Frail::at(3, u32::MAX);
    let running = bench.start(&frail, bench.options(OnPoison::Park, dice));
    for _ in 0..5 {
        append(&bench.store, 1, 1).await;
        append(&bench.store, 2, 1).await;
    }
    reach(&running, Frail::NAME, Position::new(10)).await;
    assert_eq!(bench.taken().await, [1, 2, 4, 6, 8, 10]);
    (frail, running)
}

#[tokio::test]
async fn what_is_dropped_is_passed_over_and_what_waits_behind_it_is_tried_again() {
    let bench = Bench::new().await;
    let (_frail, running) = two_streams(&bench, &mut Dice(2)).await;
    let nothing = running.drop_parked(Frail::NAME, Position::new(4)).await;
    assert_eq!(nothing.expect_err("not parked").code(), "follower_refused");
    let dropped = running.drop_parked(Frail::NAME, Position::new(3)).await;
    dropped.expect("the runner");
    let retried = running.retry_parked(Frail::NAME).await.expect("the runner");
    assert_eq!((retried.taken_in, retried.failed), (3, 0));
    assert_eq!(bench.taken().await, [1, 2, 4, 5, 6, 7, 8, 9, 10]);
    // The stream is free.
    let end = append(&bench.store, 1, 1).await;
    reach(&running, Frail::NAME, end).await;
    assert_eq!(bench.taken().await.last(), Some(&end.get()));
}

#[tokio::test]
async fn a_deleted_stream_waits_for_nothing_any_more() {
    let bench = Bench::new().await;
    let (_frail, running) = two_streams(&bench, &mut Dice(3)).await;
    let deleted = bench.store.delete(&stream(1), ExpectedVersion::Any).await;
    let deleted = deleted.expect("a removal").position.expect("a marker");
    reach(&running, Frail::NAME, deleted).await;
    assert_eq!(parked(&running).await, []);
    told(&running, Frail::NAME, |status| status.parked_streams == 0).await;
    let end = append(&bench.store, 1, 1).await;
    reach(&running, Frail::NAME, end).await;
    assert_eq!(bench.taken().await, [2, 4, 6, 8, 10, end.get()]);
}

#[tokio::test]
async fn what_is_left_of_a_stream_that_waits_is_taken_in_once() {
    let bench = Bench::new().await;
    let (frail, running) = two_streams(&bench, &mut Dice(4)).await;
    // The first is removed; the poison is left, and what waits behind it.
    let truncated = bench
        .store
        .truncate_before(&stream(1), Version::new(2))
        .await;
    let truncated = truncated.expect("a removal").position.expect("a marker");
    reach(&running, Frail::NAME, truncated).await;
    assert_eq!(bench.taken().await, [2, 4, 6, 8, 10]);
    assert_eq!(parked(&running).await.len(), 4);
    let later = append(&bench.store, 1, 1).await;
    reach(&running, Frail::NAME, later).await;
    assert_eq!(parked(&running).await.len(), 5);
    frail.mend();
    let retried = running.retry_parked(Frail::NAME).await.expect("the runner");
    assert_eq!((retried.taken_in, retried.failed), (5, 0));
    let before = everything(&bench).await;
    running
        .rebuild(Frail::NAME, OldBuild::Drop)
        .await
        .expect("a rebuild");
    assert_eq!(everything(&bench).await, before);
}

#[tokio::test]
async fn what_was_removed_before_it_was_tried_again_is_not_taken_in() {
    let bench = Bench::new().await;
    let (frail, running) = two_streams(&bench, &mut Dice(5)).await;
    running.pause(Frail::NAME).await.expect("a follower");
    // The runner has not heard of this.
    let truncated = bench
        .store
        .truncate_before(&stream(1), Version::new(4))
        .await;
    let truncated = truncated.expect("a removal").position.expect("a marker");
    frail.mend();
    let retried = running.retry_parked(Frail::NAME).await.expect("the runner");
    assert_eq!(retried.failed, 0);
    assert_eq!(parked(&running).await, []);
    running.resume(Frail::NAME).await.expect("a follower");
    reach(&running, Frail::NAME, truncated).await;
    assert_eq!(bench.taken().await, [2, 4, 6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn what_a_rebuild_has_put_aside_is_listed_when_it_is_read() {
    let bench = Bench::new().await;
    let (frail, running) = two_streams(&bench, &mut Dice(6)).await;
    frail.mend();
    frail.break_at(2, u32::MAX);
    running
        .rebuild(Frail::NAME, OldBuild::Drop)
        .await
        .expect("a rebuild");
    let listed = parked(&running).await;
    let positions: Vec<_> = listed.iter().map(|parked| parked.position.get()).collect();
    assert_eq!(positions, [2, 4, 6, 8, 10]);
    assert_eq!(bench.taken().await, [1, 3, 5, 7, 9]);
}

#[tokio::test]
async fn what_was_dropped_stops_nothing_when_more_of_its_stream_is_removed() {
    let bench = Bench::new().await;
    let (_frail, running) = two_streams(&bench, &mut Dice(7)).await;
    running
        .drop_parked(Frail::NAME, Position::new(3))
        .await
        .expect("the runner");
    running.retry_parked(Frail::NAME).await.expect("the runner");
    let removed = bench
        .store
        .truncate_before(&stream(1), Version::new(2))
        .await;
    let removed = removed.expect("a removal").position.expect("a marker");
    reach(&running, Frail::NAME, removed).await;
    let end = append(&bench.store, 2, 1).await;
    reach(&running, Frail::NAME, end).await;
    assert!(parked(&running).await.is_empty());
    // Nor is it met when all is made anew.
    let rebuilt = running.rebuild(Frail::NAME, OldBuild::Drop).await;
    rebuilt.expect("a new build");
    assert!(parked(&running).await.is_empty());
    let positions = bench.taken().await;
    assert!(!positions.contains(&3), "{positions:?}");
    assert!(positions.contains(&end.get()), "{positions:?}");
}

#[tokio::test]
async fn what_is_tried_again_is_looked_up_anew_also_among_several() {
    let bench = Bench::new().await;
    let frail = Frail::at(2, u32::MAX);
    let options = bench.options(OnPoison::Park, &mut Dice(4));
    let running = ProjectionRunner::new(&bench.store)
        .follow_with(frail.clone(), options.clone())
        .follow_with(Moves::<MEMORY>, options)
        .start()
        .expect("a runner");
    for _ in 0..5 {
        append(&bench.store, 1, 1).await;
    }
    let last = append(&bench.store, 2, 1).await;
    reach(&running, Frail::NAME, last).await;
    running.pause(Frail::NAME).await.expect("a follower");
    let retried = running.retry_parked(Frail::NAME).await.expect("the runner");
    assert_eq!(retried.failed, 1);
    // The runner has not heard of this.
    bench
        .store
        .delete(&stream(1), ExpectedVersion::Any)
        .await
        .expect("a removal");
    frail.mend();
    running.retry_parked(Frail::NAME).await.expect("the runner");
    assert_eq!(bench.taken().await, [1, last.get()]);
}
