//! A full disk is not tried without rest, however often callers ask, and the same handle
//! writes on once there is room.

use std::time::Instant;

use annalist::store::sqlite::SqliteOptions;
use annalist::{Store, StoreErrorKind};
use futures_util::future::join_all;

use crate::check::check;
use crate::drive::{FILE, Hand};
use crate::fault::{Fault, How, Lasting};
use crate::ledger::Ledger;
use crate::plan::{Act, Expecting, Plan, stream};
use crate::recording::Recording;
use crate::{folder, runtime};

const CALLERS: u64 = 16;

/// Refused answers that each caller takes before the disk has room again.
const REFUSED: u64 = 40;

const TRIES_PER_SECOND_MAX: f64 = 100.0;

#[test]
fn commits_sent_in_a_loop_do_not_spin_on_a_full_disk() {
    let mut plan = Plan::default();
    let acts = (0..CALLERS).map(|caller| {
        let commit = plan.add(vec![(stream(caller), 2)], false, 500);
        Act::Commit(commit, Expecting::Any)
    });
    let acts: Vec<_> = acts.collect();
    ask_in_a_loop("commits", &plan, &[], &acts);
}

#[test]
fn commits_larger_than_the_cache_do_not_spin_on_a_full_disk() {
    let mut plan = Plan::default();
    // They fail in the middle, and so each is tried alone.
    let acts = (0..4).map(|caller| {
        let commit = plan.add(vec![(stream(caller), 40)], false, 8_000);
        Act::Commit(commit, Expecting::Any)
    });
    let acts: Vec<_> = acts.collect();
    ask_in_a_loop("large commits", &plan, &[], &acts);
}

#[test]
fn removals_sent_in_a_loop_do_not_spin_on_a_full_disk() {
    let mut plan = Plan::default();
    let first = plan.add(vec![(stream(1), 20)], false, 500);
    let before = [Act::Commit(first, Expecting::Any)];
    let acts = [Act::Delete(stream(1))];
    ask_in_a_loop("removals", &plan, &before, &acts);
}

#[test]
fn a_compaction_asked_for_in_a_loop_does_not_spin_on_a_full_disk() {
    let mut plan = Plan::default();
    let first = plan.add(vec![(stream(1), 20)], false, 500);
    let before = [Act::Commit(first, Expecting::Any), Act::Delete(stream(1))];
    ask_in_a_loop("compaction", &plan, &before, &[Act::Compact]);
}

/// Each act is asked for again and again until it was refused so often; then there is room,
/// and each is done.
fn ask_in_a_loop(what: &str, plan: &Plan, before: &[Act], acts: &[Act]) {
    let at = folder();
    let recording = Recording::start(at.path());
    runtime().block_on(async {
        let mut options = SqliteOptions::default();
        options.writer_cache_bytes = 64 * 1024;
        let store = Store::open_with(at.path().join(FILE), options).await;
        let hand = Hand {
            plan,
            store: store.expect("a store"),
            recording: &recording,
            holder: None,
        };
        for act in before {
            hand.act(act).await.expect("there is room");
        }
        recording.arm(Fault {
            how: How::DiskFull,
            lasting: Lasting::UntilHealed,
            at: recording.faults().writes + 1,
        });
        let asking = acts.iter().map(|act| async {
            for _ in 0..REFUSED {
                let refused = hand.again(act).await.expect_err("there is no room");
                assert_eq!(refused.kind(), StoreErrorKind::DiskFull, "{refused:?}");
                assert!(refused.is_retryable());
            }
        });
        let asking = join_all(asking);
        let begun = Instant::now();
        asking.await;
        let (seconds, tries) = (begun.elapsed().as_secs_f64(), recording.faults().refused);
        println!("disk_full: {what}: {tries} tries in {seconds:.2} s");
        // Whoever asks together shares a try, and nobody is refused without one.
        assert!(tries >= REFUSED, "{tries} tries");
        assert!(tries as f64 / seconds < TRIES_PER_SECOND_MAX);

        recording.heal();
        let again = join_all(acts.iter().map(|act| hand.again(act))).await;
        again
            .into_iter()
            .for_each(|done| done.expect("there is room"));
        hand.store.close().await.expect("a clean close");
        let ledger = Ledger::of(&recording.log());
        let found = check(at.path(), plan, &ledger).await;
        found.unwrap_or_else(|flaw| panic!("{flaw:?}"));
    });
}
