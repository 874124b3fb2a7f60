//! The laws by name: what holds of every command and every aggregate, whatever it is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::conflict::Policy;

/// Something that holds of every command, or of every aggregate, that is what it declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Law {
    /// `Commute`: its events lead to the same state before and after those it did not see.
    CommuteOrder,
    /// `Commute`: decided on the current state, it would be accepted with the same events.
    CommuteAccepted,
    /// `Redecide`: what it decides on the current state keeps the invariants.
    RedecideInvariants,
    /// `Redecide`: what has taken effect already is not recorded once more.
    RedecideRepeats,
    /// `Merge`: what it merges keeps the invariants.
    MergeInvariants,
    /// `Merge`: what only the command changed is not lost.
    MergeDrops,
    /// `Merge`: what only the others changed is not undone.
    MergeUndoes,
    /// `Merge`: the order of independent others makes no difference.
    MergeOrder,
    /// `decide` answers the same to the same state.
    DecideDeterministic,
    /// The same events fold to the same state, now and later.
    ApplyDeterministic,
    /// Equal commands serialize alike: a command id stands for their JSON.
    SerializeDeterministic,
    /// No function panics on a state that can be reached.
    Panics,
    /// A state that was kept as JSON goes on as the one that was folded.
    Snapshot,
    /// An event that is stored is read back as that event.
    RoundTrip,
    /// Commands that race end as one after another, in some order.
    Race,
    /// Events that were recorded fold to the state that was recorded with them.
    Recorded,
}

impl Law {
    /// Its name, as in a case that is kept.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommuteOrder => "commute-order",
            Self::CommuteAccepted => "commute-accepted",
            Self::RedecideInvariants => "redecide-invariants",
            Self::RedecideRepeats => "redecide-repeats",
            Self::MergeInvariants => "merge-invariants",
            Self::MergeDrops => "merge-drops",
            Self::MergeUndoes => "merge-undoes",
            Self::MergeOrder => "merge-order",
            Self::DecideDeterministic => "decide-deterministic",
            Self::ApplyDeterministic => "apply-deterministic",
            Self::SerializeDeterministic => "serialize-deterministic",
            Self::Panics => "panics",
            Self::Snapshot => "snapshot",
            Self::RoundTrip => "round-trip",
            Self::Race => "race",
            Self::Recorded => "recorded",
        }
    }

    /// What a policy promises.
    pub(super) const fn of(policy: Policy) -> &'static [Self] {
        match policy {
            Policy::Commute => &[Self::CommuteOrder, Self::CommuteAccepted],
            Policy::Redecide => &[Self::RedecideInvariants, Self::RedecideRepeats],
            Policy::Merge => &[
                Self::MergeInvariants,
                Self::MergeDrops,
                Self::MergeUndoes,
                Self::MergeOrder,
            ],
            Policy::Surface => &[],
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommuteOrder => {
                "what commutes leads to the same state before and after what it did not see"
            }
            Self::CommuteAccepted => {
                "what commutes would be accepted with the same events where it lands"
            }
            Self::RedecideInvariants => "what is decided again keeps the invariants",
            Self::RedecideRepeats => "what has taken effect already is not recorded once more",
            Self::MergeInvariants => "what is merged keeps the invariants",
            Self::MergeDrops => "a merge loses nothing that only the command changed",
            Self::MergeUndoes => "a merge undoes nothing that only the others changed",
            Self::MergeOrder => "a merge does not depend on the order of independent others",
            Self::DecideDeterministic => "decide answers the same to the same state",
            Self::ApplyDeterministic => "the same events fold to the same state, now and later",
            Self::SerializeDeterministic => "equal commands serialize alike",
            Self::Panics => "no function panics on a state that can be reached",
            Self::Snapshot => "a state that was kept as JSON goes on as the one that was folded",
            Self::RoundTrip => "an event that is stored is read back as that event",
            Self::Race => "commands that race end as one after another, in some order",
            Self::Recorded => "recorded events fold to the state that was recorded with them",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_is_called_the_same_in_json() {
        for policy in [Policy::Commute, Policy::Redecide, Policy::Merge] {
            for law in Law::of(policy) {
                let json = serde_json::to_value(law).unwrap();
                assert_eq!(json, law.name());
            }
        }
    }
}
