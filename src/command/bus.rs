//! Takes commands and brings them on their way.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::Lines;
use super::{Command, Decide, Dispatch};
use crate::aggregate::Aggregate;
use crate::repository::Cache;
use crate::retry::{Backoff, RetryPolicy};
use crate::store::Store;

/// Dispatches commands on the aggregates of a store. Cloning it is cheap.
///
/// What it keeps of aggregates is never believed: many buses, in many processes, may work on
/// one store.
///
/// # Panics
///
/// A dispatch that has to wait before its next attempt panics outside of a Tokio runtime
/// whose timers are enabled, as those of `#[tokio::main]` are.
#[derive(Clone)]
pub struct CommandBus {
    store: Store,
    options: BusOptions,
    drawn: Arc<AtomicU64>,
    /// The states of aggregates that were used last; none where none are kept.
    cache: Option<Cache>,
    /// The commands that stand in line.
    lines: Lines,
}

/// How a bus tries again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BusOptions {
    /// How often a command is attempted, and how long it waits in between.
    pub retry: RetryPolicy,
    /// What the waiting is drawn from, so that a test waits alike every time. Default: a
    /// random number.
    pub seed: Option<u64>,
    /// States of aggregates that the bus keeps, those used last, so that a command on one of
    /// them reads nothing before it appends. What is kept is checked by the append, and where
    /// nothing is appended, by a read of what has come since: many buses may work on one
    /// store. It takes the memory of so many states. 0 keeps none. Default 1,024.
    pub aggregates_cached_max: usize,
}

impl Default for BusOptions {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            seed: None,
            aggregates_cached_max: 1_024,
        }
    }
}

impl CommandBus {
    /// A bus on a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self::with(store, BusOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn with(store: Store, options: BusOptions) -> Self {
        Self {
            store,
            options,
            drawn: Arc::default(),
            cache: Cache::new(options.aggregates_cached_max),
            lines: Lines::default(),
        }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Sends a command to an aggregate, by the key of its stream. Await what it answers;
    /// before that, say more about it.
    pub fn dispatch<C: Command>(&self, key: impl fmt::Display, command: C) -> Dispatch<C> {
        Dispatch::new(self.clone(), key.to_string(), command)
    }

    /// Decides by a closure, under a name for logs and reports. A conflict surfaces, unless
    /// [`on_conflict`](Dispatch::on_conflict) says otherwise. With a command id the closure is recognised by its name alone: what it
    /// has caught is not compared.
    ///
    /// ```
    /// # use annalist::{Aggregate, CommandBus, Store};
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
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = CommandBus::new(Store::memory());
    /// let rounded = bus.decide("42", "round up", |account: &Account| {
    ///     let cents = (100 - account.balance % 100) % 100;
    ///     match cents {
    ///         0 => Ok::<_, std::fmt::Error>(vec![]),
    ///         cents => Ok(vec![AccountEvent::Deposited { cents }]),
    ///     }
    /// });
    /// assert_eq!(rounded.await?.state.balance, 0);
    /// # Ok(()) }
    /// ```
    pub fn decide<A, R, F>(
        &self,
        key: impl fmt::Display,
        name: impl Into<String>,
        decide: F,
    ) -> Dispatch<Decide<F, A, R>>
    where
        A: Aggregate,
        R: Error + Send + Sync + 'static,
        F: Fn(&A) -> Result<Vec<A::Event>, R> + Send + Sync + 'static,
    {
        self.dispatch(key, Decide::new(name.into(), decide))
    }

    pub(super) fn cache(&self) -> Option<Cache> {
        self.cache.clone()
    }

    pub(super) const fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The waiting of one dispatch; each has its own.
    pub(super) fn backoff(&self) -> Backoff {
        let seed = match self.options.seed {
            Some(seed) => seed.wrapping_add(self.drawn.fetch_add(1, Ordering::Relaxed)),
            None => fastrand::u64(..),
        };
        Backoff::new(self.options.retry, seed)
    }
}

impl fmt::Debug for CommandBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandBus")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
