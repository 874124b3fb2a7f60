//! An event that cannot be taken in, at each of many positions: nothing is passed over in
//! silence, and everything goes on when the code is mended.
//!
//! 200 positions in `cargo test`; `ANNALIST_POISONS` sets how many. What is parked is in
//! `parked`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use annalist::follow::{FollowError, FollowOptions, FollowState, Following, OnPoison};
use annalist::projection::{Projection, ProjectionResult, ProjectionRunner};
use annalist::store::{Database, Forgotten, OldBuild, SqlValue, Tx};
use annalist::{PageBounds, Position, RecordedEvent, RetryPolicy, Store, StreamId};

use crate::history::Dice;
use crate::models::within;
use crate::{PATIENCE, append, append_many, count, number, reach, rows, seed, told};

/// Takes in every event but those that it is told not to, so many times.
#[derive(Clone, Default)]
pub(crate) struct Frail(Arc<Mutex<BTreeMap<u64, u32>>>);

impl Frail {
    pub(crate) const NAME: &str = "frail";

    /// One that fails so often at this position.
    pub(crate) fn at(position: u64, times: u32) -> Self {
        let frail = Self::default();
        frail.break_at(position, times);
        frail
    }

    pub(crate) fn break_at(&self, position: u64, times: u32) {
        self.0.lock().expect("a lock").insert(position, times);
    }

    pub(crate) fn mend(&self) {
        self.0.lock().expect("a lock").clear();
    }

    fn fails(&self, position: Position) -> bool {
        let mut failing = self.0.lock().expect("a lock");
        match failing.get_mut(&position.get()) {
            Some(0) | None => false,
            Some(times) => {
                *times -= 1;
                true
            }
        }
    }
}

impl Projection for Frail {
    const NAME: &'static str = Self::NAME;

    fn tables(&self) -> Vec<String> {
        vec!["taken".to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let taken =
            "CREATE TABLE taken (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER)";
        tx.execute(taken, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let version = event.version;
        // What it has written by then is not to be seen.
        let params = [
            event.position.into(),
            (&event.stream).into(),
            version.into(),
        ];
        tx.execute("INSERT INTO taken VALUES ($1, $2, $3)", &params)
            .await?;
        match self.fails(event.position) {
            true => Err(format!("{version} of {} is poison", event.stream).into()),
            false => Ok(()),
        }
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        let sql = "DELETE FROM taken WHERE stream = $1";
        tx.execute(sql, &[stream.into()]).await?;
        Ok(Forgotten::Done)
    }
}

/// Where a test of one poison happens.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) database: Database,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self {
            store: Store::memory(),
            database: Database::memory().await.expect("a database"),
        }
    }

    /// With batches of a random size, so that a poison stands anywhere in one.
    pub(crate) fn options(&self, on_poison: OnPoison, dice: &mut Dice) -> FollowOptions {
        let mut options = within(&self.database);
        options.on_poison = on_poison;
        options.batch = PageBounds {
            events_max: 1 + dice.below(32) as u32,
            ..PageBounds::default()
        };
        options
    }

    pub(crate) fn start(&self, frail: &Frail, options: FollowOptions) -> Following {
        let runner = ProjectionRunner::new(&self.store);
        let running = runner.follow_with(frail.clone(), options).start();
        running.expect("a runner")
    }

    /// The positions that were taken in.
    pub(crate) async fn taken(&self) -> Vec<u64> {
        let sql = "SELECT position FROM taken ORDER BY position";
        let rows = rows(&self.database, sql).await;
        let position = |row: Vec<SqlValue>| row[0].as_i64().expect("a number") as u64;
        rows.into_iter().map(position).collect()
    }
}

fn up_to(position: u64) -> Vec<u64> {
    (1..=position).collect()
}

#[tokio::test]
async fn it_stops_exactly_before_a_poison_and_goes_on_when_that_is_mended() {
    let dice = &mut Dice(seed("stop"));
    let bench = Bench::new().await;
    let poisons = number("ANNALIST_POISONS", 200u64);
    let frail = Frail::default();
    let options = bench.options(OnPoison::Stop, dice);
    let running = bench.start(&frail, options);
    let mut end = 0;
    for poison in 0..poisons {
        let at = end + 1 + dice.below(40);
        frail.break_at(at, u32::MAX);
        end = append_many(&bench.store, 41).await.get();
        let status = told(&running, Frail::NAME, |status| {
            status.state == FollowState::Stopped
        });
        let status = status.await;
        assert_eq!(status.position.get(), at - 1);
        let problem = status.problem.expect("a problem");
        assert!(problem.contains(&format!("at position {at} ")), "{problem}");
        assert!(problem.contains("is poison"), "{problem}");
        assert_eq!(bench.taken().await, up_to(at - 1));
        match running
            .wait_for(Frail::NAME, Position::new(at), PATIENCE)
            .await
        {
            Err(FollowError::Stopped {
                position,
                problem: told,
                ..
            }) => assert_eq!((position.get(), told), (at - 1, problem.clone())),
            other => panic!("{other:?}"),
        }
        let before = running.wait_for(Frail::NAME, Position::new(at - 1), PATIENCE);
        before.await.expect("what is before is there");
        let sql = "SELECT problem FROM annalist_followers";
        let written = rows(&bench.database, sql).await;
        assert_eq!(written[0][0].as_str(), Some(problem.as_str()));
        if poison % 4 == 0 {
            // Nothing was mended.
            running.resume(Frail::NAME).await.expect("a follower");
            let failed = running.wait_for(Frail::NAME, Position::new(at), PATIENCE);
            assert_eq!(failed.await.expect_err("poison").code(), "follower_stopped");
        }
        frail.mend();
        running.resume(Frail::NAME).await.expect("a follower");
        reach(&running, Frail::NAME, Position::new(end)).await;
        let status = told(&running, Frail::NAME, |status| {
            status.state == FollowState::Live
        });
        assert_eq!(status.await.problem, None);
        let sql = "SELECT count(*) FROM annalist_followers WHERE problem IS NOT NULL";
        assert_eq!(count(&bench.database, sql).await, 0);
    }
    assert_eq!(bench.taken().await, up_to(end));
    println!("poison: stopped before {poisons} of {end} positions");
}

/// An error of a projection that panics when it is shown.
#[derive(Debug)]
struct Wordless;

impl std::error::Error for Wordless {}

impl std::fmt::Display for Wordless {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words")
    }
}

/// Takes in everything, unless it is broken.
struct Speechless(Arc<Mutex<bool>>);

impl Projection for Speechless {
    const NAME: &'static str = "speechless";

    fn tables(&self) -> Vec<String> {
        Vec::new()
    }

    async fn set_up(&self, _: &mut Tx<'_>) -> ProjectionResult {
        Ok(())
    }

    async fn apply(&self, _: &RecordedEvent, _: &mut Tx<'_>) -> ProjectionResult {
        match *self.0.lock().expect("a lock") {
            true => Err(Wordless.into()),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_poison_whose_error_panics_when_it_is_shown_stops_it_like_any_other() {
    let bench = Bench::new().await;
    let broken = Arc::new(Mutex::new(true));
    let runner = ProjectionRunner::new(&bench.store);
    let options = bench.options(OnPoison::Stop, &mut Dice(1));
    let follow = runner.follow_with(Speechless(Arc::clone(&broken)), options);
    let running = follow.start().expect("a runner");
    append(&bench.store, 1, 1).await;
    let stopped = told(&running, Speechless::NAME, |status| {
        status.state == FollowState::Stopped
    });
    let problem = stopped.await.problem.expect("a problem");
    assert!(problem.contains("at position 1 "), "{problem}");
    assert!(problem.contains("no words"), "{problem}");
    *broken.lock().expect("a lock") = false;
    running.resume(Speechless::NAME).await.expect("it goes on");
    reach(&running, Speechless::NAME, Position::new(1)).await;
}

fn retry(attempts_max: u32) -> OnPoison {
    let mut policy = RetryPolicy::default();
    policy.attempts_max = attempts_max;
    policy.delay_max = std::time::Duration::from_millis(3);
    OnPoison::Retry(policy)
}

#[tokio::test]
async fn a_poison_that_passes_after_some_attempts_is_got_over() {
    let dice = &mut Dice(seed("retry"));
    let bench = Bench::new().await;
    let frail = Frail::default();
    let running = bench.start(&frail, bench.options(retry(6), dice));
    let mut end = 0;
    for _ in 0..number("ANNALIST_POISONS", 200u64) / 4 {
        let at = end + 1 + dice.below(40);
        // One more where it was first met among others.
        frail.break_at(at, 1 + dice.below(5) as u32);
        end = append_many(&bench.store, 41).await.get();
        reach(&running, Frail::NAME, Position::new(end)).await;
    }
    assert_eq!(bench.taken().await, up_to(end));
}

#[tokio::test]
async fn a_poison_that_never_passes_stops_it_after_as_many_attempts_as_it_has() {
    let dice = &mut Dice(seed("retry for ever"));
    for attempts in [1, 2, 5] {
        let bench = Bench::new().await;
        let frail = Frail::at(30, u32::MAX);
        append_many(&bench.store, 41).await;
        let mut options = bench.options(retry(attempts), dice);
        // Alone in its batch from the first.
        options.batch.events_max = 1;
        let running = bench.start(&frail, options);
        let failed = running
            .wait_for(Frail::NAME, Position::new(30), PATIENCE)
            .await;
        assert_eq!(failed.expect_err("poison").code(), "follower_stopped");
        assert_eq!(bench.taken().await, up_to(29));
        let left = frail.0.lock().expect("a lock")[&30];
        assert_eq!(u32::MAX - left, attempts);
        frail.mend();
        running.resume(Frail::NAME).await.expect("a follower");
        reach(&running, Frail::NAME, Position::new(41)).await;
        assert_eq!(bench.taken().await, up_to(41));
    }
}

#[tokio::test]
async fn what_it_waits_for_between_two_attempts_is_told() {
    let bench = Bench::new().await;
    let frail = Frail::at(1, u32::MAX);
    let mut policy = RetryPolicy::default();
    policy.attempts_max = u32::MAX;
    let options = bench.options(OnPoison::Retry(policy), &mut Dice(1));
    let running = bench.start(&frail, options);
    append(&bench.store, 1, 1).await;
    let status = told(&running, Frail::NAME, |status| status.problem.is_some()).await;
    assert_eq!(status.state, FollowState::CatchingUp);
    assert!(status.problem.expect("a problem").contains("is poison"));
    frail.mend();
    reach(&running, Frail::NAME, Position::new(1)).await;
    told(&running, Frail::NAME, |status| status.problem.is_none()).await;
}

#[tokio::test]
async fn a_rebuild_that_meets_a_poison_leaves_what_is_read_as_it_was() {
    let bench = Bench::new().await;
    let frail = Frail::default();
    let running = bench.start(&frail, bench.options(OnPoison::Stop, &mut Dice(7)));
    let head = append_many(&bench.store, 41).await;
    reach(&running, Frail::NAME, head).await;
    frail.break_at(30, u32::MAX);
    for build in 2..4 {
        match running.rebuild(Frail::NAME, OldBuild::Drop).await {
            Err(FollowError::Stopped {
                position, problem, ..
            }) => {
                assert_eq!(position.get(), 29);
                assert!(problem.contains("at position 30 "), "{problem}");
            }
            other => panic!("{other:?}"),
        }
        // It is read and goes on.
        let head = append(&bench.store, 1, 1).await;
        reach(&running, Frail::NAME, head).await;
        assert_eq!(bench.taken().await, up_to(head.get()));
        let status = running.status(Frail::NAME).expect("a follower");
        let rebuild = status.rebuild.expect("it is told of");
        assert_eq!((status.build, rebuild.build), (1, build));
    }
    frail.mend();
    running.resume(Frail::NAME).await.expect("a follower");
    let status = told(&running, Frail::NAME, |status| status.build == 3).await;
    assert_eq!((status.rebuild, status.problem), (None, None));
    assert_eq!(bench.taken().await, up_to(43));
}
