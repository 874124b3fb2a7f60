//! A shelf in a shop, and commands that declare what is so, or what is not.

use std::convert::Infallible;

use annalist::command::MergeResult;
use annalist::{Aggregate, Command, Contention, Diverged, OnConflict, Requires, Violation, ensure};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ShelfEvent {
    Opened,
    Stocked { pieces: u32 },
    Taken { pieces: u32 },
    Labelled { label: String },
    Checked,
}

use ShelfEvent::{Checked, Labelled, Opened, Stocked, Taken};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shelf {
    pub(crate) pieces: i64,
    pub(crate) label: String,
}

impl Aggregate for Shelf {
    const CATEGORY: &'static str = "shelf";
    type Event = ShelfEvent;

    fn apply(&mut self, event: &ShelfEvent) {
        match event {
            Stocked { pieces } => self.pieces += i64::from(*pieces),
            Taken { pieces } => self.pieces -= i64::from(*pieces),
            Labelled { label } => self.label.clone_from(label),
            Opened | Checked => {}
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.pieces >= -5, "at most 5 pieces are owed")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("only {left} left")]
pub(crate) struct TooFew {
    pub(crate) left: i64,
}

fn take(shelf: &Shelf, pieces: u32) -> Result<Vec<ShelfEvent>, TooFew> {
    let left = shelf.pieces;
    match left >= i64::from(pieces) {
        true => Ok(vec![Taken { pieces }]),
        false => Err(TooFew { left }),
    }
}

/// Decided again on what is left: that is true.
#[derive(Serialize)]
pub(crate) struct Take(pub(crate) u32);

impl Command for Take {
    type Aggregate = Shelf;
    type Rejection = TooFew;
    const NAME: &'static str = "take";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, shelf: &Shelf) -> Result<Vec<ShelfEvent>, TooFew> {
        take(shelf, self.0)
    }
}

/// The same, which stands in line: whoever stands in another one is a rival like any other.
#[derive(Serialize)]
pub(crate) struct TakeInLine(pub(crate) u32);

impl Command for TakeInLine {
    type Aggregate = Shelf;
    type Rejection = TooFew;
    const NAME: &'static str = "take_in_line";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
    const CONTENTION: Contention = Contention::Queued;

    fn decide(&self, shelf: &Shelf) -> Result<Vec<ShelfEvent>, TooFew> {
        take(shelf, self.0)
    }
}

/// The same, which claims that it holds whatever was taken meanwhile.
#[derive(Serialize)]
pub(crate) struct Grab(pub(crate) u32);

impl Command for Grab {
    type Aggregate = Shelf;
    type Rejection = TooFew;
    const NAME: &'static str = "grab";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, shelf: &Shelf) -> Result<Vec<ShelfEvent>, TooFew> {
        take(shelf, self.0)
    }
}

#[derive(Serialize)]
pub(crate) struct Stock(pub(crate) u32);

impl Command for Stock {
    type Aggregate = Shelf;
    type Rejection = Infallible;
    const NAME: &'static str = "stock";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Shelf) -> Result<Vec<ShelfEvent>, Infallible> {
        Ok(vec![Stocked { pieces: self.0 }])
    }
}

#[derive(Serialize)]
pub(crate) struct Open;

impl Command for Open {
    type Aggregate = Shelf;
    type Rejection = Infallible;
    const NAME: &'static str = "open";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
    const REQUIRES: Requires = Requires::New;

    fn decide(&self, _: &Shelf) -> Result<Vec<ShelfEvent>, Infallible> {
        Ok(vec![Opened])
    }
}

/// Signs for what was seen.
#[derive(Serialize)]
pub(crate) struct Check;

impl Command for Check {
    type Aggregate = Shelf;
    type Rejection = Infallible;
    const NAME: &'static str = "check";

    fn decide(&self, _: &Shelf) -> Result<Vec<ShelfEvent>, Infallible> {
        Ok(vec![Checked])
    }
}

/// Two labels become one that says both.
#[derive(Serialize)]
pub(crate) struct Label(pub(crate) &'static str);

impl Command for Label {
    type Aggregate = Shelf;
    type Rejection = Infallible;
    const NAME: &'static str = "label";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Merge(Self::merge);

    fn decide(&self, shelf: &Shelf) -> Result<Vec<ShelfEvent>, Infallible> {
        let label = self.0.to_owned();
        match shelf.label == label {
            true => Ok(vec![]),
            false => Ok(vec![Labelled { label }]),
        }
    }
}

impl Label {
    fn merge(&self, diverged: &Diverged<'_, Shelf>) -> MergeResult<Self> {
        let theirs = &diverged.current.label;
        match theirs == &diverged.base.label {
            true => Ok(diverged.proposed.to_vec()),
            false => Ok(vec![Labelled {
                label: format!("{theirs}, {}", self.0),
            }]),
        }
    }
}

/// Decides by the hour, and not by the shelf alone: what it says there is never the same.
#[derive(Serialize)]
pub(crate) struct Fickle;

impl Command for Fickle {
    type Aggregate = Shelf;
    type Rejection = Infallible;
    const NAME: &'static str = "fickle";

    fn decide(&self, _: &Shelf) -> Result<Vec<ShelfEvent>, Infallible> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let label = ASKED.fetch_add(1, Ordering::Relaxed).to_string();
        Ok(vec![Labelled { label }])
    }
}
