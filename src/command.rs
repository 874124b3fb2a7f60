//! Commands: what is to happen, decided on the current state, and what a conflict means
//! for it, declared beside it.
//!
//! In the order that a command takes:
//!
//! | room | what it is for |
//! |---|---|
//! | [`Command`] | what a user writes: decide, and what a conflict means |
//! | [`CommandBus`] | takes commands |
//! | `dispatch` | one command on its way, with its options |
//! | `run` | the loop: look up, load, decide, append, and what to do about a conflict |
//! | `policy` | what becomes of a conflict, as a pure function |
//! | `error` | why there is no outcome |
//!
//! # Which policy for which command
//!
//! | command | policy | why |
//! |---|---|---|
//! | count up, note something | [`Commute`](OnConflict::Commute) | it holds whatever came between |
//! | transfer, withdraw | [`Redecide`](OnConflict::Redecide) | the amount is meant, whatever the balance; the rule about the balance is checked again |
//! | set a switch, add to a set | [`Redecide`](OnConflict::Redecide) | deciding again finds that nothing is left to do |
//! | rename, edit a text | [`Merge`](OnConflict::Merge) or [`Surface`](OnConflict::Surface) | what was seen is what was meant: two renames are a question for a person, two fields are not |
//! | book the seat that was shown as free | [`Surface`](OnConflict::Surface) | another seat is another decision |
//! | close, settle, sign off | [`Surface`](OnConflict::Surface) | it judges what was seen |
//!
//! With no declaration a conflict surfaces: nothing is retried because it is convenient.
//!
//! # What is safe to send again
//!
//! A dispatch with a command id of the caller's is recognised for ever: sent again with
//! the same payload it answers [`Decision::AlreadyApplied`], sent again with another it is
//! refused. Without one, attempts inside of one dispatch are safe, since they carry the
//! same event ids; a second dispatch is a second command, and takes effect a second time.

use std::fmt;

use serde::Serialize;

use crate::aggregate::Aggregate;
use crate::conflict::Policy;
use crate::event::RecordedEvent;
use crate::version::{Position, Version};

mod bus;
mod closure;
mod dispatch;
mod error;
mod policy;
mod run;

pub use bus::{BusOptions, CommandBus};
pub use closure::Decide;
pub use dispatch::Dispatch;
pub(crate) use dispatch::{DispatchOptions, Seen};
pub use error::{DispatchError, InvalidDispatch, When};

/// Something that is to happen to an aggregate.
///
/// ```
/// use annalist::{Aggregate, Command, CommandBus, Decision, OnConflict, Store, Violation, ensure};
/// use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)]
/// # enum AccountEvent { Deposited { cents: i64 }, Withdrawn { cents: i64 } }
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct Account { balance: i64 }
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Event = AccountEvent;
/// #     fn apply(&mut self, event: &AccountEvent) {
/// #         match event {
/// #             AccountEvent::Deposited { cents } => self.balance += cents,
/// #             AccountEvent::Withdrawn { cents } => self.balance -= cents,
/// #         }
/// #     }
/// #     fn invariants(&self) -> Result<(), Violation> {
/// #         ensure(self.balance >= 0, "the balance is never negative")
/// #     }
/// # }
///
/// #[derive(Serialize)]
/// struct Deposit {
///     cents: i64,
/// }
///
/// impl Command for Deposit {
///     type Aggregate = Account;
///     type Rejection = std::convert::Infallible;
///     const NAME: &'static str = "deposit";
///     // More money does not depend on what came between.
///     const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;
///
///     fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
///         Ok(vec![AccountEvent::Deposited { cents: self.cents }])
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = CommandBus::new(Store::memory());
/// let outcome = bus.dispatch("42", Deposit { cents: 500 }).command_id("pay-1").await?;
/// assert_eq!((outcome.state.balance, outcome.decided_by), (500, Decision::Appended));
///
/// let again = bus.dispatch("42", Deposit { cents: 500 }).command_id("pay-1").await?;
/// assert_eq!((again.version, again.decided_by), (outcome.version, Decision::AlreadyApplied));
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "needs `impl Command for {Self}`",
    note = "a command derives `Serialize` and names its aggregate, its rejection and itself",
    note = "a closure is given to `bus.decide(key, name, closure)`"
)]
pub trait Command: Serialize + Send + Sync + Sized + 'static {
    /// What it is decided on.
    type Aggregate: Aggregate;

    /// Why it may be refused, in the domain's own words;
    /// [`Infallible`](std::convert::Infallible) where it never is.
    type Rejection: std::error::Error + Send + Sync + 'static;

    /// What it is called, in logs, reports and for who sends it by name.
    const NAME: &'static str;

    /// What a conflict means for it. Default: its caller is told.
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Surface;

    /// Whether the aggregate must be there, or must not. Checked before deciding and
    /// before every further attempt. Default: either.
    const REQUIRES: Requires = Requires::Any;

    /// Says what is to happen; nothing if nothing is left to do. It may be asked more than
    /// once: it looks at nothing but the state, and changes nothing.
    ///
    /// # Errors
    ///
    /// The domain's reason why it must not happen.
    fn decide(&self, state: &Self::Aggregate) -> Result<Vec<EventOf<Self>>, Self::Rejection>;

    /// Whether an event that was not seen makes it unsafe to go on, so that the conflict
    /// surfaces after all.
    fn clashes_with(&self, unseen: &EventOf<Self>) -> bool {
        let _ = unseen;
        false
    }

    /// The name of this one: a closure's is its own.
    #[doc(hidden)]
    fn name(&self) -> &str {
        Self::NAME
    }
}

/// What happens to the aggregate of a command.
pub type EventOf<C> = <<C as Command>::Aggregate as Aggregate>::Event;

/// What a merge ends with: the events that both leave to happen, or why there are none.
pub type MergeResult<C> = Result<Vec<EventOf<C>>, String>;

/// What a conflict means for a command.
#[derive(Default)]
pub enum OnConflict<C: Command> {
    /// The caller is told, and decides.
    #[default]
    Surface,
    /// It may be decided again on the current state, unless it
    /// [clashes](Command::clashes_with).
    Redecide,
    /// What was decided first still holds on the current state, unless it
    /// [clashes](Command::clashes_with): its invariants are checked, and the same events
    /// appended.
    Commute,
    /// This function says what becomes of both, or why a person must.
    Merge(fn(&C, &Diverged<'_, C::Aggregate>) -> MergeResult<C>),
}

impl<C: Command> OnConflict<C> {
    /// Its name.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        match self {
            Self::Surface => Policy::Surface,
            Self::Redecide => Policy::Redecide,
            Self::Commute => Policy::Commute,
            Self::Merge(_) => Policy::Merge,
        }
    }
}

impl<C: Command> Clone for OnConflict<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Command> Copy for OnConflict<C> {}

impl<C: Command> fmt::Debug for OnConflict<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy().fmt(f)
    }
}

/// Two sides that went on from one state without seeing each other.
#[derive(Debug)]
#[non_exhaustive]
pub struct Diverged<'a, A: Aggregate> {
    /// What both had seen.
    pub base: &'a A,
    /// What it is now.
    pub current: &'a A,
    /// What the others did.
    pub unseen: &'a [A::Event],
    /// What the command decided on the base.
    pub proposed: &'a [A::Event],
}

/// Whether the aggregate must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Requires {
    /// It may, or not.
    #[default]
    Any,
    /// It must not be there: never written, or deleted.
    New,
    /// It must be there.
    Existing,
}

impl Requires {
    /// Whether it is so.
    const fn is_met(self, exists: bool) -> bool {
        match self {
            Self::Any => true,
            Self::New => !exists,
            Self::Existing => exists,
        }
    }
}

/// What came of a command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome<A: Aggregate> {
    /// The stream's version after it.
    pub version: Version,
    /// The position of its last event; none where it had none.
    pub position: Option<Position>,
    /// What it made happen.
    pub events: Vec<A::Event>,
    /// The state after it.
    pub state: A,
    /// How often it was attempted.
    pub attempts: u32,
    /// What happened while it was on its way, and did not hinder it.
    pub unseen: Vec<RecordedEvent>,
    /// What decided it.
    pub decided_by: Decision,
}

/// What decided a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Its first attempt was appended.
    Appended,
    /// It was decided again on a later state.
    Redecided,
    /// What it decided first was appended on a later state.
    Commuted,
    /// It was merged with what happened meanwhile.
    Merged,
    /// Nothing was left to do.
    NothingToDo,
    /// It had taken effect before: the rest of the outcome is as it was then, as far as it
    /// can still be read.
    AlreadyApplied,
}
