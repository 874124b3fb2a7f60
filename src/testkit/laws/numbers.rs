//! Smaller numbers in the commands of a case, the same one everywhere at once: two commands
//! that meet, or that add up, lose that if each is made smaller alone.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use super::case::Case;
use super::strategy::Strategies;
use crate::domain::{AnyCommand, Domain};

/// Changes the numbers of cases, as far as they may be changed.
pub(super) struct Numbers<'a> {
    pub(super) domain: &'a Domain,
    /// What these make, they know better.
    pub(super) strategies: &'a Strategies,
}

impl Numbers<'_> {
    /// The case with smaller numbers, in the order in which they are worth trying.
    pub(super) fn smaller(&self, case: &Case) -> Vec<Case> {
        let numbers = numbers(case);
        let half = |number: i128| number / 2;
        let mut cases: Vec<_> = self.changed(case, &half).into_iter().collect();
        for number in numbers {
            let to = |other| {
                self.changed(case, &move |known| {
                    if known == number { other } else { known }
                })
            };
            cases.extend(candidates(number).filter_map(to));
        }
        cases
    }

    /// The case with one number larger by another: what is left after a command that it
    /// could do without, if another did as much as both.
    pub(super) fn larger(&self, case: &Case, whole: &Case) -> Vec<Case> {
        let added = numbers(whole);
        let number = numbers(case).into_iter();
        let sums = number.flat_map(|number| added.iter().map(move |added| (number, added)));
        let cases = sums.filter_map(|(number, added)| {
            let sum = number.saturating_add(*added);
            self.changed(case, &|known| if known == number { sum } else { known })
        });
        cases.collect()
    }

    fn changed(&self, case: &Case, change: &dyn Fn(i128) -> i128) -> Option<Case> {
        let one = |command: &AnyCommand| {
            if self.strategies.has(command.name()) {
                return Some(command.clone());
            }
            let mut payload = command.probed().payload();
            each(&mut payload, &mut |number| change(number));
            self.domain.decode(command.name(), payload.to_string()).ok()
        };
        let all = |commands: &[AnyCommand]| commands.iter().map(one).collect::<Option<Vec<_>>>();
        Some(Case {
            given: all(&case.given)?,
            theirs: all(&case.theirs)?,
            mine: one(&case.mine)?,
        })
    }
}

/// Zero, one, and ever nearer to the number itself.
fn candidates(number: i128) -> impl Iterator<Item = i128> {
    let steps = (0..64).map(move |step| number - number / (1 << (step + 1)));
    let near = steps.take_while(move |other| *other != number);
    let small = [0, 1].into_iter().chain(near);
    small.filter(move |other| other.abs() < number.abs())
}

fn numbers(case: &Case) -> BTreeSet<i128> {
    let mut found = BTreeSet::new();
    for command in case.commands() {
        each(&mut command.probed().payload(), &mut |number| {
            found.insert(number);
            number
        });
    }
    found.remove(&0);
    found
}

fn each(value: &mut Value, change: &mut impl FnMut(i128) -> i128) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_i128() {
                let changed = Number::from_i128(change(whole));
                *number = changed.unwrap_or_else(|| number.clone());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| each(value, change)),
        Value::Object(fields) => fields.values_mut().for_each(|value| each(value, change)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_is_nearer_to_zero() {
        let tried = |number| candidates(number).collect::<Vec<_>>();
        assert_eq!(tried(10), [0, 1, 5, 8, 9]);
        assert_eq!(tried(1), [0]);
        assert_eq!(tried(-4), [0, 1, -2, -3]);
    }
}
