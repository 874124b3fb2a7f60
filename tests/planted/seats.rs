//! A seat booking that redecides into a double booking: it does not ask whether the seat is
//! free.

use std::collections::BTreeSet;

use annalist::testkit::laws::Law;
use annalist::{Aggregate, Command, Domain, OnConflict, Violation, ensure};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};

use crate::{mended, planted, story};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum HallEvent {
    Booked { seat: u8 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub(crate) struct Hall {
    booked: Vec<u8>,
}

impl Aggregate for Hall {
    const CATEGORY: &'static str = "hall";
    type Event = HallEvent;

    fn apply(&mut self, HallEvent::Booked { seat }: &HallEvent) {
        self.booked.push(*seat);
    }

    fn invariants(&self) -> Result<(), Violation> {
        let seats: BTreeSet<_> = self.booked.iter().collect();
        ensure(seats.len() == self.booked.len(), "no seat is booked twice")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the seat is taken")]
pub(crate) struct Taken;

#[derive(Serialize, Deserialize)]
pub(crate) struct Book<const MENDED: bool> {
    seat: u8,
}

impl<const MENDED: bool> Command for Book<MENDED> {
    type Aggregate = Hall;
    type Rejection = Taken;
    const NAME: &'static str = "book";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, hall: &Hall) -> Result<Vec<HallEvent>, Taken> {
        match MENDED && hall.booked.contains(&self.seat) {
            true => Err(Taken),
            false => Ok(vec![HallEvent::Booked { seat: self.seat }]),
        }
    }
}

fn domain<const MENDED: bool>() -> Domain {
    Domain::new().command::<Book<MENDED>>()
}

#[test]
fn planted_a_booking_that_redecides_into_a_double_booking() {
    planted(&domain::<false>(), Law::RedecideInvariants);
    mended(&domain::<true>());
}

#[test]
fn a_double_booking_is_told() {
    assert_snapshot!(story(&domain::<false>()), @r##"
    book declares Redecide, and does not ask again: on the current state it decides what must not be

      given     nothing: {"booked":[]}, version 0
      theirs    book {"seat":0}
                Booked {"seat":0}  {"booked":[0]}
      mine      book {"seat":0}, decided on version 0
                Booked {"seat":0}
      again     decided on {"booked":[0]}
                Booked {"seat":0}  {"booked":[0,0]}
      but       an invariant is broken: no seat is booked twice
      next      ask in decide what the invariant asks, and reject it in the domain's own words

      found in case 3 of 1000, seed 1; shrunk to 2 events
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"redecide-invariants","given":[],"theirs":[["book",{"seat":0}]],"mine":["book",{"seat":0}]}"#);
    "##);
}
