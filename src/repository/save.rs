//! Saving what was decided by hand.

use std::time::Instant;

use super::{Conflict, LoadError, Loaded, Repository, SaveError, Since};
use crate::aggregate::{Aggregate, fold};
use crate::caught::caught;
use crate::conflict::{ConflictKind, ConflictReason};
use crate::store::{AppendError, Commit};
use crate::version::StreamState;

impl<A: Aggregate> Repository<A> {
    /// Appends events to the stream of an aggregate, if nothing has happened to it since
    /// it was loaded, and answers it as it is then.
    ///
    /// # Errors
    ///
    /// [`SaveError::Conflict`] when something has happened, with what it was;
    /// [`SaveError::InvariantViolated`] when the state would be broken afterwards. Nothing
    /// is written then, and nothing is tried again: the caller decides.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the events saved or not; a load tells.
    pub async fn save(
        &self,
        loaded: Loaded<A>,
        events: Vec<A::Event>,
    ) -> Result<Loaded<A>, SaveError<A>> {
        let began = Instant::now();
        let stream = &loaded.stream;
        let new_events = self.encode(&events)?;
        let last_event = new_events.last().map(|event| event.id);
        let state = fold(loaded.state.clone(), &events)?;
        caught(|| state.invariants())?.map_err(|source| SaveError::InvariantViolated {
            stream: stream.clone(),
            source,
        })?;
        let commit = Commit::new()
            .append(stream.clone(), loaded.version, new_events)
            .at_generation(loaded.generation);
        let lost = match self.store.commit(commit).await {
            Ok(receipt) => {
                let now = Loaded {
                    state,
                    version: receipt.version(),
                    last_event: last_event.or(loaded.last_event),
                    ..loaded
                };
                self.keep_if_due(loaded.version, &now);
                return Ok(now);
            }
            Err(AppendError::Conflict(lost) | AppendError::StreamClosed(lost)) => lost,
            Err(error) => return Err(error.into()),
        };
        let since = self.catch_up(&loaded).await?;
        let removed = since.now.generation != loaded.generation;
        let reason = match lost.violations().first().map(|lost| lost.state) {
            Some(StreamState::Closed) => ConflictReason::Closed,
            Some(StreamState::Deleted) if loaded.exists() => ConflictReason::Deleted,
            _ if removed => ConflictReason::Removed,
            _ => ConflictReason::Demanded,
        };
        let mut conflict = self.conflict(&loaded, since, events, reason)?;
        conflict.elapsed = began.elapsed();
        Err(SaveError::Conflict(Box::new(conflict)))
    }

    /// What is told of a lost race.
    pub(crate) fn conflict(
        &self,
        base: &Loaded<A>,
        since: Since<A>,
        proposed: Vec<A::Event>,
        reason: ConflictReason,
    ) -> Result<Conflict<A>, LoadError> {
        let unseen = self.decode(&since.unseen)?;
        Ok(Conflict {
            stream: base.stream.clone(),
            kind: ConflictKind::LostRace,
            expected: Some(base.version),
            base: Some(base.state.clone()),
            version: since.now.version,
            current: since.now.state,
            unseen,
            unseen_recorded: since.unseen,
            proposed,
            reason,
            command: None,
            command_id: None,
            policy: None,
            attempts: 1,
            elapsed: std::time::Duration::ZERO,
        })
    }
}
