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
//! | `heat` | which aggregates are wanted by many at once |
//! | `queue` | commands that stand in line for one aggregate, and share commits |
//! | `policy` | what becomes of a conflict, as a pure function |
//! | `error` | why there is no outcome |
//!
//! # From one event to a declared policy
//!
//! ```
//! use annalist::{Aggregate, Command, CommandBus, Decision, DispatchError, OnConflict, Store};
//! use serde::{Deserialize, Serialize};
//!
//! // 1. What can happen: a plain enum. A variant says what changed, not what came out.
//! #[derive(Clone, Serialize, Deserialize)]
//! enum ShelfEvent {
//!     Stocked { pieces: u32 },
//!     Taken { pieces: u32 },
//! }
//!
//! // 2. What it adds up to: the boundary within which everything is consistent.
//! #[derive(Default, Clone, Serialize, Deserialize)]
//! struct Shelf {
//!     pieces: u32,
//! }
//!
//! impl Aggregate for Shelf {
//!     const CATEGORY: &'static str = "shelf";
//!     type Event = ShelfEvent;
//!
//!     fn apply(&mut self, event: &ShelfEvent) {
//!         match event {
//!             ShelfEvent::Stocked { pieces } => self.pieces += pieces,
//!             ShelfEvent::Taken { pieces } => self.pieces -= pieces,
//!         }
//!     }
//! }
//!
//! // 3. What somebody wants: decided on the state, or refused in the domain's own words.
//! #[derive(Serialize)]
//! struct Take {
//!     pieces: u32,
//! }
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("only {left} left")]
//! struct TooFew {
//!     left: u32,
//! }
//!
//! impl Command for Take {
//!     type Aggregate = Shelf;
//!     type Rejection = TooFew;
//!     const NAME: &'static str = "take";
//!     // 4. What a conflict means: somebody else was here, so look again, and decide again.
//!     const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
//!
//!     fn decide(&self, shelf: &Shelf) -> Result<Vec<ShelfEvent>, TooFew> {
//!         match shelf.pieces >= self.pieces {
//!             true => Ok(vec![ShelfEvent::Taken { pieces: self.pieces }]),
//!             false => Err(TooFew { left: shelf.pieces }),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // 5. Sending it. A closure is a command without a declaration: its conflicts surface.
//! let bus = CommandBus::new(Store::memory());
//! let stock = |_: &Shelf| Ok::<_, TooFew>(vec![ShelfEvent::Stocked { pieces: 10 }]);
//! let seen = bus.decide("cups", "stock", stock).await?.version;
//! bus.dispatch("cups", Take { pieces: 3 }).await?;
//!
//! // Decided on what was seen, and again on what is there: 7 pieces, and 4 of them go.
//! let taken = bus.dispatch("cups", Take { pieces: 4 }).based_on(seen).await?;
//! assert_eq!((taken.decided_by, taken.state.pieces), (Decision::Redecided, 3));
//!
//! // 6. The rule is asked again, too. That is a rejection, and no conflict any more.
//! match bus.dispatch("cups", Take { pieces: 4 }).based_on(seen).await {
//!     Err(DispatchError::Rejected(too_few)) => assert_eq!(too_few.left, 3),
//!     _ => panic!("there are 3"),
//! }
//!
//! // 7. Who demands a version is told, whatever is declared, and decides.
//! match bus.dispatch("cups", Take { pieces: 2 }).expecting(seen).await {
//!     Err(DispatchError::Conflict(conflict)) => {
//!         assert_eq!(conflict.current.pieces, 3);
//!         assert_eq!(conflict.unseen.len(), 2);
//!         assert_eq!(conflict.report().changed, ["/pieces"]);
//!         let again = bus.dispatch("cups", Take { pieces: 2 }).expecting(conflict.version);
//!         assert_eq!(again.await?.state.pieces, 1);
//!     }
//!     _ => panic!("it has moved on"),
//! }
//! # Ok(()) }
//! ```
//!
//! # Which policy for which command
//!
//! | command | policy | why |
//! |---|---|---|
//! | counter: count up, deposit, note something | [`Commute`](OnConflict::Commute) | it holds whatever came between; the invariants are still checked where it lands |
//! | transfer: withdraw, reserve a number of pieces | [`Redecide`](OnConflict::Redecide) | the amount is meant whatever the balance is; the rule about the balance is asked again, and may refuse |
//! | rename, edit a text | [`Merge`](OnConflict::Merge), or [`Surface`](OnConflict::Surface) | what was typed over is what was seen: two fields pass each other, two names for one thing are a question for a person |
//! | book seat 12 | [`Redecide`](OnConflict::Redecide) | other seats do not matter; whether this one is free is asked again, and "taken" is a rejection in the domain's words |
//! | book the best seat that is free | [`Surface`](OnConflict::Surface) | deciding again would find another seat, and that is another decision |
//! | close, settle, sign off | [`Surface`](OnConflict::Surface) | it judges all that was seen, and nobody has judged what came between |
//! | idempotent set: switch on, add to a set | [`Redecide`](OnConflict::Redecide) | deciding again finds what is left to do; if that is nothing, every policy answers [`Decision::NothingToDo`] |
//!
//! With no declaration a conflict surfaces: nothing is retried because it is convenient.
//! Whether a declaration is true is hunted by one line in a test: the chapter of the module
//! `annalist::testkit` (feature `testkit`) shows how.
//!
//! - `Commute` asks that events say what changed (`Deposited { cents }`). One that says what
//!   came out (`BalanceSet { cents }`) overwrites what came between.
//! - What may not come between is named by [`clashes_with`](Command::clashes_with): then
//!   the conflict surfaces after all.
//! - A command is decided on one aggregate. A transfer between two is a withdrawal here
//!   and a deposit there, each with a command id of its own, so that the second can be
//!   sent until it has taken effect.
//!
//! # One aggregate that everybody wants
//!
//! By default commands are [`Optimistic`](Contention::Optimistic): each is decided on what it
//! finds, and whoever loses a race does what it declares. Where many want one aggregate at
//! once, each round has one winner, and the others have tried in vain. A command that declares
//! `const CONTENTION: Contention = Contention::Queued` stands in line instead, with the others
//! of its bus that do: it is decided on what the one before it leaves, and those that wait
//! together are written together. On two cores 64 callers on one aggregate are some sixty times
//! as fast so, and nearly as fast as on 64 aggregates.
//!
//! - Each is answered for itself, when what it rests on is written. What one of them does
//!   wrong, such as to panic or to break an invariant, is nobody else's.
//! - They race with those who do not stand in line, and with other processes: the version check
//!   decides, and whoever loses does what it declares, in order.
//! - A command that demands a version, or is based on one, goes its own way in its turn.
//!
//! Where it is not known beforehand which aggregates everybody will want,
//! [`Adaptive`](Contention::Adaptive) finds out: its commands are optimistic until more of them
//! lose races on an aggregate than do not, stand in line from then on, and go their own way
//! again when nobody meets anybody in line for a while.
//!
//! # What is safe to send again
//!
//! | sent again | what it does |
//! |---|---|
//! | by the bus, within one dispatch | safe: each attempt carries the same command id, and one of them lands at most |
//! | with the same command id and payload, to the same aggregate | safe, for ever and from anywhere: [`Decision::AlreadyApplied`], with the outcome of the first time |
//! | with the same command id, to another aggregate | **another command**: an id is known to its aggregate alone |
//! | with the same command id and another payload | refused: [`DispatchError::CommandIdReused`] |
//! | after a conflict, a rejection or nothing to do | decided anew, since nothing was written under the id, unless [`record_outcome`](Dispatch::record_outcome) kept it |
//! | after a lost answer, a time-out, a dropped future | safe with the command id of the first time; without one nobody can tell whether it is the first time |
//! | **without a command id** | **a second command, which takes effect a second time** |
//!
//! Two equal commands may both be meant, as two deposits of the same amount are. Only who
//! sends them knows, and says so by the id:
//!
//! ```
//! # use annalist::{Aggregate, Command, CommandBus, Decision, Store};
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # enum AccountEvent { Deposited { cents: i64 } }
//! # #[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
//! # struct Account { balance: i64 }
//! # impl Aggregate for Account {
//! #     const CATEGORY: &'static str = "account";
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) { self.balance += cents; }
//! # }
//! # #[derive(serde::Serialize)]
//! # struct Deposit { cents: i64 }
//! # impl Command for Deposit {
//! #     type Aggregate = Account;
//! #     type Rejection = std::convert::Infallible;
//! #     const NAME: &'static str = "deposit";
//! #     fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
//! #         Ok(vec![AccountEvent::Deposited { cents: self.cents }])
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = CommandBus::new(Store::memory());
//! bus.dispatch("42", Deposit { cents: 500 }).command_id("pay-1").await?;
//! let again = bus.dispatch("42", Deposit { cents: 500 }).command_id("pay-1").await?;
//! assert_eq!((again.state.balance, again.decided_by), (500, Decision::AlreadyApplied));
//!
//! bus.dispatch("42", Deposit { cents: 500 }).await?;
//! let second = bus.dispatch("42", Deposit { cents: 500 }).await?;
//! assert_eq!((second.state.balance, second.decided_by), (1_500, Decision::Appended));
//! # Ok(()) }
//! ```

use std::fmt;

use serde::Serialize;

use crate::aggregate::{Aggregate, Contention};
use crate::conflict::Policy;
use crate::event::RecordedEvent;
use crate::ids::EventId;
use crate::version::{Generation, Position, Version};

mod bus;
mod closure;
mod dispatch;
mod error;
mod heat;
mod policy;
mod queue;
mod run;
mod shared;

pub use bus::{BusOptions, CommandBus};
pub use closure::Decide;
pub use dispatch::Dispatch;
pub(crate) use dispatch::{DispatchOptions, Seen, dispatch_options};
pub use error::{DispatchError, InvalidDispatch, When};
pub(crate) use run::fingerprint;

/// Something that is to happen to an aggregate.
///
/// A command id stands for the command's name and its JSON: two equal commands must
/// serialize alike. A map without an order, such as `HashMap`, does not; `BTreeMap` does.
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
///
/// A command that may have to be sent again can be kept in an [`Arc`](std::sync::Arc), which
/// is the same command.
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

    /// What it does where many want its aggregate at once. Default: what the
    /// [aggregate](Aggregate::CONTENTION) says.
    const CONTENTION: Contention = <Self::Aggregate as Aggregate>::CONTENTION;

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

    /// The stable name of a rejection, for who acts on it without its type: a client, a log,
    /// or the HTTP status that it is told under. Default: `rejected`.
    #[must_use]
    fn rejection_code(rejection: &Self::Rejection) -> &'static str {
        let _ = rejection;
        "rejected"
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
    pub(crate) const fn is_met(self, exists: bool) -> bool {
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
    /// The version of its first event; none where it had none.
    pub first_version: Option<Version>,
    /// The stream's generation, as far as it is known.
    pub generation: Generation,
    /// The id of the stream's last event then; none where there was none to read.
    pub last_event: Option<EventId>,
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

impl Decision {
    /// Its stable name, such as `nothing_to_do`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Appended => "appended",
            Self::Redecided => "redecided",
            Self::Commuted => "commuted",
            Self::Merged => "merged",
            Self::NothingToDo => "nothing_to_do",
            Self::AlreadyApplied => "already_applied",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Appended => "appended",
            Self::Redecided => "redecided",
            Self::Commuted => "commuted",
            Self::Merged => "merged",
            Self::NothingToDo => "nothing to do",
            Self::AlreadyApplied => "already applied",
        })
    }
}
