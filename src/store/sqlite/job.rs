//! What the writer is asked, and who waits for the answer.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::fault::Failure;
use super::snapshots::KeepRequest;
use crate::caught::let_go;
use crate::store::commit::{AppendRequest, CommitRequest, EventRequest};
use crate::store::database::{Done, Work};
use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::store::fence::{LeaseAnswer, LeaseRequest};
use crate::store::receipt::Receipt;
use crate::store::removal::{Compacted, RemovalRequest, Removed};

/// One thing for the writer to do.
pub(super) enum Job {
    Commit(Asked<CommitRequest, Receipt>),
    /// Each decided on what the one before it leaves: the first that is refused ends it.
    Chain(Asked<Vec<CommitRequest>, Vec<Result<Receipt, AppendError>>>),
    Remove(Asked<RemovalRequest, Removed>),
    Lease(Asked<LeaseRequest, LeaseAnswer>),
    Keep(Asked<KeepRequest, bool>),
    Compact(Asked<(), Compacted>),
    Transact(Asked<Arc<dyn Work>, Done>),
}

/// A request, and the caller that waits for its answer.
pub(super) struct Asked<Q, A> {
    pub(super) request: Q,
    /// Read by the caller, so that no clock of a user's can stop the writer.
    pub(super) now: DateTime<Utc>,
    caller: oneshot::Sender<Answer<Q, A>>,
    /// What the caller will be told once the batch is on disk.
    decided: Option<Result<A, AppendError>>,
    /// What it will be told if it is refused, having been at fault itself.
    blamed: Option<AppendError>,
}

/// What a caller is told. The request comes back with it, so that its memory is freed
/// where it was taken and not by the thread that everyone waits for: with 256 callers
/// that is 1.19 times the appends.
pub(super) struct Answer<Q, A> {
    pub(super) told: Result<A, AppendError>,
    _request: Q,
}

impl<Q, A> Asked<Q, A> {
    pub(super) fn new(request: Q, now: DateTime<Utc>) -> (Self, oneshot::Receiver<Answer<Q, A>>) {
        let (caller, answer) = oneshot::channel();
        let asked = Self {
            request,
            now,
            caller,
            decided: None,
            blamed: None,
        };
        (asked, answer)
    }

    /// Does what is asked, and keeps the answer until it may be given.
    ///
    /// An error is SQLite's: the transaction must be rolled back.
    pub(super) fn decide(
        &mut self,
        run: impl FnOnce(&Q, DateTime<Utc>) -> Result<A, Failure>,
    ) -> Result<(), StoreError> {
        // Of an earlier attempt, which was undone.
        let_go(self.decided.take());
        self.blamed = None;
        self.decided = Some(match run(&self.request, self.now) {
            Ok(answer) => Ok(answer),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(error)) => return Err(error),
            Err(Failure::Ended(error)) => {
                self.blamed = Some(error);
                return Err(ended_early());
            }
        });
        Ok(())
    }

    pub(super) fn answer(mut self) {
        if let Some(decided) = self.decided.take() {
            self.send(decided);
        }
    }

    pub(super) fn tell(mut self, told: Result<A, StoreError>) {
        let blamed = self.blamed.take();
        self.send(told.map_err(|error| match (error.kind(), blamed) {
            // What may have been written matters more than whose fault it is.
            (StoreErrorKind::Unknown, _) | (_, None) => error.into(),
            (_, Some(blamed)) => blamed,
        }));
    }

    /// What a hook said may be in what is told, and in what is not told after all.
    fn send(mut self, told: Result<A, AppendError>) {
        let_go(self.decided.take());
        let _request = self.request;
        // A caller that is gone learns the outcome by asking the same again.
        if let Err(unheard) = self.caller.send(Answer { told, _request }) {
            let_go(unheard);
        }
    }
}

fn memory_bytes(request: &CommitRequest) -> usize {
    let appends = &request.appends;
    let events: usize = appends.iter().map(|append| append.events.len()).sum();
    request.bytes()
        + events * size_of::<EventRequest>()
        + appends.len() * size_of::<AppendRequest>()
}

/// The transaction is no more, though nobody has ended it here.
pub(super) fn ended_early() -> StoreError {
    StoreError::new(StoreErrorKind::Io, "appending")
}

impl Job {
    /// Bytes that it adds to a batch.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Commit(asked) => asked.request.bytes(),
            Self::Chain(asked) => asked.request.iter().map(CommitRequest::bytes).sum(),
            Self::Keep(asked) => asked.request.snapshot.state.len(),
            Self::Remove(_) | Self::Lease(_) | Self::Compact(_) | Self::Transact(_) => 0,
        }
    }

    /// Bytes of memory that it takes up while it waits, about.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Commit(asked) => memory_bytes(&asked.request),
            Self::Chain(asked) => asked.request.iter().map(memory_bytes).sum(),
            Self::Keep(asked) => asked.request.snapshot.state.len(),
            Self::Remove(_) | Self::Lease(_) | Self::Compact(_) | Self::Transact(_) => 0,
        }
    }

    /// Whether it is over when its events are written.
    pub(super) const fn is_append(&self) -> bool {
        matches!(self, Self::Commit(_) | Self::Chain(_))
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Commit(asked) => asked.caller.is_closed(),
            Self::Chain(asked) => asked.caller.is_closed(),
            Self::Remove(asked) => asked.caller.is_closed(),
            Self::Lease(asked) => asked.caller.is_closed(),
            Self::Keep(asked) => asked.caller.is_closed(),
            Self::Compact(asked) => asked.caller.is_closed(),
            Self::Transact(asked) => asked.caller.is_closed(),
        }
    }

    /// The commits and the events that are written by it with its batch.
    pub(super) fn written(&self) -> (usize, usize) {
        let events = |request: &CommitRequest, receipt: &Receipt| match receipt.replayed {
            true => 0,
            false => request.appends.iter().map(|sent| sent.events.len()).sum(),
        };
        match self {
            Self::Commit(asked) => match &asked.decided {
                Some(Ok(receipt)) => (1, events(&asked.request, receipt)),
                _ => (0, 0),
            },
            Self::Chain(asked) => {
                let told = asked.decided.iter().flatten().flatten();
                let landed = asked.request.iter().zip(told);
                let landed =
                    landed.filter_map(|(request, told)| Some((request, told.as_ref().ok()?)));
                landed.fold((0, 0), |(commits, sum), (request, receipt)| {
                    (commits + 1, sum + events(request, receipt))
                })
            }
            Self::Remove(_)
            | Self::Lease(_)
            | Self::Keep(_)
            | Self::Compact(_)
            | Self::Transact(_) => (0, 0),
        }
    }

    /// Finds the caller itself at fault if it is refused.
    pub(super) fn blame(&mut self, error: AppendError) {
        match self {
            Self::Commit(asked) => asked.blamed = Some(error),
            Self::Chain(asked) => asked.blamed = Some(error),
            Self::Remove(asked) => asked.blamed = Some(error),
            Self::Transact(asked) => asked.blamed = Some(error),
            Self::Lease(_) | Self::Keep(_) | Self::Compact(_) => {}
        }
    }

    /// Tells the caller what was decided.
    pub(super) fn answer(self) {
        match self {
            Self::Commit(asked) => asked.answer(),
            Self::Chain(asked) => asked.answer(),
            Self::Remove(asked) => asked.answer(),
            Self::Lease(asked) => asked.answer(),
            Self::Keep(asked) => asked.answer(),
            Self::Compact(asked) => asked.answer(),
            Self::Transact(asked) => asked.answer(),
        }
    }

    /// Tells the caller that it could not be done.
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Commit(asked) => asked.tell(Err(error)),
            Self::Chain(asked) => asked.tell(Err(error)),
            Self::Remove(asked) => asked.tell(Err(error)),
            Self::Lease(asked) => asked.tell(Err(error)),
            Self::Keep(asked) => asked.tell(Err(error)),
            Self::Compact(asked) => asked.tell(Err(error)),
            Self::Transact(asked) => asked.tell(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::error::HookError;

    fn at_fault() -> AppendError {
        AppendError::Hook {
            hook: "counts".to_owned(),
            source: HookError::EndedTransaction,
        }
    }

    /// What the caller is told after an attempt that was at fault.
    fn told(go_on: impl FnOnce(Asked<(), ()>)) -> &'static str {
        let (mut asked, mut answer) = Asked::new((), DateTime::UNIX_EPOCH);
        let ended = asked.decide(|(), _| Err(Failure::Ended(at_fault())));
        assert!(ended.is_err());
        go_on(asked);
        let answer = answer.try_recv().expect("an answer");
        answer.told.err().map_or("done", |error| error.code())
    }

    fn error(kind: StoreErrorKind) -> StoreError {
        StoreError::new(kind, "committing")
    }

    #[test]
    fn who_was_at_fault_is_told_so_unless_the_outcome_is_unknown() {
        use StoreErrorKind::{Io, Unknown};

        assert_eq!(told(|asked| asked.tell(Err(error(Io)))), "hook_failed");
        let unknown = told(|asked| asked.tell(Err(error(Unknown))));
        assert_eq!(unknown, "unknown_outcome");
    }

    #[test]
    fn an_attempt_that_went_well_makes_up_for_the_one_before() {
        let well = |mut asked: Asked<(), ()>| {
            asked.decide(|(), _| Ok(())).expect("no fault");
            asked
        };
        assert_eq!(told(|asked| well(asked).answer()), "done");
        let full = error(StoreErrorKind::DiskFull);
        assert_eq!(told(|asked| well(asked).tell(Err(full))), "disk_full");
    }
}
