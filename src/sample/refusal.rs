//! Why a type refused what it was given: serde's own words, kept apart by what can be
//! learned from them.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::place::{Mark, Place};

/// One refusal, and the innermost place that it came out of.
#[derive(Debug)]
pub(super) struct Refusal(Box<Told>);

#[derive(Debug)]
struct Told {
    why: Why,
    message: String,
    at: Option<At>,
}

/// Where a value was refused.
#[derive(Debug)]
pub(super) struct At {
    pub(super) mark: Mark,
    pub(super) path: String,
    /// How much was drawn before anything of this value.
    pub(super) drawn_before: usize,
}

#[derive(Debug)]
pub(super) enum Why {
    /// In the type's own words, which teach nothing but that it did not want this.
    Said,
    WrongType(Found),
    WrongValue(Found),
    UnknownVariant(String, &'static [&'static str]),
    MissingField(&'static str),
    UnknownField(String),
    DuplicateField,
    /// With the enums that lead there, innermost first, and how many variants each has.
    TooDeep(Vec<(Mark, usize)>),
}

/// What a type says that it found.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    Null,
    Bool,
    Number(i128),
    Text(String),
    List,
    Map,
    Variant,
    Other,
}

impl Refusal {
    fn new(why: Why, message: String) -> Self {
        let at = None;
        Self(Box::new(Told { why, message, at }))
    }

    pub(super) fn too_deep(place: &Place<'_>) -> Self {
        let message = format!("it has no end within {} steps", super::DEPTH_MAX);
        Self::new(Why::TooDeep(place.enums()), message)
    }

    /// Names the place, unless one further in is named already.
    pub(super) fn at(mut self, place: &Place<'_>, drawn_before: usize) -> Self {
        self.0.at.get_or_insert_with(|| At {
            mark: place.mark,
            path: place.path(),
            drawn_before,
        });
        self
    }

    pub(super) fn why(&self) -> &Why {
        &self.0.why
    }

    pub(super) fn place(&self) -> Option<&At> {
        self.0.at.as_ref()
    }

    /// Its path, and what was said.
    pub(super) fn into_parts(self) -> (String, String) {
        let told = *self.0;
        (told.at.map(|at| at.path).unwrap_or_default(), told.message)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Refusal {}

impl Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Why::Said, message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let message = format!("invalid type: {found}, expected {expected}");
        Self::new(Why::WrongType(found.into()), message)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let message = format!("invalid value: {found}, expected {expected}");
        Self::new(Why::WrongValue(found.into()), message)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let message = format!("invalid length {length}, expected {expected}");
        Self::new(Why::WrongValue(Found::List), message)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let message = format!("unknown variant `{variant}`, expected one of {known:?}");
        Self::new(Why::UnknownVariant(variant.to_owned(), known), message)
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let message = format!("unknown field `{field}`, expected one of {known:?}");
        Self::new(Why::UnknownField(field.to_owned()), message)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Why::MissingField(field), format!("missing field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Why::DuplicateField, format!("duplicate field `{field}`"))
    }
}

impl From<Unexpected<'_>> for Found {
    fn from(found: Unexpected<'_>) -> Self {
        match found {
            Unexpected::Unit | Unexpected::Option => Self::Null,
            Unexpected::Bool(_) => Self::Bool,
            Unexpected::Unsigned(number) => Self::Number(number.into()),
            Unexpected::Signed(number) => Self::Number(number.into()),
            Unexpected::Str(text) => Self::Text(text.to_owned()),
            Unexpected::Seq => Self::List,
            Unexpected::Map => Self::Map,
            Unexpected::Enum
            | Unexpected::UnitVariant
            | Unexpected::NewtypeVariant
            | Unexpected::TupleVariant
            | Unexpected::StructVariant => Self::Variant,
            _ => Self::Other,
        }
    }
}
