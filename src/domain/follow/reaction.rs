//! The reactions of a domain, each with how it is run.

use std::any::type_name;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::caught::chain;
use crate::command::CommandBus;
use crate::domain::{Domain, InvalidDomain};
use crate::follow::{FollowOptions, Follower};
use crate::reaction::{ProcessManager, Publisher, Reaction, ReactionRunner};
use crate::store::InvalidDerivation;

/// Those that are registered, by name.
#[derive(Clone, Default)]
pub(super) struct Reactions(BTreeMap<&'static str, Known>);

#[derive(Clone)]
struct Known {
    rust: &'static str,
    make: Make,
}

/// Makes one that dispatches by a bus.
type Make = Arc<dyn Fn(&CommandBus) -> Result<Follower, InvalidDerivation> + Send + Sync>;

impl Domain {
    /// Registers a reaction.
    #[must_use]
    pub fn reaction<R: Reaction>(self, reaction: R) -> Self {
        self.reaction_with(reaction, FollowOptions::default())
    }

    /// The same with options, such as where it begins.
    #[must_use]
    pub fn reaction_with<R: Reaction>(self, reaction: R, options: FollowOptions) -> Self {
        let reaction = Arc::new(reaction);
        let make = move |bus: &CommandBus| {
            crate::reaction::reacting(bus, Arc::clone(&reaction), options.clone())
        };
        self.add_reaction(R::NAME, type_name::<R>(), Arc::new(make))
    }

    /// Registers a process manager.
    ///
    /// ```
    /// # use annalist::reaction::{ProcessManager, Reacting, ReactionResult};
    /// # use annalist::{CommandBus, Domain, RecordedEvent, Store};
    /// # struct MoveMoney;
    /// # impl ProcessManager for MoveMoney {
    /// #     const NAME: &'static str = "move money";
    /// #     type State = u32;
    /// #     fn process(&self, event: &RecordedEvent) -> ReactionResult<Option<String>> {
    /// #         Ok(Some(event.stream.key().to_owned()))
    /// #     }
    /// #     fn apply(&self, events: &mut u32, _: &RecordedEvent) -> ReactionResult {
    /// #         *events += 1;
    /// #         Ok(())
    /// #     }
    /// #     async fn react(&self, _: &u32, _: &RecordedEvent, _: &Reacting<'_>) -> ReactionResult {
    /// #         Ok(())
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let domain = Domain::new().process_manager(MoveMoney).checked()?;
    /// let bus = CommandBus::new(Store::open(folder.path().join("bank.db")).await?);
    /// let running = domain.reaction_runner(&bus)?.start()?;
    /// # running.stop().await;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn process_manager<M: ProcessManager>(self, manager: M) -> Self {
        self.process_manager_with(manager, FollowOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn process_manager_with<M: ProcessManager>(
        self,
        manager: M,
        options: FollowOptions,
    ) -> Self {
        let manager = Arc::new(manager);
        let make = move |bus: &CommandBus| {
            crate::reaction::managing(bus, Arc::clone(&manager), options.clone())
        };
        self.add_reaction(M::NAME, type_name::<M>(), Arc::new(make))
    }

    /// Registers a publisher.
    #[must_use]
    pub fn publisher<P: Publisher>(self, publisher: P) -> Self {
        self.publisher_with(publisher, FollowOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn publisher_with<P: Publisher>(self, publisher: P, options: FollowOptions) -> Self {
        let publisher = Arc::new(publisher);
        let make = move |_: &CommandBus| {
            crate::reaction::publishing(Arc::clone(&publisher), options.clone())
        };
        self.add_reaction(P::NAME, type_name::<P>(), Arc::new(make))
    }

    /// The names of the reactions, process managers and publishers, in their order.
    pub fn reactions(&self) -> impl Iterator<Item = &'static str> {
        self.registry.followed.reactions.names()
    }

    /// A runner of all reactions, process managers and publishers, which act by this bus
    /// once it is [started](ReactionRunner::start).
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`] when anything keeps the domain from being one.
    pub fn reaction_runner(&self, bus: &CommandBus) -> Result<ReactionRunner, InvalidDomain> {
        let known = self.valid()?.followed.reactions.0.values();
        let followers = known.map(|known| (known.make)(bus)).collect();
        let followers: Result<Vec<_>, _> = followers;
        let followers = followers.map_err(|error| invalid(&error))?;
        Ok(ReactionRunner::of(bus, followers))
    }

    fn add_reaction(mut self, name: &'static str, rust: &'static str, make: Make) -> Self {
        let registry = Arc::make_mut(&mut self.registry);
        match registry.followed.refuse_taken(name, rust) {
            Ok(()) => {
                let known = Known { rust, make };
                registry.followed.reactions.0.insert(name, known);
            }
            Err(problem) => drop(registry.problem.get_or_insert(problem)),
        }
        self
    }
}

impl Reactions {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    pub(super) fn rust(&self, name: &str) -> Option<&'static str> {
        self.0.get(name).map(|known| known.rust)
    }
}

fn invalid(error: &InvalidDerivation) -> InvalidDomain {
    InvalidDomain::Follower { why: chain(error) }
}
