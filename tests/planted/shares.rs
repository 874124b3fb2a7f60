//! An apply that overflows on what decide accepts.

use annalist::testkit::laws::Law;
use annalist::{Aggregate, Command, Domain, OnConflict};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};

use crate::{mended, planted, story};

#[derive(Clone, Serialize, Deserialize)]
enum SharesEvent {
    Issued { shares: u8 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Shares {
    issued: u8,
}

impl Aggregate for Shares {
    const CATEGORY: &'static str = "shares";
    type Event = SharesEvent;

    fn apply(&mut self, SharesEvent::Issued { shares }: &SharesEvent) {
        // In a release build it would wrap around, which is worse.
        self.issued = self.issued.checked_add(*shares).expect("no overflow");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there are no more than 255 shares")]
struct TooMany;

#[derive(Serialize, Deserialize)]
struct Issue<const MENDED: bool> {
    shares: u8,
}

impl<const MENDED: bool> Command for Issue<MENDED> {
    type Aggregate = Shares;
    type Rejection = TooMany;
    const NAME: &'static str = "issue";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, shares: &Shares) -> Result<Vec<SharesEvent>, TooMany> {
        match MENDED && shares.issued.checked_add(self.shares).is_none() {
            true => Err(TooMany),
            false => Ok(vec![SharesEvent::Issued {
                shares: self.shares,
            }]),
        }
    }
}

fn domain<const MENDED: bool>() -> Domain {
    Domain::new().command::<Issue<MENDED>>()
}

#[test]
fn planted_an_apply_that_overflows() {
    planted(&domain::<false>(), Law::Panics);
    mended(&domain::<true>());
}

#[test]
fn an_apply_that_overflows_is_told() {
    assert_snapshot!(story(&domain::<false>()), @r##"
    apply panics on a state that can be reached

      given     nothing: {"issued":0}, version 0
      theirs    issue {"shares":253}
                Issued {"shares":253}  {"issued":253}
      mine      issue {"shares":3}, decided on version 0
                Issued {"shares":3}
      but       apply panics on {"issued":253}: no overflow
      next      an event has happened and cannot be refused any more: let decide reject what apply cannot hold

      found in case 1 of 1000, seed 1; shrunk to 2 events
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"panics","given":[],"theirs":[["issue",{"shares":253}]],"mine":["issue",{"shares":3}]}"#);
    "##);
}
