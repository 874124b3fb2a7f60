//! One commit on its way: sent until the store has answered it.

use super::{
    AppendError, Appended, At, Command, Commit, DispatchError, EventId, GaveUp, NewEvent, Receipt,
    Run, StoreError, StoreErrorKind, Version, debug,
};
use crate::version::Generation;

impl<C: Command> Run<C> {
    pub(super) fn keyed(
        &self,
        (version, generation): (Version, Generation),
        events: Vec<NewEvent>,
    ) -> Commit {
        Commit::new()
            .append(self.stream.clone(), version, events)
            .at_generation(generation)
            .key(self.id.as_str(), self.fingerprint)
    }

    /// Appends events under the command id, where the state was loaded.
    pub(super) async fn commit(
        &mut self,
        at: &At<C>,
        events: Vec<NewEvent>,
        last: Option<EventId>,
    ) -> Result<Appended, DispatchError<C>> {
        let commit = self.keyed((at.version, at.generation), events);
        self.send(commit, (at.version, last), None).await
    }

    /// Sends one commit until the store has answered it. An unknown outcome, also an earlier
    /// one, is never decided again: the same commit, with the same ids and key, tells.
    pub(super) async fn send(
        &mut self,
        commit: Commit,
        (at, last): (Version, Option<EventId>),
        mut unknown: Option<StoreError>,
    ) -> Result<Appended, DispatchError<C>> {
        loop {
            let error = match self.store().commit(commit.clone()).await {
                Ok(receipt) => return Ok(Appended::Landed(receipt)),
                Err(AppendError::AlreadyCommitted { receipt, .. }) => {
                    let Some(unknown) = unknown else {
                        return Ok(Appended::Known(receipt));
                    };
                    return match self.is_own(&receipt, at, last).await {
                        Ok(true) => Ok(Appended::Landed(receipt)),
                        Ok(false) => Ok(Appended::Known(receipt)),
                        Err(_) => Err(AppendError::Store(unknown).into()),
                    };
                }
                Err(AppendError::Conflict(_) | AppendError::StreamClosed(_)) => {
                    return Ok(Appended::Lost);
                }
                Err(AppendError::KeyReused { stream, key }) => {
                    let command_id = key;
                    return Err(DispatchError::CommandIdReused { stream, command_id });
                }
                Err(AppendError::Store(error)) => error,
                Err(error) => return Err(error.into()),
            };
            let is_unknown = error.kind() == StoreErrorKind::Unknown;
            if !is_unknown && !error.is_retryable() {
                // Whoever asked last only knows that it was not this time.
                return Err(AppendError::Store(unknown.unwrap_or(error)).into());
            }
            debug!(error = error.code(), "the store did not answer");
            if let Err(gave_up) = self.pause(error.code()).await {
                let error = unknown.unwrap_or(error);
                return Err(match (gave_up, error.kind()) {
                    (GaveUp::Deadline, kind) if kind != StoreErrorKind::Unknown => {
                        DispatchError::DeadlineExceeded {
                            source: Some(error),
                        }
                    }
                    _ => AppendError::Store(error).into(),
                });
            }
            if is_unknown {
                unknown = unknown.or(Some(error));
            }
        }
    }

    /// Whether a commit that is there is the one that was sent here, and not that of
    /// another dispatch of the same id.
    async fn is_own(
        &self,
        receipt: &Receipt,
        at: Version,
        last: Option<EventId>,
    ) -> Result<bool, StoreError> {
        match last {
            Some(last) => Ok(self.store().find_event(&self.stream, last).await?.is_some()),
            // Whoever decided on nothing at this version decided what was decided here.
            None => Ok(receipt.position.is_none() && receipt.version() == at),
        }
    }
}
