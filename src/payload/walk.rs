//! One walk over JSON text that finds what `serde_json` lets pass: a key twice
//! in one object. It also counts the depth, so that the answer is ours.
//! Called once for each event, when it is made.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{InvalidPayload, Payload};

/// Checks that `text` is one JSON value that every reader takes the same way.
pub(super) fn check(text: &str) -> Result<(), InvalidPayload> {
    let found = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_str(text);
    // The walk counts for itself and stops at DEPTH_MAX, so the stack is safe.
    json.disable_recursion_limit();
    let walk = Walk {
        found: &found,
        depth: 0,
    };
    let walked = walk.deserialize(&mut json).and_then(|()| json.end());
    walked.map_err(|error| match found.take() {
        None => InvalidPayload::NotJson(error),
        Some(Found::TooDeep) => InvalidPayload::TooDeep {
            max: Payload::DEPTH_MAX,
        },
        Some(Found::DuplicateKey(key)) => InvalidPayload::DuplicateKey {
            key,
            line: error.line(),
            column: error.column(),
        },
    })
}

/// What the walk found, beside serde's own error, which carries only text.
enum Found {
    TooDeep,
    DuplicateKey(String),
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    found: &'a RefCell<Option<Found>>,
    /// How many containers this value stands in.
    depth: usize,
}

impl Walk<'_> {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == Payload::DEPTH_MAX {
            return Err(self.stop(Found::TooDeep));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn stop<E: serde::de::Error>(self, found: Found) -> E {
        self.found.replace(Some(found));
        E::custom("refused by the walk")
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            if let Some(twice) = seen.replace(key) {
                let shown = twice.chars().take(80).collect();
                return Err(self.stop(Found::DuplicateKey(shown)));
            }
            entries.next_value_seed(inside)?;
        }
        Ok(())
    }
}

/// A key, borrowed from the text wherever it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
