//! The deserializer that has nothing to read: it draws what a type asks for.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, Visitor};

use super::access::{Entries, Fields, Items, Variant};
use super::draw::{Run, What};
use super::lesson::Shape;
use super::place::Place;
use super::refusal::Refusal;
use crate::caught::caught;

/// What one value is read from.
#[derive(Clone, Copy)]
pub(super) struct Drawing<'r> {
    pub(super) run: &'r Run<'r>,
    pub(super) place: &'r Place<'r>,
}

impl<'r> Drawing<'r> {
    /// The same at another place.
    pub(super) fn at<'p>(self, place: &'p Place<'p>) -> Drawing<'p>
    where
        'r: 'p,
    {
        Drawing {
            run: self.run,
            place,
        }
    }

    /// Reads a value that stands at this place, and has its refusals name it.
    pub(super) fn read<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        let drawn_before = self.run.drawn_count();
        let made = self.allowed().and_then(|()| {
            caught(|| seed.deserialize(self))
                .unwrap_or_else(|panicked| Err(Error::custom(panicked)))
        });
        made.map_err(|refusal| refusal.at(self.place, drawn_before))
    }

    fn allowed(self) -> Result<(), Refusal> {
        if self.place.depth > super::DEPTH_MAX {
            return Err(Refusal::too_deep(self.place));
        }
        match self.run.drawn_count() > super::DRAWN_MAX {
            true => Err(Error::custom("it has no end")),
            false => Ok(()),
        }
    }

    fn whole(self, min: i128, max: i128) -> i128 {
        self.run.whole(self.place, None, (min, max))
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        shape: Option<Shape>,
        free_keys: Option<u64>,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let lesson = self.run.lesson(self.place.mark);
        let wanted = lesson.map(|lesson| lesson.keys.clone()).unwrap_or_default();
        let size = match wanted.is_empty() {
            true => free_keys.unwrap_or_else(|| self.run.size(self.place)),
            false => 0,
        };
        let keys = Vec::new();
        let what = What::Map { keys, size };
        let kept = self.run.keep(self.place, shape, what);
        match wanted.is_empty() {
            true => visitor.visit_map(Entries::new(self, size)),
            false => visitor.visit_map(Fields::open(self, kept, wanted)),
        }
    }

    fn list<'de, V: Visitor<'de>>(
        self,
        shape: Option<Shape>,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let size = self.run.size(self.place);
        self.run.keep(self.place, shape, What::List(size));
        visitor.visit_seq(Items::alike(self, size))
    }

    /// A struct's fields, by name; what is skipped is not among them.
    pub(super) fn fields<'de, V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let (mark, size) = (self.place.mark, 0);
        let keys = Vec::with_capacity(names.len());
        let kept = self.run.keep(self.place, None, What::Map { keys, size });
        let unwanted = self.run.lesson(mark).map(|lesson| &lesson.unwanted);
        let is_wanted = |name: &&str| unwanted.is_none_or(|unwanted| !unwanted.contains(name));
        let names = names.iter().copied().filter(is_wanted).collect();
        visitor.visit_map(Fields::closed(self, kept, names))
    }

    pub(super) fn tuple<'de, V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_seq(Items::tuple(self, length))
    }
}

/// A name that is given as it is: of a field or a variant.
pub(super) fn name(name: &'static str) -> StrDeserializer<'static, Refusal> {
    name.into_deserializer()
}

macro_rules! whole_numbers {
    ($($method:ident: $visit:ident($type:ty);)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            let number = self.whole(<$type>::MIN.into(), <$type>::MAX.into());
            visitor.$visit(<$type>::try_from(number).unwrap_or_default())
        })*
    };
}

impl<'de> Deserializer<'de> for Drawing<'_> {
    type Error = Refusal;

    whole_numbers! {
        deserialize_i8: visit_i8(i8);
        deserialize_i16: visit_i16(i16);
        deserialize_i32: visit_i32(i32);
        deserialize_i64: visit_i64(i64);
        deserialize_i128: visit_i128(i128);
        deserialize_u8: visit_u8(u8);
        deserialize_u16: visit_u16(u16);
        deserialize_u32: visit_u32(u32);
        deserialize_u64: visit_u64(u64);
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.whole(0, i128::MAX) {
            i128::MAX => visitor.visit_u128(u128::MAX),
            number => visitor.visit_u128(number.unsigned_abs()),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_bool(self.run.one_of(2) == 1)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_f32(self.run.float() as f32)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_f64(self.run.float())
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        const CHARS: [char; 8] = ['a', 'b', 'c', 'd', '0', ' ', 'é', '名'];
        let index = self.run.one_of(CHARS.len());
        visitor.visit_char(CHARS.get(index).copied().unwrap_or('a'))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.run.text(self.place, None))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_string(self.run.text(self.place, None).to_owned())
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let size = self.run.size(self.place);
        self.run.keep(self.place, None, What::List(size));
        let byte = |_| u8::try_from(self.run.choice()).unwrap_or(u8::MAX);
        visitor.visit_byte_buf((0..size).map(byte).collect())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.place.depth > super::DEPTH_SIMPLE || self.run.choice() == 0 {
            return visitor.visit_none();
        }
        let place = self.place.deeper();
        let deeper = self.at(&place);
        deeper.allowed()?;
        visitor.visit_some(deeper)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let place = self.place.deeper();
        let deeper = self.at(&place);
        deeper.allowed()?;
        visitor.visit_newtype_struct(deeper)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.list(None, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let place = self.place.of_type::<V>();
        let typed = self.at(&place);
        typed.tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.map(None, None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let place = self.place.of_type::<V>();
        let typed = self.at(&place);
        typed.fields(names, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let of = variants.len();
        let place = self.place.of_type::<V>();
        let index = self.run.variant(&place, of);
        let name = variants.get(index).copied();
        let name = name.ok_or_else(|| Refusal::custom("an enum without variants"))?;
        let place = place.variant(name, of);
        let chosen = self.at(&place);
        visitor.visit_enum(Variant {
            drawing: chosen,
            name,
        })
    }

    /// The type takes what it gets; yet what is known to be a struct, or to have a tag
    /// within, wants a map.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.place.is_key() {
            return self.deserialize_str(visitor);
        }
        let expected = (&visitor as &dyn Expected).to_string();
        let is_form = |form| expected.starts_with(form);
        let forms = ["internally tagged enum", "struct "];
        let is_record = forms.into_iter().any(is_form);
        let shape = match is_record {
            true => Shape::Map,
            false => self.run.shape(self.place),
        };
        let free_keys = (is_record || self.place.is_wanted()).then_some(0);
        let nothing = || self.run.keep(self.place, Some(shape), What::Nothing);
        match shape {
            Shape::Null => {
                nothing();
                visitor.visit_unit()
            }
            Shape::Bool => {
                nothing();
                visitor.visit_bool(self.run.one_of(2) == 1)
            }
            Shape::Number => {
                let range = (i64::MIN.into(), i64::MAX.into());
                let number = self.run.whole(self.place, Some(shape), range);
                visitor.visit_i64(i64::try_from(number).unwrap_or_default())
            }
            Shape::Text => visitor.visit_str(self.run.text(self.place, Some(shape))),
            Shape::List => self.list(Some(shape), visitor),
            Shape::Map => self.map(Some(shape), free_keys, visitor),
        }
    }
}
