//! A case that breaks a law, as small as it can be while it breaks the same law.

use proptest::strategy::ValueTree;

use super::case::Case;
use super::numbers::Numbers;

const STEPS_MAX: u32 = 4_096;
const ROUNDS_MAX: u32 = 512;

/// The smallest case that was met on the way.
pub(super) fn shrink(
    mut tree: impl ValueTree<Value = Case>,
    breaks: impl Fn(&Case) -> bool,
    numbers: &Numbers<'_>,
) -> Case {
    let mut smallest = tree.current();
    for _ in 0..STEPS_MAX {
        let case = tree.current();
        let goes_on = match breaks(&case) {
            true => {
                smallest = case;
                tree.simplify()
            }
            false => tree.complicate(),
        };
        if !goes_on {
            break;
        }
    }
    for _ in 0..ROUNDS_MAX {
        match next(&smallest, &breaks, numbers) {
            Some(next) => smallest = next,
            None => break,
        }
    }
    smallest
}

/// A smaller case that breaks the law, where there is one.
fn next(case: &Case, breaks: &impl Fn(&Case) -> bool, numbers: &Numbers<'_>) -> Option<Case> {
    let next = fewer(case).chain(pairs(case)).find(breaks);
    let next = next.or_else(|| numbers.smaller(case).into_iter().find(breaks));
    // Without one command, another may have less to do, or the work of both.
    next.or_else(|| {
        fewer(case).find_map(|fewer| {
            let cases = [numbers.smaller(&fewer), numbers.larger(&fewer, case)];
            cases.into_iter().flatten().find(breaks)
        })
    })
}

/// The case with two commands less that were given: what one of them did, the other undid.
fn pairs(case: &Case) -> impl Iterator<Item = Case> {
    let number = case.given.len();
    let two = (0..number).flat_map(move |one| (one + 1..number).map(move |other| (one, other)));
    two.map(|(one, other)| {
        let mut rest = case.clone();
        rest.given.remove(other);
        rest.given.remove(one);
        rest
    })
}

/// The case with one command less.
fn fewer(case: &Case) -> impl Iterator<Item = Case> {
    let less = |from: &[_], index| {
        let mut rest = from.to_vec();
        rest.remove(index);
        rest
    };
    let given = (0..case.given.len()).map(move |index| Case {
        given: less(&case.given, index),
        ..case.clone()
    });
    let theirs = (0..case.theirs.len()).map(move |index| Case {
        theirs: less(&case.theirs, index),
        ..case.clone()
    });
    // Where the last of the others, or of what was given, is all that it takes.
    let instead = [&case.theirs, &case.given].into_iter().map(Vec::as_slice);
    let instead = instead.filter_map(|from| from.split_last()).take(1);
    let instead = instead.map(move |(last, rest)| {
        let is_theirs = !case.theirs.is_empty();
        Case {
            given: if is_theirs {
                case.given.clone()
            } else {
                rest.to_vec()
            },
            theirs: if is_theirs { rest.to_vec() } else { Vec::new() },
            mine: last.clone(),
        }
    });
    given.chain(theirs).chain(instead)
}
