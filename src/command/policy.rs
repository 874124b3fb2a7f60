//! What becomes of a conflict: one pure function over what is known of it.
//!
//! The loop gathers the facts and asks here. From the top, the first that holds decides:
//!
//! | if | then |
//! |---|---|
//! | the command's own id or events are among the unseen | it took effect |
//! | the caller demanded a version | the conflict surfaces |
//! | the stream was deleted or closed meanwhile | the conflict surfaces |
//! | what it requires is not so any more | it is told so |
//! | the current state breaks an invariant | it is told so, unless it repairs |
//! | on the current state there is nothing left to do | nothing is done |
//! | it is declared to surface, or nothing is declared | the conflict surfaces |
//! | it redecides or commutes, and clashes with an unseen event | the conflict surfaces |
//! | otherwise | what it is declared to do |

use crate::conflict::Policy;

/// A conflict, as far as it matters to what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Whether the command's own id or events are among the unseen.
    pub(super) own: bool,
    /// Whether the caller demanded a version.
    pub(super) demanded: bool,
    /// Whether the stream was deleted or closed meanwhile.
    pub(super) gone: bool,
    /// Whether what the command requires is so.
    pub(super) required: bool,
    /// Whether the current state breaks an invariant, and the command does not repair.
    pub(super) broken: bool,
    /// Whether it decides on nothing on the current state.
    pub(super) nothing_left: bool,
    /// What it declares.
    pub(super) policy: Policy,
    /// Whether it clashes with an unseen event.
    pub(super) clashes: bool,
}

/// What becomes of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    AlreadyApplied,
    Unmet,
    Broken,
    NothingToDo,
    Surface(Why),
    Redecide,
    Commute,
    Merge,
}

/// Why it surfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Demanded,
    Gone,
    Declared,
    Clash,
}

pub(super) const fn resolve(situation: &Situation) -> Resolution {
    match *situation {
        Situation { own: true, .. } => Resolution::AlreadyApplied,
        Situation { demanded: true, .. } => Resolution::Surface(Why::Demanded),
        Situation { gone: true, .. } => Resolution::Surface(Why::Gone),
        Situation {
            required: false, ..
        } => Resolution::Unmet,
        Situation { broken: true, .. } => Resolution::Broken,
        Situation {
            nothing_left: true, ..
        } => Resolution::NothingToDo,
        Situation {
            policy, clashes, ..
        } => declared(policy, clashes),
    }
}

impl Resolution {
    /// Its name.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::AlreadyApplied => "already_applied",
            Self::Unmet => "unmet",
            Self::Broken => "broken",
            Self::NothingToDo => "nothing_to_do",
            Self::Surface(_) => "surface",
            Self::Redecide => "redecide",
            Self::Commute => "commute",
            Self::Merge => "merge",
        }
    }
}

const fn declared(policy: Policy, clashes: bool) -> Resolution {
    match (policy, clashes) {
        (Policy::Surface, _) => Resolution::Surface(Why::Declared),
        // A merge sees every unseen event, and says itself what it cannot stand beside.
        (Policy::Merge, _) => Resolution::Merge,
        (Policy::Redecide | Policy::Commute, true) => Resolution::Surface(Why::Clash),
        (Policy::Redecide, false) => Resolution::Redecide,
        (Policy::Commute, false) => Resolution::Commute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every situation that there is.
    fn situations() -> impl Iterator<Item = Situation> {
        let policies = [
            Policy::Surface,
            Policy::Redecide,
            Policy::Commute,
            Policy::Merge,
        ];
        (0..128).flat_map(move |bits: u32| {
            let bit = move |index: u32| bits & (1 << index) != 0;
            policies.into_iter().map(move |policy| Situation {
                own: bit(0),
                demanded: bit(1),
                gone: bit(2),
                required: bit(3),
                broken: bit(4),
                nothing_left: bit(5),
                clashes: bit(6),
                policy,
            })
        })
    }

    /// A row of the truth table: what must be so (`1`), must not be (`0`) or does not
    /// matter (`-`) of own, demanded, gone, required, broken, nothing left, clashes.
    fn row(facts: &str, situation: &Situation) -> bool {
        let Situation {
            own,
            demanded,
            gone,
            required,
            broken,
            nothing_left,
            clashes,
            ..
        } = *situation;
        let is = [own, demanded, gone, required, broken, nothing_left, clashes];
        facts
            .chars()
            .filter(|c| *c != ' ')
            .zip(is)
            .all(|(fact, is)| match fact {
                '1' => is,
                '0' => !is,
                _ => true,
            })
    }

    #[test]
    fn the_truth_table_of_conflicts() {
        use Policy::{Commute, Merge, Redecide, Surface};
        use Resolution as To;

        let any: &[Policy] = &[Surface, Redecide, Commute, Merge];
        #[rustfmt::skip]
        let table: &[(&str, &[Policy], Resolution)] = &[
            // own demanded gone required broken nothing clashes
            ("1 - - - - - -", any, To::AlreadyApplied),
            ("0 1 - - - - -", any, To::Surface(Why::Demanded)),
            ("0 0 1 - - - -", any, To::Surface(Why::Gone)),
            ("0 0 0 0 - - -", any, To::Unmet),
            ("0 0 0 1 1 - -", any, To::Broken),
            ("0 0 0 1 0 1 -", any, To::NothingToDo),
            ("0 0 0 1 0 0 -", &[Surface], To::Surface(Why::Declared)),
            ("0 0 0 1 0 0 1", &[Redecide, Commute], To::Surface(Why::Clash)),
            ("0 0 0 1 0 0 0", &[Redecide], To::Redecide),
            ("0 0 0 1 0 0 0", &[Commute], To::Commute),
            ("0 0 0 1 0 0 -", &[Merge], To::Merge),
        ];
        let mut met = vec![0; table.len()];
        for situation in situations() {
            let rows = table.iter().enumerate();
            let holding: Vec<_> = rows
                .filter(|(_, (facts, policies, _))| {
                    row(facts, &situation) && policies.contains(&situation.policy)
                })
                .collect();
            let [(index, (_, _, expected))] = holding.as_slice() else {
                panic!("{} rows speak to {situation:?}", holding.len());
            };
            assert_eq!(resolve(&situation), *expected, "{situation:?}");
            if let Some(met) = met.get_mut(*index) {
                *met += 1;
            }
        }
        assert!(met.iter().all(|times| *times > 0), "{met:?}");
        assert_eq!(met.iter().sum::<u32>(), 512);
    }

    #[test]
    fn nothing_that_surfaces_is_ever_tried_again() {
        let surfaced = situations().filter(|situation| situation.policy == Policy::Surface);
        for situation in surfaced {
            let resolution = resolve(&situation);
            let again = matches!(
                resolution,
                Resolution::Redecide | Resolution::Commute | Resolution::Merge
            );
            assert!(!again, "{situation:?}");
        }
    }
}
