//! An upcaster that loses a field.

use std::convert::Infallible;

use annalist::testkit::laws::{Law, laws};
use annalist::{Aggregate, Command, Domain, NewEvent, OnConflict, Upcasters};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{broken, seeds};

#[derive(Clone, Serialize, Deserialize)]
enum PersonEvent {
    Moved {
        street: String,
        #[serde(default)]
        city: String,
    },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Person<const MENDED: bool> {
    street: String,
    city: String,
    moves: u32,
}

impl<const MENDED: bool> Aggregate for Person<MENDED> {
    const CATEGORY: &'static str = "person";
    type Event = PersonEvent;

    fn apply(&mut self, PersonEvent::Moved { street, city }: &PersonEvent) {
        self.street.clone_from(street);
        self.city.clone_from(city);
        self.moves += 1;
    }

    /// At first, the street was called a road.
    fn upcasters() -> Upcasters {
        Upcasters::new().step("Moved", 1, |payload| {
            let part = |name| payload.get(name).cloned().unwrap_or(Value::Null);
            Ok(match MENDED {
                true => json!({ "street": part("road"), "city": part("city") }),
                false => json!({ "street": part("road") }),
            })
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Move<const MENDED: bool> {
    street: String,
    city: String,
}

impl<const MENDED: bool> Command for Move<MENDED> {
    type Aggregate = Person<MENDED>;
    type Rejection = Infallible;
    const NAME: &'static str = "move";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Surface;

    fn decide(&self, _: &Person<MENDED>) -> Result<Vec<PersonEvent>, Infallible> {
        Ok(vec![PersonEvent::Moved {
            street: self.street.clone(),
            city: self.city.clone(),
        }])
    }
}

fn hunt<const MENDED: bool>(seed: u64) -> annalist::testkit::laws::Laws {
    let moved = |road: &str, city: &str| {
        let payload = json!({ "road": road, "city": city });
        NewEvent::json("Moved", &payload).expect("an event")
    };
    let domain = Domain::new().command::<Move<MENDED>>();
    laws(&domain).seed(seed).recorded::<Person<MENDED>>(
        [moved("High Road", "Leeds"), moved("Long Road", "York")],
        json!({ "street": "Long Road", "city": "York", "moves": 2 }),
    )
}

#[test]
fn planted_an_upcaster_that_loses_a_field() {
    for seed in 0..seeds() {
        let found = broken(&hunt::<false>(seed));
        assert_eq!((found.law, found.events), (Law::Recorded, 2), "{found}");
    }
    if let Err(error) = hunt::<true>(1).hunt() {
        panic!("{error}");
    }
}

#[test]
fn an_upcaster_that_loses_a_field_is_told() {
    assert_snapshot!(broken(&hunt::<false>(1)), @r#"
    recorded events of person do not fold to the state that was recorded with them

      stored    Moved {"city":"Leeds","road":"High Road"}, schema version 1
                read as Moved {"city":"","street":"High Road"}  {"city":"","moves":1,"street":"High Road"}
                Moved {"city":"York","road":"Long Road"}, schema version 1
                read as Moved {"city":"","street":"Long Road"}  {"city":"","moves":2,"street":"Long Road"}
      recorded  {"city":"York","moves":2,"street":"Long Road"}
      now       {"city":"","moves":2,"street":"Long Road"}
      differs   /city  recorded "York", now ""
      next      let the upcaster, or apply, keep what the events have meant; if the new state is meant, raise STATE_VERSION and record it
    "#);
}
