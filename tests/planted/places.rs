//! Two commands that commute in pairs, and not as three: there are two free places.

use annalist::testkit::laws::{HuntError, Law, laws};
use annalist::{Aggregate, Command, Domain, OnConflict};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};

use crate::{mended, planted, said, story};

const PLACES: usize = 2;

#[derive(Clone, Serialize, Deserialize)]
enum TableEvent {
    Reserved { guest: u8 },
    Seated { guest: u8 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Table {
    reserved: Vec<u8>,
    seated: Vec<u8>,
}

impl Table {
    fn is_full(&self) -> bool {
        self.reserved.len() + self.seated.len() >= PLACES
    }
}

impl Aggregate for Table {
    const CATEGORY: &'static str = "table";
    type Event = TableEvent;

    fn apply(&mut self, event: &TableEvent) {
        // In an order of their own: who came first does not matter.
        let (list, guest) = match event {
            TableEvent::Reserved { guest } => (&mut self.reserved, *guest),
            TableEvent::Seated { guest } => (&mut self.seated, *guest),
        };
        list.push(guest);
        list.sort_unstable();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("all {PLACES} places are taken")]
struct Full;

macro_rules! command {
    ($name:ident, $text:literal, $event:ident) => {
        #[derive(Serialize, Deserialize)]
        struct $name<const MENDED: bool> {
            guest: u8,
        }

        impl<const MENDED: bool> Command for $name<MENDED> {
            type Aggregate = Table;
            type Rejection = Full;
            const NAME: &'static str = $text;
            const ON_CONFLICT: OnConflict<Self> = match MENDED {
                true => OnConflict::Redecide,
                false => OnConflict::Commute,
            };

            fn decide(&self, table: &Table) -> Result<Vec<TableEvent>, Full> {
                match table.is_full() {
                    true => Err(Full),
                    false => Ok(vec![TableEvent::$event { guest: self.guest }]),
                }
            }
        }
    };
}

command!(Reserve, "reserve", Reserved);
command!(Seat, "seat", Seated);

fn domain<const MENDED: bool>() -> Domain {
    Domain::new()
        .command::<Reserve<MENDED>>()
        .command::<Seat<MENDED>>()
}

#[test]
fn planted_commands_that_commute_in_pairs_and_not_as_three() {
    planted(&domain::<false>(), Law::CommuteAccepted);
    mended(&domain::<true>());
}

#[test]
fn each_pair_of_them_does_commute() {
    let domain = domain::<false>();
    let commands = [r#"["reserve",{"guest":1}]"#, r#"["seat",{"guest":2}]"#];
    for theirs in commands {
        for mine in commands {
            laws(&domain).replay(&format!(r#"{{"theirs":[{theirs}],"mine":{mine}}}"#));
            for third in commands {
                let three = format!(r#"{{"theirs":[{theirs},{third}],"mine":{mine}}}"#);
                let story = said(|| laws(&domain).replay(&three));
                assert!(story.contains("declares Commute, and does not"), "{story}");
            }
        }
    }
}

#[test]
fn commands_that_commute_in_pairs_only_are_told() {
    assert_snapshot!(story(&domain::<false>()), @r##"
    reserve declares Commute, and does not: where it lands, it would not have been decided like that

      given     nothing: {"reserved":[],"seated":[]}, version 0
      theirs    reserve {"guest":0}
                Reserved {"guest":0}  {"reserved":[0],"seated":[]}
                reserve {"guest":0}
                Reserved {"guest":0}  {"reserved":[0,0],"seated":[]}
      mine      reserve {"guest":0}, decided on version 0
                Reserved {"guest":0}
      commuted  {"reserved":[0,0,0],"seated":[]}
      but       decided on {"reserved":[0,0],"seated":[]} it is rejected: all 2 places are taken
      next      declare Redecide, name the event in clashes_with, or let an invariant refuse it

      found in case 3 of 1000, seed 1; shrunk to 3 events
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"commute-accepted","given":[],"theirs":[["reserve",{"guest":0}],["reserve",{"guest":0}]],"mine":["reserve",{"guest":0}]}"#);
    "##);
}

#[test]
fn the_code_of_a_breach_is_stable() {
    let error = laws(&domain::<false>()).seed(1).hunt().unwrap_err();
    assert!(matches!(error, HuntError::Broken(_)));
    assert_eq!(error.code(), "law_broken");
    assert_eq!(error.counter_example().unwrap().category, "table");
}
