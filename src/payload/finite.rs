//! A serializer that writes nothing and refuses what must not be written: floats that
//! are not finite, and values that nest too deep.
//!
//! `serde_json` writes such floats as `null`, and an event written so can never be read
//! back. Called once for each event made from a Rust value.

use std::fmt;

use serde::Serialize;
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{InvalidPayload, Payload};

/// Checks that every float in `value` is finite.
pub(super) fn check<T: Serialize + ?Sized>(value: &T) -> Result<(), InvalidPayload> {
    match value.serialize(Check::default()) {
        Ok(()) => Ok(()),
        Err(Stop::TooDeep) => Err(InvalidPayload::TooDeep {
            max: Payload::DEPTH_MAX,
        }),
        Err(Stop::NotFinite { mut path }) => {
            path.reverse();
            let path = match path.is_empty() {
                true => "value".to_owned(),
                false => path.join("."),
            };
            Err(InvalidPayload::NotFinite { path })
        }
        Err(Stop::Other(text)) => Err(InvalidPayload::NotJson(serde_json::Error::custom(text))),
    }
}

#[derive(Debug)]
enum Stop {
    /// The path from the inside out: it grows as the walk returns.
    NotFinite { path: Vec<String> },
    /// Containers nest too deep: told here, before the text is written, since writing it
    /// would go as deep and could overflow the stack.
    TooDeep,
    /// The value's own `Serialize` refused.
    Other(String),
}

impl Stop {
    fn within(mut self, part: impl fmt::Display) -> Self {
        if let Self::NotFinite { path } = &mut self {
            path.push(part.to_string());
        }
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { .. } => f.write_str("a number is not finite"),
            Self::TooDeep => f.write_str("the value nests too deep"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Stop {}

impl serde::ser::Error for Stop {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }
}

/// The check of one value.
#[derive(Clone, Copy, Default)]
struct Check {
    /// How many containers it stands in.
    depth: usize,
    /// How many values it stands in: options and newtypes nest too, and take stack.
    steps: usize,
}

impl Check {
    /// Far more than a payload of allowed depth needs, and far from the stack's end.
    const STEPS_MAX: usize = 4 * Payload::DEPTH_MAX;

    /// Into a container.
    fn inside(self) -> Result<Inside, Stop> {
        if self.depth == Payload::DEPTH_MAX {
            return Err(Stop::TooDeep);
        }
        let depth = self.depth + 1;
        Ok(Inside {
            check: Self { depth, ..self }.within()?,
            index: 0,
        })
    }

    /// Into a value that is written as the one it holds.
    fn within(self) -> Result<Self, Stop> {
        if self.steps == Self::STEPS_MAX {
            return Err(Stop::TooDeep);
        }
        let steps = self.steps + 1;
        Ok(Self { steps, ..self })
    }
}

/// The items or entries of one container, counted for the path.
struct Inside {
    check: Check,
    index: usize,
}

impl Inside {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        let index = self.index;
        self.index += 1;
        value
            .serialize(self.check)
            .map_err(|stop| stop.within(index))
    }

    fn field<T: Serialize + ?Sized>(&self, key: &'static str, value: &T) -> Result<(), Stop> {
        value.serialize(self.check).map_err(|stop| stop.within(key))
    }
}

macro_rules! nothing_to_check {
    ($($method:ident($($argument:ty),*);)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<(), Stop> { Ok(()) })*
    };
}

macro_rules! container {
    ($($method:ident($($argument:ty),*);)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<Inside, Stop> { self.inside() })*
    };
}

impl Serializer for Check {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Inside;
    type SerializeTuple = Inside;
    type SerializeTupleStruct = Inside;
    type SerializeTupleVariant = Inside;
    type SerializeMap = Inside;
    type SerializeStruct = Inside;
    type SerializeStructVariant = Inside;

    fn serialize_f32(self, value: f32) -> Result<(), Stop> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Stop> {
        match value.is_finite() {
            true => Ok(()),
            false => Err(Stop::NotFinite { path: Vec::new() }),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stop> {
        value.serialize(self.within()?)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        value.serialize(self.within()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        self.inside()?.field(variant, value)
    }

    nothing_to_check! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    container! {
        serialize_seq(Option<usize>);
        serialize_tuple(usize);
        serialize_tuple_struct(&'static str, usize);
        serialize_tuple_variant(&'static str, u32, &'static str, usize);
        serialize_map(Option<usize>);
        serialize_struct(&'static str, usize);
        serialize_struct_variant(&'static str, u32, &'static str, usize);
    }
}

/// The containers whose parts have no name of their own.
macro_rules! items {
    ($($container:ident::$method:ident;)*) => {$(
        impl $container for Inside {
            type Ok = ();
            type Error = Stop;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
                self.item(value)
            }

            fn end(self) -> Result<(), Stop> {
                Ok(())
            }
        }
    )*};
}

items! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

/// The containers whose parts are named in the source.
macro_rules! fields {
    ($($container:ident;)*) => {$(
        impl $container for Inside {
            type Ok = ();
            type Error = Stop;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Stop> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Stop> {
                Ok(())
            }
        }
    )*};
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}

impl SerializeMap for Inside {
    type Ok = ();
    type Error = Stop;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.item(value)
    }

    fn serialize_entry<K, V>(&mut self, key: &K, value: &V) -> Result<(), Stop>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        // The key becomes text only where it is to be shown.
        value
            .serialize(self.check)
            .map_err(|stop| match serde_json::to_value(key) {
                Ok(serde_json::Value::String(key)) => stop.within(key),
                Ok(key) => stop.within(key),
                Err(_) => stop,
            })
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}
