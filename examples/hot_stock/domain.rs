//! The domain: an article of which everybody wants some, and its name, which hardly anybody
//! changes.
//!
//! Nothing here knows a store.

use std::convert::Infallible;

use annalist::{Aggregate, Command, Contention, Domain, OnConflict, Violation, ensure};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum StockEvent {
    Received { pieces: u32 },
    Reserved { pieces: u32 },
    Renamed { name: String },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stock {
    pub(crate) name: String,
    pub(crate) free: i64,
}

impl Aggregate for Stock {
    const CATEGORY: &'static str = "stock";
    type Event = StockEvent;

    fn apply(&mut self, event: &StockEvent) {
        match event {
            StockEvent::Received { pieces } => self.free += i64::from(*pieces),
            StockEvent::Reserved { pieces } => self.free -= i64::from(*pieces),
            StockEvent::Renamed { name } => self.name.clone_from(name),
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.free >= 0, "nothing is reserved that is not there")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Receive {
    pub(crate) pieces: u32,
}

impl Command for Receive {
    type Aggregate = Stock;
    type Rejection = Infallible;
    const NAME: &'static str = "receive";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Stock) -> Result<Vec<StockEvent>, Infallible> {
        let pieces = self.pieces;
        Ok(vec![StockEvent::Received { pieces }])
    }
}

#[derive(Debug, thiserror::Error)]
#[error("only {free} are free")]
pub(crate) struct SoldOut {
    pub(crate) free: i64,
}

/// Everybody wants some at once: those who want it stand in line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reserve {
    pub(crate) pieces: u32,
}

impl Command for Reserve {
    type Aggregate = Stock;
    type Rejection = SoldOut;
    const NAME: &'static str = "reserve";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
    const CONTENTION: Contention = Contention::Queued;

    fn decide(&self, stock: &Stock) -> Result<Vec<StockEvent>, SoldOut> {
        let pieces = self.pieces;
        match stock.free >= i64::from(pieces) {
            true => Ok(vec![StockEvent::Reserved { pieces }]),
            false => Err(SoldOut { free: stock.free }),
        }
    }
}

/// Happens now and then, and does not wait in line for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rename {
    pub(crate) name: String,
}

impl Command for Rename {
    type Aggregate = Stock;
    type Rejection = Infallible;
    const NAME: &'static str = "rename";
    // Reservations may pass beside it; another name may not.
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, stock: &Stock) -> Result<Vec<StockEvent>, Infallible> {
        match stock.name == self.name {
            true => Ok(vec![]),
            false => Ok(vec![StockEvent::Renamed {
                name: self.name.clone(),
            }]),
        }
    }

    fn clashes_with(&self, unseen: &StockEvent) -> bool {
        matches!(unseen, StockEvent::Renamed { .. })
    }
}

/// All of it, by name.
pub(crate) fn domain() -> Domain {
    let domain = Domain::new().command::<Receive>().command::<Reserve>();
    domain.command::<Rename>()
}
