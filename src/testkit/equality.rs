//! When two states are the same, as far as a test minds.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::aggregate::Aggregate;
use crate::caught::caught;
use crate::domain::probe::{LiveState, ProbedAggregate};

type Same = dyn Fn(&LiveState, &LiveState) -> bool + Send + Sync;

/// Says whether two states of one aggregate are the same: those of equal JSON, unless the
/// user says otherwise.
#[derive(Clone, Default)]
pub(super) struct Equality(Option<Arc<Same>>);

impl Equality {
    pub(super) fn of<A: Aggregate>(same: impl Fn(&A, &A) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(move |one, other| {
            match (one.downcast(), other.downcast()) {
                (Some(one), Some(other)) => same(one, other),
                _ => false,
            }
        })))
    }

    /// Whether a state is the one that was recorded as this JSON. The user's word is asked of
    /// what the JSON is read as; without it, the JSON itself must be the same, also where
    /// reading it would fill in what is not there.
    pub(super) fn is_recorded(
        &self,
        aggregate: &dyn ProbedAggregate,
        state: &LiveState,
        recorded: &Value,
    ) -> bool {
        match &self.0 {
            Some(_) => aggregate
                .read_state(recorded)
                .is_ok_and(|recorded| self.holds(state, &recorded)),
            None => state.json() == *recorded,
        }
    }

    /// Whether it can tell this state from another: by JSON only where it has one.
    pub(super) fn knows(&self, state: &LiveState) -> bool {
        self.0.is_some() || state.try_json().is_some()
    }

    /// A comparison that panics finds nothing the same.
    pub(super) fn holds(&self, one: &LiveState, other: &LiveState) -> bool {
        match &self.0 {
            Some(same) => caught(|| same(one, other)).unwrap_or(false),
            None => one.json() == other.json(),
        }
    }
}

impl fmt::Debug for Equality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Equality")
    }
}
