//! The JSON of an event: checked when it is made, then kept to the byte.
//!
//! Whoever makes an event comes through here. What is refused is what readers
//! would see differently from the writer, or could not read at all:
//!
//! | input | answer | why |
//! |---|---|---|
//! | `NaN`, infinities in a Rust value | refused, naming the field | JSON has no word for them (RFC 8259, section 6); `serde_json` would write `null` |
//! | one key twice in an object | refused, naming the key | readers differ in which one they take (RFC 8259, section 4) |
//! | nesting deeper than 127 | refused | `serde_json` would not read it back |
//! | a number beyond `f64`, such as `1e400` | refused | the same |
//! | an integer of 2^64 and more | kept, digit by digit | it is JSON; decode it as `u128`, or as a float if that is near enough |

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod finite;
mod walk;

/// The JSON text of one event, exactly as it was given. Cloning is cheap.
///
/// ```
/// use annalist::Payload;
///
/// let payload = Payload::from_text(r#"{ "cents": 500 }"#)?;
/// assert_eq!(payload.as_str(), r#"{ "cents": 500 }"#);
/// assert!(Payload::from_text(r#"{ "cents": 1, "cents": 2 }"#).is_err());
/// # Ok::<(), annalist::InvalidPayload>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Payload(Arc<str>);

impl Payload {
    /// How deep objects and arrays may nest.
    pub const DEPTH_MAX: usize = 127;

    /// Writes a value as JSON.
    ///
    /// # Errors
    ///
    /// [`InvalidPayload`] when the value cannot be JSON, see the table in this
    /// module's text.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidPayload> {
        finite::check(value)?;
        let text = serde_json::to_string(value).map_err(InvalidPayload::NotJson)?;
        Self::from_text(text)
    }

    /// Takes JSON text as it is, white space included.
    ///
    /// # Errors
    ///
    /// [`InvalidPayload`] when the text is not one JSON value, or one that
    /// readers would not agree on.
    pub fn from_text(text: impl Into<String>) -> Result<Self, InvalidPayload> {
        let text = text.into();
        walk::check(&text)?;
        Ok(Self(text.into()))
    }

    /// Takes text that was checked before it was stored.
    pub(crate) fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the text as a value.
    ///
    /// # Errors
    ///
    /// Those of `serde_json`, when the text does not fit the type.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

impl fmt::Debug for Payload {
    /// Shows the size only: payloads hold what must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// A payload where it is read: the text of one, borrowed.
#[derive(Clone, Copy)]
pub struct PayloadRef<'a>(&'a str);

impl<'a> PayloadRef<'a> {
    pub(crate) fn of(payload: &'a Payload) -> Self {
        Self(&payload.0)
    }

    /// Takes text that was checked before it was stored.
    #[cfg(feature = "sqlite")]
    pub(crate) const fn from_stored(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for PayloadRef<'_> {
    /// As a [`Payload`] shows itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// A payload that cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPayload {
    /// The text is not one JSON value, or the value has no JSON form.
    #[error("the payload is not valid JSON")]
    NotJson(#[source] serde_json::Error),
    /// An object holds a key twice.
    #[error(
        "the payload holds the key {key:?} twice in one object (line {line}, column {column}); readers would differ in which one they take"
    )]
    DuplicateKey {
        /// The key; of a long one, the beginning.
        key: String,
        /// The line of its second appearance, from 1.
        line: usize,
        /// The column of its second appearance, from 1.
        column: usize,
    },
    /// Objects and arrays nest too deep.
    #[error("the payload nests deeper than {max} levels; flatten it")]
    TooDeep {
        /// The deepest nesting that is stored.
        max: usize,
    },
    /// A floating-point number is not finite.
    #[error(
        "the payload's {path} is not a finite number, which JSON cannot hold; use an Option or a text"
    )]
    NotFinite {
        /// Where it stands, as `field.field`; `value` when it stands alone.
        path: String,
    },
}

impl InvalidPayload {
    /// The stable name of this error: `invalid_payload`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_payload"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    #[test]
    fn text_is_kept_to_the_byte() {
        for text in [
            "null",
            " { \"a\" : 1.0 } ",
            "18446744073709551616",
            "{\"a\":0.1e-7,\"b\":\"\\u0000\"}",
        ] {
            assert_eq!(Payload::from_text(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in [
            "",
            "{",
            "NaN",
            "{\"a\":NaN}",
            "1 2",
            "{'a':1}",
            "\"\0\"",
            "1e400",
            "[1,]",
        ] {
            let error = Payload::from_text(text).unwrap_err();
            assert!(
                matches!(error, InvalidPayload::NotJson(_)),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_key_twice_in_one_object_is_refused_and_named() {
        let text = r#"{"a":{"x":1},"b":[{"x":1,"y":2,"x":3}]}"#;
        let error = Payload::from_text(text).unwrap_err().to_string();
        assert!(error.contains("\"x\" twice"), "{error}");
        // The same key however it is spelled.
        assert!(Payload::from_text(r#"{"a":1,"\u0061":2}"#).is_err());
        assert!(Payload::from_text(r#"{"a":1,"b":{"a":2}}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded_where_readers_are() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let deepest = Payload::from_text(nested(127)).unwrap();
        deepest.decode::<serde_json::Value>().unwrap();
        let error = Payload::from_text(nested(128)).unwrap_err();
        assert!(matches!(error, InvalidPayload::TooDeep { max: 127 }));
        // As deep as it likes: the walk stops, the stack does not overflow.
        assert!(Payload::from_text("[".repeat(1_000_000)).is_err());
        assert!(Payload::from_text("{\"a\":".repeat(1_000_000)).is_err());
    }

    #[test]
    fn a_value_that_nests_too_deep_is_refused_before_the_stack_ends() {
        use serde_json::Value;
        let nested = |depth| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        Payload::from_value(&nested(127)).unwrap();
        let deep = nested(128);
        let error = Payload::from_value(&deep).unwrap_err();
        assert!(matches!(error, InvalidPayload::TooDeep { max: 127 }));
        let error = Payload::from_value(&nested(5_000)).unwrap_err();
        assert!(matches!(error, InvalidPayload::TooDeep { max: 127 }));

        #[derive(Serialize)]
        struct Link(Option<Box<Link>>);
        let chain = (0..5_000).fold(Link(None), |inner, _| Link(Some(Box::new(inner))));
        let error = Payload::from_value(&chain).unwrap_err();
        assert!(matches!(error, InvalidPayload::TooDeep { max: 127 }));
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_and_located() {
        #[derive(Serialize)]
        struct Reading {
            sensor: &'static str,
            values: BTreeMap<&'static str, Vec<Option<f64>>>,
        }
        let reading = |value| Reading {
            sensor: "s",
            values: BTreeMap::from([("night", vec![Some(1.5), None, Some(value)])]),
        };
        Payload::from_value(&reading(2.5)).unwrap();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = Payload::from_value(&reading(value)).unwrap_err();
            assert!(
                matches!(&error, InvalidPayload::NotFinite { path } if path == "values.night.2"),
                "{error}"
            );
        }
        let alone = Payload::from_value(&f32::NAN).unwrap_err();
        assert!(
            alone.to_string().contains("value is not a finite"),
            "{alone}"
        );
    }

    #[test]
    fn a_float_is_read_back_to_the_bit() {
        // One of those that serde_json misses by a bit without `float_roundtrip`.
        let ratio = 1.1005903947010159e-240_f64;
        let payload = Payload::from_value(&ratio).unwrap();
        assert_eq!(payload.decode::<f64>().unwrap().to_bits(), ratio.to_bits());
    }

    #[test]
    fn a_value_that_writes_one_key_twice_is_refused() {
        #[derive(Serialize)]
        struct Outer {
            id: u8,
            #[serde(flatten)]
            inner: BTreeMap<&'static str, u8>,
        }
        let inner = BTreeMap::from([("id", 2)]);
        assert!(Payload::from_value(&Outer { id: 1, inner }).is_err());
    }

    #[test]
    fn the_debug_form_shows_no_content() {
        let payload = Payload::from_text("\"secret\"").unwrap();
        assert_eq!(format!("{payload:?}"), "Payload(8 bytes)");
    }
}
