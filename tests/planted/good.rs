//! Domains in which nothing is wrong, and hunts that could not ask.

use std::collections::HashSet;
use std::convert::Infallible;

use annalist::testkit::laws::proptest::prelude::*;
use annalist::testkit::laws::{Law, check, laws};
use annalist::{Aggregate, Command, Domain, NewEvent, OnConflict};
use insta::assert_snapshot;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::account::{self, Account, AccountEvent};
use crate::{broken, seats};

#[test]
fn a_good_domain_is_checked_in_one_line() {
    check(&account::domain::<true>());
}

#[test]
fn what_was_asked_is_counted() {
    let domain = account::domain::<true>();
    let nowhere = std::env::temp_dir().join("annalist-no-such-folder");
    let checked = laws(&domain).seed(7).fixtures(nowhere).hunt().unwrap();
    assert_eq!((checked.cases, checked.seed), (1_000, 7));
    assert_eq!(checked.categories, ["account"]);
    for law in [Law::CommuteOrder, Law::RedecideInvariants, Law::Snapshot] {
        assert!(checked.asked(law) > 100, "{checked}");
    }
    assert_eq!(checked.asked(Law::MergeDrops), 0);
    assert!(checked.accepted("withdraw") > 100, "{checked}");
    assert!(checked.warnings().is_empty(), "{checked}");

    let told = checked.to_string();
    let expected = "1000 cases of account hold, seed 7: commute-order ";
    assert!(told.starts_with(expected), "{told}");
    assert!(told.contains("nothing is recorded of account"), "{told}");
}

#[test]
fn the_same_seed_makes_the_same_cases() {
    let domain = account::domain::<true>();
    let told = || laws(&domain).seed(7).cases(100).hunt().unwrap().to_string();
    assert_eq!(told(), told());
}

#[test]
fn aggregates_are_hunted_one_after_another() {
    let domain = account::domain::<true>().command::<seats::Book<true>>();
    let checked = laws(&domain).cases(50).hunt().unwrap();
    assert_eq!(checked.categories, ["account", "hall"]);
    assert_eq!(checked.cases, 100);
}

#[derive(Debug, thiserror::Error)]
#[error("code {0} opens nothing")]
struct Wrong(u64);

#[derive(Debug, Serialize, Deserialize)]
struct Unlock {
    code: u64,
}

impl Command for Unlock {
    type Aggregate = Account;
    type Rejection = Wrong;
    const NAME: &'static str = "unlock";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Wrong> {
        match self.code {
            4_711_000_815 => Ok(vec![AccountEvent::Deposited { cents: 1 }]),
            code => Err(Wrong(code)),
        }
    }
}

#[test]
fn a_command_that_is_never_accepted_is_told_with_what_to_do() {
    let domain = account::domain::<true>().command::<Unlock>();
    let error = laws(&domain).seed(7).cases(50).hunt().unwrap_err();
    assert_eq!(error.code(), "command_never_accepted");
    let told = error.to_string();
    let opening =
        "none of 50 cases got unlock accepted, so nothing is known of it\n\n  rejected  code ";
    assert!(told.starts_with(opening), "{told}");
    let ending = ".commands::<TheCommand>(..), seed 7";
    assert!(told.ends_with(ending), "{told}");

    let codes = Just(()).prop_map(|()| Unlock {
        code: 4_711_000_815,
    });
    let checked = laws(&domain).cases(50).commands(codes).hunt().unwrap();
    assert!(checked.accepted("unlock") > 0);
}

/// It is read from a ticket that nobody can guess.
#[derive(Debug, Serialize)]
struct Sign {
    signature: String,
}

impl<'de> Deserialize<'de> for Sign {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let signature = String::deserialize(from)?;
        match signature.len() > 4_000 {
            true => Ok(Self { signature }),
            false => Err(serde::de::Error::custom("no signature of ours")),
        }
    }
}

impl Command for Sign {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "sign";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![AccountEvent::Deposited { cents: 1 }])
    }
}

#[test]
fn a_command_that_cannot_be_made_is_told_with_what_to_do() {
    let domain = Domain::new().command::<Sign>();
    let error = laws(&domain).hunt().unwrap_err();
    assert_eq!(error.code(), "command_not_sampled");
    assert_snapshot!(error, @r#"
    sign cannot be made from its serde shape: no value can be made: no signature of ours

      next      give a strategy: laws(&domain).commands::<TheCommand>(..)
    "#);

    let signed = Just(()).prop_map(|()| Sign {
        signature: "s".to_owned(),
    });
    laws(&domain).commands(signed).cases(50).hunt().unwrap();
}

#[test]
fn a_strategy_for_a_command_that_is_not_registered_is_refused() {
    let codes = any::<u64>().prop_map(|code| Unlock { code });
    let error = laws(&account::domain::<true>()).commands(codes).hunt();
    assert_snapshot!(error.unwrap_err(), @"a strategy is given for unlock, which is not in the domain; register it: Domain::new().command::<TheCommand>()");
}

/// It commutes with nothing that there is.
#[derive(Serialize, Deserialize)]
struct Audit;

impl Command for Audit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "audit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![AccountEvent::Deposited { cents: 0 }])
    }

    fn clashes_with(&self, _: &AccountEvent) -> bool {
        true
    }
}

#[test]
fn a_policy_that_was_never_asked_is_a_warning() {
    let domain = account::domain::<true>().command::<Audit>();
    let checked = laws(&domain).seed(7).cases(200).hunt().unwrap();
    assert_eq!(
        checked.warnings(),
        [
            "audit declares Commute, and no case asked commute-order, commute-accepted of it: give a strategy with .commands(..)"
        ]
    );
    assert!(checked.to_string().contains("\n  warning: audit"));
}

#[derive(Clone, Serialize, Deserialize)]
enum TagsEvent {
    Tagged { tag: u8 },
}

/// The JSON of a set has no order.
#[derive(Default, Clone, PartialEq, Serialize, Deserialize)]
struct Tags {
    tags: HashSet<u8>,
}

impl Aggregate for Tags {
    const CATEGORY: &'static str = "tags";
    type Event = TagsEvent;

    fn apply(&mut self, TagsEvent::Tagged { tag }: &TagsEvent) {
        // As if it had grown and shrunk.
        let mut tags = HashSet::new();
        tags.extend(self.tags.drain());
        tags.insert(*tag);
        self.tags = tags;
    }
}

#[derive(Serialize, Deserialize)]
struct Tag {
    tag: u8,
}

impl Command for Tag {
    type Aggregate = Tags;
    type Rejection = Infallible;
    const NAME: &'static str = "tag";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, tags: &Tags) -> Result<Vec<TagsEvent>, Infallible> {
        match tags.tags.contains(&self.tag) {
            true => Ok(vec![]),
            false => Ok(vec![TagsEvent::Tagged { tag: self.tag }]),
        }
    }
}

#[test]
fn equality_is_the_users_where_json_is_not() {
    let domain = Domain::new().command::<Tag>();
    let found = broken(&laws(&domain));
    // Which of them meets it first is chance, as the order of a set is.
    assert!(matches!(
        found.law,
        Law::ApplyDeterministic | Law::RoundTrip | Law::Snapshot
    ));
    let equal = laws(&domain).equal::<Tags>(|one, other| one == other);
    equal.hunt().unwrap();
}

#[test]
fn what_was_recorded_is_compared_as_the_user_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let domain = Domain::new().command::<Tag>();
    let tags = || {
        let equal = laws(&domain).equal::<Tags>(|one, other| one == other);
        equal.cases(100).seed(1).fixtures(folder.path())
    };
    tags().recording().check();
    for _ in 0..10 {
        tags().hunt().unwrap();
    }
    let stored = NewEvent::json("Tagged", &json!({ "tag": 7 })).unwrap();
    let more = NewEvent::json("Tagged", &json!({ "tag": 8 })).unwrap();
    let both = || [stored.clone(), more.clone()];
    let is = |tags: &[u8]| json!({ "tags": tags });
    for order in [[7, 8], [8, 7]] {
        tags().recorded::<Tags>(both(), is(&order)).hunt().unwrap();
    }
    let lost = tags().recorded::<Tags>(both(), is(&[7]));
    assert_eq!(broken(&lost).law, Law::Recorded);
}

#[test]
fn a_domain_that_cannot_be_one_is_told() {
    #[derive(Serialize, Deserialize)]
    struct Twin;
    impl Command for Twin {
        type Aggregate = Account;
        type Rejection = Infallible;
        const NAME: &'static str = "audit";
        fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
            Ok(vec![])
        }
    }
    let domain = Domain::new().command::<Audit>().command::<Twin>();
    let error = laws(&domain).hunt().unwrap_err();
    assert_eq!(error.code(), "command_name_taken");
}
