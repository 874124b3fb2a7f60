//! An enum, written as its variant's name and the JSON of what the variant holds.
//!
//! The value's own `Serialize` writes through a serializer that takes the variant off and
//! hands everything else on, so that payloads are checked as all others are.

use std::cell::Cell;

use serde::Serialize;
use serde::ser::{
    Error, Impossible, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleVariant, Serializer,
};

use super::EncodeError;
use crate::payload::Payload;

/// The variant's name and its content.
pub(super) fn content<E: Serialize>(event: &E) -> Result<(&'static str, Payload), EncodeError> {
    let content = Content {
        event,
        // Until it is known, as where serde skips the variant.
        variant: Cell::new(std::any::type_name::<E>()),
    };
    let payload = Payload::from_value(&content);
    let variant = content.variant.get();
    match payload {
        Ok(payload) => Ok((variant, payload)),
        Err(source) => Err(EncodeError::Payload {
            event_type: variant.to_owned(),
            source,
        }),
    }
}

/// Serializes as what the event's variant holds, and notes the variant.
struct Content<'a, E> {
    event: &'a E,
    variant: Cell<&'static str>,
}

impl<E: Serialize> Serialize for Content<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.event.serialize(TakeOff {
            onto: serializer,
            variant: &self.variant,
        })
    }
}

/// Takes the variant off an enum.
struct TakeOff<'a, S> {
    onto: S,
    variant: &'a Cell<&'static str>,
}

/// What is no variant of an enum.
macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok, S::Error> { refused() })*
    };
}

fn refused<T, E: Error>() -> Result<T, E> {
    Err(E::custom(
        "the event is not written as an externally tagged enum",
    ))
}

impl<S: Serializer> Serializer for TakeOff<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Onto<S::SerializeTuple>;
    type SerializeMap = Impossible<S::Ok, S::Error>;
    type SerializeStruct = Impossible<S::Ok, S::Error>;
    type SerializeStructVariant = Onto<S::SerializeStruct>;

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.variant.set(variant);
        self.onto.serialize_unit()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.variant.set(variant);
        value.serialize(self.onto)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.variant.set(variant);
        self.onto.serialize_tuple(len).map(Onto)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.variant.set(variant);
        self.onto.serialize_struct(variant, len).map(Onto)
    }

    /// A newtype around an enum is as good as the enum.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<S::Ok, S::Error> {
        refused()
    }

    refuse! {
        serialize_bool(bool) -> S::Ok;
        serialize_i8(i8) -> S::Ok;
        serialize_i16(i16) -> S::Ok;
        serialize_i32(i32) -> S::Ok;
        serialize_i64(i64) -> S::Ok;
        serialize_i128(i128) -> S::Ok;
        serialize_u8(u8) -> S::Ok;
        serialize_u16(u16) -> S::Ok;
        serialize_u32(u32) -> S::Ok;
        serialize_u64(u64) -> S::Ok;
        serialize_u128(u128) -> S::Ok;
        serialize_f32(f32) -> S::Ok;
        serialize_f64(f64) -> S::Ok;
        serialize_char(char) -> S::Ok;
        serialize_str(&str) -> S::Ok;
        serialize_bytes(&[u8]) -> S::Ok;
        serialize_none() -> S::Ok;
        serialize_unit() -> S::Ok;
        serialize_unit_struct(&'static str) -> S::Ok;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
    }
}

/// The content of a variant, written as that of a plain value.
struct Onto<C>(C);

impl<C: SerializeTuple> SerializeTupleVariant for Onto<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.0.serialize_element(value)
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.0.end()
    }
}

impl<C: SerializeStruct> SerializeStructVariant for Onto<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), C::Error> {
        self.0.serialize_field(key, value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
        self.0.skip_field(key)
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.0.end()
    }
}
