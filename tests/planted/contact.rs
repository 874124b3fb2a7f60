//! Two merges of one form: one drops a field of its own, one undoes what another changed.

use std::convert::Infallible;

use annalist::command::MergeResult;
use annalist::testkit::laws::Law;
use annalist::{Aggregate, Command, Diverged, Domain, OnConflict};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};

use crate::{mended, planted, story};

const MENDED: u8 = 0;
const DROPS: u8 = 1;
const UNDOES: u8 = 2;

/// All that is typed in, whatever of it has changed.
#[derive(Clone, Serialize, Deserialize)]
enum ContactEvent {
    Edited { name: u8, phone: u8 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Contact {
    name: u8,
    phone: u8,
}

impl Aggregate for Contact {
    const CATEGORY: &'static str = "contact";
    type Event = ContactEvent;

    fn apply(&mut self, ContactEvent::Edited { name, phone }: &ContactEvent) {
        (self.name, self.phone) = (*name, *phone);
    }
}

#[derive(Serialize, Deserialize)]
struct Edit<const WAY: u8> {
    name: Option<u8>,
    phone: Option<u8>,
}

impl<const WAY: u8> Edit<WAY> {
    fn onto(&self, contact: &Contact) -> Contact {
        Contact {
            name: self.name.unwrap_or(contact.name),
            phone: self.phone.unwrap_or(contact.phone),
        }
    }

    fn merge(&self, diverged: &Diverged<'_, Contact>) -> MergeResult<Self> {
        let Diverged {
            base,
            current,
            proposed,
            ..
        } = diverged;
        let both = |mine: Option<u8>, base: u8, current: u8| match mine {
            Some(mine) if mine != base && current != base && mine != current => {
                Err("both changed the same field")
            }
            Some(mine) if mine != base => Ok(mine),
            _ => Ok(current),
        };
        let name = both(self.name, base.name, current.name)?;
        let phone = both(self.phone, base.phone, current.phone)?;
        Ok(match WAY {
            DROPS => vec![ContactEvent::Edited {
                name,
                phone: current.phone,
            }],
            UNDOES => proposed.to_vec(),
            _ => vec![ContactEvent::Edited { name, phone }],
        })
    }
}

impl<const WAY: u8> Command for Edit<WAY> {
    type Aggregate = Contact;
    type Rejection = Infallible;
    const NAME: &'static str = "edit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Merge(Self::merge);

    fn decide(&self, contact: &Contact) -> Result<Vec<ContactEvent>, Infallible> {
        let Contact { name, phone } = self.onto(contact);
        match (name, phone) == (contact.name, contact.phone) {
            true => Ok(vec![]),
            false => Ok(vec![ContactEvent::Edited { name, phone }]),
        }
    }
}

fn domain<const WAY: u8>() -> Domain {
    Domain::new().command::<Edit<WAY>>()
}

#[test]
fn planted_a_merge_that_drops_a_field() {
    planted(&domain::<DROPS>(), Law::MergeDrops);
    mended(&domain::<MENDED>());
}

#[test]
fn planted_a_merge_that_undoes_what_another_did() {
    planted(&domain::<UNDOES>(), Law::MergeUndoes);
}

#[test]
fn a_merge_that_drops_a_field_is_told() {
    assert_snapshot!(story(&domain::<DROPS>()), @r##"
    edit declares a merge that drops what it was to do

      given     nothing: {"name":0,"phone":0}, version 0
      theirs    edit {"name":1,"phone":null}
                Edited {"name":1,"phone":0}  {"name":1,"phone":0}
      mine      edit {"name":null,"phone":1}, decided on version 0
                Edited {"name":0,"phone":1}
      merged    Edited {"name":1,"phone":0}  {"name":1,"phone":0}
      but       /phone was changed to 1 by the command alone, and is 0 again
      next      keep what the command changed, or refuse with a reason

      found in case 6 of 1000, seed 1; shrunk to 2 events
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"merge-drops","given":[],"theirs":[["edit",{"name":1,"phone":null}]],"mine":["edit",{"name":null,"phone":1}]}"#);
    "##);
}

#[test]
fn a_merge_that_undoes_what_another_did_is_told() {
    assert_snapshot!(story(&domain::<UNDOES>()), @r##"
    edit declares a merge that undoes what others did

      given     nothing: {"name":0,"phone":0}, version 0
      theirs    edit {"name":1,"phone":null}
                Edited {"name":1,"phone":0}  {"name":1,"phone":0}
      mine      edit {"name":null,"phone":1}, decided on version 0
                Edited {"name":0,"phone":1}
      merged    Edited {"name":0,"phone":1}  {"name":0,"phone":1}
      but       /name was changed to 1 by the others alone, and is 0 again
      next      keep what the others changed or refuse with a reason; where the last writer is to win, say so: laws(&domain).except::<TheCommand>(Law::MergeUndoes)

      found in case 6 of 1000, seed 1; shrunk to 2 events
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"merge-undoes","given":[],"theirs":[["edit",{"name":1,"phone":null}]],"mine":["edit",{"name":null,"phone":1}]}"#);
    "##);
}
