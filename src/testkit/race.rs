//! Every way in which a few commands can race on one aggregate, and whether each ends as the
//! declarations promise.
//!
//! A user names a history and two or three commands; no thread races and nothing sleeps. The
//! real [`CommandBus`](crate::CommandBus) is taken through **every** order of their calls to
//! a store in memory: each look-up of a command id, each load, each append, each reading of
//! what came between, each attempt anew. And through every place where the caller may crash
//! and send its command again under the same id, where its append is still under way then and
//! arrives later, and where an append lands or loses and its answer is lost.
//!
//! ```
//! # use annalist::{Aggregate, Command, OnConflict};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Serialize, Deserialize)]
//! # enum AccountEvent { Deposited { cents: u32 }, Withdrawn { cents: u32 } }
//! # #[derive(Default, Clone, Serialize, Deserialize)]
//! # struct Account { balance: i64 }
//! # impl Aggregate for Account {
//! #     const CATEGORY: &'static str = "account";
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, event: &AccountEvent) {
//! #         match event {
//! #             AccountEvent::Deposited { cents } => self.balance += i64::from(*cents),
//! #             AccountEvent::Withdrawn { cents } => self.balance -= i64::from(*cents),
//! #         }
//! #     }
//! # }
//! # #[derive(Debug, thiserror::Error)]
//! # #[error("only {balance} cents are left")]
//! # struct Overdrawn { balance: i64 }
//! # #[derive(Serialize)]
//! # struct Withdraw { cents: u32 }
//! # impl Command for Withdraw {
//! #     type Aggregate = Account;
//! #     type Rejection = Overdrawn;
//! #     const NAME: &'static str = "withdraw";
//! #     const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
//! #     fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
//! #         match account.balance {
//! #             balance if balance < self.cents.into() => Err(Overdrawn { balance }),
//! #             _ => Ok(vec![AccountEvent::Withdrawn { cents: self.cents }]),
//! #         }
//! #     }
//! # }
//! use annalist::testkit::race::race;
//!
//! let explored = race::<Account>()
//!     .given([AccountEvent::Deposited { cents: 100 }])
//!     .command(Withdraw { cents: 80 })
//!     .command(Withdraw { cents: 80 })
//!     .check();
//! assert!(explored.schedules > 1_000);
//! ```
//!
//! # What is judged
//!
//! - Nothing takes effect twice, whatever crashed and whichever answer was lost.
//! - The invariants hold at every version that a commit left.
//! - What landed is what the declared policy makes of the state that it landed on: a command
//!   that surfaces never lands on what it has not seen, and none passes an event that it
//!   clashes with.
//! - Each was told the truth: of its own events, version and state, or that nothing of it
//!   happened.
//! - The final state and all answers, with the states that they tell of, are those of **some
//!   serial order**: the same commands, one after another, with nobody racing. A command whose
//!   conflict surfaced, or that an invariant refused after it had lost, has done nothing, and
//!   stands in no order. What a merge made stands in its place as it was merged.
//!
//! # What is not explored twice
//!
//! Runs that stand alike go on alike, whichever way they came there, so what is behind is
//! explored once; [`Explored`] tells both numbers. At most [`runs_max`](Race::runs_max) runs
//! are made; where that is not enough, a tenth as many schedules are drawn at random, by a
//! [`seed`](Race::seed) that is told.
//!
//! # In the order that a run takes
//!
//! | room | what it is for |
//! |---|---|
//! | `schedule` | whose turn it is, and what fails: plain data, and its text |
//! | `stage` | the store, at whose door each command waits for its turn |
//! | `run` | one schedule, by the real bus |
//! | `explore` | every schedule, each state of it once |
//! | `ending` | what is stored and answered in the end |
//! | `judge` | whether that is what is declared; `serial`: one after another |
//! | `story` | how it is told |

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::caught::chain;
use crate::codec::Codec;
use crate::command::Command;
use crate::domain::AnyCommand;
use crate::domain::probe::{ProbedAggregate, probed};
use crate::event::NewEvent;
use crate::ids::EventId;
use crate::store::Backend;
use crate::testkit::equality::Equality;

mod ending;
mod explore;
mod judge;
mod run;
mod schedule;
mod serial;
mod stage;
mod story;
#[cfg(test)]
mod tests;

use schedule::Schedule;

/// A history and some commands, about to race; see the [module](self).
#[must_use = "a race that is not checked is not run"]
pub struct Race<A: Aggregate> {
    contest: Contest,
    schedule: Option<Schedule>,
    aggregate: PhantomData<fn() -> A>,
}

/// Begins a race on an aggregate of which nothing has happened yet.
pub fn race<A: Aggregate>() -> Race<A> {
    Race {
        contest: Contest::new(A::CATEGORY, probed::<A>()),
        schedule: None,
        aggregate: PhantomData,
    }
}

/// What races, without its types.
#[derive(Clone)]
pub(super) struct Contest {
    pub(super) category: &'static str,
    pub(super) aggregate: &'static dyn ProbedAggregate,
    pub(super) given: Vec<NewEvent>,
    pub(super) commands: Vec<AnyCommand>,
    pub(super) equal: Equality,
    /// What becomes of the store before anyone sees it: nothing, but where the judge is
    /// tested on stores that are wrong.
    on: fn(Arc<dyn Backend>) -> Arc<dyn Backend>,
    pub(super) faults_max: u32,
    pub(super) runs_max: u64,
    pub(super) seed: u64,
}

impl Contest {
    /// The key of the aggregate. There is only one.
    const KEY: &'static str = "1";
    /// More than these would be more schedules than anyone can wait for.
    const COMMANDS_MAX: usize = 4;

    pub(super) fn new(category: &'static str, aggregate: &'static dyn ProbedAggregate) -> Self {
        Self {
            category,
            aggregate,
            given: Vec::new(),
            commands: Vec::new(),
            equal: Equality::default(),
            on: |store| store,
            faults_max: 1,
            runs_max: 50_000,
            seed: 0,
        }
    }

    /// Explores every schedule, or one alone.
    fn explore(&self, only: Option<&Schedule>) -> Result<Explored, Box<Mishap>> {
        if self.commands.is_empty() {
            return Err(Box::new(Mishap::unable("no command races")));
        }
        let explored = match only {
            Some(schedule) => explore::alone(self, schedule),
            None => explore::explore(self),
        };
        explored.map_err(|found| Box::new(story::tell(self, &found)))
    }
}

impl<A: Aggregate> Race<A> {
    /// These events have happened, after what was given before.
    ///
    /// # Panics
    ///
    /// When an event has no form that can be stored.
    #[track_caller]
    pub fn given(mut self, events: impl IntoIterator<Item = A::Event>) -> Self {
        let codec = Codec::<A>::new();
        for event in events {
            let id = EventId::derived("race", &self.contest.given.len().to_string());
            match codec.encode(&event) {
                Ok(event) => self.contest.given.push(event.with_id(id)),
                Err(error) => panic!("an event of the race: {}", chain(&error)),
            }
        }
        self
    }

    /// These events are stored, as they were by an older release.
    pub fn given_stored(mut self, events: impl IntoIterator<Item = NewEvent>) -> Self {
        self.contest.given.extend(events);
        self
    }

    /// One more command races. Two of them have thousands of schedules, three millions, four
    /// are sampled.
    ///
    /// # Panics
    ///
    /// When there are four already.
    #[track_caller]
    pub fn command<C: Command<Aggregate = A>>(mut self, command: C) -> Self {
        let most = Contest::COMMANDS_MAX;
        assert!(
            self.contest.commands.len() < most,
            "a race has {most} commands at most"
        );
        self.contest.commands.push(AnyCommand::new(command));
        self
    }

    /// Which states are the same. Default: those of equal JSON.
    pub fn equal(mut self, same: impl Fn(&A, &A) -> bool + Send + Sync + 'static) -> Self {
        self.contest.equal = Equality::of(same);
        self
    }

    /// How many crashes and lost answers one schedule may have. Default 1.
    pub fn faults_max(mut self, faults_max: u32) -> Self {
        self.contest.faults_max = faults_max;
        self
    }

    /// How many runs are made before schedules are drawn at random, a tenth as many. Default
    /// 50,000: about three times what three commands take, and in a debug build half a minute.
    pub fn runs_max(mut self, runs_max: u64) -> Self {
        self.contest.runs_max = runs_max;
        self
    }

    /// What schedules are drawn from where there are too many. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.contest.seed = seed;
        self
    }

    /// Runs this schedule alone, as a [`Mishap`] tells it. What it leaves open is gone
    /// through in order.
    ///
    /// A letter is a turn of that command: the call that it waits with. What stands behind it
    /// goes wrong:
    ///
    /// | mark | what happens |
    /// |---|---|
    /// | `?` | the append goes through, and nobody knows what became of it |
    /// | `!` | it crashes before the call, and is sent again |
    /// | `*` | the append goes through, and it crashes before it is told |
    /// | `~` | it crashes while its append is under way |
    /// | `+` | what was under way then arrives |
    ///
    /// # Panics
    ///
    /// When the text is no schedule.
    #[track_caller]
    pub fn schedule(mut self, schedule: &str) -> Self {
        match schedule.parse() {
            Ok(schedule) => self.schedule = Some(schedule),
            Err(why) => panic!("the schedule of the race: {why}"),
        }
        self
    }

    /// Explores every schedule.
    ///
    /// # Errors
    ///
    /// [`Mishap`]: the first schedule that ends as nothing declared allows.
    pub fn explore(self) -> Result<Explored, Box<Mishap>> {
        self.contest.explore(self.schedule.as_ref())
    }

    /// The same, as an assertion. What was explored is said on standard output.
    ///
    /// # Panics
    ///
    /// With the story of the first schedule that ends as nothing declared allows.
    #[track_caller]
    pub fn check(self) -> Explored {
        match self.explore() {
            Ok(explored) => {
                println!("{explored}");
                explored
            }
            Err(mishap) => panic!("{mishap}"),
        }
    }
}

/// How much was explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explored {
    /// Schedules that were covered; 0 where there are more than could be. `u64::MAX` where
    /// there are more than that.
    pub schedules: u64,
    /// Runs that it took.
    pub runs: u64,
    /// Endings that were judged: they differ in what is stored, in what was answered, or in
    /// which faults came before.
    pub endings: u64,
    /// How many crashes and lost answers a schedule had at most.
    pub faults_max: u32,
    /// How many of the runs were drawn at random; 0 where every schedule was covered.
    pub sampled: u64,
    /// What they were drawn from.
    pub seed: u64,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sampled {
            0 => write!(
                f,
                "all {}{} schedules with up to {} faults, in {} runs to {} endings",
                if self.schedules == u64::MAX {
                    "of more than "
                } else {
                    ""
                },
                self.schedules,
                self.faults_max,
                self.runs,
                self.endings
            ),
            sampled => write!(
                f,
                "{sampled} schedules drawn at random by seed {}, after {} runs that did not cover all",
                self.seed,
                self.runs - sampled
            ),
        }
    }
}

/// A race that ended as nothing declared allows. It displays as the whole story.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mishap {
    /// What is wrong, in one line.
    pub wrong: String,
    /// The turns that lead there, for [`Race::schedule`].
    pub schedule: String,
    /// Who takes part, and what was there before.
    cast: String,
    /// The numbered steps, and the orders that were tried.
    steps: String,
    /// What it was drawn from, where it was drawn at random.
    seed: Option<u64>,
}

impl Mishap {
    fn unable(why: &str) -> Self {
        Self {
            wrong: why.to_owned(),
            schedule: String::new(),
            cast: String::new(),
            steps: String::new(),
            seed: None,
        }
    }

    /// The numbered steps and the orders that were tried, without who takes part.
    pub(in crate::testkit) fn steps(&self) -> &str {
        &self.steps
    }
}

impl fmt::Debug for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Mishap {}

/// Explores every schedule of a contest that is not typed, as a law asks for it.
pub(in crate::testkit) fn raced(contest: &Contest) -> Result<Explored, Box<Mishap>> {
    contest.explore(None)
}
