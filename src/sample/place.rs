//! Where a value stands in the value that is made: what lessons are kept by, and what an
//! error names.
//!
//! A place inside of a struct or an enum is known by that type, wherever the type stands:
//! what is learned of one `Line` holds for every `Line`, at any depth.

use std::any::type_name;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What lessons about a place are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark(u64);

impl Mark {
    fn of(parts: impl Hash) -> Self {
        // Without keys of its own: the same place has the same mark in every run.
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// One place, on the stack of whoever reads it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    up: Option<&'a Place<'a>>,
    step: Step,
    pub(super) mark: Mark,
    pub(super) depth: usize,
}

#[derive(Clone, Copy, Hash)]
enum Step {
    /// The same value, seen through a newtype, an option, or as its type.
    Same,
    Field(&'static str),
    /// A field that a type has missed, of which nothing is known but its name.
    Wanted(&'static str),
    /// In a list, all of whose items are alike.
    Item,
    /// In a tuple, where they are not.
    Index(usize),
    Key,
    Value,
    Variant(&'static str, usize),
}

impl<'a> Place<'a> {
    pub(super) fn root() -> Self {
        Self {
            up: None,
            step: Step::Same,
            mark: Mark::of("root"),
            depth: 0,
        }
    }

    fn step(&'a self, step: Step) -> Self {
        Self {
            up: Some(self),
            step,
            mark: Mark::of((self.mark, step)),
            depth: self.depth + 1,
        }
    }

    pub(super) fn field(&'a self, name: &'static str) -> Self {
        self.step(Step::Field(name))
    }

    pub(super) fn wanted(&'a self, name: &'static str) -> Self {
        self.step(Step::Wanted(name))
    }

    pub(super) fn is_key(&self) -> bool {
        matches!(self.step, Step::Key)
    }

    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.step, Step::Wanted(_))
    }

    pub(super) fn item(&'a self) -> Self {
        self.step(Step::Item)
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    pub(super) fn key(&'a self) -> Self {
        self.step(Step::Key)
    }

    pub(super) fn value(&'a self) -> Self {
        self.step(Step::Value)
    }

    /// A variant, one of so many. It is no deeper: its content is.
    pub(super) fn variant(&'a self, name: &'static str, of: usize) -> Self {
        Self {
            depth: self.depth,
            ..self.step(Step::Variant(name, of))
        }
    }

    /// The same value, one step further down.
    pub(super) fn deeper(&'a self) -> Self {
        Self {
            mark: self.mark,
            ..self.step(Step::Same)
        }
    }

    /// The same value, known by its type, which its visitor stands for.
    pub(super) fn of_type<V>(&'a self) -> Self {
        Self {
            up: Some(self),
            step: Step::Same,
            mark: Mark::of(type_name::<V>()),
            depth: self.depth,
        }
    }

    /// The place and those it stands in, outwards.
    fn outwards(&'a self) -> impl Iterator<Item = &'a Place<'a>> {
        std::iter::successors(Some(self), |place| place.up)
    }

    /// The enums that it stands in, innermost first, with the number of their variants.
    pub(super) fn enums(&'a self) -> Vec<(Mark, usize)> {
        let enums = self.outwards().filter_map(|place| match place.step {
            Step::Variant(_, of) => place.up.map(|up| (up.mark, of)),
            _ => None,
        });
        enums.collect()
    }

    /// As an error shows it: `Order.lines[].due`.
    pub(super) fn path(&self) -> String {
        let steps: Vec<_> = self.outwards().map(|place| place.step).collect();
        let mut path = String::new();
        for step in steps.iter().rev() {
            match step {
                Step::Same => {}
                Step::Item => path.push_str("[]"),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key => path.push_str("{key}"),
                Step::Value => path.push_str("{}"),
                Step::Field(name) | Step::Wanted(name) | Step::Variant(name, _) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
            }
        }
        path
    }
}
