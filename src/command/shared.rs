//! A command that is shared is the same command: whoever may have to send it again keeps
//! one, and needs neither a copy nor its type.

use std::sync::Arc;

use crate::aggregate::Contention;

use super::{Command, Diverged, EventOf, MergeResult, OnConflict, Requires};

impl<C: Command> Command for Arc<C> {
    type Aggregate = C::Aggregate;
    type Rejection = C::Rejection;
    const NAME: &'static str = C::NAME;
    const REQUIRES: Requires = C::REQUIRES;
    const CONTENTION: Contention = C::CONTENTION;
    const ON_CONFLICT: OnConflict<Self> = match C::ON_CONFLICT {
        OnConflict::Surface => OnConflict::Surface,
        OnConflict::Redecide => OnConflict::Redecide,
        OnConflict::Commute => OnConflict::Commute,
        OnConflict::Merge(_) => OnConflict::Merge(merge::<C>),
    };

    fn decide(&self, state: &C::Aggregate) -> Result<Vec<EventOf<C>>, C::Rejection> {
        self.as_ref().decide(state)
    }

    fn clashes_with(&self, unseen: &EventOf<C>) -> bool {
        self.as_ref().clashes_with(unseen)
    }

    fn rejection_code(rejection: &C::Rejection) -> &'static str {
        C::rejection_code(rejection)
    }

    fn name(&self) -> &str {
        self.as_ref().name()
    }
}

fn merge<C: Command>(
    command: &Arc<C>,
    diverged: &Diverged<'_, C::Aggregate>,
) -> MergeResult<Arc<C>> {
    match C::ON_CONFLICT {
        OnConflict::Merge(merge) => merge(command, diverged),
        // It is given to the bus only where the command merges.
        _ => Err("it declares no merge".to_owned()),
    }
}
