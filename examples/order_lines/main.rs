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
//!
//! The order and its commands stand in `domain.rs`; here is what happens to one.

use annalist::command::When;
use annalist::{
    CommandBus, ConflictReason, Decision, DispatchError, Repository, SaveError, Store, Version,
};

use crate::domain::{AddLine, Order, OrderEvent, SetQuantity, domain};

mod domain;

type AnyError = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    // What cannot be a domain is told here, not by the first command that comes by name.
    domain().checked()?;
    let store = Store::memory();
    let orders = Repository::<Order>::new(store.clone());
    let bus = CommandBus::new(store);
    let mut seen = Version::ZERO;
    for (line, article) in [(1, "cup"), (2, "plate"), (3, "bowl")] {
        let article = article.to_owned();
        seen = bus.dispatch("7", AddLine { line, article }).await?.version;
    }
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
