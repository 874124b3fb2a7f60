//! The domain: an order with its lines, the rule over all of them, and the commands for
//! one of them, which pass what happens to the others.
//!
//! Nothing here knows a store.

use std::collections::BTreeMap;

use annalist::{Aggregate, Command, Domain, OnConflict, Violation, ensure};
use serde::{Deserialize, Serialize};

/// What one parcel holds.
const PIECES_MAX: u64 = 10;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum OrderEvent {
    LineAdded { line: u32, article: String },
    QuantitySet { line: u32, pieces: u32 },
}

impl OrderEvent {
    /// The line that it happened to.
    const fn line(&self) -> u32 {
        match self {
            Self::LineAdded { line, .. } | Self::QuantitySet { line, .. } => *line,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) lines: BTreeMap<u32, Line>,
}

/// A child entity: it has no stream and no version of its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Line {
    article: String,
    pub(crate) pieces: u32,
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
        // As many `u32` as there are lines cannot overflow a `u64`.
        let pieces: u64 = self.lines.values().map(|line| u64::from(line.pieces)).sum();
        ensure(pieces <= PIECES_MAX, "an order fits into one parcel")
    }
}

/// Two lines pass each other, but not two that are given one number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AddLine {
    pub(crate) line: u32,
    pub(crate) article: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the order has a line {line} already")]
pub(crate) struct LineExists {
    line: u32,
}

impl Command for AddLine {
    type Aggregate = Order;
    type Rejection = LineExists;
    const NAME: &'static str = "add line";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, order: &Order) -> Result<Vec<OrderEvent>, LineExists> {
        let line = self.line;
        if order.lines.contains_key(&line) {
            return Err(LineExists { line });
        }
        let article = self.article.clone();
        Ok(vec![OrderEvent::LineAdded { line, article }])
    }

    fn clashes_with(&self, unseen: &OrderEvent) -> bool {
        unseen.line() == self.line
    }
}

/// It holds whatever happens to other lines, but not beside another quantity for its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SetQuantity {
    pub(crate) line: u32,
    pub(crate) pieces: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("the order has no line {line}")]
pub(crate) struct NoSuchLine {
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

    /// No command adds a line that is there, but whoever saves by hand may: then it is
    /// another article.
    fn clashes_with(&self, unseen: &OrderEvent) -> bool {
        unseen.line() == self.line
    }
}

/// All of it, by name.
pub(crate) fn domain() -> Domain {
    Domain::new().command::<AddLine>().command::<SetQuantity>()
}
