//! How serde reads a type, asked of the type itself: only an externally tagged enum leaves
//! its variant's name to the column of the event type.
//!
//! The codec asks once for each aggregate, before anything is written.

use std::any::type_name;
use std::cell::Cell;

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Expected, Visitor};

/// The variants of an event enum, aliases included; or what is wrong with the type, and
/// which attribute to remove.
pub(super) fn variants<E: DeserializeOwned>() -> Result<&'static [&'static str], String> {
    let form = Cell::new(Form::Other);
    // The answer is in what it asks for first; it gets nothing.
    let _ = E::deserialize(Probe(&form));
    let event = type_name::<E>();
    let tagged = |how: &str, attribute: &str| {
        format!(
            "its event {event} is {how}; remove `{attribute}`: the variant's name is the event type, which has a column of its own"
        )
    };
    Err(match form.into_inner() {
        Form::Enum(variants) => return Ok(variants),
        Form::Internal => tagged("internally tagged", "#[serde(tag = \"..\")]"),
        Form::Untagged => tagged("untagged", "#[serde(untagged)]"),
        Form::Adjacent(tag, content) => {
            let attribute = format!("#[serde(tag = {tag:?}, content = {content:?})]");
            tagged("adjacently tagged", &attribute)
        }
        Form::Struct => format!(
            "its event {event} is a struct; make it a variant of an enum, whose name is the event type"
        ),
        Form::Other => format!(
            "its event {event} is no enum; make it one, whose variants' names are the event types"
        ),
    })
}

/// What a type asks a deserializer for.
enum Form {
    Enum(&'static [&'static str]),
    Internal,
    Adjacent(&'static str, &'static str),
    Untagged,
    Struct,
    Other,
}

macro_rules! something_else {
    ($($method:ident($($argument:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _: V) -> Result<V::Value, Error> {
            self.note(Form::Other)
        })*
    };
}

/// Notes what it is asked for, and fails.
struct Probe<'a>(&'a Cell<Form>);

impl Probe<'_> {
    fn note<T>(&self, form: Form) -> Result<T, Error> {
        self.0.set(form);
        Err(Error::custom("only asked"))
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    /// What both tagless forms ask for; the visitor tells them apart, as serde words it.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let expected = (&visitor as &dyn Expected).to_string();
        match expected.starts_with("internally tagged enum") {
            true => self.note(Form::Internal),
            false => self.note(Form::Untagged),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.note(Form::Enum(variants))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let expected = (&visitor as &dyn Expected).to_string();
        match *fields {
            [tag, content] if expected.starts_with("adjacently tagged enum") => {
                self.note(Form::Adjacent(tag, content))
            }
            _ => self.note(Form::Struct),
        }
    }

    /// A newtype around an enum is as good as the enum.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    something_else! {
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(&'static str);
        deserialize_seq();
        deserialize_tuple(usize);
        deserialize_tuple_struct(&'static str, usize);
        deserialize_map();
        deserialize_identifier();
        deserialize_ignored_any();
    }
}
