//! An event type and a payload, read as a variant of an enum. The content goes from the
//! payload's text straight into the variant's fields.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny,
    IntoDeserializer, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::DecodeErrorKind;
use crate::upcast::UpcastEvent;

/// Reads an event from the text of its payload.
pub(super) fn text<E: DeserializeOwned>(
    event_type: &str,
    payload: &str,
) -> Result<E, DecodeErrorKind> {
    let mut json = serde_json::Deserializer::from_str(payload);
    let read = event(event_type, &mut json)?;
    let end = json.end();
    end.map_err(|source| DecodeErrorKind::payload(event_type, source))?;
    Ok(read)
}

/// Reads an event that came through upcasters.
pub(super) fn upcast<E: DeserializeOwned>(from: UpcastEvent) -> Result<E, DecodeErrorKind> {
    event(&from.event_type, from.payload)
}

fn event<'de, E, D>(event_type: &str, content: D) -> Result<E, DecodeErrorKind>
where
    E: DeserializeOwned,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    let stored = Stored {
        event_type,
        content,
    };
    E::deserialize(stored).map_err(|fault| match fault {
        Fault::UnknownVariant(known) => DecodeErrorKind::UnknownType {
            read_as: event_type.to_owned(),
            known,
        },
        Fault::Content(source) => DecodeErrorKind::payload(event_type, source),
        Fault::Other(text) => DecodeErrorKind::payload(event_type, Error::custom(text)),
    })
}

/// An enum whose variant's name and content are stored apart.
struct Stored<'a, D> {
    event_type: &'a str,
    content: D,
}

impl<'de, D> Deserializer<'de> for Stored<'_, D>
where
    D: Deserializer<'de, Error = serde_json::Error>,
{
    type Error = Fault;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(Variant {
            stored: self,
            variants,
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("the event is not read as an enum"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The variant that an event type names.
struct Variant<'a, D> {
    stored: Stored<'a, D>,
    variants: &'static [&'static str],
}

impl<'de, D> EnumAccess<'de> for Variant<'_, D>
where
    D: Deserializer<'de, Error = serde_json::Error>,
{
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.stored.event_type.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de, D> VariantAccess<'de> for Variant<'_, D>
where
    D: Deserializer<'de, Error = serde_json::Error>,
{
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        let Stored {
            event_type,
            content,
        } = self.stored;
        if self.variants.contains(&event_type) {
            return Ok(<()>::deserialize(content)?);
        }
        // Only `#[serde(other)]` takes a name that is not its own, with whatever it holds.
        IgnoredAny::deserialize(content)?;
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        Ok(seed.deserialize(self.stored.content)?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        Ok(self.stored.content.deserialize_tuple(len, visitor)?)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let content = self.stored.content;
        Ok(content.deserialize_struct("", fields, visitor)?)
    }
}

/// What serde says, kept apart by where it arose.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("unknown variant")]
    UnknownVariant(&'static [&'static str]),
    #[error(transparent)]
    Content(#[from] serde_json::Error),
    #[error("{0}")]
    Other(String),
}

impl Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Other(text.to_string())
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownVariant(known)
    }
}
