//! Given what happened, when a command comes, then this is what happens: for the tests of
//! one aggregate and its commands.
//!
//! A user writes what was, what is sent, and what is expected; there is no store to set up
//! and nothing to await. Underneath, the command takes its whole way: the real
//! [`CommandBus`](crate::CommandBus) on a store in memory, whose clock stands still, with
//! no waiting between attempts. It works in a plain `#[test]` and inside of a runtime.
//!
//! ```
//! # use annalist::{Aggregate, Command, OnConflict, Violation, ensure};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Serialize, Deserialize)]
//! # enum AccountEvent { Deposited { cents: i64 }, Withdrawn { cents: i64 } }
//! # #[derive(Default, Clone, Serialize, Deserialize)]
//! # struct Account { balance: i64 }
//! # impl Aggregate for Account {
//! #     const CATEGORY: &'static str = "account";
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, event: &AccountEvent) {
//! #         match event {
//! #             AccountEvent::Deposited { cents } => self.balance += cents,
//! #             AccountEvent::Withdrawn { cents } => self.balance -= cents,
//! #         }
//! #     }
//! # }
//! # #[derive(Debug, thiserror::Error)]
//! # #[error("only {balance} cents are left")]
//! # struct Overdrawn { balance: i64 }
//! # #[derive(Serialize)]
//! # struct Withdraw { cents: i64 }
//! # impl Command for Withdraw {
//! #     type Aggregate = Account;
//! #     type Rejection = Overdrawn;
//! #     const NAME: &'static str = "withdraw";
//! #     const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
//! #     fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
//! #         match account.balance {
//! #             balance if balance < self.cents => Err(Overdrawn { balance }),
//! #             _ => Ok(vec![AccountEvent::Withdrawn { cents: self.cents }]),
//! #         }
//! #     }
//! # }
//! use annalist::testkit::scenario::scenario;
//!
//! scenario::<Account>()
//!     .given([AccountEvent::Deposited { cents: 500 }])
//!     .when(Withdraw { cents: 200 })
//!     .then([AccountEvent::Withdrawn { cents: 200 }])
//!     .then_state(|account| assert_eq!(account.balance, 300));
//!
//! // Another withdraws after the balance was loaded, and before this one is appended.
//! scenario::<Account>()
//!     .given([AccountEvent::Deposited { cents: 500 }])
//!     .when(Withdraw { cents: 200 })
//!     .while_another([AccountEvent::Withdrawn { cents: 400 }])
//!     .then_rejected(Overdrawn { balance: 100 });
//! ```
//!
//! # Races
//!
//! What is said with `while_..` lands between load and append of the command: the first
//! before its first attempt is appended, the second before the second attempt, and so on.
//! No thread races and nothing sleeps, so it comes out alike every time. A scenario whose
//! command never came to append where another was to be faster fails, and says so.
//!
//! # When it fails
//!
//! It panics, as an assertion does, at the line of the expectation, with the whole story:
//! what was given, what was sent, the state before and after, the conflict if there was one,
//! and, event by event, the fields that differ. Events and states are compared by their
//! JSON, rejections by how they are shown: none of them has to derive anything for it.

use std::error::Error;
use std::marker::PhantomData;

use crate::aggregate::Aggregate;
use crate::command::{Command, Decide};
use crate::event::NewEvent;

mod between;
mod deed;
mod drive;
pub(super) mod story;
mod then;
mod when;

pub use then::Then;
pub use when::When;

use deed::Deed;

/// What is given of one aggregate; see the [module](self).
#[must_use = "a scenario without an expectation checks nothing"]
pub struct Scenario<A: Aggregate> {
    given: Vec<Deed>,
    aggregate: PhantomData<fn() -> A>,
}

/// Begins a scenario of an aggregate of which nothing has happened yet.
///
/// ```
/// # use annalist::Aggregate;
/// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// # enum LampEvent { SwitchedOn }
/// # #[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
/// # struct Lamp { on: bool }
/// # impl Aggregate for Lamp {
/// #     const CATEGORY: &'static str = "lamp";
/// #     type Event = LampEvent;
/// #     fn apply(&mut self, LampEvent::SwitchedOn: &LampEvent) { self.on = true; }
/// # }
/// use annalist::testkit::scenario::scenario;
///
/// let switch_on = |lamp: &Lamp| match lamp.on {
///     true => Ok::<_, std::fmt::Error>(vec![]),
///     false => Ok(vec![LampEvent::SwitchedOn]),
/// };
/// scenario::<Lamp>().when_decided("switch on", switch_on).then([LampEvent::SwitchedOn]);
/// scenario::<Lamp>()
///     .given([LampEvent::SwitchedOn])
///     .when_decided("switch on", switch_on)
///     .then_nothing();
/// ```
pub fn scenario<A: Aggregate>() -> Scenario<A> {
    Scenario::new()
}

impl<A: Aggregate> Scenario<A> {
    /// The same as [`scenario`].
    pub const fn new() -> Self {
        Self {
            given: Vec::new(),
            aggregate: PhantomData,
        }
    }

    /// These events have happened, after what was given before.
    ///
    /// # Panics
    ///
    /// When an event has no form that can be stored.
    #[track_caller]
    pub fn given(self, events: impl IntoIterator<Item = A::Event>) -> Self {
        let ids = self.ids();
        self.add(Deed::append::<A>(&ids, events))
    }

    /// These events are stored, as they were by an older release: what the aggregate's
    /// upcasters are for.
    pub fn given_stored(self, events: impl IntoIterator<Item = NewEvent>) -> Self {
        self.add(Deed::store(events))
    }

    /// This command was sent before, under this id.
    pub fn given_done<C>(self, command_id: &str, command: C) -> Self
    where
        C: Command<Aggregate = A>,
    {
        self.add(Deed::command(command, Some(command_id)))
    }

    /// It was deleted. It may be written again.
    pub fn given_deleted(self) -> Self {
        self.add(Deed::delete())
    }

    /// It was closed. Nothing is appended to it again.
    pub fn given_closed(self) -> Self {
        self.add(Deed::close())
    }

    /// This command is sent.
    #[track_caller]
    pub fn when<C: Command<Aggregate = A>>(self, command: C) -> When<C> {
        let told = story::command(&command, None);
        When::new(self.given, &told, |bus, key| bus.dispatch(key, command))
    }

    /// This closure decides, under a name.
    #[track_caller]
    pub fn when_decided<R, F>(self, name: impl Into<String>, decide: F) -> When<Decide<F, A, R>>
    where
        R: Error + Send + Sync + 'static,
        F: Fn(&A) -> Result<Vec<A::Event>, R> + Send + Sync + 'static,
    {
        let name = name.into();
        When::new(self.given, &name.clone(), |bus, key| {
            bus.decide(key, name, decide)
        })
    }

    fn add(mut self, deed: Deed) -> Self {
        self.given.push(deed);
        self
    }

    /// What the ids of the next events are derived from, so that they are the same in every
    /// run.
    fn ids(&self) -> String {
        format!("given {}", self.given.len())
    }
}

impl<A: Aggregate> Default for Scenario<A> {
    fn default() -> Self {
        Self::new()
    }
}
