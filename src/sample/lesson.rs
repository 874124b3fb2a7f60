//! What is known of one place: which texts it takes, which numbers, which shapes, which keys.
//!
//! A lesson only ever grows, by steps of which there are few. So trying again comes to an end.

use super::texts::KINDS;

/// The shapes of a value whose type does not say what it is, simplest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    Bool,
    Number,
    Text,
    List,
    Map,
}

impl Shape {
    pub(super) const ALL: [Self; 6] = [
        Self::Null,
        Self::Bool,
        Self::Number,
        Self::Text,
        Self::List,
        Self::Map,
    ];

    /// When it is tried for a field of whose type nothing is known: first what is most used,
    /// and a map before a list, as which a struct can be read, too.
    pub(super) fn turn(self) -> u8 {
        match self {
            Self::Number => 0,
            Self::Text => 1,
            Self::Bool => 2,
            Self::Null => 3,
            Self::Map => 4,
            Self::List => 5,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Lesson {
    /// Which of the kinds of texts, and how many of its texts.
    kind: usize,
    limit: Option<usize>,
    /// The only texts that are taken, if the type names them.
    words: &'static [&'static str],
    least: i128,
    most: Option<i128>,
    never_negative: bool,
    refused_shapes: Vec<Shape>,
    /// The shapes that were taken where a type is not known: no other is tried.
    taken_shapes: Vec<Shape>,
    /// The keys that a map must have.
    pub(super) keys: Vec<&'static str>,
    /// The keys that were refused, such as aliases of others.
    pub(super) unwanted: Vec<&'static str>,
    /// The enum's first variant that does not lead on for ever.
    pub(super) way_out: usize,
}

/// What is next above a least number that was refused.
const RISING: &[i128] = &[1, 2, 3, 4, 8, 10, 18, 100, 1_000, 1_900, 2_000, 10_000];

/// What is next below a number that was refused.
const FALLING: &[i128] = &[
    // Seconds that a date can be made of, then what fits into words and bytes.
    200_000_000_000,
    4_294_967_295,
    2_147_483_647,
    999_999_999,
    65_535,
    10_000,
    1_000,
    255,
    100,
    59,
    31,
    23,
    12,
    10,
    7,
    5,
    3,
    2,
    1,
    0,
];

impl Lesson {
    pub(super) fn texts(&self) -> &'static [&'static str] {
        let all = match self.words {
            [] => KINDS.get(self.kind).copied().unwrap_or_default(),
            words => words,
        };
        all.get(..self.limit.unwrap_or(all.len())).unwrap_or(all)
    }

    /// Whether the type names its texts, as it does for the tag of an enum.
    pub(super) fn is_named(&self) -> bool {
        !self.words.is_empty()
    }

    pub(super) fn name(&mut self, words: &'static [&'static str]) -> bool {
        let is_new = self.words != words;
        if is_new {
            (self.words, self.limit) = (words, None);
        }
        is_new
    }

    /// Fewer of the same kind, or the next kind when its simplest text is refused.
    pub(super) fn refuse_text(&mut self, index: usize) -> bool {
        if index > 0 {
            self.limit = Some(if index >= 4 { 4 } else { 1 });
            return true;
        }
        let is_next = self.words.is_empty() && self.kind + 1 < KINDS.len();
        if is_next {
            (self.kind, self.limit) = (self.kind + 1, None);
        }
        is_next
    }

    /// The number that a number is taken for.
    pub(super) fn fit(&self, number: i128) -> i128 {
        let most = self.most.unwrap_or(i128::MAX);
        if number < 0 && !self.never_negative {
            return number.max(most.saturating_neg());
        }
        number.saturating_abs().max(self.least).min(most)
    }

    pub(super) fn refuse_number(&mut self, number: i128) -> bool {
        if number < 0 {
            return !std::mem::replace(&mut self.never_negative, true);
        }
        let most = self.most.unwrap_or(i128::MAX);
        if number > self.least {
            let next = FALLING.iter().find(|next| **next < number);
            self.most = next.map(|next| (*next).max(self.least));
            return self.most.is_some();
        }
        let next = RISING.iter().find(|next| **next > number && **next <= most);
        self.least = next.copied().unwrap_or(self.least);
        next.is_some()
    }

    pub(super) fn shapes(&self) -> impl Iterator<Item = Shape> {
        let is_open = |shape: &Shape| match self.taken_shapes.is_empty() {
            true => !self.refused_shapes.contains(shape),
            false => self.has_taken(*shape),
        };
        Shape::ALL.into_iter().filter(is_open)
    }

    pub(super) fn has_taken(&self, shape: Shape) -> bool {
        self.taken_shapes.contains(&shape)
    }

    pub(super) fn take_shape(&mut self, shape: Shape) {
        // What was refused once stays refused, or a lesson could be learned for ever.
        if !self.has_taken(shape) && !self.refused_shapes.contains(&shape) {
            self.taken_shapes.push(shape);
        }
    }

    /// At least one shape stays.
    pub(super) fn refuse_shape(&mut self, shape: Shape) -> bool {
        let open = |other: &Shape| *other != shape && !self.refused_shapes.contains(other);
        let is_next = !self.refused_shapes.contains(&shape) && Shape::ALL.iter().any(open);
        if is_next {
            self.taken_shapes.retain(|taken| *taken != shape);
            self.refused_shapes.push(shape);
        }
        is_next
    }

    pub(super) fn want_key(&mut self, key: &'static str) -> bool {
        let is_new = !self.keys.contains(&key) && !self.unwanted.contains(&key);
        if is_new {
            self.keys.push(key);
        }
        is_new
    }

    pub(super) fn refuse_key(&mut self, key: &'static str) -> bool {
        self.keys.retain(|other| *other != key);
        let is_new = !self.unwanted.contains(&key);
        if is_new {
            self.unwanted.push(key);
        }
        is_new
    }

    pub(super) fn next_way_out(&mut self, of: usize) -> bool {
        let is_next = self.way_out + 1 < of;
        self.way_out += usize::from(is_next);
        is_next
    }
}
