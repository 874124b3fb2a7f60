//! That the explorer leaves out nothing, and that its judge says no: on stores that are
//! wrong on purpose, since a bus on a right one gives it nothing to say no to.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::explore::explore;
use super::judge::judge;
use super::*;
use crate::command::OnConflict;
use crate::store::{AppendError, CommitRequest, Receipt, Wrapper};
use crate::testkit::race::ending::Ending;
use crate::testkit::race::run::Run;
use crate::version::ExpectedVersion;
use futures_core::future::BoxFuture;

mod edges;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Counter {
    count: u32,
}

#[derive(Clone, Serialize, Deserialize)]
enum CounterEvent {
    Counted { by: u32 },
}

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Event = CounterEvent;

    fn apply(&mut self, CounterEvent::Counted { by }: &CounterEvent) {
        self.count += by;
    }
}

/// Counts by one more than was counted: in which order matters.
#[derive(Serialize)]
struct Grow;

impl Command for Grow {
    type Aggregate = Counter;
    type Rejection = Infallible;
    const NAME: &'static str = "grow";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, counter: &Counter) -> Result<Vec<CounterEvent>, Infallible> {
        let by = counter.count + 1;
        Ok(vec![CounterEvent::Counted { by }])
    }
}

/// The same, for nobody who has not looked.
#[derive(Serialize)]
struct Set;

impl Command for Set {
    type Aggregate = Counter;
    type Rejection = Infallible;
    const NAME: &'static str = "set";

    fn decide(&self, _: &Counter) -> Result<Vec<CounterEvent>, Infallible> {
        Ok(vec![CounterEvent::Counted { by: 1 }])
    }
}

fn two() -> Race<Counter> {
    race::<Counter>().command(Grow).command(Set)
}

/// Goes every way there is, and forgets nothing and remembers nothing.
fn one_by_one(contest: &Contest, taken: &[schedule::Turn], judged: &mut u64) {
    let mut run = Run::new(contest).unwrap();
    for turn in taken {
        run.take(*turn).unwrap();
    }
    let turns = run.turns();
    if turns.is_empty() {
        let ending = Ending::of(contest, &run).unwrap();
        assert!(judge(contest, &ending).is_ok(), "{}", run.schedule);
        *judged += 1;
    }
    for turn in turns {
        one_by_one(contest, &[taken, &[turn]].concat(), judged);
    }
}

#[test]
fn as_many_schedules_are_covered_as_there_are() {
    let alone = || race::<Counter>().command(Grow);
    for (race, faults_max) in [(two(), 0), (alone(), 1), (alone(), 2), (alone(), 3)] {
        let race = race.faults_max(faults_max);
        let mut judged = 0;
        one_by_one(&race.contest, &[], &mut judged);
        let explored = explore(&race.contest).unwrap_or_else(|_| panic!("it holds"));
        assert_eq!(explored.schedules, judged);
        // What is alike is run once, and once more without faults.
        assert!(explored.runs <= judged + 1, "{explored}");
    }
}

/// A store that is wrong in one way.
struct Planted {
    inner: Arc<dyn Backend>,
    change: fn(&mut CommitRequest),
}

impl Wrapper for Planted {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, mut request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        (self.change)(&mut request);
        self.inner.commit(request)
    }
}

/// It forgets which commands took effect.
fn forgetful(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    let change = |request: &mut CommitRequest| request.key = None;
    Arc::new(Planted { inner, change })
}

/// It lets a stale writer pass.
fn careless(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    let change = |request: &mut CommitRequest| {
        for append in &mut request.appends {
            append.expected = ExpectedVersion::Any;
        }
    };
    Arc::new(Planted { inner, change })
}

#[test]
fn a_store_that_forgets_commands_lets_one_take_effect_twice() {
    let mut race = race::<Counter>().command(Grow);
    race.contest.on = forgetful;
    let mishap = race.explore().unwrap_err();
    insta::assert_snapshot!(mishap, @r#"
    A (grow) took effect twice

      given   nothing
              version 0, {"count":0}
      A       grow, declared to redecide

         1  A looks up its id, which is new
         2  A loads version 0, {"count":0}, and decides: Counted {"by":1}
         3  A appends at version 0: Counted {"by":1} lands, which makes version 1, {"count":1}
         4  A crashes, has heard nothing, and is sent again under its id
         5  A looks up its id, which is new
         6  A loads version 1, {"count":1}, and decides: Counted {"by":2}
         7  A appends at version 1: Counted {"by":2} lands, which makes version 2, {"count":3}
         8  A is answered: appended at version 2

      keep it as a test of its own, with what is given and sent here:
      .schedule("AAA*AAA").check();
    "#);

    let mut unharmed = super::race::<Counter>().command(Grow).faults_max(0);
    unharmed.contest.on = forgetful;
    assert!(unharmed.explore().is_ok(), "nothing is sent twice");
}

#[test]
fn a_store_that_lets_stale_writers_pass_is_noticed() {
    let mut race = two();
    race.contest.on = careless;
    let mishap = race.explore().unwrap_err();
    assert!(
        mishap.wrong.contains("did what it does not declare"),
        "{mishap}"
    );
}
