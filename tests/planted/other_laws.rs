//! The laws that are not about the ten: one small false domain for each.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use annalist::command::MergeResult;
use annalist::testkit::laws::{Law, laws};
use annalist::{Aggregate, Command, Diverged, Domain, OnConflict, Violation, ensure};
use serde::{Deserialize, Serialize};

use crate::broken;

#[derive(Clone, Serialize, Deserialize)]
enum StockEvent {
    Added {
        pieces: u8,
    },
    Counted {
        pieces: u32,
    },
    Noted {
        note: u8,
        #[serde(skip)]
        by: u8,
    },
}

use StockEvent::{Added, Counted, Noted};

#[derive(Default, Clone, Serialize, Deserialize)]
struct Stock {
    pieces: u32,
    notes: Vec<u8>,
    #[serde(skip)]
    last: u8,
    by: u8,
}

impl Aggregate for Stock {
    const CATEGORY: &'static str = "stock";
    type Event = StockEvent;

    fn apply(&mut self, event: &StockEvent) {
        match event {
            Added { pieces } => {
                self.pieces += u32::from(*pieces);
                self.last = *pieces;
            }
            Counted { pieces } => self.pieces = *pieces,
            Noted { note, by } => {
                self.notes.push(*note);
                self.by = *by;
            }
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.notes.len() < 4, "there is place for three notes")
    }
}

/// A command of a number, with what it decides and what a conflict means.
macro_rules! command {
    ($name:ident, $text:literal, $conflict:expr, |$number:ident, $stock:ident| $decide:expr) => {
        #[derive(Serialize, Deserialize)]
        struct $name {
            number: u8,
        }

        impl Command for $name {
            type Aggregate = Stock;
            type Rejection = Infallible;
            const NAME: &'static str = $text;
            const ON_CONFLICT: OnConflict<Self> = $conflict;

            fn decide(&self, $stock: &Stock) -> Result<Vec<StockEvent>, Infallible> {
                let $number = self.number;
                Ok($decide)
            }
        }
    };
}

fn found<C: Command + serde::de::DeserializeOwned>() -> Law {
    let domain = Domain::new().command::<C>();
    let found = broken(&laws(&domain));
    assert!(found.events <= 4, "{found}");
    found.law
}

command!(Count, "count", OnConflict::Commute, |number, _stock| {
    vec![Counted {
        pieces: u32::from(number),
    }]
});

#[test]
fn what_came_out_does_not_commute() {
    assert_eq!(found::<Count>(), Law::CommuteOrder);
}

command!(
    Note,
    "note",
    OnConflict::Merge(Note::merge),
    |number, _stock| {
        vec![Noted {
            note: number,
            by: 0,
        }]
    }
);

impl Note {
    fn merge(&self, diverged: &Diverged<'_, Stock>) -> MergeResult<Self> {
        let note = |note| Noted { note, by: 0 };
        Ok([diverged.proposed, &[note(1), note(2)]].concat())
    }
}

#[test]
fn a_merge_may_break_an_invariant() {
    assert_eq!(found::<Note>(), Law::MergeInvariants);
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Sum(u64);

#[derive(Clone, Serialize, Deserialize)]
enum SumEvent {
    Added(u8),
}

impl Aggregate for Sum {
    const CATEGORY: &'static str = "sum";
    type Event = SumEvent;

    fn apply(&mut self, SumEvent::Added(number): &SumEvent) {
        self.0 += u64::from(*number);
    }
}

/// Where the last of the others was large, it gives up.
#[derive(Serialize, Deserialize)]
struct Sums(u8);

impl Command for Sums {
    type Aggregate = Sum;
    type Rejection = Infallible;
    const NAME: &'static str = "sums";
    const ON_CONFLICT: OnConflict<Self> =
        OnConflict::Merge(|_, diverged| match diverged.unseen.last() {
            Some(SumEvent::Added(3..)) => Err("too much at once".to_owned()),
            _ => Ok(diverged.proposed.to_vec()),
        });

    fn decide(&self, _: &Sum) -> Result<Vec<SumEvent>, Infallible> {
        Ok(match self.0 {
            0 => vec![],
            number => vec![SumEvent::Added(number)],
        })
    }
}

#[test]
fn a_merge_may_depend_on_the_order_of_others() {
    assert_eq!(found::<Sums>(), Law::MergeOrder);
}

command!(Again, "again", OnConflict::Surface, |number, stock| {
    match stock.last == number {
        true => vec![],
        false => vec![Added { pieces: number }],
    }
});

#[test]
fn a_state_may_decide_on_what_is_not_in_its_json() {
    assert_eq!(found::<Again>(), Law::Snapshot);
}

command!(Sign, "sign", OnConflict::Surface, |number, _stock| {
    vec![Noted {
        note: 0,
        by: number,
    }]
});

#[test]
fn an_event_may_lose_what_apply_looks_at() {
    assert_eq!(found::<Sign>(), Law::RoundTrip);
}

thread_local! {
    static DICE: Cell<u8> = const { Cell::new(0) };
}

command!(Roll, "roll", OnConflict::Surface, |_number, _stock| {
    DICE.set(DICE.get().wrapping_add(1));
    vec![Added { pieces: DICE.get() }]
});

#[test]
fn a_decision_may_look_at_dice() {
    assert_eq!(found::<Roll>(), Law::DecideDeterministic);
}

command!(Divide, "divide", OnConflict::Surface, |number, stock| {
    let pieces = stock.pieces + 1;
    vec![Counted {
        pieces: pieces / u32::from(number),
    }]
});

#[test]
fn a_decision_may_panic() {
    let found = broken(&laws(&Domain::new().command::<Divide>()));
    assert_eq!((found.law, found.events), (Law::Panics, 0));
    let told = found.to_string();
    assert!(
        told.starts_with("decide panics on a state that can be reached"),
        "{told}"
    );
    assert!(told.contains("attempt to divide by zero"), "{told}");
}

/// The order of a map is another in every copy.
#[derive(Serialize, Deserialize)]
struct Order<M> {
    lines: M,
}

type Hashed = HashMap<u8, u8>;
type Sorted = BTreeMap<u8, u8>;

macro_rules! order {
    ($map:ty) => {
        impl Command for Order<$map> {
            type Aggregate = Stock;
            type Rejection = Infallible;
            const NAME: &'static str = "order";

            fn decide(&self, _: &Stock) -> Result<Vec<StockEvent>, Infallible> {
                Ok(vec![Counted { pieces: 1 }])
            }
        }
    };
}

order!(Hashed);
order!(Sorted);

#[test]
fn a_command_may_serialize_in_no_order() {
    assert_eq!(found::<Order<Hashed>>(), Law::SerializeDeterministic);
    laws(&Domain::new().command::<Order<Sorted>>())
        .hunt()
        .unwrap();
}
