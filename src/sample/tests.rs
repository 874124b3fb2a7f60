//! What is made of which choices, and what is learned of a refusal.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::net::IpAddr;
use std::num::{NonZeroI32, NonZeroU8, NonZeroU32};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::*;
use crate::ids::StreamId;

fn made<T: DeserializeOwned>(choices: &[u64]) -> T {
    sample(choices, &Learned::default()).expect("a value")
}

fn refused<T: DeserializeOwned + Debug>(choices: &[u64]) -> NoSample {
    sample::<T>(choices, &Learned::default()).expect_err("no value")
}

/// Drawn as a hunter draws: mostly small, so that equal values meet.
fn random_choices(random: &mut fastrand::Rng) -> Vec<u64> {
    let count = random.usize(0..60);
    let choice = |random: &mut fastrand::Rng| match random.u8(0..16) {
        0..=10 => random.u64(0..4),
        11..=13 => random.u64(0..16),
        14 => random.u64(0..1000),
        _ if random.bool() => u64::MAX,
        _ => random.u64(..),
    };
    (0..count).map(|_| choice(random)).collect()
}

#[derive(Debug, Deserialize, PartialEq, Clone)]
#[serde(rename_all = "camelCase")]
struct Order {
    order_id: Uuid,
    due: DateTime<Utc>,
    shipped: Option<DateTime<Utc>>,
    lines: Vec<Line>,
    #[serde(default)]
    notes: BTreeMap<String, String>,
    #[serde(skip)]
    cache: Option<u8>,
    kind: Kind,
    tags: BTreeSet<String>,
    corner: (i32, f64, char),
    grid: [bool; 3],
}

#[derive(Debug, Deserialize, PartialEq, Clone)]
struct Line {
    seat: Seat,
    count: NonZeroU32,
    day: NaiveDate,
    #[serde(alias = "cost")]
    price: i64,
}

#[derive(Debug, Deserialize, PartialEq, Clone)]
struct Seat(String);

#[derive(Debug, Deserialize, PartialEq, Clone)]
enum Kind {
    Plain,
    Wrapped(u8),
    Pair(u8, String),
    Fields { from: i16, to: Option<Box<Kind>> },
}

#[test]
fn the_simplest_value_comes_of_no_choices() {
    let order: Order = made(&[]);
    let simplest = Order {
        order_id: Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001),
        due: "2026-01-01T00:00:00Z".parse().unwrap(),
        shipped: None,
        lines: Vec::new(),
        notes: BTreeMap::new(),
        cache: None,
        kind: Kind::Plain,
        tags: BTreeSet::new(),
        corner: (0, 0.0, 'a'),
        grid: [false; 3],
    };
    assert_eq!(order, simplest);
    assert_eq!(made::<Order>(&[0; 100]), simplest);
    assert_eq!(
        made::<(bool, u8, String, ())>(&[]),
        (false, 0, "a".into(), ())
    );
}

#[test]
fn a_number_is_the_choice_within_its_type() {
    assert_eq!(made::<(u8, u8)>(&[7, u64::MAX]), (7, 255));
    assert_eq!(made::<(i8, i8)>(&[7, 0, u64::MAX, 7]), (7, -128));
    assert_eq!(made::<(i64, i64)>(&[5, 7, u64::MAX, 0]), (-5, i64::MAX));
    assert_eq!(made::<u64>(&[u64::MAX]), u64::MAX);
    assert_eq!(made::<u128>(&[u64::MAX]), u128::MAX);
    assert_eq!(made::<i128>(&[u64::MAX, 15]), i128::MIN);
    assert_eq!(made::<(f64, f32)>(&[3, 0, 4, 7]), (1.5, -2.0));
    assert!(made::<f64>(&[u64::MAX, 7]).is_finite());
}

#[test]
fn equal_choices_are_equal_texts_and_keys() {
    let pair: (String, Seat) = made(&[2, 2]);
    assert_eq!(pair, ("c".into(), Seat("c".into())));
    let map: HashMap<String, u8> = made(&[2, 1, 5, 1, 6]);
    assert_eq!(map, HashMap::from([("b".into(), 6)]));
    assert_eq!(made::<Vec<u8>>(&[2, 8, 9]), [8, 9]);
    assert_eq!(made::<Vec<u8>>(&[u64::MAX]).len(), 3);
}

#[test]
fn every_variant_of_an_enum_is_made() {
    assert_eq!(made::<Kind>(&[1, 9]), Kind::Wrapped(9));
    assert_eq!(made::<Kind>(&[2, 9, 1]), Kind::Pair(9, "b".into()));
    let to = Some(Box::new(Kind::Plain));
    assert_eq!(made::<Kind>(&[3, 9, 7, 1]), Kind::Fields { from: -9, to });
    assert_eq!(made::<Kind>(&[4]), Kind::Plain);
}

#[test]
fn what_a_text_is_read_as_is_learned_in_one_call() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only made")]
    struct Many {
        at: DateTime<Utc>,
        ats: [DateTime<Utc>; 2],
        day: NaiveDate,
        time: NaiveTime,
        local: NaiveDateTime,
        id: Uuid,
        from: IpAddr,
        socket: std::net::SocketAddr,
        weekday: chrono::Weekday,
        month: chrono::Month,
        stream: StreamId,
        key: BTreeMap<NaiveDate, Uuid>,
    }
    made::<Many>(&[]);
    made::<Many>(&[3; 40]);
    let learned = Learned::default();
    for choice in 0..50 {
        sample::<Many>(&[choice; 40], &learned).expect("a value");
    }
    let due = |choice| made::<DateTime<Utc>>(&[choice]);
    assert_eq!(due(0), due(0));
    assert!(due(0) < due(1) && due(1) < due(2));
}

#[test]
fn what_numbers_are_taken_is_learned() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "u64")]
    struct Percent(u64);
    impl TryFrom<u64> for Percent {
        type Error = String;
        fn try_from(number: u64) -> Result<Self, String> {
            let too_much = || format!("{number} is more than all");
            (number <= 100).then_some(Self(number)).ok_or_else(too_much)
        }
    }
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "i32")]
    struct Positive(i32);
    impl TryFrom<i32> for Positive {
        type Error = &'static str;
        fn try_from(number: i32) -> Result<Self, &'static str> {
            (number > 0).then_some(Self(number)).ok_or("too little")
        }
    }
    assert_eq!(made::<(NonZeroU32, NonZeroU8)>(&[]).0.get(), 1);
    assert_eq!(made::<NonZeroU8>(&[u64::MAX]).get(), 255);
    assert_eq!(made::<NonZeroI32>(&[3, 7]).get(), -3);
    assert_eq!(made::<Percent>(&[u64::MAX]).0, 100);
    assert_eq!(made::<Percent>(&[42]).0, 42);
    assert_eq!(made::<Positive>(&[3, 7]).0, 3);
    assert_eq!(made::<Positive>(&[]).0, 1);
    made::<Duration>(&[u64::MAX, u64::MAX]);
}

#[test]
fn a_list_that_must_not_be_empty_is_not() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "Vec<u8>")]
    struct NotEmpty(Vec<u8>);
    impl TryFrom<Vec<u8>> for NotEmpty {
        type Error = &'static str;
        fn try_from(list: Vec<u8>) -> Result<Self, &'static str> {
            (!list.is_empty()).then_some(Self(list)).ok_or("empty")
        }
    }
    assert_eq!(made::<NotEmpty>(&[]).0, [0]);
    assert_eq!(made::<NotEmpty>(&[2, 7]).0, [7, 0]);
}

#[test]
fn a_recursive_type_comes_to_an_end() {
    #[derive(Debug, Deserialize, PartialEq)]
    enum Tree {
        Node(Box<Tree>, Box<Tree>),
        Named { inner: Box<Tree> },
        Leaf(DateTime<Utc>),
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only made")]
    struct Chain {
        due: DateTime<Utc>,
        next: Option<Box<Chain>>,
        all: Vec<Chain>,
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "never made")]
    struct Endless {
        next: Box<Endless>,
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "never made")]
    struct Newtype(Box<Newtype>);
    let due = made::<DateTime<Utc>>(&[]);
    let learned = Learned::default();
    assert_eq!(sample(&[], &learned), Ok(Tree::Leaf(due)));
    let leaf = || Box::new(Tree::Leaf(due));
    assert_eq!(sample(&[1], &learned), Ok(Tree::Node(leaf(), leaf())));
    made::<Tree>(&[1; 1000]);
    made::<Tree>(&[2; 1000]);
    made::<Chain>(&[3; 1000]);
    assert!(refused::<Endless>(&[]).message.contains("no end"));
    assert!(refused::<Newtype>(&[3; 99]).message.contains("no end"));
}

#[test]
fn a_refusal_names_its_path() {
    #[derive(Debug)]
    struct Never;
    impl<'de> Deserialize<'de> for Never {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            String::deserialize(from)?;
            Err(serde::de::Error::custom("never good"))
        }
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "never made")]
    struct Item {
        due: Never,
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "never made")]
    enum Basket {
        Filled { lines: Vec<Item> },
    }
    let refusal = refused::<Basket>(&[0, 2]);
    assert_eq!(refusal.path, "Filled.lines[].due");
    assert_eq!(refusal.message, "never good");
    let said = "no value for `Filled.lines[].due` can be made: never good";
    assert_eq!(refusal.to_string(), said);
    assert_eq!(refused::<Never>(&[]).path, "");
    made::<Basket>(&[]);
}

#[test]
fn a_type_that_panics_is_refused_with_its_words() {
    #[derive(Debug, Deserialize)]
    #[serde(from = "bool")]
    struct Bomb;
    impl From<bool> for Bomb {
        fn from(_: bool) -> Self {
            panic!("no such luck")
        }
    }
    let refusal = refused::<(u8, Bomb)>(&[]);
    assert_eq!(refusal.path, "[1]");
    assert!(refusal.message.contains("no such luck"), "{refusal}");
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tagged {
    Nothing,
    Book {
        seat: String,
        at: DateTime<Utc>,
        spot: Spot,
    },
    Pay {
        seat: u8,
        #[serde(flatten)]
        how: How,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
struct Spot {
    row: u8,
    seat: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct How {
    cents: NonZeroU32,
    card: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Flat {
    id: Uuid,
    #[serde(flatten)]
    how: How,
    #[serde(flatten)]
    spot: Spot,
}

/// An enum whose variants are told apart by a text, and which holds one more.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "type")]
enum Within {
    Named {
        id: String,
        count: NonZeroU8,
    },
    Kept {
        scores: Vec<u8>,
        part: f64,
        kind: Kind,
        spots: Vec<Spot>,
    },
}

#[test]
fn what_is_flattened_or_tagged_within_is_learned_key_by_key() {
    let learned = Learned::default();
    let flat: Flat = sample(&[], &learned).unwrap();
    assert_eq!((flat.how.cents.get(), flat.spot.seat.as_str()), (1, "a"));
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        sample::<Flat>(&random_choices(&mut random), &learned).unwrap();
    }
    assert_eq!(made::<Tagged>(&[]), Tagged::Nothing);
    let learned = Learned::default();
    let mut seen = BTreeMap::<_, u32>::new();
    for _ in 0..300 {
        let tagged = sample::<Tagged>(&random_choices(&mut random), &learned);
        let kind = match tagged.unwrap() {
            Tagged::Nothing => 0,
            Tagged::Book { .. } => 1,
            Tagged::Pay { .. } => 2,
        };
        *seen.entry(kind).or_default() += 1;
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    let learned = Learned::default();
    for _ in 0..300 {
        sample::<Within>(&random_choices(&mut random), &learned).unwrap();
    }
}

#[test]
fn what_has_no_type_of_its_own_is_made() {
    use serde_json::{Value, json};
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Day(NaiveDate),
    }
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        Unit,
        Of(u8),
        Fields { a: String },
    }
    assert_eq!(made::<Value>(&[]), Value::Null);
    assert_eq!(
        made::<Value>(&[5, 2, 0, 1, 1, 2, 3]),
        json!({"a": true, "c": "a"})
    );
    assert_eq!(made::<Untagged>(&[]), Untagged::Number(0));
    let learned = Learned::default();
    let untagged = |choice| sample::<Untagged>(&[choice, 0], &learned).unwrap();
    assert!((0..9).any(|choice| matches!(untagged(choice), Untagged::Day(_))));
    assert_eq!(made::<Adjacent>(&[]), Adjacent::Unit);
    assert_eq!(made::<Adjacent>(&[1, 3]), Adjacent::Of(3));
    assert_eq!(
        made::<Adjacent>(&[2, 3]),
        Adjacent::Fields { a: "d".into() }
    );
}

#[test]
fn random_choices_nearly_always_make_a_value_and_zeros_the_simplest() {
    let learned = Learned::default();
    let simplest: Order = sample(&[], &learned).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut failed = 0;
    for _ in 0..10_000 {
        let choices = random_choices(&mut random);
        match sample::<Order>(&choices, &learned) {
            Ok(order) => assert!(order.cache.is_none()),
            Err(_) => failed += 1,
        }
    }
    assert!(failed < 500, "{failed} of 10000 failed");
    for length in 0..60 {
        assert_eq!(sample(&vec![0; length], &learned), Ok(simplest.clone()));
    }
}

#[test]
fn what_was_learned_makes_the_same_value_of_the_same_choices() {
    let learned = Learned::default();
    let mut random = fastrand::Rng::with_seed(2);
    let all: Vec<_> = (0..500).map(|_| random_choices(&mut random)).collect();
    let make = || -> Vec<_> {
        let made = all.iter().map(|choices| sample::<Order>(choices, &learned));
        made.collect()
    };
    make();
    assert_eq!(make(), make());
}
