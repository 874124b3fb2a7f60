//! The hunt for what a command declares and does not keep.
//!
//! A command declares what a conflict means for it, and the bus believes it. A declaration
//! that is not true is a silent double booking, in production, under load. It takes one
//! line in a test of your own to have it hunted:
//!
//! ```
//! # use annalist::{Aggregate, Command, Domain, OnConflict};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Serialize, Deserialize)]
//! # enum AccountEvent { Deposited { cents: u32 } }
//! # #[derive(Default, Clone, Serialize, Deserialize)]
//! # struct Account { balance: u64 }
//! # impl Aggregate for Account {
//! #     const CATEGORY: &'static str = "account";
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) { self.balance += u64::from(*cents); }
//! # }
//! # #[derive(Serialize, Deserialize)]
//! # struct Deposit { cents: u32 }
//! # impl Command for Deposit {
//! #     type Aggregate = Account;
//! #     type Rejection = std::convert::Infallible;
//! #     const NAME: &'static str = "deposit";
//! #     const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;
//! #     fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
//! #         Ok(vec![AccountEvent::Deposited { cents: self.cents }])
//! #     }
//! # }
//! let domain = Domain::new().command::<Deposit>();
//! annalist::testkit::check(&domain);
//! ```
//!
//! Commands are made from their own serde shape, run on states that can be reached, raced
//! with each other, and held to the [laws](Law) of what they declare. What breaks one is made
//! as small as it can be, and told as a story. It is kept in `annalist-regressions/` beside
//! your `Cargo.toml`, and run first from then on.
//!
//! # What is recorded
//!
//! Events are for ever. `ANNALIST_RECORD=1 cargo test` writes a few histories to
//! `annalist-fixtures/`, each event with the state that it left; from then on every test
//! reads them as today's upcasters and `apply` do, and says which event means something else.
//! Recorded anew, the events stay as they were, and what is not covered yet is added.
//!
//! # What the environment says
//!
//! | variable | default | |
//! |---|---|---|
//! | `ANNALIST_CASES` | 1000 | cases for each aggregate |
//! | `ANNALIST_SEED` | random | what they are made from; every hunt tells its own |
//! | `ANNALIST_RECORD` | 0 | 1 records histories |
//! | `ANNALIST_REGRESSIONS` | on | `off`: what is found is not kept |
//!
//! What a test says itself goes before the environment.
//!
//! # What it does not see
//!
//! It looks at what a bus would do, on pure functions, and races some cases through a bus: it
//! finds what is wrong with a declaration, not that a rule is missing from the domain. A
//! commuted event that an invariant refuses is refused by the bus, and no breach.
//!
//! # In the order that a case takes
//!
//! | room | what it is for |
//! |---|---|
//! | `settings` | how many cases, from which seed, kept where |
//! | `hunt` | what was recorded, what was found before, then new cases |
//! | `strategy` | how cases are made; `case`: one of them, and its line of JSON |
//! | `scene` | the case as it plays out, on pure functions; `kin`: whose it is |
//! | `judge` | every law about it, and the [`law`](Law)s by name |
//! | `same`, `stored` | laws of every case: asked twice, kept and read back |
//! | `commute`, `redecide`, `merge` | laws of what is declared |
//! | `race` | the case through a bus |
//! | `findings` | what the laws say; `shrink`, `numbers`: the case made small |
//! | `story` | how it is told; `error`: how a hunt ends otherwise |
//! | `regressions`, `fixture` | what is kept beside `Cargo.toml`, in `files` |
//! | `kept` | what is folded once more at the end; `tally`: what was asked |
//! | `quiet` | panics that are looked for |

use std::path::PathBuf;

/// The crate that strategies come from, for [`Laws::commands`].
pub use proptest;
use proptest::strategy::Strategy;
use serde_json::Value;

use crate::aggregate::Aggregate;
use crate::command::Command;
use crate::domain::Domain;
use crate::domain::probe::{ProbedAggregate, probed};
use crate::event::NewEvent;

mod case;
mod commute;
mod error;
mod files;
mod findings;
mod fixture;
mod hunt;
mod judge;
mod kept;
mod kin;
mod law;
mod merge;
mod numbers;
mod quiet;
mod race;
mod redecide;
mod regressions;
mod same;
mod scene;
mod settings;
mod shrink;
mod stored;
mod story;
mod strategy;
mod tally;

pub use error::HuntError;
pub use law::Law;
pub use story::CounterExample;
pub use tally::Checked;

use case::Case;
use findings::Exceptions;
use fixture::Inline;
use hunt::{Files, Hunt};
use judge::judge;
use kin::{Equalities, Kin};
use quiet::quietly;
use race::Racing;
use settings::Said;
use strategy::Strategies;

/// Holds a domain to all laws; see the [module](self). The same as
/// [`laws(domain).check()`](Laws::check).
///
/// ```should_panic
/// # use annalist::{Aggregate, Command, Domain, OnConflict};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)]
/// # enum SeatEvent { Booked }
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct Seat { bookings: u8 }
/// # impl Aggregate for Seat {
/// #     const CATEGORY: &'static str = "seat";
/// #     type Event = SeatEvent;
/// #     fn apply(&mut self, SeatEvent::Booked: &SeatEvent) { self.bookings = self.bookings.saturating_add(1); }
/// # }
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("the seat is taken")]
/// # struct Taken;
/// #[derive(Serialize, Deserialize)]
/// struct Book;
///
/// impl Command for Book {
/// #     type Aggregate = Seat;
/// #     type Rejection = Taken;
/// #     const NAME: &'static str = "book";
///     const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute; // a double booking
///     // ..
/// #     fn decide(&self, seat: &Seat) -> Result<Vec<SeatEvent>, Taken> {
/// #         if seat.bookings > 0 { Err(Taken) } else { Ok(vec![SeatEvent::Booked]) }
/// #     }
/// }
///
/// # // The same, and nothing is written.
/// # annalist::testkit::laws(&Domain::new().command::<Book>()).hunt().unwrap();
/// annalist::testkit::check(&Domain::new().command::<Book>()); // panics, and says why
/// ```
///
/// # Panics
///
/// When a law is broken, with the story of it.
#[track_caller]
pub fn check(domain: &Domain) {
    laws(domain).check();
}

/// The laws of a domain, to say more about before they are checked.
///
/// ```
/// # use annalist::{Aggregate, Command, Domain, OnConflict};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)]
/// # enum SeatEvent { Booked { by: String } }
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct Seat { by: Option<String> }
/// # impl Aggregate for Seat {
/// #     const CATEGORY: &'static str = "seat";
/// #     type Event = SeatEvent;
/// #     fn apply(&mut self, SeatEvent::Booked { by }: &SeatEvent) { self.by = Some(by.clone()); }
/// # }
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("no such ticket, or the seat is taken")]
/// # struct Refused;
/// # #[derive(Debug, Serialize, Deserialize)]
/// # struct Book { ticket: String }
/// # impl Command for Book {
/// #     type Aggregate = Seat;
/// #     type Rejection = Refused;
/// #     const NAME: &'static str = "book";
/// #     const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
/// #     fn decide(&self, seat: &Seat) -> Result<Vec<SeatEvent>, Refused> {
/// #         match (&seat.by, self.ticket.strip_prefix("ticket ")) {
/// #             (Some(by), _) if *by == self.ticket => Ok(vec![]),
/// #             (None, Some(_)) => Ok(vec![SeatEvent::Booked { by: self.ticket.clone() }]),
/// #             _ => Err(Refused),
/// #         }
/// #     }
/// # }
/// use annalist::testkit::laws::proptest::prelude::*;
///
/// let domain = Domain::new().command::<Book>();
/// // Not every text is the number of a ticket.
/// let tickets = (0..9).prop_map(|number| Book { ticket: format!("ticket {number}") });
/// annalist::testkit::laws(&domain).commands(tickets).cases(200).check();
/// ```
#[must_use = "laws are checked by check()"]
pub fn laws(domain: &Domain) -> Laws {
    Laws {
        domain: domain.clone(),
        strategies: Strategies::default(),
        equalities: Equalities::default(),
        exceptions: Exceptions::default(),
        inline: Vec::new(),
        said: Said::default(),
    }
}

/// What is said about a hunt before it begins; see [`laws`].
#[must_use = "laws are checked by check()"]
pub struct Laws {
    domain: Domain,
    strategies: Strategies,
    equalities: Equalities,
    exceptions: Exceptions,
    inline: Vec<Inline>,
    said: Said,
}

impl Laws {
    /// Makes one kind of command by a strategy, in place of its serde shape.
    pub fn commands<C: Command>(mut self, strategy: impl Strategy<Value = C> + 'static) -> Self {
        self.strategies.add(strategy);
        self
    }

    /// Says which states are equal, where their JSON does not.
    pub fn equal<A: Aggregate>(
        mut self,
        equal: impl Fn(&A, &A) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.equalities.add(equal);
        self
    }

    /// A law that is not meant for a command, such as [`Law::MergeUndoes`] for a merge in
    /// which the last writer wins.
    pub fn except<C: Command>(mut self, law: Law) -> Self {
        self.exceptions.add(C::NAME, law);
        self
    }

    /// How many cases are tried of each aggregate.
    pub const fn cases(mut self, cases: u32) -> Self {
        self.said.cases = Some(cases);
        self
    }

    /// What the cases are made from: the same seed makes the same cases.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.said.seed = Some(seed);
        self
    }

    /// Events as they were stored once, and the state that they meant.
    pub fn recorded<A: Aggregate>(
        mut self,
        events: impl IntoIterator<Item = NewEvent>,
        state: Value,
    ) -> Self {
        self.inline.push(Inline {
            category: A::CATEGORY,
            aggregate: probed::<A>(),
            events: events.into_iter().collect(),
            state,
        });
        self
    }

    /// Where recorded histories are. Default: `annalist-fixtures` beside `Cargo.toml`.
    pub fn fixtures(mut self, folder: impl Into<PathBuf>) -> Self {
        self.said.fixtures = Some(folder.into());
        self
    }

    /// Where cases that were found are. Default: `annalist-regressions` beside `Cargo.toml`.
    pub fn regressions(mut self, folder: impl Into<PathBuf>) -> Self {
        self.said.regressions = Some(folder.into());
        self
    }

    /// Records histories, as `ANNALIST_RECORD=1` does.
    pub const fn recording(mut self) -> Self {
        self.said.recording = true;
        self
    }

    /// Hunts, and writes nothing.
    ///
    /// # Errors
    ///
    /// [`HuntError`] when a law is broken, or could not be asked.
    pub fn hunt(&self) -> Result<Checked, HuntError> {
        self.run(Files::Read)
    }

    /// Hunts, keeps what it finds, and says on standard output what was asked.
    ///
    /// # Panics
    ///
    /// When a law is broken, with the story of it.
    #[track_caller]
    pub fn check(self) {
        match self.run(Files::Written) {
            Ok(checked) => println!("{checked}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Holds one case to all laws: the line that a failure gives to keep.
    ///
    /// # Panics
    ///
    /// When it breaks one, with the story of it, or cannot be read.
    #[track_caller]
    pub fn replay(self, case: &str) {
        if let Err(error) = quietly(|| self.replayed(case)) {
            panic!("{error}");
        }
    }

    fn run(&self, files: Files) -> Result<Checked, HuntError> {
        quietly(|| Hunt::new(self, files)?.run())
    }

    fn replayed(&self, line: &str) -> Result<(), HuntError> {
        let domain = self.domain.clone().checked()?;
        let case = Case::read(&domain, line).map_err(|why| HuntError::Unreadable {
            at: "the case to replay".to_owned(),
            line: line.to_owned(),
            why,
        })?;
        let category = case.mine.category();
        let Ok(aggregate) = domain.probed(category) else {
            return Ok(());
        };
        let kin = self.kin(category, aggregate)?;
        let judged = judge(&kin, &self.exceptions, &case, Racing::Always);
        match judged.breach(None) {
            Some(breach) => {
                let found = CounterExample::of_case(category, &case, &judged.scene, breach);
                Err(HuntError::Broken(Box::new(found)))
            }
            None => Ok(()),
        }
    }

    fn kin(
        &self,
        category: &str,
        aggregate: &'static dyn ProbedAggregate,
    ) -> Result<Kin, HuntError> {
        let kin = Kin::new(&self.domain, category, aggregate, &self.equalities);
        kin.map_err(|why| HuntError::Beginning {
            category: category.to_owned(),
            why: why.to_string(),
        })
    }
}
