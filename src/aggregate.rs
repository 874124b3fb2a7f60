//! What a user writes of the domain: a state, and how events change it.
//!
//! Commands decide on an aggregate, repositories fold it. Nothing here does I/O, and
//! nothing an aggregate does may: `apply` runs again whenever its stream is read.

use std::borrow::{Borrow, Cow};
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::caught::{Panicked, caught};
use crate::ids::{InvalidName, StreamId};
use crate::upcast::Upcasters;
use crate::version::Version;

/// A state that is folded from the events of one stream: the boundary within which
/// everything is consistent.
///
/// ```
/// use annalist::{Aggregate, Violation, ensure, fold};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// enum AccountEvent {
///     Deposited { cents: i64 },
///     Withdrawn { cents: i64 },
/// }
///
/// #[derive(Default, Clone, Serialize, Deserialize)]
/// struct Account {
///     balance: i64,
/// }
///
/// impl Aggregate for Account {
///     const CATEGORY: &'static str = "account";
///     type Event = AccountEvent;
///
///     fn apply(&mut self, event: &AccountEvent) {
///         match event {
///             AccountEvent::Deposited { cents } => self.balance += cents,
///             AccountEvent::Withdrawn { cents } => self.balance -= cents,
///         }
///     }
///
///     fn invariants(&self) -> Result<(), Violation> {
///         ensure(self.balance >= 0, "the balance is never negative")
///     }
/// }
///
/// let events = [AccountEvent::Deposited { cents: 500 }, AccountEvent::Withdrawn { cents: 200 }];
/// let account = fold(Account::default(), &events)?;
/// assert_eq!(account.balance, 300);
/// # Ok::<(), annalist::Panicked>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "needs `impl Aggregate for {Self}`",
    note = "an aggregate is the state that is folded from events; it derives `Default`, `Clone`, `Serialize` and `Deserialize`",
    note = "where an aggregate is named, as in `event.decode::<Account>()`, its event enum does not do"
)]
pub trait Aggregate:
    Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The category of its streams, without a `-`: `account` names `account-42`.
    const CATEGORY: &'static str;

    /// Raise it when the fold changes: `apply`, the default state, the fields of the state, or
    /// how its events are read without an upcaster. What was folded by an older one is folded
    /// afresh.
    const STATE_VERSION: u32 = 1;

    /// When its state is kept, so that a load need not fold every event again. Default never.
    const SNAPSHOTS: Snapshots = Snapshots::NEVER;

    /// What its commands do when many of them want the same one at once, unless one declares
    /// otherwise.
    const CONTENTION: Contention = Contention::Optimistic;

    /// What can happen to it: an enum that derives `Serialize`, `Deserialize` and `Clone`,
    /// see [`Codec`](crate::Codec) for how it is stored.
    type Event: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// Changes the state by one event. The event has happened: there is no refusing it, and
    /// nothing to look at but the state and the event. A store may call it on a thread of its
    /// own, which reads for others, too: it computes and does not wait.
    fn apply(&mut self, event: &Self::Event);

    /// What always holds between two commands.
    ///
    /// # Errors
    ///
    /// A [`Violation`] that says what does not.
    fn invariants(&self) -> Result<(), Violation> {
        Ok(())
    }

    /// How events that were stored in older shapes are read.
    fn upcasters() -> Upcasters {
        Upcasters::new()
    }
}

/// What commands do when many of them want one aggregate at once. Neither replaces the version
/// check, which decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Contention {
    /// Each goes its own way, and whoever loses a race does what it declares of conflicts. The
    /// best where races are rare.
    #[default]
    Optimistic,
    /// Those of one bus stand in line: each is decided on what the one before it leaves, and
    /// many of them share one flush to the disk. They race only with others: with commands
    /// that do not stand in line, and with other processes. The best for one aggregate that
    /// everybody wants.
    Queued,
    /// As `Optimistic` until more commands on an aggregate lose races than do not, then as
    /// `Queued` until nobody meets anybody in line any more. The best where it is not known
    /// beforehand which aggregates everybody will want.
    Adaptive,
}

/// When the state of an aggregate is kept beside its events: a snapshot, from which a load
/// goes on.
///
/// It is written in the background after an append, or a load that had so many events to
/// fold, as JSON, one for each stream. It may be lost at any time without harm: a load folds
/// what is missing. So it is not kept where 16 others are being kept, where it is larger than
/// [a commit may be](crate::Limits::commit_bytes_max), or outside of a Tokio runtime.
///
/// It is believed only if it was made by the same type,
/// [`STATE_VERSION`](Aggregate::STATE_VERSION) and [upcasters](Aggregate::upcasters), and if no
/// event was removed since. Where two types fold one category, only one of them should keep
/// snapshots: each would replace the other's.
///
/// Worth it where streams grow to some hundreds of events: below, folding is as fast. That a
/// state survives its JSON is one of the laws of the test kit.
///
/// ```
/// use annalist::{Aggregate, Snapshots};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// enum MeterEvent {
///     Read { kwh: u64 },
/// }
///
/// #[derive(Default, Clone, Serialize, Deserialize)]
/// struct Meter {
///     kwh: u64,
/// }
///
/// impl Aggregate for Meter {
///     const CATEGORY: &'static str = "meter";
///     const SNAPSHOTS: Snapshots = Snapshots::every(500);
///     type Event = MeterEvent;
///
///     fn apply(&mut self, MeterEvent::Read { kwh }: &MeterEvent) {
///         self.kwh = *kwh;
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Snapshots {
    /// Zero for never.
    events: u64,
}

impl Snapshots {
    /// None are kept, and none are read.
    pub const NEVER: Self = Self { events: 0 };

    /// One for every so many events.
    ///
    /// # Panics
    ///
    /// If it is none: where the constant is declared, that is while compiling.
    #[must_use]
    pub const fn every(events: u64) -> Self {
        assert!(events > 0, "a snapshot for every 0 events");
        Self { events }
    }

    pub(crate) const fn is_never(self) -> bool {
        self.events == 0
    }

    /// Whether one is due after an append that led from one version to another.
    pub(crate) fn is_passed(self, from: Version, to: Version) -> bool {
        let passed = |version: Version| version.get().checked_div(self.events);
        passed(from) < passed(to)
    }

    /// Whether one is due after a load that began with one version and came to another.
    pub(crate) fn is_enough(self, from: Version, to: Version) -> bool {
        !self.is_never() && to.get().saturating_sub(from.get()) >= self.events
    }
}

/// Names the stream of one aggregate.
///
/// ```
/// # use annalist::{Aggregate, stream_id};
/// # #[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
/// # struct Account;
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Event = ();
/// #     fn apply(&mut self, _: &()) {}
/// # }
/// assert_eq!(stream_id::<Account>("42")?.as_str(), "account-42");
/// # Ok::<(), annalist::InvalidName>(())
/// ```
///
/// # Errors
///
/// [`InvalidName`] when the key is empty or holds a control character, or the category is
/// none.
pub fn stream_id<A: Aggregate>(key: impl fmt::Display) -> Result<StreamId, InvalidName> {
    StreamId::new(A::CATEGORY, key)
}

/// Applies events to a state, in their order.
///
/// # Errors
///
/// [`Panicked`] when `apply` panics; the half-changed state is dropped.
pub fn fold<A: Aggregate>(
    mut state: A,
    events: impl IntoIterator<Item: Borrow<A::Event>>,
) -> Result<A, Panicked> {
    caught(move || {
        for event in events {
            state.apply(event.borrow());
        }
        state
    })
}

/// Something that must always hold of an aggregate and does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
#[error("{0}")]
pub struct Violation(Cow<'static, str>);

impl Violation {
    /// Says what does not hold.
    #[must_use]
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    /// What does not hold.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A [`Violation`] with this text, unless the condition holds.
///
/// ```
/// assert!(annalist::ensure(1 < 2, "numbers are ordered").is_ok());
/// let violation = annalist::ensure(2 < 1, "numbers are ordered").unwrap_err();
/// assert_eq!(violation.to_string(), "numbers are ordered");
/// ```
///
/// # Errors
///
/// The violation, if the condition does not hold.
pub fn ensure(holds: bool, text: impl Into<Cow<'static, str>>) -> Result<(), Violation> {
    match holds {
        true => Ok(()),
        false => Err(Violation::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Sum(i64);

    impl Aggregate for Sum {
        const CATEGORY: &'static str = "sum";
        type Event = i64;

        fn apply(&mut self, event: &i64) {
            self.0 = self.0.checked_add(*event).expect("no overflow");
        }
    }

    #[test]
    fn events_are_folded_in_order_owned_or_borrowed() {
        let events = vec![2, 3];
        assert_eq!(fold(Sum(1), &events), Ok(Sum(6)));
        assert_eq!(fold(Sum(1), events), Ok(Sum(6)));
    }

    #[test]
    fn an_apply_that_panics_is_an_error() {
        let panicked = fold(Sum(1), [i64::MAX]).unwrap_err();
        assert_eq!(panicked.message, "no overflow");
    }

    #[test]
    fn a_stream_is_named_by_category_and_key() {
        assert_eq!(stream_id::<Sum>(7).unwrap().as_str(), "sum-7");
        assert!(stream_id::<Sum>("").is_err());
        assert!(stream_id::<Sum>("a\nb").is_err());
    }

    #[test]
    fn a_violation_is_its_text_in_json_too() {
        let violation = ensure(false, format!("{} is too much", 7)).unwrap_err();
        let json = serde_json::to_string(&violation).unwrap();
        assert_eq!(json, "\"7 is too much\"");
        let read: Violation = serde_json::from_str(&json).unwrap();
        assert_eq!(read, violation);
    }
}
