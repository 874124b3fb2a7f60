//! A command that stands in line: what it does in its turn, and what becomes of it.

use futures_core::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::{
    Answer, Appended, At, Command, Decision, DispatchError, Draft, Lost, Receipt, Run, Seen, Step,
    StoreError, StoreErrorKind,
};
use crate::caught::{caught, caught_async, let_go};
use crate::command::queue::{Drafted, Fate, InLine, Way};
use crate::ids::EventId;
use crate::repository::Loaded;
use crate::store::AppendError;
use crate::version::{Generation, Version};

/// A command in line, and who waits for its answer.
struct Standing<C: Command> {
    run: Run<C>,
    /// The attempt with which it lost a race before it came here.
    lost: Option<(At<C>, Draft<C>)>,
    drafted: Option<DraftedAt<C>>,
    caller: oneshot::Sender<(Run<C>, Answer<C>)>,
    span: Span,
}

/// What was decided in line, and where.
struct DraftedAt<C: Command> {
    version: Version,
    generation: Generation,
    /// The last event of the stream with it.
    last_event: Option<EventId>,
    draft: Result<Draft<C>, DispatchError<C>>,
}

impl<C: Command> Run<C> {
    /// Stands in line for the aggregate until there is an answer; with an attempt that has
    /// lost, if one has.
    pub(super) async fn in_line(mut self, lost: Option<(At<C>, Draft<C>)>) -> Answer<C> {
        self.has_waited = lost.is_some();
        let (repository, cache) = (self.repository.clone(), self.cache.clone());
        let place = self.lines.join(&self.stream, repository, cache);
        let (caller, answer) = oneshot::channel();
        let standing = Standing {
            run: self,
            lost,
            drafted: None,
            caller,
            span: Span::current(),
        };
        match place.wait(Box::new(standing), answer).await {
            Some((run, answer)) => run.settled(answer).await,
            None => {
                let lost = StoreError::new(StoreErrorKind::Unknown, "standing in line");
                Err(AppendError::Store(lost).into())
            }
        }
    }

    /// Decides on a state, as the first attempt.
    fn first(&self, at: &At<C>) -> Result<Draft<C>, DispatchError<C>> {
        if self.remaining().is_some_and(|left| left.is_zero()) {
            return Err(DispatchError::DeadlineExceeded { source: None });
        }
        self.require(at)?;
        self.draft(at, Step::Decide(Decision::Appended))
    }

    /// Goes on as if it had just come.
    async fn anew(&mut self) -> Answer<C> {
        match self.recognised().await? {
            Some(answer) => Ok(answer),
            None => self.attempts().await,
        }
    }

    /// Goes on after a race that was lost on this state.
    async fn raced(&mut self, at: At<C>) -> Answer<C> {
        match self.first(&at) {
            Ok(draft) if !draft.new_events.is_empty() => self.after(at, draft).await,
            // What appends nothing holds for what is there now alone.
            _ => self.anew().await,
        }
    }

    /// Goes on after an attempt that has lost.
    async fn after(&mut self, at: At<C>, draft: Draft<C>) -> Answer<C> {
        match self.lost(at, draft).await? {
            Lost::Answered(answer) => Ok(answer),
            Lost::Again(at, step) => self.attempts_on(at, step).await,
        }
    }
}

impl<C: Command> Standing<C> {
    fn tell(self, answer: Answer<C>) {
        // A caller that is gone learns the outcome by sending the command again.
        if let Err(unheard) = self.caller.send((self.run, answer)) {
            let_go(unheard);
        }
    }

    /// What was drafted, as the answer of one that wrote this.
    fn told(mut self, receipt: &Receipt) {
        let Some(drafted) = self.drafted.take() else {
            return;
        };
        let stream = (drafted.generation, drafted.last_event);
        let answer = drafted.draft;
        let answer = answer.map(|draft| self.run.outcome(draft, receipt, stream));
        self.tell(answer);
    }

    /// Sends what was drafted once more; `base` is what it was decided upon, if that was known
    /// to be there.
    async fn again(
        &mut self,
        base: Option<At<C>>,
        unknown: Option<StoreError>,
    ) -> (Answer<C>, Fate) {
        let Some(drafted) = self.drafted.take() else {
            return (self.run.anew().await, Fate::Falls);
        };
        let events = drafted.draft.as_ref().map(|draft| draft.new_events.clone());
        let events = events.unwrap_or_default();
        let last: Option<EventId> = events.last().map(|event| event.id);
        let at = (drafted.version, drafted.generation);
        let commit = self.run.keyed(at, events);
        match self
            .run
            .send(commit, (drafted.version, last), unknown)
            .await
        {
            Ok(Appended::Landed(receipt)) => {
                let stream = (drafted.generation, drafted.last_event);
                let answer = drafted.draft;
                let answer = answer.map(|draft| self.run.outcome(draft, &receipt, stream));
                (answer, Fate::Stands)
            }
            Ok(Appended::Known(receipt)) => (self.run.already(receipt).await, Fate::Falls),
            // It did not land: nobody was raced with, or this one was.
            Ok(Appended::Lost) => match base {
                Some(base) => (self.run.raced(base).await, Fate::Falls),
                None => (self.run.anew().await, Fate::Falls),
            },
            Err(error @ DispatchError::Append(AppendError::Store(_))) => {
                (Err(error), Fate::Doubtful)
            }
            Err(error) => (Err(error), Fate::Falls),
        }
    }
}

impl<C: Command> InLine<C::Aggregate> for Standing<C> {
    fn is_gone(&self) -> bool {
        self.caller.is_closed()
    }

    fn goes_alone(&self) -> bool {
        self.lost.is_some() || !matches!(self.run.options.seen, Seen::Nothing)
    }

    fn draft(&mut self, at: &Loaded<C::Aggregate>) -> Drafted<C::Aggregate> {
        let _in = self.span.enter();
        let drafted = caught(|| {
            let draft = self.run.first(at)?;
            let then = draft.new_events.last().map(|last| Loaded {
                stream: at.stream.clone(),
                state: draft.state.clone(),
                version: Version::new(at.version.get() + draft.new_events.len() as u64),
                generation: at.generation,
                last_event: Some(last.id),
            });
            Ok((draft, then))
        });
        let drafted = drafted.unwrap_or_else(|source| Err(self.run.panicked(source)));
        let (draft, then) = match drafted {
            Ok((draft, then)) => (Ok(draft), then),
            Err(error) => (Err(error), None),
        };
        let new = then.as_ref().and_then(|then| then.last_event);
        let is_recorded = self.run.options.record_outcome;
        let events = match &draft {
            Ok(draft) if is_recorded || !draft.new_events.is_empty() => Some(&draft.new_events[..]),
            Err(DispatchError::Rejected(_)) if is_recorded => Some(&[][..]),
            _ => None,
        };
        let answer = match events {
            None => Drafted::Answer,
            Some(events) => {
                self.run.sent.extend(events.iter().map(|event| event.id));
                Drafted::Commit {
                    bytes: events
                        .iter()
                        .map(|event| event.payload.as_str().len())
                        .sum(),
                    commit: self.run.keyed((at.version, at.generation), events.to_vec()),
                    then,
                }
            }
        };
        let before = self.drafted.replace(DraftedAt {
            version: at.version,
            generation: at.generation,
            last_event: new.or(at.last_event),
            draft,
        });
        let_go(before);
        answer
    }

    fn landed(self: Box<Self>, receipt: &Receipt) {
        self.told(receipt);
    }

    fn answer(self: Box<Self>) {
        let version = self.drafted.as_ref().map(|drafted| drafted.version);
        let receipt = self.run.unwritten(version.unwrap_or(Version::ZERO));
        self.told(&receipt);
    }

    fn go(mut self: Box<Self>, way: Way<C::Aggregate>) -> BoxFuture<'static, Fate> {
        let span = self.span.clone();
        let going = async move {
            let going = async {
                if let Some((at, draft)) = self.lost.take() {
                    return (self.run.after(at, draft).await, Fate::Falls);
                }
                match way {
                    Way::Anew => (self.run.anew().await, Fate::Falls),
                    Way::Raced(at) => (self.run.raced(at).await, Fate::Falls),
                    Way::Again(base, unknown) => self.again(base, unknown).await,
                    Way::Doubtful(error) => (Err(AppendError::Store(error).into()), Fate::Doubtful),
                }
            };
            let gone = caught_async(going).await;
            let (answer, fate) =
                gone.unwrap_or_else(|source| (Err(self.run.panicked(source)), Fate::Doubtful));
            self.tell(answer);
            fate
        };
        Box::pin(going.instrument(span))
    }
}
