//! A counter with a cap that claims to commute: what is counted depends on what is there.

use std::convert::Infallible;

use annalist::testkit::laws::Law;
use annalist::{Aggregate, Command, Domain, OnConflict};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};

use crate::{mended, planted, story};

const CAP: u32 = 10;

#[derive(Clone, Serialize, Deserialize)]
enum CounterEvent {
    Counted { by: u32 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Counter {
    count: u32,
}

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Event = CounterEvent;

    fn apply(&mut self, CounterEvent::Counted { by }: &CounterEvent) {
        self.count += by;
    }
}

#[derive(Serialize, Deserialize)]
struct Count<const MENDED: bool> {
    by: u32,
}

impl<const MENDED: bool> Command for Count<MENDED> {
    type Aggregate = Counter;
    type Rejection = Infallible;
    const NAME: &'static str = "count";
    const ON_CONFLICT: OnConflict<Self> = match MENDED {
        true => OnConflict::Redecide,
        false => OnConflict::Commute,
    };

    fn decide(&self, counter: &Counter) -> Result<Vec<CounterEvent>, Infallible> {
        match self.by.min(CAP.saturating_sub(counter.count)) {
            0 => Ok(vec![]),
            by => Ok(vec![CounterEvent::Counted { by }]),
        }
    }
}

fn domain<const MENDED: bool>() -> Domain {
    Domain::new().command::<Count<MENDED>>()
}

#[test]
fn planted_a_capped_counter_that_claims_to_commute() {
    planted(&domain::<false>(), Law::CommuteAccepted);
    mended(&domain::<true>());
}

#[test]
fn a_capped_counter_that_claims_to_commute_is_told() {
    assert_snapshot!(story(&domain::<false>()), @r##"
    count declares Commute, and does not: where it lands, it would not have been decided like that

      given     nothing: {"count":0}, version 0
      theirs    count {"by":1}
                Counted {"by":1}   {"count":1}
      mine      count {"by":10}, decided on version 0
                Counted {"by":10}
      commuted  {"count":11}
      but       decided on {"count":1} it gives Counted {"by":9}
      next      declare Redecide, name the event in clashes_with, or let an invariant refuse it

      found in case 93 of 1000, seed 1; shrunk to 2 events
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"commute-accepted","given":[],"theirs":[["count",{"by":1}]],"mine":["count",{"by":10}]}"#);
    "##);
}
