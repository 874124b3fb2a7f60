//! What is done upon what happens: commands are dispatched, processes of several steps are
//! managed, messages are published.
//!
//! A projection writes tables, and does so exactly once. What a reaction does reaches
//! further, so it is done **at least once**: an event whose reaction was not finished, or
//! not written down, is reacted to again. That is harmless for what goes by commands:
//!
//! - A command that is [dispatched](Reacting::dispatch) carries an id that is derived from
//!   the reaction, the event, the aggregate, the command's name and its place among those
//!   of that name there. The bus recognises it for ever.
//! - One that took no effect is written down, before the reaction goes on. So a reaction that
//!   is run again is answered as the first time, and takes the same way.
//! - After one that has no answer, because the store is in trouble or a conflict surfaced,
//!   nothing more is dispatched before the event is met again, whatever the reaction makes of
//!   the error.
//!
//! A reaction must therefore decide by the event, its state and those answers alone: not by
//! a clock, a random number or what it reads elsewhere.
//!
//! | | what it is for |
//! |---|---|
//! | [`Reaction`] | an event leads to commands |
//! | [`ProcessManager`] | events of several streams belong to one process, which has a state |
//! | [`Publisher`] | events are handed to something outside, which acknowledges them |
//! | [`ReactionRunner`] | runs them |
//!
//! ```
//! use annalist::reaction::{Reacting, Reaction, ReactionResult, ReactionRunner, Reply};
//! # use annalist::follow::FollowOptions;
//! # use annalist::store::{Database, Filter};
//! # use annalist::{Aggregate, Command, CommandBus, RecordedEvent, Store};
//! # use serde::{Deserialize, Serialize};
//! # use std::time::Duration;
//! # #[derive(Clone, Serialize, Deserialize)]
//! # enum OrderEvent { Placed { pieces: u32 } }
//! # #[derive(Default, Clone, Serialize, Deserialize)]
//! # struct Order { pieces: u32 }
//! # impl Aggregate for Order {
//! #     const CATEGORY: &'static str = "order";
//! #     type Event = OrderEvent;
//! #     fn apply(&mut self, OrderEvent::Placed { pieces }: &OrderEvent) { self.pieces += pieces; }
//! # }
//! # #[derive(Clone, Serialize, Deserialize)]
//! # enum ShelfEvent { Taken { pieces: u32 } }
//! # #[derive(Default, Clone, Serialize, Deserialize)]
//! # struct Shelf { taken: u32 }
//! # impl Aggregate for Shelf {
//! #     const CATEGORY: &'static str = "shelf";
//! #     type Event = ShelfEvent;
//! #     fn apply(&mut self, ShelfEvent::Taken { pieces }: &ShelfEvent) { self.taken += pieces; }
//! # }
//! # #[derive(Serialize)]
//! # struct Take { pieces: u32 }
//! # impl Command for Take {
//! #     type Aggregate = Shelf;
//! #     type Rejection = std::fmt::Error;
//! #     const NAME: &'static str = "take";
//! #     fn decide(&self, _: &Shelf) -> Result<Vec<ShelfEvent>, std::fmt::Error> {
//! #         Ok(vec![ShelfEvent::Taken { pieces: self.pieces }])
//! #     }
//! # }
//! /// What is ordered is taken from the shelf.
//! struct TakeWhatIsOrdered;
//!
//! impl Reaction for TakeWhatIsOrdered {
//!     const NAME: &'static str = "take what is ordered";
//!
//!     fn filter(&self) -> Filter {
//!         Filter::category("order")
//!     }
//!
//!     async fn react(&self, event: &RecordedEvent, cx: &Reacting<'_>) -> ReactionResult {
//!         for OrderEvent::Placed { pieces } in event.decode::<Order>()? {
//!             match cx.dispatch("cups", Take { pieces }).await? {
//!                 Reply::TookEffect { .. } => {}
//!                 Reply::NoEffect { why } => println!("order {}: {why}", event.stream),
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = Store::memory();
//! # let mut options = FollowOptions::default();
//! # options.database = Some(Database::memory().await?);
//! let bus = CommandBus::new(store.clone());
//! let running = ReactionRunner::new(&bus).react_with(TakeWhatIsOrdered, options).start()?;
//!
//! let place = |_: &Order| Ok::<_, std::fmt::Error>(vec![OrderEvent::Placed { pieces: 3 }]);
//! let placed = bus.decide("7", "place", place).await?;
//! let position = placed.position.expect("an event was written");
//! running.wait_for("take what is ordered", position, Duration::from_secs(5)).await?;
//! # let shelf = annalist::Repository::<Shelf>::new(store).load("cups").await?;
//! # assert_eq!(shelf.state.taken, 3);
//! # running.stop().await;
//! # Ok(()) }
//! ```

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::RecordedEvent;
use crate::store::{BoxError, Filter};

mod act;
mod manage;
mod publish;
mod reacting;
mod runner;

pub use reacting::{ReactError, Reacting, Reply};
pub use runner::ReactionRunner;
pub(crate) use runner::{managing, publishing, reacting};

/// What a reaction ends with when it cannot go on.
pub type ReactionResult<T = ()> = Result<T, BoxError>;

/// What is done upon an event.
pub trait Reaction: Send + Sync + 'static {
    /// What it is called, in its database, in the ids of its commands, and in errors: 1 to
    /// 100 bytes. One that is renamed is another one, and begins anew.
    const NAME: &'static str;

    /// The events that it reacts to. Default all.
    fn filter(&self) -> Filter {
        Filter::default()
    }

    /// Reacts to one event, at least once. An error stops it there, or what its
    /// [policy](crate::follow::OnPoison) says.
    fn react(
        &self,
        event: &RecordedEvent,
        cx: &Reacting<'_>,
    ) -> impl Future<Output = ReactionResult> + Send;
}

/// What is done upon the events of a process of several steps, such as moving money from one
/// account to another. What it knows of each process is folded from the events that it has
/// taken in, and kept in its database.
///
/// An event that is [put aside](crate::follow::OnPoison::Park) holds back its stream, not its
/// process: events of other streams are reacted to as if it had not happened, and it is folded
/// after them. Where that matters, let it stop.
pub trait ProcessManager: Send + Sync + 'static {
    /// What it is called, as that of a [`Reaction`].
    const NAME: &'static str;

    /// What it knows of one process. It is kept as JSON: what is added to it later needs a
    /// default.
    type State: Clone + Default + Serialize + DeserializeOwned + Send + Sync;

    /// The events that it takes in. Default all.
    fn filter(&self) -> Filter {
        Filter::default()
    }

    /// Which process an event belongs to; none where it belongs to no process.
    ///
    /// # Errors
    ///
    /// When that cannot be told, such as of an event that cannot be read.
    fn process(&self, event: &RecordedEvent) -> ReactionResult<Option<String>>;

    /// Takes an event into what is known of its process.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn apply(&self, state: &mut Self::State, event: &RecordedEvent) -> ReactionResult;

    /// Reacts to an event that is taken into the state, at least once.
    fn react(
        &self,
        state: &Self::State,
        event: &RecordedEvent,
        cx: &Reacting<'_>,
    ) -> impl Future<Output = ReactionResult> + Send;
}

/// Hands events to something outside, such as a queue or a webhook, in their order.
pub trait Publisher: Send + Sync + 'static {
    /// What it is called, as that of a [`Reaction`].
    const NAME: &'static str;

    /// The events that it publishes. Default all.
    fn filter(&self) -> Filter {
        Filter::default()
    }

    /// How many events it takes at once, at most. Default 100.
    fn events_max(&self) -> usize {
        100
    }

    /// Hands over some events. That it returns well is the acknowledgement: they are not
    /// handed over again, unless that could not be written down. A receiver tells a repeat
    /// by the event's id and stream, or by its position.
    fn publish(&self, events: &[&RecordedEvent]) -> impl Future<Output = ReactionResult> + Send;
}
