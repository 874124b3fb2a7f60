//! Numbers made into small things: texts, whole numbers, sizes, shapes. What was drawn is
//! kept until the value stands, so that a refusal finds what was refused.

use std::cell::{Cell, RefCell};

use super::learned::Lessons;
use super::lesson::{Lesson, Shape};
use super::place::{Mark, Place};
use super::refusal::Found;

/// One value in the making.
pub(super) struct Run<'a> {
    choices: &'a [u64],
    next: Cell<usize>,
    lessons: &'a Lessons,
    drawn: RefCell<Vec<Drawn>>,
}

/// One thing that was given to the type.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) mark: Mark,
    /// Whether nothing is known of its type but that it is missed.
    pub(super) is_wanted: bool,
    /// The shape, where the type did not say which.
    pub(super) shape: Option<Shape>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Nothing,
    Number(i128),
    Text {
        text: &'static str,
        index: usize,
    },
    List(u64),
    /// With the keys that are named, so far.
    Map {
        keys: Vec<&'static str>,
        size: u64,
    },
}

impl Drawn {
    pub(super) fn keys(&self) -> Option<&[&'static str]> {
        match &self.what {
            What::Map { keys, .. } => Some(keys),
            _ => None,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self.what, What::Nothing) && self.shape.is_none()
    }

    /// Whether it is what a type says that it found.
    pub(super) fn is(&self, found: &Found) -> bool {
        match (&self.what, found) {
            (What::Number(number), Found::Number(found)) => number == found,
            (What::Text { text, .. }, Found::Text(found)) => text == found,
            (What::List(_), Found::List) | (What::Map { .. }, Found::Map) => true,
            (What::Nothing, Found::Null) => self.shape == Some(Shape::Null),
            (What::Nothing, Found::Bool) => self.shape == Some(Shape::Bool),
            _ => false,
        }
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(choices: &'a [u64], lessons: &'a Lessons) -> Self {
        Self {
            choices,
            next: Cell::new(0),
            lessons,
            drawn: RefCell::default(),
        }
    }

    pub(super) fn into_drawn(self) -> Vec<Drawn> {
        self.drawn.into_inner()
    }

    pub(super) fn drawn_count(&self) -> usize {
        self.drawn.borrow().len()
    }

    pub(super) fn lesson(&self, mark: Mark) -> Option<&'a Lesson> {
        self.lessons.get(&mark)
    }

    /// The next choice; those that run out count as zeros.
    pub(super) fn choice(&self) -> u64 {
        let next = self.next.get();
        self.next.set(next + 1);
        self.choices.get(next).copied().unwrap_or(0)
    }

    /// One of so many, small numbers as they are.
    pub(super) fn one_of(&self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.choice() % count).unwrap_or(0)
    }

    /// Keeps what was drawn, and answers where it is kept.
    pub(super) fn keep(&self, place: &Place<'_>, shape: Option<Shape>, what: What) -> usize {
        let mut drawn = self.drawn.borrow_mut();
        drawn.push(Drawn {
            mark: place.mark,
            is_wanted: place.is_wanted(),
            shape,
            what,
        });
        drawn.len() - 1
    }

    /// A map that was kept has one key more.
    pub(super) fn keep_key(&self, kept: usize, key: &'static str) {
        let mut drawn = self.drawn.borrow_mut();
        if let Some(What::Map { keys, .. }) = drawn.get_mut(kept).map(|one| &mut one.what) {
            keys.push(key);
        }
    }

    /// A map that was kept has its lessons elsewhere from now on.
    pub(super) fn ground(&self, kept: usize, mark: Mark) {
        if let Some(drawn) = self.drawn.borrow_mut().get_mut(kept) {
            drawn.mark = mark;
        }
    }

    pub(super) fn text(&self, place: &Place<'_>, shape: Option<Shape>) -> &'static str {
        let texts = match self.lesson(place.mark) {
            Some(lesson) => lesson.texts(),
            None => Lesson::default().texts(),
        };
        let index = self.one_of(texts.len());
        let text = texts.get(index).copied().unwrap_or_default();
        self.keep(place, shape, What::Text { text, index });
        text
    }

    /// The text that was drawn last of all, if its type names its texts.
    pub(super) fn last_word(&self, place: &Place<'_>) -> Option<&'static str> {
        let drawn = self.drawn.borrow();
        let last = drawn.last().filter(|last| last.mark == place.mark)?;
        let is_named = self.lesson(last.mark).is_some_and(Lesson::is_named);
        match last.what {
            What::Text { text, .. } if is_named => Some(text),
            _ => None,
        }
    }

    /// A whole number: the choice as it is, clamped. Where there are negatives, one more
    /// choice is drawn, of which seven of eight mean positive.
    pub(super) fn whole(
        &self,
        place: &Place<'_>,
        shape: Option<Shape>,
        (min, max): (i128, i128),
    ) -> i128 {
        let size = match self.choice() {
            u64::MAX => i128::MAX,
            size => size.into(),
        };
        let number = match (min < 0 && self.choice() % 8 == 7, size) {
            (false, size) => size,
            (true, i128::MAX) => i128::MIN,
            (true, size) => -size,
        };
        let lesson = self.lesson(place.mark);
        let number = number.clamp(min, max);
        let number = lesson.map_or(number, |lesson| lesson.fit(number));
        let number = number.clamp(min, max);
        self.keep(place, shape, What::Number(number));
        number
    }

    /// Small whole numbers and halves, exact in both widths unless the choice is large.
    pub(super) fn float(&self) -> f64 {
        let halves = u32::try_from(self.choice()).unwrap_or(u32::MAX);
        let is_negative = self.choice() % 8 == 7 && halves > 0;
        let number = f64::from(halves) / 2.0;
        if is_negative { -number } else { number }
    }

    /// How many elements: few, and none where it is deep already.
    pub(super) fn size(&self, place: &Place<'_>) -> u64 {
        let size = match place.depth > super::DEPTH_SIMPLE {
            true => 0,
            false => self.choice().min(3),
        };
        let lesson = self.lesson(place.mark);
        let size = lesson.map_or(size.into(), |lesson| lesson.fit(size.into()));
        u64::try_from(size.min(SIZE_MAX)).unwrap_or(0)
    }

    /// One of the shapes that a place takes. Where a field is missed, of whose type nothing
    /// is known, they are tried in order, so that a refusal is easily told from others.
    pub(super) fn shape(&self, place: &Place<'_>) -> Shape {
        let none = Lesson::default();
        let lesson = self.lesson(place.mark).unwrap_or(&none);
        let mut shapes: Vec<_> = lesson.shapes().collect();
        if place.is_wanted() {
            shapes.sort_by_key(|shape| shape.turn());
        }
        let index = match place.is_wanted() || place.depth > super::DEPTH_SIMPLE {
            true => 0,
            false => self.one_of(shapes.len()),
        };
        shapes.get(index).copied().unwrap_or(Shape::Null)
    }

    /// Which of an enum's variants: by the choice, counted from the first that ends.
    pub(super) fn variant(&self, place: &Place<'_>, of: usize) -> usize {
        let way_out = self.lesson(place.mark).map_or(0, |lesson| lesson.way_out);
        let index = match place.depth > super::DEPTH_SIMPLE {
            true => 0,
            false => self.one_of(of),
        };
        (way_out + index) % of.max(1)
    }
}

/// However many a type asks for.
const SIZE_MAX: i128 = 16;
