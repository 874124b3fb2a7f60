//! Rebuilt, incremental and inline tables are the same: three projections, each in four
//! homes, over random histories with removals.
//!
//! 40 histories in `cargo test`; `ANNALIST_HISTORIES` sets how many.

use annalist::follow::FollowOptions;
use annalist::projection::ProjectionRunner;
use annalist::store::sqlite::{DatabaseOptions, Durability};
use annalist::store::{Database, OldBuild};
use annalist::{PageBounds, Store};

use crate::history::{Dice, Met, step};
use crate::models::{BESIDE, INLINE, MEMORY, OWN_FILE, all_of, follow, inline, names, within};
use crate::{Place, number, reach, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inline_following_and_rebuilt_tables_are_equal_row_for_row() {
    let seed = seed("equal");
    let histories = number("ANNALIST_HISTORIES", 40u64);
    let mut met = Met::default();
    for history in 0..histories {
        one_history(seed.wrapping_add(history), &mut met).await;
    }
    println!("equal: {histories} histories, {met:?}");
    assert!(met.deleted > 0 && met.truncated > 0 && met.compacted > 0);
}

async fn one_history(seed: u64, met: &mut Met) {
    let dice = &mut Dice(seed);
    let place = Place::new();
    let mut options = inline();
    // No machine fails here.
    options.durability = Durability::Normal;
    let store = Store::open_with(place.store(), options).await;
    let store = store.expect("a store");
    let own = store.database().expect("a database");
    let mut options = DatabaseOptions::default();
    options.durability = Durability::Normal;
    let beside = Database::open_with(place.beside(), options).await;
    let beside = beside.expect("a database");
    let streams = 1 + dice.below(6);
    let steps = 20 + dice.below(60);
    for _ in 0..dice.below(steps) {
        step(&store, streams, dice, met).await;
    }

    // Some of it is there already, the rest comes meanwhile.
    let small = |mut options: FollowOptions, dice: &mut Dice| {
        options.batch = PageBounds {
            events_max: 1 + dice.below(12) as u32,
            scan_max: 1 + dice.below(40) as u32,
            ..PageBounds::default()
        };
        options
    };
    let runner = ProjectionRunner::new(&store);
    let runner = follow::<BESIDE>(runner, &small(within(&beside), dice));
    let runner = follow::<OWN_FILE>(runner, &small(FollowOptions::default(), dice));
    let running = runner.start().expect("a runner");
    for _ in 0..steps {
        step(&store, streams, dice, met).await;
        if dice.below(8) == 0 {
            tokio::task::yield_now().await;
        }
    }
    let head = store.head().await.expect("a head");
    for name in names(BESIDE).into_iter().chain(names(OWN_FILE)) {
        reach(&running, name, head).await;
    }

    let wanted = all_of(&own, INLINE).await;
    assert_eq!(all_of(&beside, BESIDE).await, wanted, "beside, seed {seed}");
    assert_eq!(all_of(&own, OWN_FILE).await, wanted, "own, seed {seed}");

    for name in names(BESIDE).into_iter().chain(names(OWN_FILE)) {
        let rebuilt = running.rebuild(name, OldBuild::Drop).await;
        rebuilt.expect("a rebuild");
        assert_eq!(running.status(name).expect("a follower").build, 2);
    }
    assert_eq!(
        all_of(&beside, BESIDE).await,
        wanted,
        "rebuilt, seed {seed}"
    );
    assert_eq!(all_of(&own, OWN_FILE).await, wanted, "rebuilt, seed {seed}");

    let memory = Database::memory().await.expect("a database");
    let runner = ProjectionRunner::new(&store);
    let anew = follow::<MEMORY>(runner, &within(&memory));
    let anew = anew.start().expect("a runner");
    for name in names(MEMORY) {
        reach(&anew, name, head).await;
    }
    assert_eq!(all_of(&memory, MEMORY).await, wanted, "anew, seed {seed}");

    running.stop().await;
    anew.stop().await;
    store.close().await.expect("a clean close");
    beside.close().await.expect("a clean close");
}
