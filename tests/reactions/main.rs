//! What is done upon what happens: once each, in the order of what happened, and the same
//! again where it was not finished.

#![cfg(feature = "sqlite")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use annalist::follow::{FollowOptions, FollowState, Following, OnPoison};
use annalist::store::Database;
use annalist::{
    Aggregate, Command, CommandBus, OnConflict, Position, Repository, Requires, RetryPolicy, Store,
};
use serde::{Deserialize, Serialize};

mod answers;
mod commands;
mod managers;
mod publishers;

const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum OrderEvent {
    Placed { shelf: String, pieces: u32 },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Order;

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Event = OrderEvent;
    fn apply(&mut self, _: &OrderEvent) {}
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum ShelfEvent {
    Stocked { pieces: u32 },
    Taken { pieces: u32 },
}

/// Where it is taken from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Shelf {
    pieces: u32,
    taken: Vec<u32>,
}

impl Aggregate for Shelf {
    const CATEGORY: &'static str = "shelf";
    type Event = ShelfEvent;
    fn apply(&mut self, event: &ShelfEvent) {
        match event {
            ShelfEvent::Stocked { pieces } => self.pieces += pieces,
            ShelfEvent::Taken { pieces } => {
                self.pieces -= pieces;
                self.taken.push(*pieces);
            }
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Take {
    pieces: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("{left} are left")]
struct TooFew {
    left: u32,
}

impl Command for Take {
    type Aggregate = Shelf;
    type Rejection = TooFew;
    const NAME: &'static str = "take";
    const REQUIRES: Requires = Requires::Existing;
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Surface;
    fn decide(&self, shelf: &Shelf) -> Result<Vec<ShelfEvent>, TooFew> {
        match shelf.pieces < self.pieces {
            true => Err(TooFew { left: shelf.pieces }),
            false => Ok(vec![ShelfEvent::Taken {
                pieces: self.pieces,
            }]),
        }
    }
}

/// A store in memory, a bus on it, and where reactions keep what they keep.
struct Place {
    store: Store,
    bus: CommandBus,
    database: Database,
}

impl Place {
    async fn new() -> Self {
        let store = Store::memory();
        Self {
            bus: CommandBus::new(store.clone()),
            store,
            database: Database::memory().await.expect("a database"),
        }
    }

    fn options(&self) -> FollowOptions {
        let mut options = FollowOptions::default();
        options.database = Some(self.database.clone());
        options.lease = Duration::from_millis(200);
        options
    }

    async fn order(&self, key: &str, pieces: u32) -> Position {
        let placed = OrderEvent::Placed {
            shelf: "cups".to_owned(),
            pieces,
        };
        let place = move |_: &Order| Ok::<_, TooFew>(vec![placed.clone()]);
        let placed = self.bus.decide(key, "place", place).await;
        placed.expect("an order").position.expect("its position")
    }

    async fn stock(&self, pieces: u32) {
        let stock = move |_: &Shelf| Ok::<_, TooFew>(vec![ShelfEvent::Stocked { pieces }]);
        let stocked = self.bus.decide("cups", "stock", stock).await;
        stocked.expect("stock");
    }

    async fn shelf(&self) -> Shelf {
        let shelves = Repository::<Shelf>::new(self.store.clone());
        shelves.load("cups").await.expect("a shelf").state
    }
}

/// Waits until it holds all that there is, also what it does meanwhile.
async fn settled(running: &Following, name: &str, store: &Store) {
    loop {
        let head = store.head().await.expect("the head");
        let there = running.wait_for(name, head, PATIENCE).await;
        there.expect("it comes there");
        if store.head().await.expect("the head") == head {
            return;
        }
    }
}

/// Waits until it has stopped, and tells why.
async fn stopped(running: &Following, name: &str) -> String {
    let mut status = running.watch(name).expect("its status");
    let stopped = status.wait_for(|status| status.state == FollowState::Stopped);
    let stopped = tokio::time::timeout(PATIENCE, stopped).await;
    let stopped = stopped.expect("in time").expect("a status");
    stopped.problem.clone().expect("a problem")
}

/// What was met, in order.
type Met<T> = Arc<Mutex<Vec<T>>>;

fn met<T: Clone>(met: &Met<T>) -> Vec<T> {
    met.lock().expect("no panic").clone()
}

fn retrying() -> OnPoison {
    let mut policy = RetryPolicy::default();
    policy.attempts_max = 5;
    OnPoison::Retry(policy)
}
