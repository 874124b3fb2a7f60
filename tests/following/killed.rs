//! A process that is killed while it projects: each event counts once, whatever was half
//! done. The tables equal, byte for byte, those that are made anew in memory.
//!
//! 50 kills in `cargo test`; `ANNALIST_KILLS` sets how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annalist::projection::ProjectionRunner;
use annalist::store::Database;
use annalist::{Position, Store};

use crate::child::Worker;
use crate::history::{Dice, Met, step};
use crate::models::{
    BESIDE, MEMORY, MOVES_BESIDE, MOVES_OWN, OWN_FILE, all_of, follow, names, within,
};
use crate::{PATIENCE, Place, append_many, count, number, reach, rows, seed};

/// How long a killed runner is waited for.
const LEASE_MS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_has_counted_each_event_once() {
    let dice = &mut Dice(seed("killed"));
    let kills = number("ANNALIST_KILLS", 50u64);
    let place = Place::new();
    let store = place.open().await;
    let (own, beside) = (
        store.database().expect("a database"),
        place.database().await,
    );
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(store.clone(), dice.roll(), Arc::clone(&stop)));
    let mut building = 0;
    for _ in 0..kills {
        let all: Vec<_> = names(BESIDE).into_iter().chain(names(OWN_FILE)).collect();
        let rebuilt = match dice.below(3) {
            0 => vec![all[dice.below(6) as usize], MOVES_BESIDE],
            _ => Vec::new(),
        };
        let before = (filled(&own).await, filled(&beside).await);
        let worker = Worker::follow(&place, LEASE_MS, 8, &rebuilt);
        // It must have written something before it is killed at any point.
        let moved = async {
            while filled(&own).await <= before.0 || filled(&beside).await <= before.1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within_bounds(&[&own, &beside], moved).await;
        tokio::time::sleep(Duration::from_micros(dice.below(20_000))).await;
        worker.kill();
        let begun = "SELECT count(*) FROM annalist_followers WHERE state = 'building'";
        building += count(&beside, begun).await + count(&own, begun).await;
    }
    stop.store(true, Ordering::Relaxed);
    let met = writing.await.expect("a writer that did not panic");
    println!("killed: {kills} kills, {building} builds left half made, {met:?}");

    // What is left to do is done here.
    let worker = Worker::follow(&place, LEASE_MS, 512, &[]);
    let head = store.head().await.expect("a head");
    let done = async {
        while behind(&own, head).await + behind(&beside, head).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within_bounds(&[&own, &beside], done).await;
    worker.stop();

    let memory = Database::memory().await.expect("a database");
    let runner = follow::<MEMORY>(ProjectionRunner::new(&store), &within(&memory));
    let anew = runner.start().expect("a runner");
    for name in names(MEMORY) {
        reach(&anew, name, head).await;
    }
    let wanted = all_of(&memory, MEMORY).await;
    assert_eq!(all_of(&beside, BESIDE).await, wanted);
    assert_eq!(all_of(&own, OWN_FILE).await, wanted);
    anew.stop().await;
}

/// Waits for something, and tells what there is if it does not come.
async fn within_bounds(databases: &[&Database], something: impl Future<Output = ()>) {
    if tokio::time::timeout(PATIENCE, something).await.is_ok() {
        return;
    }
    for database in databases {
        let builds = "SELECT name, build, state, position, problem FROM annalist_followers";
        println!("{:?}", rows(database, builds).await);
        let runners = "SELECT * FROM annalist_runners";
        println!("{:?}", rows(database, runners).await);
    }
    panic!("it does not come on");
}

/// How far those that are read have come, all together: it never falls.
async fn filled(database: &Database) -> i64 {
    let sql = "SELECT ifnull(sum(position), 0) FROM annalist_followers WHERE state = 'live'";
    count(database, sql).await
}

/// How many builds are not at the end.
async fn behind(database: &Database, head: Position) -> i64 {
    let sql = format!(
        "SELECT count(*) + 3 * (SELECT count(*) = 0 FROM annalist_followers) \
         FROM annalist_followers WHERE position < {head} OR state <> 'live'"
    );
    count(database, &sql).await
}

async fn write(store: Store, seed: u64, stop: Arc<AtomicBool>) -> Met {
    let (mut dice, mut met) = (Dice(seed), Met::default());
    let mut steps = 0;
    while !stop.load(Ordering::Relaxed) {
        // Some are closed for good; others come.
        steps += 1;
        step(&store, 20 + steps / 100, &mut dice, &mut met).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    met
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_whose_process_is_killed_goes_on_and_is_never_seen_half() {
    let dice = &mut Dice(seed("killed while it rebuilds"));
    let rounds = number("ANNALIST_KILLS", 20u64) / 4;
    let place = Place::new();
    let store = place.open().await;
    let events = 1_500;
    let head = append_many(&store, events).await;
    let (own, beside) = (
        store.database().expect("a database"),
        place.database().await,
    );
    let worker = Worker::follow(&place, LEASE_MS, 512, &[]);
    let at_end = async {
        while behind(&own, head).await + behind(&beside, head).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, at_end)
        .await
        .expect("the end");
    worker.stop();
    for round in 0..rounds {
        let (name, database) = match round % 2 {
            0 => (MOVES_BESIDE, &beside),
            _ => (MOVES_OWN, &own),
        };
        let (first, _) = begun(database, name).await.unwrap_or((0, 0));
        assert_eq!(first, 0, "no rebuild is under way");
        let (mut build, mut from) = (0, 0);
        for kill in 0..3 {
            let rebuild = if kill == 0 { vec![name] } else { Vec::new() };
            let worker = Worker::follow(&place, LEASE_MS, 16, &rebuild);
            let enough = from + 1 + dice.below(200) as i64;
            let caught = async {
                loop {
                    // No reader ever sees less than all.
                    let seen = count(database, &format!("SELECT count(*) FROM {name}")).await;
                    assert_eq!(seen as u64, events);
                    match begun(database, name).await {
                        Some((found, at)) if at > enough || kill > 0 && found != build => {
                            return (found, at);
                        }
                        _ => {}
                    }
                }
            };
            let (found, at) = tokio::time::timeout(PATIENCE, caught)
                .await
                .expect("a rebuild");
            assert!(
                kill == 0 || found == build,
                "it began anew: {found}, {build}"
            );
            assert!(at >= from, "it fell back: {at}, {from}");
            worker.kill();
            let Some(left) = begun(database, name).await else {
                panic!("the rebuild was done before it was killed");
            };
            (build, from) = left;
        }
        let worker = Worker::follow(&place, LEASE_MS, 512, &[]);
        let live = format!(
            "SELECT build FROM annalist_followers WHERE name = '{name}' AND state = 'live'"
        );
        let swapped = async {
            while count(database, &live).await != build {
                let seen = count(database, &format!("SELECT count(*) FROM {name}")).await;
                assert_eq!(seen as u64, events);
            }
        };
        tokio::time::timeout(PATIENCE, swapped)
            .await
            .expect("the swap");
        let seen = count(database, &format!("SELECT count(*) FROM {name}")).await;
        assert_eq!(seen as u64, events);
        worker.stop();
    }
    assert_eq!(all_of(&own, OWN_FILE).await, all_of(&beside, BESIDE).await);
}

/// The build that is made beside the one that is read, and how far it has come.
async fn begun(database: &Database, name: &str) -> Option<(i64, i64)> {
    let sql = format!(
        "SELECT build, position FROM annalist_followers \
         WHERE name = '{name}' AND state = 'building'"
    );
    let rows = rows(database, &sql).await;
    let row = rows.first()?;
    Some((row[0].as_i64()?, row[1].as_i64()?))
}
