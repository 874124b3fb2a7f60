//! Steps 3 to 5, but for the append: a command is decided on a state, and what comes of it
//! is held against the invariants.

use super::{At, Command, Decision, DispatchError, Draft, EventOf, Run, Step, When};
use crate::aggregate::{Aggregate, Violation, fold};
use crate::caught::caught;
use crate::event::NewEvent;

impl<C: Command> Run<C> {
    /// Steps 3 to 5, but for the append: what is to happen, and that it may.
    pub(super) fn draft(&self, at: &At<C>, step: Step<C>) -> Result<Draft<C>, DispatchError<C>> {
        let (events, decided_by) = match step {
            Step::Decide(decided_by) => {
                self.check(at, &at.state, When::Loaded)?;
                (self.decide(&at.state)?, decided_by)
            }
            Step::Merge(events) => (events, Decision::Merged),
            Step::Commute => {
                let first = self.first.as_ref().map(|first| first.events.clone());
                (first.unwrap_or_default(), Decision::Commuted)
            }
        };
        if events.is_empty() {
            return Ok(Draft::nothing(at));
        }
        let state = fold(at.state.clone(), &events).map_err(|source| self.panicked(source))?;
        let when = match decided_by {
            Decision::Commuted => When::Commuted,
            Decision::Merged => When::Merged,
            _ => When::Decided,
        };
        self.check(at, &state, when)?;
        let new_events = match (&self.first, decided_by) {
            (Some(first), Decision::Commuted) => first.new_events.clone(),
            _ => self.encode(&events)?,
        };
        Ok(Draft {
            events,
            new_events,
            state,
            decided_by,
        })
    }

    pub(super) fn decide(&self, state: &C::Aggregate) -> Result<Vec<EventOf<C>>, DispatchError<C>> {
        let decided = caught(|| self.command.decide(state));
        let decided = decided.map_err(|source| self.panicked(source))?;
        decided.map_err(DispatchError::Rejected)
    }

    /// Checks the invariants of a state. One that was never written has none to keep, and
    /// who repairs may begin with a broken one.
    pub(super) fn check(
        &self,
        at: &At<C>,
        state: &C::Aggregate,
        when: When,
    ) -> Result<(), DispatchError<C>> {
        if when == When::Loaded && (!at.exists() || self.options.repairing) {
            return Ok(());
        }
        match self.invariants(state)? {
            Ok(()) => Ok(()),
            Err(source) => Err(DispatchError::InvariantViolated {
                stream: self.stream.clone(),
                version: at.version,
                when,
                source,
            }),
        }
    }

    pub(super) fn invariants(
        &self,
        state: &C::Aggregate,
    ) -> Result<Result<(), Violation>, DispatchError<C>> {
        caught(|| state.invariants()).map_err(|source| self.panicked(source))
    }

    fn encode(&self, events: &[EventOf<C>]) -> Result<Vec<NewEvent>, DispatchError<C>> {
        let metadata = self
            .options
            .metadata
            .clone()
            .with_command_id(self.id.clone());
        let encoded = self.repository.encode(events)?;
        let with_metadata = |event: NewEvent| event.with_metadata(metadata.clone());
        Ok(encoded.into_iter().map(with_metadata).collect())
    }
}
