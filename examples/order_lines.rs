//! An order and its lines: one aggregate, one boundary.
//!
//! ```text
//! cargo run --example order_lines
//! ```
//!
//! A line is a child of its order: every change to it is an event of the order, and moves
//! the order's version. So a stale writer is caught even if somebody else has changed
//! *another* line, and a rule over all lines can never be broken by two writers who each
//! keep it. What may pass all the same is for the command to say: here, what happened to
//! other lines.

use std::collections::BTreeMap;

use annalist::command::When;
use annalist::{
    Aggregate, Command, CommandBus, ConflictReason, Decision, DispatchError, OnConflict,
    Repository, SaveError, Store, Violation, ensure,
};
use serde::{Deserialize, Serialize};

type AnyError = Box<dyn std::error::Error>;

/// What one parcel holds.
const PIECES_MAX: u32 = 10;

#[derive(Clone, Serialize, Deserialize)]
enum OrderEvent {
    LineAdded { line: u32, article: String },
    QuantitySet { line: u32, pieces: u32 },
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Order {
    lines: BTreeMap<u32, Line>,
}

/// A child entity: it has no stream and no version of its own.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Line {
    article: String,
    pieces: u32,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::LineAdded { line, article } => {
                let article = article.clone();
                self.lines.insert(*line, Line { article, pieces: 1 });
            }
            OrderEvent::QuantitySet { line, pieces } => {
                self.lines.entry(*line).or_default().pieces = *pieces;
            }
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        let pieces: u32 = self.lines.values().map(|line| line.pieces).sum();
        ensure(pieces <= PIECES_MAX, "an order fits into one parcel")
    }
}

/// It holds whatever happens to other lines, but not beside another quantity for its own.
#[derive(Serialize)]
struct SetQuantity {
    line: u32,
    pieces: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("the order has no line {line}")]
struct NoSuchLine {
    line: u32,
}

impl Command for SetQuantity {
    type Aggregate = Order;
    type Rejection = NoSuchLine;
    const NAME: &'static str = "set quantity";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, order: &Order) -> Result<Vec<OrderEvent>, NoSuchLine> {
        let &Self { line, pieces } = self;
        match order.lines.get(&line) {
            None => Err(NoSuchLine { line }),
            Some(now) if now.pieces == pieces => Ok(vec![]),
            Some(_) => Ok(vec![OrderEvent::QuantitySet { line, pieces }]),
        }
    }

    fn clashes_with(&self, unseen: &OrderEvent) -> bool {
        matches!(unseen, OrderEvent::QuantitySet { line, .. } if *line == self.line)
    }
}

fn added(line: u32, article: &str) -> OrderEvent {
    let article = article.to_owned();
    OrderEvent::LineAdded { line, article }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let store = Store::memory();
    let orders = Repository::<Order>::new(store.clone());
    let empty = orders.load("7").await?;
    let lines = vec![added(1, "cup"), added(2, "plate"), added(3, "bowl")];
    let order = orders.save(empty, lines).await?;
    let seen = order.version;
    println!("an order of a cup, a plate and a bowl, at version {seen}\n");

    println!("by hand: whoever has not seen a change to another line is told");
    let (ann, bob) = (orders.load("7").await?, orders.load("7").await?);
    let (line, pieces) = (1, 4);
    orders
        .save(ann, vec![OrderEvent::QuantitySet { line, pieces }])
        .await?;
    let (line, pieces) = (2, 3);
    let saved = orders.save(bob, vec![OrderEvent::QuantitySet { line, pieces }]);
    let Err(SaveError::Conflict(conflict)) = saved.await else {
        return Err("the order has moved on".into());
    };
    assert_eq!(conflict.report().changed, ["/lines/1/pieces"]);
    println!("  bob, for line 2: {}", conflict.report());

    let bus = CommandBus::new(store);
    let set = |line, pieces| {
        let command = SetQuantity { line, pieces };
        bus.dispatch("7", command).based_on(seen)
    };
    println!("\nby command: what happened to line 1 does not matter to line 2");
    let passed = set(2, 3).await?;
    assert_eq!(passed.decided_by, Decision::Commuted);
    println!("  3 plates: version {}", passed.version);

    println!("\nbut to line 1 it does");
    let Err(DispatchError::Conflict(conflict)) = set(1, 2).await else {
        return Err("two quantities for one line".into());
    };
    assert!(matches!(conflict.reason, ConflictReason::Clash { .. }));
    println!("  2 cups: {}", conflict.report());

    println!("\nand nothing passes what the order as a whole forbids");
    // With the one cup and the one plate that were seen, 8 bowls fit.
    let Err(error) = set(3, 8).await else {
        return Err("15 pieces do not fit".into());
    };
    let DispatchError::InvariantViolated { when, source, .. } = &error else {
        return Err(error.into());
    };
    assert_eq!(*when, When::Commuted);
    println!("  8 bowls: {error}: {source}");

    let end = orders.load("7").await?;
    let pieces = end.state.lines.values().map(|line| line.pieces);
    assert_eq!(pieces.collect::<Vec<_>>(), [4, 3, 1]);
    assert_eq!(end.version, passed.version);
    Ok(())
}
