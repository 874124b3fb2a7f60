//! The one registry of an application's domain: which aggregates there are, which commands
//! by name, and which projections follow.
//!
//! For whoever meets them as text: HTTP, a command line, a queue. A program registers what
//! it has once; commands are then decoded from JSON and dispatched without their type, and
//! aggregates loaded as JSON. It decides nothing and repeats nothing: a command takes the
//! same way through the [`CommandBus`](crate::CommandBus), and what comes of it is told as
//! plain data.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use crate::aggregate::{Aggregate, stream_id};
use crate::codec::Codec;
use crate::command::{Command, Requires};
use crate::conflict::Policy;
use crate::event::RecordedEvent;
use crate::ids::{CommandId, InvalidName, StreamId};
use crate::store::Store;
use crate::version::Version;

mod aggregate;
mod answer;
mod command;
pub(crate) mod error;
#[cfg_attr(not(feature = "sqlite"), path = "domain/unfollowed.rs")]
mod follow;
#[cfg_attr(not(feature = "testkit"), path = "domain/unprobed.rs")]
pub(crate) mod probe;

pub use aggregate::AnyLoaded;
pub use answer::{AnyDispatchError, AnyEvent, AnyOutcome};
pub use command::{AnyCommand, AnyDispatch};
pub use error::{DomainError, InvalidDomain};
#[cfg(feature = "sqlite")]
pub use follow::ProjectionInfo;

use aggregate::{Folded, Of, When};
use command::{Kind, OfCommand};
use follow::Followed;

/// The aggregates, commands, projections and reactions of an application. Cloning it is cheap.
///
/// ```
/// # use annalist::{Aggregate, Command, CommandBus, Decision, Domain, Store};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)]
/// # enum AccountEvent { Deposited { cents: i64 } }
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct Account { balance: i64 }
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Event = AccountEvent;
/// #     fn apply(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) { self.balance += cents; }
/// # }
/// #[derive(Serialize, Deserialize)] // `Deserialize` is what it takes to be registered
/// struct Deposit {
///     cents: i64,
/// }
/// # impl Command for Deposit {
/// #     type Aggregate = Account;
/// #     type Rejection = std::convert::Infallible;
/// #     const NAME: &'static str = "deposit";
/// #     fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
/// #         Ok(vec![AccountEvent::Deposited { cents: self.cents }])
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let domain = Domain::new().command::<Deposit>().checked()?;
/// let bus = CommandBus::new(Store::memory());
///
/// let command = domain.decode("deposit", r#"{ "cents": 500 }"#)?;
/// let outcome = bus.dispatch_any("42", command).command_id("pay-1").await?;
/// assert_eq!(outcome.stream.as_str(), "account-42");
/// assert_eq!(outcome.decided_by, Decision::Appended);
/// assert_eq!(outcome.state, serde_json::json!({ "balance": 500 }));
///
/// let account = domain.load(bus.store(), &outcome.stream).await?;
/// assert_eq!((account.version, account.state), (outcome.version, outcome.state));
///
/// let unknown = domain.decode("deposti", "{}").unwrap_err();
/// assert_eq!(unknown.to_string(), r#"no command is named "deposti", only deposit"#);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Domain {
    registry: Arc<Registry>,
}

#[derive(Clone, Default)]
struct Registry {
    aggregates: BTreeMap<&'static str, KnownAggregate>,
    commands: BTreeMap<&'static str, KnownCommand>,
    followed: Followed,
    /// The first thing that cannot be. Every call answers it.
    problem: Option<InvalidDomain>,
}

#[derive(Clone, Copy)]
struct KnownAggregate {
    rust: (TypeId, &'static str),
    folded: &'static dyn Folded,
}

#[derive(Clone, Copy)]
struct KnownCommand {
    rust: (TypeId, &'static str),
    info: CommandInfo,
    kind: &'static dyn Kind,
}

/// What a command declares of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandInfo {
    /// Its name.
    pub name: &'static str,
    /// The category of its aggregates.
    pub category: &'static str,
    /// Whether the aggregate must be there, or must not.
    pub requires: Requires,
    /// What a conflict means for it.
    pub policy: Policy,
}

impl Domain {
    /// A domain of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers an aggregate. One whose commands are registered need not be.
    #[must_use]
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        let registry = Arc::make_mut(&mut self.registry);
        if let Err(problem) = registry.add_aggregate::<A>() {
            registry.problem.get_or_insert(problem);
        }
        self
    }

    /// Registers a command, and its aggregate.
    #[must_use]
    pub fn command<C: Command + DeserializeOwned>(self) -> Self {
        let mut domain = self.aggregate::<C::Aggregate>();
        let registry = Arc::make_mut(&mut domain.registry);
        if let Err(problem) = registry.add_command::<C>() {
            registry.problem.get_or_insert(problem);
        }
        domain
    }

    /// The domain, if it can be one. Asked where it is made, it tells at the start of a
    /// program what every other call would tell later.
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`] when two commands or two projections share a name or two aggregates a
    /// category, or one cannot be what it declares.
    pub fn checked(self) -> Result<Self, InvalidDomain> {
        match &self.registry.problem {
            Some(problem) => Err(problem.clone()),
            None => Ok(self),
        }
    }

    /// Reads a command from JSON, text or bytes.
    ///
    /// # Errors
    ///
    /// [`DomainError::UnknownCommand`] with the names that are known, or
    /// [`DomainError::Malformed`] saying where.
    pub fn decode(&self, name: &str, json: impl AsRef<[u8]>) -> Result<AnyCommand, DomainError> {
        let commands = &self.valid()?.commands;
        let Some(known) = commands.get(name) else {
            return Err(DomainError::UnknownCommand {
                name: name.to_owned(),
                known: commands.keys().copied().collect(),
            });
        };
        known.kind.decode(json.as_ref())
    }

    /// Loads an aggregate by its stream, as JSON. One that was never written is at version 0.
    ///
    /// # Errors
    ///
    /// [`DomainError::UnknownCategory`], or as [`Repository::load`](crate::Repository::load).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn load(&self, store: &Store, stream: &StreamId) -> Result<AnyLoaded, DomainError> {
        let folded = self.folded(stream.category())?;
        folded.load(store.clone(), stream, When::Now).await
    }

    /// Loads an aggregate as it was at a version.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and
    /// [`Repository::load_at`](crate::Repository::load_at).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn load_at(
        &self,
        store: &Store,
        stream: &StreamId,
        version: Version,
    ) -> Result<AnyLoaded, DomainError> {
        let folded = self.folded(stream.category())?;
        folded.load(store.clone(), stream, When::At(version)).await
    }

    /// Loads an aggregate as it was recorded at a time.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and
    /// [`Repository::load_as_of`](crate::Repository::load_as_of).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn load_as_of(
        &self,
        store: &Store,
        stream: &StreamId,
        time: DateTime<Utc>,
    ) -> Result<AnyLoaded, DomainError> {
        let folded = self.folded(stream.category())?;
        folded.load(store.clone(), stream, When::AsOf(time)).await
    }

    /// Reads a recorded event in today's shape: one, unless an upcaster makes it several or
    /// none.
    ///
    /// # Errors
    ///
    /// [`DomainError::UnknownCategory`], or an event that cannot be read.
    pub fn decode_event(&self, event: &RecordedEvent) -> Result<Vec<AnyEvent>, DomainError> {
        self.folded(event.stream.category())?.decode(event)
    }

    /// The categories of the aggregates, in their order.
    pub fn categories(&self) -> impl Iterator<Item = &'static str> {
        self.registry.aggregates.keys().copied()
    }

    /// The commands, in the order of their names.
    pub fn commands(&self) -> impl Iterator<Item = CommandInfo> {
        self.registry.commands.values().map(|known| known.info)
    }

    fn valid(&self) -> Result<&Registry, InvalidDomain> {
        match &self.registry.problem {
            Some(problem) => Err(problem.clone()),
            None => Ok(&self.registry),
        }
    }

    fn folded(&self, category: &str) -> Result<&'static dyn Folded, DomainError> {
        let aggregates = &self.valid()?.aggregates;
        match aggregates.get(category) {
            Some(known) => Ok(known.folded),
            None => Err(DomainError::UnknownCategory {
                category: category.to_owned(),
                known: aggregates.keys().copied().collect(),
            }),
        }
    }
}

impl Registry {
    fn add_aggregate<A: Aggregate>(&mut self) -> Result<(), InvalidDomain> {
        let category = A::CATEGORY;
        let known = KnownAggregate {
            rust: (TypeId::of::<A>(), type_name::<A>()),
            folded: Of::<A>::NEW,
        };
        match self.aggregates.get(category) {
            Some(first) if first.rust != known.rust => {
                return Err(InvalidDomain::CategoryTaken {
                    category,
                    first: first.rust.1,
                    second: known.rust.1,
                });
            }
            Some(_) => return Ok(()),
            None => {}
        }
        // Any key would do.
        stream_id::<A>("1")?;
        Codec::<A>::new().upcasters()?;
        self.aggregates.insert(category, known);
        Ok(())
    }

    fn add_command<C: Command + DeserializeOwned>(&mut self) -> Result<(), InvalidDomain> {
        let name = C::NAME;
        let known = KnownCommand {
            rust: (TypeId::of::<C>(), type_name::<C>()),
            info: CommandInfo {
                name,
                category: C::Aggregate::CATEGORY,
                requires: C::REQUIRES,
                policy: C::ON_CONFLICT.policy(),
            },
            kind: OfCommand::<C>::NEW,
        };
        match self.commands.get(name) {
            Some(first) if first.rust != known.rust => {
                return Err(InvalidDomain::NameTaken {
                    name,
                    first: first.rust.1,
                    second: known.rust.1,
                });
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let what = "command name";
        let checked = name.parse::<CommandId>();
        checked.map_err(|error| InvalidName { what, ..error })?;
        self.commands.insert(name, known);
        Ok(())
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("categories", &Vec::from_iter(self.categories()))
            .field("commands", &Vec::from_iter(self.registry.commands.keys()))
            .field("followers", &Vec::from_iter(self.registry.followed.names()))
            .finish_non_exhaustive()
    }
}
