//! An aggregate whose type is not known, and which of its states are equal: as the user says,
//! or by their JSON.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::aggregate::Aggregate;
use crate::domain::Domain;
use crate::domain::probe::{LiveState, ProbedAggregate, Unanswered};
use crate::testkit::equality::Equality;

/// What the user says of each aggregate, by its category.
#[derive(Clone, Default)]
pub(super) struct Equalities(BTreeMap<&'static str, Equality>);

impl Equalities {
    pub(super) fn add<A: Aggregate>(
        &mut self,
        equal: impl Fn(&A, &A) -> bool + Send + Sync + 'static,
    ) {
        self.0.insert(A::CATEGORY, Equality::of(equal));
    }

    fn of(&self, category: &str) -> Equality {
        self.0.get(category).cloned().unwrap_or_default()
    }
}

/// An aggregate, and what is equal of it.
#[derive(Clone)]
pub(super) struct Kin {
    pub(super) domain: Domain,
    pub(super) aggregate: &'static dyn ProbedAggregate,
    pub(super) initial: LiveState,
    pub(super) equal: Equality,
}

impl Kin {
    pub(super) fn new(
        domain: &Domain,
        category: &str,
        aggregate: &'static dyn ProbedAggregate,
        equalities: &Equalities,
    ) -> Result<Self, Unanswered> {
        Ok(Self {
            domain: domain.clone(),
            aggregate,
            initial: aggregate.initial()?,
            equal: equalities.of(category),
        })
    }

    /// Whether a state is the one that was recorded.
    pub(super) fn is_recorded(&self, state: &LiveState, recorded: &Value) -> bool {
        self.equal.is_recorded(self.aggregate, state, recorded)
    }

    pub(super) fn same(&self, one: &LiveState, other: &LiveState) -> bool {
        self.equal.holds(one, other)
    }
}
