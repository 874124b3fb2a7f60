//! Runs reactions.

use std::fmt;
use std::sync::Arc;

use super::act::{React, follower};
use super::manage::Manage;
use super::publish::Publish;
use super::{ProcessManager, Publisher, Reaction};
use crate::command::CommandBus;
use crate::follow::{self, FollowError, FollowOptions, Follower, Following};
use crate::store::InvalidDerivation;

/// Runs reactions, process managers and publishers, each in a task of its own: see
/// [`follow`](crate::follow) for how they are watched, and what they are told.
///
/// - There is one runner of each at a time over all processes.
/// - One that was never run begins at the beginning of the store, unless
///   [`begin_after`](FollowOptions::begin_after) says otherwise.
/// - One event takes less than the [lease](FollowOptions::lease), or another runner takes
///   over in the middle of it.
/// - A surfaced conflict, or a store that cannot answer, is met by meeting the event again
///   after a while; anything else that a reaction ends with stops it, or what its
///   [policy](follow::OnPoison) says.
///
/// How far each has come, and what process managers know, is kept in the store's own file,
/// or in another [`Database`](crate::store::Database).
#[must_use = "nothing is run until `start` is called"]
pub struct ReactionRunner {
    bus: CommandBus,
    followers: Vec<Follower>,
    /// The first thing that cannot be.
    problem: Option<InvalidDerivation>,
}

impl ReactionRunner {
    /// A runner of nothing yet, of what happens in the store of a bus.
    pub fn new(bus: &CommandBus) -> Self {
        Self {
            bus: bus.clone(),
            followers: Vec::new(),
            problem: None,
        }
    }

    /// Runs a reaction.
    pub fn react<R: Reaction>(self, reaction: R) -> Self {
        self.react_with(reaction, FollowOptions::default())
    }

    /// The same with options.
    pub fn react_with<R: Reaction>(self, reaction: R, options: FollowOptions) -> Self {
        let follower = reacting(&self.bus, Arc::new(reaction), options);
        self.add(follower)
    }

    /// Runs a process manager.
    pub fn manage<M: ProcessManager>(self, manager: M) -> Self {
        self.manage_with(manager, FollowOptions::default())
    }

    /// The same with options.
    pub fn manage_with<M: ProcessManager>(self, manager: M, options: FollowOptions) -> Self {
        let follower = managing(&self.bus, Arc::new(manager), options);
        self.add(follower)
    }

    /// Runs a publisher.
    pub fn publish<P: Publisher>(self, publisher: P) -> Self {
        self.publish_with(publisher, FollowOptions::default())
    }

    /// The same with options.
    pub fn publish_with<P: Publisher>(self, publisher: P, options: FollowOptions) -> Self {
        self.add(publishing(Arc::new(publisher), options))
    }

    /// A runner of these.
    pub(crate) fn of(bus: &CommandBus, followers: Vec<Follower>) -> Self {
        Self {
            followers,
            ..Self::new(bus)
        }
    }

    fn add(mut self, follower: Result<Follower, InvalidDerivation>) -> Self {
        match follower {
            Ok(follower) => self.followers.push(follower),
            Err(problem) => drop(self.problem.get_or_insert(problem)),
        }
        self
    }

    /// Runs them, each in a task of its own.
    ///
    /// # Errors
    ///
    /// [`FollowError::Invalid`] when one cannot be called as it is, [`FollowError::Twice`]
    /// when two have one name, [`FollowError::Store`] when one needs a
    /// [database](FollowOptions::database) because the store has no tables. What goes wrong
    /// later is told by its [status](Following::status).
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(self) -> Result<Following, FollowError> {
        match self.problem {
            Some(problem) => Err(FollowError::Invalid(problem)),
            None => follow::start(self.bus.store(), self.followers),
        }
    }
}

/// A reaction that dispatches by a bus.
pub(crate) fn reacting<R: Reaction>(
    bus: &CommandBus,
    reaction: Arc<R>,
    options: FollowOptions,
) -> Result<Follower, InvalidDerivation> {
    let bus = bus.clone();
    follower(React { bus, reaction }, options)
}

/// A process manager that dispatches by a bus.
pub(crate) fn managing<M: ProcessManager>(
    bus: &CommandBus,
    manager: Arc<M>,
    options: FollowOptions,
) -> Result<Follower, InvalidDerivation> {
    let bus = bus.clone();
    follower(Manage { bus, manager }, options)
}

/// A publisher.
pub(crate) fn publishing<P: Publisher>(
    publisher: Arc<P>,
    options: FollowOptions,
) -> Result<Follower, InvalidDerivation> {
    follower(Publish(publisher), options)
}

impl fmt::Debug for ReactionRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.followers.iter().map(|follower| &follower.code.name);
        f.debug_tuple("ReactionRunner")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}
