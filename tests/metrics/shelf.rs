//! The domain of these tests: pieces on a shelf.

use annalist::{Aggregate, Command, Contention, OnConflict};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ShelfEvent {
    Stocked { pieces: u32 },
    Taken { pieces: u32 },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shelf {
    pub(crate) pieces: u32,
}

impl Aggregate for Shelf {
    const CATEGORY: &'static str = "shelf";
    type Event = ShelfEvent;

    fn apply(&mut self, event: &ShelfEvent) {
        match event {
            ShelfEvent::Stocked { pieces } => self.pieces += pieces,
            ShelfEvent::Taken { pieces } => self.pieces -= pieces,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("too few")]
pub(crate) struct TooFew;

/// Takes pieces; none is nothing to do.
#[derive(Serialize)]
pub(crate) struct Take(pub(crate) u32);

impl Command for Take {
    type Aggregate = Shelf;
    type Rejection = TooFew;
    const NAME: &'static str = "take";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, shelf: &Shelf) -> Result<Vec<ShelfEvent>, TooFew> {
        match *self {
            Self(0) => Ok(Vec::new()),
            Self(pieces) if pieces <= shelf.pieces => Ok(vec![ShelfEvent::Taken { pieces }]),
            Self(_) => Err(TooFew),
        }
    }
}

/// Puts pieces there, in line.
#[derive(Serialize)]
pub(crate) struct Stock(pub(crate) u32);

impl Command for Stock {
    type Aggregate = Shelf;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "stock";
    const CONTENTION: Contention = Contention::Queued;

    fn decide(&self, _: &Shelf) -> Result<Vec<ShelfEvent>, Self::Rejection> {
        Ok(vec![ShelfEvent::Stocked { pieces: self.0 }])
    }
}
