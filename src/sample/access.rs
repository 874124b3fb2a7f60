//! What stands inside of a value: items, entries, fields, and the content of a variant.

use std::collections::VecDeque;

use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::place::Place;
use super::read::{Drawing, name};
use super::refusal::Refusal;

/// The items of a list or a tuple.
pub(super) struct Items<'r> {
    drawing: Drawing<'r>,
    next: usize,
    count: usize,
    are_alike: bool,
}

impl<'r> Items<'r> {
    pub(super) fn alike(drawing: Drawing<'r>, size: u64) -> Self {
        let count = usize::try_from(size).unwrap_or(0);
        Self {
            drawing,
            next: 0,
            count,
            are_alike: true,
        }
    }

    pub(super) fn tuple(drawing: Drawing<'r>, count: usize) -> Self {
        Self {
            drawing,
            next: 0,
            count,
            are_alike: false,
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        if self.next == self.count {
            return Ok(None);
        }
        let place = match self.are_alike {
            true => self.drawing.place.item(),
            false => self.drawing.place.index(self.next),
        };
        self.next += 1;
        self.drawing.at(&place).read(seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.next)
    }
}

/// The entries of a map whose keys are free.
pub(super) struct Entries<'r> {
    drawing: Drawing<'r>,
    left: u64,
}

impl<'r> Entries<'r> {
    pub(super) fn new(drawing: Drawing<'r>, left: u64) -> Self {
        Self { drawing, left }
    }

    fn read<'de, S: DeserializeSeed<'de>>(
        &self,
        place: &Place<'_>,
        seed: S,
    ) -> Result<S::Value, Refusal> {
        self.drawing.at(place).read(seed)
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refusal;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.read(&self.drawing.place.key(), seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        self.read(&self.drawing.place.value(), seed)
    }
}

/// The values of keys that are known: a struct's own, or those that were missed before.
pub(super) struct Fields<'r> {
    drawing: Drawing<'r>,
    /// Where the keys stand: in the map, or in its variant once its tag is known.
    ground: Place<'r>,
    kept: usize,
    left: VecDeque<&'static str>,
    current: &'static str,
    is_open: bool,
}

impl<'r> Fields<'r> {
    pub(super) fn closed(drawing: Drawing<'r>, kept: usize, left: VecDeque<&'static str>) -> Self {
        Self {
            drawing,
            ground: *drawing.place,
            kept,
            left,
            current: "",
            is_open: false,
        }
    }

    pub(super) fn open(drawing: Drawing<'r>, kept: usize, left: Vec<&'static str>) -> Self {
        Self {
            is_open: true,
            ..Self::closed(drawing, kept, left.into())
        }
    }

    /// Behind a tag, the keys are those of the variant that it names.
    fn enter(&mut self, tag: &'static str) {
        self.ground = self.drawing.place.variant(tag, 0);
        self.drawing.run.ground(self.kept, self.ground.mark);
        if let Some(lesson) = self.drawing.run.lesson(self.ground.mark) {
            self.left.extend(&lesson.keys);
        }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refusal;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        let Some(next) = self.left.pop_front() else {
            return Ok(None);
        };
        self.current = next;
        self.drawing.run.keep_key(self.kept, next);
        seed.deserialize(name(next)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        let run = self.drawing.run;
        let place = match self.is_open {
            true => self.ground.wanted(self.current),
            false => self.ground.field(self.current),
        };
        let value = self.drawing.at(&place).read(seed)?;
        let tag = run.last_word(&place).filter(|_| self.is_open);
        if let Some(tag) = tag {
            self.enter(tag);
        }
        Ok(value)
    }
}

/// A variant that is chosen, and its content.
pub(super) struct Variant<'r> {
    pub(super) drawing: Drawing<'r>,
    pub(super) name: &'static str,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refusal> {
        Ok((seed.deserialize(name(self.name))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        let place = self.drawing.place.deeper();
        self.drawing.at(&place).read(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.drawing.tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.drawing.fields(names, visitor)
    }
}
