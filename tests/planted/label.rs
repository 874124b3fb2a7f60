//! A rename that calls itself idempotent, and records the same name twice.

use std::convert::Infallible;

use annalist::testkit::laws::Law;
use annalist::{Aggregate, Command, Domain, OnConflict};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};

use crate::{mended, planted, story};

#[derive(Clone, Serialize, Deserialize)]
enum LabelEvent {
    Renamed { name: String },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Label {
    name: String,
}

impl Aggregate for Label {
    const CATEGORY: &'static str = "label";
    type Event = LabelEvent;

    fn apply(&mut self, LabelEvent::Renamed { name }: &LabelEvent) {
        self.name.clone_from(name);
    }
}

#[derive(Serialize, Deserialize)]
struct Rename<const MENDED: bool> {
    name: String,
}

impl<const MENDED: bool> Command for Rename<MENDED> {
    type Aggregate = Label;
    type Rejection = Infallible;
    const NAME: &'static str = "rename";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, label: &Label) -> Result<Vec<LabelEvent>, Infallible> {
        let name = self.name.clone();
        match MENDED && label.name == name {
            true => Ok(vec![]),
            false => Ok(vec![LabelEvent::Renamed { name }]),
        }
    }
}

fn domain<const MENDED: bool>() -> Domain {
    Domain::new().command::<Rename<MENDED>>()
}

#[test]
fn planted_an_idempotent_rename_that_records_twice() {
    planted(&domain::<false>(), Law::RedecideRepeats);
    mended(&domain::<true>());
}

#[test]
fn a_rename_that_records_twice_is_told() {
    assert_snapshot!(story(&domain::<false>()), @r##"
    rename declares Redecide, and repeats: what has taken effect already is recorded once more

      given     nothing: {"name":""}, version 0
      theirs    rename {"name":"a"}
                Renamed {"name":"a"}  {"name":"a"}
      mine      rename {"name":"a"}, decided on version 0
                Renamed {"name":"a"}
      again     decided on {"name":"a"}
                Renamed {"name":"a"}
      but       its events change nothing any more
      next      decide on no events where nothing is left to do

      found in case 9 of 1000, seed 1; shrunk to 2 events
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"redecide-repeats","given":[],"theirs":[["rename",{"name":"a"}]],"mine":["rename",{"name":"a"}]}"#);
    "##);
}
