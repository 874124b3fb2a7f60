//! What all samples of one type have learned, and which lesson a refusal teaches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::draw::{Drawn, What};
use super::lesson::{Lesson, Shape};
use super::place::Mark;
use super::refusal::{Found, Refusal, Why};

pub(super) type Lessons = BTreeMap<Mark, Lesson>;

/// What was learned about what a type takes, by where it stands in it. Shared by all
/// samples of one type.
#[derive(Debug, Default)]
pub(crate) struct Learned(Mutex<Arc<Lessons>>);

/// One lesson more, for one place; it says whether there is anything new in it.
type Step<'a> = (Mark, Box<dyn FnOnce(&mut Lesson) -> bool + 'a>);

impl Learned {
    fn lock(&self) -> MutexGuard<'_, Arc<Lessons>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lessons of now. They do not change under a value that is being made.
    pub(super) fn lessons(&self) -> Arc<Lessons> {
        Arc::clone(&self.lock())
    }

    /// Takes the lesson of a refusal; whether there was one.
    pub(super) fn learn(&self, lessons: &Lessons, drawn: &[Drawn], refusal: &Refusal) -> bool {
        let taught = steps(drawn, refusal, lessons)
            .into_iter()
            .find_map(|(mark, step)| {
                let mut lesson = lessons.get(&mark).cloned().unwrap_or_default();
                step(&mut lesson).then_some((mark, lesson))
            });
        // Made of the lesson that was refused, not of the one that is there now: two that
        // are refused the same at once learn it once.
        let is_taught = taught.is_some();
        if let Some((mark, lesson)) = taught {
            Arc::make_mut(&mut *self.lock()).insert(mark, lesson);
        }
        // A type misses a field when it has taken all that came before.
        if matches!(refusal.why(), Why::MissingField(_)) {
            self.take(lessons, beneath(drawn, refusal));
        }
        is_taught
    }

    /// Takes it that what was drawn was good.
    pub(super) fn take(&self, lessons: &Lessons, drawn: &[Drawn]) {
        for one in drawn.iter().filter(|one| one.is_wanted) {
            let Some(shape) = one.shape else { continue };
            if !has_taken(lessons, one) {
                let mut now = self.lock();
                let lesson = Arc::make_mut(&mut *now).entry(one.mark).or_default();
                lesson.take_shape(shape);
            }
        }
    }
}

fn has_taken(lessons: &Lessons, one: &Drawn) -> bool {
    let lesson = lessons.get(&one.mark);
    lesson.is_some_and(|lesson| one.shape.is_some_and(|shape| lesson.has_taken(shape)))
}

/// What was drawn for the value that was refused, and for what stands in it.
fn beneath<'a>(drawn: &'a [Drawn], refusal: &Refusal) -> &'a [Drawn] {
    let from = refusal.place().map_or(0, |at| at.drawn_before);
    drawn.get(from..).unwrap_or_default()
}

/// What may be learned, best guess first.
fn steps<'a>(all: &'a [Drawn], refusal: &'a Refusal, lessons: &'a Lessons) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::new();
    let drawn = beneath(all, refusal);
    match refusal.why() {
        Why::TooDeep(enums) => {
            for (mark, of) in enums {
                steps.push((*mark, Box::new(|lesson| lesson.next_way_out(*of))));
            }
            return steps;
        }
        Why::MissingField(key) => steps.extend(wanted(drawn, key)),
        Why::DuplicateField => {
            let twice = drawn
                .iter()
                .find_map(|one| Some((one.mark, *one.keys()?.last()?)));
            if let Some((mark, key)) = twice {
                steps.push((mark, Box::new(move |lesson| lesson.refuse_key(key))));
            }
        }
        Why::UnknownField(unknown) => {
            for one in drawn {
                let key = one
                    .keys()
                    .and_then(|keys| keys.iter().find(|key| *key == unknown));
                if let Some(key) = key {
                    steps.push((one.mark, Box::new(|lesson| lesson.refuse_key(key))));
                }
            }
        }
        Why::UnknownVariant(given, words) => {
            let is_it = |one: &&Drawn| matches!(one.what, What::Text { text, .. } if text == given);
            if let Some(one) = drawn.iter().rev().find(is_it) {
                let is_named = lessons.get(&one.mark).is_some_and(Lesson::is_named);
                if !is_named {
                    steps.push((one.mark, Box::new(|lesson| lesson.name(words))));
                }
            }
        }
        Why::WrongType(_) | Why::WrongValue(_) | Why::Said => {}
    }
    let is_of_wrong_type =
        matches!(refusal.why(), Why::WrongType(found) if *found != Found::Variant);
    for one in culprits(drawn, refusal, lessons) {
        let step = move |lesson: &mut Lesson| refuse(lesson, one, is_of_wrong_type);
        steps.push((one.mark, Box::new(step)));
    }
    // A list may stand for a struct, whose items are not alike then: rather a map.
    for one in drawn.iter().filter(|one| one.shape == Some(Shape::List)) {
        steps.push((
            one.mark,
            Box::new(|lesson| lesson.refuse_shape(Shape::List)),
        ));
    }
    steps
}

/// A key that is missed: from the outermost map, else from the one that was made last.
fn wanted<'a>(drawn: &'a [Drawn], key: &'static str) -> Vec<Step<'a>> {
    let lacks = |one: &&Drawn| one.keys().is_some_and(|keys| !keys.contains(&key));
    let maps: Vec<_> = drawn.iter().filter(lacks).collect();
    let (first, others) = match maps.split_first() {
        Some((first, others)) => (Some(first), others),
        None => (None, &[] as &[_]),
    };
    let ordered = first.into_iter().chain(others.iter().rev());
    let want = ordered.map(|one| {
        let step: Step<'a> = (one.mark, Box::new(move |lesson| lesson.want_key(key)));
        step
    });
    want.collect()
}

/// What was refused, best guess first: what the type names; else what was drawn for this
/// very place; else, where a type reads from what it has gathered, the last that was
/// gathered; else an extreme number, of which a sum may not fit.
fn culprits<'a>(drawn: &'a [Drawn], refusal: &Refusal, lessons: &Lessons) -> Vec<&'a Drawn> {
    let mark = refusal.place().map(|at| at.mark);
    let found = match refusal.why() {
        Why::WrongType(found) | Why::WrongValue(found) => found,
        _ => &Found::Other,
    };
    let is_word = |one: &Drawn| lessons.get(&one.mark).is_some_and(Lesson::is_named);
    let is_named = |one: &Drawn| match (refusal.why(), &one.what) {
        (Why::UnknownVariant(given, _), What::Text { text, .. }) => text == given,
        // A variant without the content that it needs: its name was a text.
        _ if *found == Found::Variant => one.shape.is_some() && is_word(one),
        _ => one.is(found),
    };
    // What has gathered others is not what was refused.
    let is_here = |one: &Drawn| {
        let has_keys = one.keys().is_some_and(|keys| !keys.is_empty());
        Some(one.mark) == mark && !one.is_nothing() && !has_keys
    };
    let is_gathered = |one: &Drawn| one.shape.is_some();
    let is_extreme =
        |one: &Drawn| matches!(one.what, What::Number(n) if !(0..=10_000).contains(&n));
    let guesses: [&dyn Fn(&Drawn) -> bool; 4] = [&is_named, &is_here, &is_gathered, &is_extreme];
    let mut all = guesses.into_iter().map(|guess| {
        let fitting = drawn.iter().rev().filter(|one| guess(one));
        let mut fitting: Vec<_> = fitting.collect();
        // What was taken before is less likely refused than what was not.
        fitting.sort_by_key(|one| !one.is_wanted || has_taken(lessons, one));
        fitting
    });
    all.find(|fitting| !fitting.is_empty()).unwrap_or_default()
}

fn refuse(lesson: &mut Lesson, one: &Drawn, is_of_wrong_type: bool) -> bool {
    let by_value = !is_of_wrong_type
        && match &one.what {
            What::Text { index, .. } => lesson.refuse_text(*index),
            What::Number(number) => lesson.refuse_number(*number),
            What::List(size) | What::Map { size, .. } => {
                one.shape.is_none() && lesson.refuse_number((*size).into())
            }
            What::Nothing => false,
        };
    by_value || one.shape.is_some_and(|shape| lesson.refuse_shape(shape))
}
