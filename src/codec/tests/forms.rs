//! Which types are events, and what an event is not read as.

use super::*;

macro_rules! events {
    ($($(#[$attribute:meta])* $name:ident { $($body:tt)* })*) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        $(#[$attribute])*
        enum $name { $($body)* }
        impl Event for $name {}
    )*};
}

events! {
    #[serde(tag = "kind")]
    Internal { Unit, Newtype(BTreeMap<String, u8>), Struct { cents: u8 } }
    #[serde(tag = "kind", content = "of")]
    Adjacent { Unit, Newtype(u8), Struct { cents: u8 } }
    #[serde(untagged)]
    Untagged { Unit, Newtype(u8), Struct { cents: u8 }, Plain(Plain) }
    // Without the tag this would be written as if it were `Plain`, and never read.
    PartlyUntagged { Named, #[serde(untagged)] Plain(Plain) }
    Plain { Opened, Closed { why: String }, Noted(u8) }
    Lenient { #[serde(alias = "Begun")] Opened, #[serde(other)] Unknown }
    Lopsided { #[serde(rename(serialize = "a", deserialize = "b"))] A, #[serde(skip_deserializing)] B }
    Skipped { #[serde(skip)] Hidden, Shown }
    Blank { #[serde(rename = "")] A, #[serde(rename = "a\nb")] B }
    Measured { Weighed { grams: f64 }, Counted { by: BTreeMap<(u8, u8), u8> } }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    cents: u8,
}
impl Event for Flat {}
impl Event for Option<Plain> {}
impl Event for u8 {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Around(Plain);
impl Event for Around {}

/// Neither written nor read, and told the same way both times.
fn refused<E: Event>(event: &E, told: &str) {
    let error = encode(event).unwrap_err();
    assert!(error.to_string().contains(told), "{error}");
    assert!(matches!(error, EncodeError::Aggregate(_)), "{error:?}");
    let error = decode::<E>("Plain", "null").err().unwrap();
    assert!(cause(&error).contains(told), "{}", cause(&error));
    assert_eq!(error.code(), "invalid_aggregate");
}

#[test]
fn enums_with_other_tags_are_refused_naming_the_attribute() {
    let tag = "Internal is internally tagged; remove `#[serde(tag = \"..\")]`";
    refused(&Internal::Unit, tag);
    refused(&Internal::Newtype(BTreeMap::new()), tag);
    refused(&Internal::Struct { cents: 1 }, tag);
    let content = "remove `#[serde(tag = \"kind\", content = \"of\")]`";
    refused(&Adjacent::Unit, content);
    refused(&Adjacent::Newtype(1), content);
    refused(&Adjacent::Struct { cents: 1 }, content);
    let untagged = "remove `#[serde(untagged)]`";
    refused(&Untagged::Unit, untagged);
    refused(&Untagged::Newtype(1), untagged);
    refused(&Untagged::Struct { cents: 1 }, untagged);
    refused(&Untagged::Plain(Plain::Opened), untagged);
    refused(&PartlyUntagged::Named, untagged);
    refused(&PartlyUntagged::Plain(Plain::Opened), untagged);
}

#[test]
fn what_is_no_enum_is_refused() {
    refused(&Flat { cents: 1 }, "Flat is a struct");
    refused(&Some(Plain::Opened), "is no enum");
    refused(&7_u8, "u8 is no enum");
}

#[test]
fn a_newtype_around_an_enum_is_the_enum() {
    let event = Around(Plain::Noted(7));
    assert_eq!(
        encode(&event).unwrap(),
        ("Noted".to_owned(), "7".to_owned())
    );
    assert_eq!(decode::<Around>("Noted", "7").unwrap(), event);
}

#[test]
fn an_unknown_type_stops_the_read_and_names_the_known() {
    let error = decode::<Plain>("Vanished", "{}").unwrap_err();
    assert_eq!(
        cause(&error),
        "event 7 of stream kept-1, of type \"Vanished\" and schema version 1, cannot be decoded: \
         no variant is named \"Vanished\", only Opened, Closed, Noted; \
         add one, or an upcaster that renames or drops it"
    );
    assert_eq!(error.code(), "unknown_event_type");
}

#[test]
fn a_payload_that_does_not_fit_stops_the_read() {
    for (event_type, payload, told) in [
        ("Opened", "{}", "invalid type: map, expected unit"),
        ("Closed", "null", "invalid type: null"),
        ("Closed", "{}", "missing field `why` at line 1 column 2"),
        (
            "Closed",
            r#"{"why":7}"#,
            "invalid type: integer `7`, expected a string",
        ),
        ("Noted", "256", "invalid value: integer `256`, expected u8"),
        ("Noted", "[1,2]", "invalid type: sequence"),
    ] {
        let error = decode::<Plain>(event_type, payload).unwrap_err();
        let text = cause(&error);
        assert!(
            text.contains(&format!("does not fit {event_type:?}")),
            "{text}"
        );
        assert!(text.contains(told), "{text}");
        assert_eq!(error.code(), "undecodable_payload");
    }
}

#[test]
fn a_type_is_also_read_by_its_alias_and_any_other_where_the_enum_says_so() {
    assert_eq!(decode::<Lenient>("Begun", "null").unwrap(), Lenient::Opened);
    for payload in ["null", "7", r#"{"deep":[{}]}"#] {
        assert_eq!(
            decode::<Lenient>("Newer", payload).unwrap(),
            Lenient::Unknown
        );
    }
    assert!(decode::<Lenient>("Opened", "{}").is_err());
    let unknown = encode(&Lenient::Unknown).unwrap();
    assert_eq!(unknown, ("Unknown".to_owned(), "null".to_owned()));
}

#[test]
fn what_would_not_be_read_back_is_not_written() {
    for event in [Lopsided::A, Lopsided::B] {
        let error = encode(&event).unwrap_err();
        assert_eq!(error.code(), "event_not_readable", "{error}");
    }
    for event in [Blank::A, Blank::B] {
        assert_eq!(encode(&event).unwrap_err().code(), "invalid_name");
    }
}

#[test]
fn what_has_no_json_form_is_named() {
    let error = encode(&Measured::Weighed { grams: f64::NAN }).unwrap_err();
    assert!(cause(&error).contains("\"Weighed\" cannot be stored: the payload's grams"));
    let error = encode(&Skipped::Hidden).unwrap_err();
    assert!(
        cause(&error).contains("Skipped\" cannot be stored"),
        "{}",
        cause(&error)
    );
    let by = BTreeMap::from([((1, 2), 3)]);
    let error = encode(&Measured::Counted { by }).unwrap_err();
    assert!(cause(&error).contains("\"Counted\""), "{}", cause(&error));
    assert_eq!(error.code(), "invalid_payload");
}
