//! What is written is read back as the same event, over all that serde can hold.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rich {
    Unit,
    Nothing(),
    Empty {},
    Newtype(String),
    Boxed(Box<Rich>),
    Perhaps(Option<u8>),
    Pair(i64, u64),
    #[serde(rename = "Ausgeführt ☃")]
    Named {
        #[serde(rename = "größe")]
        size: i128,
        large: u128,
        ratio: f64,
        single: f32,
        letter: char,
        list: Vec<Rich>,
        map: BTreeMap<String, Option<i64>>,
        numbered: BTreeMap<u8, bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missing: Option<String>,
        unit: (),
        tuple: (bool, String),
    },
    Flat {
        id: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u16>,
    },
    Inner(Inner),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of")]
enum Inner {
    Tagged(i32),
    Alone,
}

impl Event for Rich {}

fn rich() -> impl Strategy<Value = Rich> {
    let leaf = prop_oneof![
        Just(Rich::Unit),
        Just(Rich::Nothing()),
        Just(Rich::Empty {}),
        any::<String>().prop_map(Rich::Newtype),
        any::<Option<u8>>().prop_map(Rich::Perhaps),
        any::<(i64, u64)>().prop_map(|(a, b)| Rich::Pair(a, b)),
        (any::<u8>(), btree_map("[a-c]", any::<u16>(), 0..3))
            .prop_map(|(id, rest)| Rich::Flat { id, rest }),
        any::<i32>().prop_map(|n| Rich::Inner(Inner::Tagged(n))),
        Just(Rich::Inner(Inner::Alone)),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let numbers = (
            any::<i128>(),
            any::<u128>(),
            proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
            proptest::num::f32::NORMAL | proptest::num::f32::ZERO,
            any::<char>(),
        );
        let parts = (
            vec(inner.clone(), 0..4),
            btree_map(any::<String>(), any::<Option<i64>>(), 0..4),
            btree_map(any::<u8>(), any::<bool>(), 0..4),
            any::<Option<String>>(),
            any::<(bool, String)>(),
        );
        prop_oneof![
            inner.prop_map(|event| Rich::Boxed(Box::new(event))),
            (numbers, parts).prop_map(|(numbers, parts)| {
                let (size, large, ratio, single, letter) = numbers;
                let (list, map, numbered, missing, tuple) = parts;
                Rich::Named {
                    size,
                    large,
                    ratio,
                    single,
                    letter,
                    list,
                    map,
                    numbered,
                    missing,
                    unit: (),
                    tuple,
                }
            }),
        ]
    })
}

proptest! {
    #[test]
    fn every_event_is_read_back(event in rich()) {
        let (event_type, payload) = encode(&event).unwrap();
        prop_assert_eq!(&decode::<Rich>(&event_type, &payload).unwrap(), &event);
        // The payload is what serde_json itself would put behind the variant's name.
        let text = match payload.as_str() {
            "null" if event == Rich::Unit => serde_json::to_string(&event_type).unwrap(),
            payload => format!("{{{}:{payload}}}", serde_json::to_string(&event_type).unwrap()),
        };
        prop_assert_eq!(text, serde_json::to_string(&event).unwrap());
    }
}

/// What serde_json itself reads, if it reads it.
fn reference(event_type: &str, payload: &str) -> Option<Rich> {
    let event_type = serde_json::to_string(event_type).unwrap();
    serde_json::from_str(&format!("{{{event_type}:{payload}}}")).ok()
}

proptest! {
    #[test]
    fn a_payload_under_any_type_is_read_as_serde_json_reads_it(one in rich(), other in rich()) {
        let (event_type, _) = encode(&one).unwrap();
        let (_, payload) = encode(&other).unwrap();
        let read = decode::<Rich>(&event_type, &payload);
        if let Err(error) = &read {
            prop_assert_eq!(error.code(), "undecodable_payload");
        }
        prop_assert_eq!(read.ok(), reference(&event_type, &payload));
    }
}

#[test]
fn each_kind_of_variant_is_stored_as_what_it_holds() {
    for (event, event_type, payload) in [
        (Rich::Unit, "unit", "null"),
        (Rich::Nothing(), "nothing", "[]"),
        (Rich::Empty {}, "empty", "{}"),
        (Rich::Newtype("a\"b".into()), "newtype", r#""a\"b""#),
        (Rich::Boxed(Box::new(Rich::Unit)), "boxed", "\"unit\""),
        (Rich::Perhaps(None), "perhaps", "null"),
        (
            Rich::Pair(i64::MIN, u64::MAX),
            "pair",
            "[-9223372036854775808,18446744073709551615]",
        ),
        (
            Rich::Inner(Inner::Tagged(7)),
            "inner",
            r#"{"kind":"Tagged","of":7}"#,
        ),
    ] {
        let stored = (event_type.to_owned(), payload.to_owned());
        assert_eq!(encode(&event).unwrap(), stored);
        assert_eq!(decode::<Rich>(event_type, payload).unwrap(), event);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Deep {
    Down(Vec<Deep>),
    Json(serde_json::Value),
}

impl Event for Deep {}

#[test]
fn an_event_may_nest_as_deep_as_a_payload() {
    let array = |inner| serde_json::Value::Array(vec![inner]);
    let nested = |depth| Deep::Json((0..depth).fold(json!(1), |inner, _| array(inner)));
    let (event_type, payload) = encode(&nested(Payload::DEPTH_MAX)).unwrap();
    let read = decode::<Deep>(&event_type, &payload).unwrap();
    assert_eq!(read, nested(Payload::DEPTH_MAX));
    assert!(encode(&nested(Payload::DEPTH_MAX + 1)).is_err());

    // Each level is an array in an object here; the outermost object is the event type.
    let down = |depth| (0..depth).fold(Deep::Down(vec![]), |inner, _| Deep::Down(vec![inner]));
    let (event_type, payload) = encode(&down(63)).unwrap();
    assert_eq!(decode::<Deep>(&event_type, &payload).unwrap(), down(63));
    assert!(encode(&down(64)).is_err());
}
