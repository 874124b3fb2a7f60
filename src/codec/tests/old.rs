//! Old events through upcasters, and user code that panics.

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Account {
    Deposited { cents: u128, currency: String },
    Left { to: String },
    Entered { from: String },
}

impl Event for Account {
    fn upcasters() -> Upcasters {
        Upcasters::new()
            .rename("PaidIn", "Deposited")
            .step("PaidIn", 1, |mut payload| {
                payload["currency"] = "EUR".into();
                Ok(payload)
            })
            .split("Moved", 1, |payload| {
                let field = |key: &str| payload[key].as_str().ok_or(format!("no {key}"));
                Ok(vec![
                    UpcastEvent::new("Left", json!({ "to": field("to")? })),
                    UpcastEvent::new("Entered", json!({ "from": field("from")? })),
                ])
            })
            .drop("Viewed", 1)
    }
}

fn read(event_type: &str, schema_version: u32, payload: &str) -> Result<Vec<Account>, DecodeError> {
    let events = recorded(event_type, schema_version, payload).decode::<Kept<Account>>()?;
    Ok(events.collect())
}

fn deposited(cents: u128) -> Account {
    let currency = "EUR".to_owned();
    Account::Deposited { cents, currency }
}

#[test]
fn old_events_are_read_in_the_shape_of_today() {
    let today = r#"{"cents":18446744073709551616,"currency":"EUR"}"#;
    let large = 1 << 64;
    assert_eq!(read("Deposited", 2, today).unwrap(), [deposited(large)]);
    // A rename alone leaves the text as it is, whatever numbers it holds.
    assert_eq!(read("PaidIn", 2, today).unwrap(), [deposited(large)]);
    assert_eq!(read("PaidIn", 1, r#"{"cents":5}"#).unwrap(), [deposited(5)]);
    let moved = read("Moved", 1, r#"{"from":"a","to":"b"}"#).unwrap();
    let (to, from) = ("b".to_owned(), "a".to_owned());
    assert_eq!(moved, [Account::Left { to }, Account::Entered { from }]);
    assert_eq!(read("Viewed", 1, "null").unwrap(), []);
}

#[test]
fn new_events_carry_the_current_schema_version() {
    let codec = Codec::<Kept<Account>>::new();
    assert_eq!(codec.encode(&deposited(1)).unwrap().schema_version, 2);
    let left = Account::Left { to: "a".into() };
    assert_eq!(codec.encode(&left).unwrap().schema_version, 1);
}

#[test]
fn an_old_event_that_cannot_be_read_says_where_and_why() {
    let error = read("Moved", 1, r#"{"from":"a"}"#).unwrap_err();
    assert_eq!(
        cause(&error),
        "event 7 of stream kept-1, of type \"Moved\" and schema version 1, cannot be decoded: \
         the upcaster of \"Moved\" from schema version 1 failed: no to"
    );
    let error = read("PaidIn", 1, "[]").unwrap_err();
    assert_eq!(error.code(), "panicked");
    let error = read("Deposited", 3, "{}").unwrap_err();
    assert_eq!(error.code(), "newer_schema_version");
    let error = read("Deposited", 1, "{}").unwrap_err();
    assert_eq!(error.code(), "upcaster_missing");
    let error = read("PaidIn", 1, r#"{"cents":"x"}"#).unwrap_err();
    assert!(cause(&error).contains("does not fit \"Deposited\""));
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stale {
    Old,
    New,
}

impl Event for Stale {
    fn upcasters() -> Upcasters {
        Upcasters::new().rename("Old", "New")
    }
}

#[test]
fn an_event_that_would_be_read_as_another_is_not_written() {
    let error = encode(&Stale::Old).unwrap_err();
    assert!(error.to_string().contains("renamed to \"New\""), "{error}");
    encode(&Stale::New).unwrap();
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Torn {
    A,
}

impl Event for Torn {
    fn upcasters() -> Upcasters {
        Upcasters::new().rename("B", "A").rename("A", "B")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Careless {
    A,
}

impl Event for Careless {
    fn upcasters() -> Upcasters {
        panic!("not written yet")
    }
}

#[test]
fn upcasters_that_cannot_be_are_told_by_every_use() {
    let error = encode(&Torn::A).unwrap_err();
    assert!(error.to_string().contains("\"A\" is renamed to itself"));
    let error = decode::<Torn>("A", "null").unwrap_err();
    assert_eq!(error.code(), "invalid_aggregate");
    let error = encode(&Careless::A).unwrap_err();
    assert!(error.to_string().contains("not written yet"), "{error}");
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Bomb {
    Safe(u8),
    Applied,
    Coded(Shy),
}

impl Event for Bomb {
    fn applied(&self) {
        assert!(!matches!(self, Self::Applied), "applied");
    }
}

#[derive(Clone, Debug)]
struct Shy;

impl Serialize for Shy {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("written")
    }
}

impl<'de> Deserialize<'de> for Shy {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("read")
    }
}

#[test]
fn user_code_that_panics_fails_one_call_and_names_the_event() {
    let codec = Codec::<Kept<Bomb>>::new();
    let fold = |events: &[RecordedEvent]| codec.fold(Kept::default(), events);
    let safe = [recorded("Safe", 1, "1"), recorded("Safe", 1, "2")];
    assert_eq!(fold(&safe).unwrap().0.len(), 2);

    let error = fold(&[recorded("Safe", 1, "1"), recorded("Applied", 1, "null")]);
    let error = error.err().unwrap();
    assert_eq!(
        cause(&error),
        "event 7 of stream kept-1, of type \"Applied\", cannot be applied: user code panicked: applied"
    );
    let error = fold(&[recorded("Coded", 1, "1")]).err().unwrap();
    assert!(matches!(error, FoldError::Decode(_)));
    assert!(cause(&error).contains("user code panicked: read"));
    let error = codec.encode(&Bomb::Coded(Shy)).unwrap_err();
    assert_eq!(error.to_string(), "user code panicked: written");
    fold(&safe).unwrap();
}

#[test]
fn a_codec_is_shared_between_threads() {
    let codec = Codec::<Kept<Account>>::new();
    let there = std::thread::spawn({
        let codec = codec.clone();
        move || codec.encode(&deposited(1)).unwrap().payload
    });
    let here = codec.encode(&deposited(1)).unwrap().payload;
    assert_eq!(there.join().unwrap(), here);
    assert_eq!(codec.upcasters().unwrap().schema_version("Deposited"), 2);
    assert!(Codec::<Kept<Torn>>::new().upcasters().is_err());
}
