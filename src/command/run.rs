//! The loop: look up, load, decide, append, and what to do about a conflict.

use std::future::{Future, poll_fn};
use std::task::Poll;

use tokio::time::Instant;
use tracing::{Instrument, debug, info_span};

use super::dispatch::{DispatchOptions, Seen};
use super::policy::{Resolution, Situation, Why, resolve};
use super::queue::Lines;
use super::{
    Command, Decision, Dispatch, DispatchError, Diverged, EventOf, InvalidDispatch, OnConflict,
    Outcome, When,
};
use crate::aggregate::{Aggregate, Contention, stream_id};
use crate::caught::{Panicked, caught};
use crate::codec::EncodeError;
use crate::conflict::{ConflictKind, ConflictReason};
use crate::event::{NewEvent, RecordedEvent};
use crate::ids::{CommandId, EventId, StreamId};
use crate::metrics::Labels;
use crate::payload::Payload;
use crate::repository::{Cache, LoadError, Loaded, Repository, Since};
use crate::retry::{Backoff, GaveUp};
use crate::store::{
    AppendError, AppendReceipt, Commit, CommitKey, Fingerprint, Receipt, Store, StoreError,
    StoreErrorKind,
};
use crate::version::Version;

mod answers;
mod conflicts;
mod draft;
mod send;
mod standing;

type Answer<C> = Result<Outcome<<C as Command>::Aggregate>, DispatchError<C>>;
type At<C> = Loaded<<C as Command>::Aggregate>;

/// One dispatch under way.
pub(super) struct Run<C: Command> {
    repository: Repository<C::Aggregate>,
    stream: StreamId,
    command: C,
    on_conflict: OnConflict<C>,
    options: DispatchOptions,
    id: CommandId,
    fingerprint: Fingerprint,
    began: Instant,
    backoff: Backoff,
    cache: Option<Cache>,
    lines: Lines,
    /// Whether the state at hand is from the cache: what is there now, the store was not
    /// asked since the dispatch began.
    unproven: bool,
    /// Whether it has lost a race.
    has_raced: bool,
    /// Whether it has waited in line for its next attempt.
    has_waited: bool,
    /// What the first attempt that lost was decided on, and what it decided.
    first: Option<First<C>>,
    /// What happened since then.
    unseen: Vec<RecordedEvent>,
    unseen_events: Vec<EventOf<C>>,
    /// The ids of all events that were ever sent: no answer may be known of one.
    sent: Vec<EventId>,
}

/// The first attempt. What is told of a conflict, and what commutes, stays as it was.
struct First<C: Command> {
    base: At<C>,
    events: Vec<EventOf<C>>,
    new_events: Vec<NewEvent>,
}

/// What the next attempt appends.
enum Step<C: Command> {
    Decide(Decision),
    /// The events of the first attempt, under their ids.
    Commute,
    Merge(Vec<EventOf<C>>),
}

/// What an attempt appends, and the state after it.
struct Draft<C: Command> {
    events: Vec<EventOf<C>>,
    new_events: Vec<NewEvent>,
    state: C::Aggregate,
    decided_by: Decision,
}

impl<C: Command> Draft<C> {
    fn nothing(at: &At<C>) -> Self {
        Self {
            events: Vec::new(),
            new_events: Vec::new(),
            state: at.state.clone(),
            decided_by: Decision::NothingToDo,
        }
    }
}

/// What the store made of an attempt.
enum Appended {
    Landed(Receipt),
    /// The command id took effect before.
    Known(Receipt),
    Lost,
}

impl<C: Command> Run<C> {
    const LABELS: Labels = Labels::new(C::Aggregate::CATEGORY, C::NAME);

    /// Brings a command all the way.
    pub(super) async fn dispatch(dispatch: Dispatch<C>) -> Answer<C> {
        let mut dispatching = Self::LABELS.dispatching();
        let run = Self::new(dispatch).inspect_err(|error| dispatching.failed(error.code()))?;
        // Names only: payloads and metadata are nobody's who reads a log.
        let span = info_span!("dispatch", command = run.command.name(), stream = %run.stream);
        let command = run.command.name().to_owned();
        // What is left uncaught, such as a state whose `Clone` panics, ends here too. None
        // of it runs between a commit that has landed and its answer.
        let mut run = Box::pin(run.run().instrument(span));
        let answer = poll_fn(|cx| {
            let polled = caught(|| run.as_mut().poll(cx));
            polled.unwrap_or_else(|source| {
                let command = command.clone();
                Poll::Ready(Err(DispatchError::Panicked { command, source }))
            })
        })
        .await;
        match &answer {
            Ok(outcome) => dispatching.done(outcome.decided_by.code(), outcome.attempts),
            Err(error) => dispatching.failed(error.code()),
        }
        answer
    }

    fn new(dispatch: Dispatch<C>) -> Result<Self, DispatchError<C>> {
        let Dispatch {
            bus,
            key,
            command,
            options,
            on_conflict,
        } = dispatch;
        let invalid = |error| DispatchError::Invalid(InvalidDispatch::Name(error));
        let id: CommandId = match &options.command_id {
            Some(id) => id.parse().map_err(invalid)?,
            None => EventId::new().to_string().parse().map_err(invalid)?,
        };
        let stream = stream_id::<C::Aggregate>(key).map_err(invalid)?;
        let fingerprint = fingerprint(&command)?;
        // The store would tell, but only of a command that has something to append.
        let key = id.to_string();
        CommitKey { key, fingerprint }.check()?;
        Ok(Self {
            stream,
            fingerprint,
            began: Instant::now(),
            backoff: bus.backoff(),
            cache: bus.cache(),
            lines: bus.lines().clone(),
            unproven: false,
            has_raced: false,
            has_waited: false,
            repository: Repository::new(bus.store().clone()),
            command,
            on_conflict,
            options,
            id,
            first: None,
            unseen: Vec::new(),
            unseen_events: Vec::new(),
            sent: Vec::new(),
        })
    }

    async fn run(mut self) -> Answer<C> {
        if let Some(answer) = self.recognised().await? {
            return Ok(answer);
        }
        let stands_in_line = match C::CONTENTION {
            Contention::Optimistic => false,
            Contention::Queued => true,
            Contention::Adaptive => self.lines.heat.is_hot(&self.stream),
        };
        if stands_in_line {
            return self.in_line(None).await;
        }
        let answer = match self.attempts_out_of_line().await {
            Ok(Ended::Answered(outcome)) => Ok(outcome),
            // Whoever has raced for what is wanted by many waits in line, and not by chance.
            Ok(Ended::Lost(at, draft)) => return self.in_line(Some((at, draft))).await,
            Err(error) => Err(error),
        };
        self.settled(answer).await
    }

    /// Attempts until there is an answer, or a race is lost for an aggregate for which adaptive
    /// commands stand in line.
    async fn attempts_out_of_line(&mut self) -> Result<Ended<C>, DispatchError<C>> {
        let mut at = self.start().await?;
        let mut step = Step::Decide(Decision::Appended);
        loop {
            let (lost_at, draft) = match self.attempt(at, step).await? {
                Ended::Lost(at, draft) => (at, draft),
                answered => return Ok(answered),
            };
            let is_adaptive = C::CONTENTION == Contention::Adaptive && self.may_go_on();
            if is_adaptive && self.lines.heat.is_hot(&self.stream) {
                return Ok(Ended::Lost(lost_at, draft));
            }
            (at, step) = match self.lost(lost_at, draft).await? {
                Lost::Answered(answer) => return Ok(Ended::Answered(answer)),
                Lost::Again(at, step) => (at, step),
            };
        }
    }

    /// The answer, once it is certain that it is no answer to what the command itself did.
    async fn settled(mut self, answer: Answer<C>) -> Answer<C> {
        if !self.judges_a_state(&answer) {
            return answer;
        }
        // Another dispatch of the same id may have landed between the look-up and the load:
        // then the state that was judged has the command's own effect in it.
        match self.recognised().await? {
            Some(already) => Ok(already),
            None if self.options.record_outcome => self.keep_refusal(answer).await,
            None => answer,
        }
    }

    async fn attempts(&mut self) -> Answer<C> {
        let at = self.start().await?;
        self.attempts_on(at, Step::Decide(Decision::Appended)).await
    }

    async fn attempts_on(&mut self, mut at: At<C>, mut step: Step<C>) -> Answer<C> {
        loop {
            let lost = match self.attempt(at, step).await? {
                Ended::Answered(outcome) => return Ok(outcome),
                Ended::Lost(at, draft) => self.lost(at, draft).await?,
            };
            (at, step) = match lost {
                Lost::Answered(answer) => return Ok(answer),
                Lost::Again(at, step) => (at, step),
            };
        }
    }

    /// One attempt, on what is known to be there when it begins.
    async fn attempt(
        &mut self,
        mut at: At<C>,
        mut step: Step<C>,
    ) -> Result<Ended<C>, DispatchError<C>> {
        loop {
            let draft = self.draft(&at, step);
            // What appends nothing holds for what is there now alone.
            let appends = matches!(&draft, Ok(draft) if !draft.new_events.is_empty());
            if self.unproven && !appends {
                (at, step) = self.proven(at).await?;
                continue;
            }
            let (draft, rejected) = match draft {
                Err(DispatchError::Rejected(why)) => (Draft::nothing(&at), Some(why)),
                draft => (draft?, None),
            };
            let appended = match self.append(&at, &draft).await {
                Err(DispatchError::DeadlineExceeded { .. }) if self.first.is_some() => {
                    return Err(self.surface(at, ConflictReason::Deadline));
                }
                appended => appended?,
            };
            self.feel(&appended);
            match (appended, rejected) {
                (Appended::Landed(_), Some(why)) => return Err(DispatchError::Rejected(why)),
                (Appended::Landed(receipt), None) => {
                    return Ok(Ended::Answered(self.landed(at, draft, &receipt)));
                }
                (Appended::Known(receipt), _) => {
                    return self.already(receipt).await.map(Ended::Answered);
                }
                // Nobody was raced with: it had just not been looked.
                (Appended::Lost, _) if self.unproven => (at, step) = self.proven(at).await?,
                (Appended::Lost, _) => return Ok(Ended::Lost(at, draft)),
            }
        }
    }

    /// Tells whether others want the aggregate, too. That a kept state was old tells nothing.
    fn feel(&mut self, appended: &Appended) {
        if C::CONTENTION != Contention::Adaptive || self.is_behind() {
            return;
        }
        match appended {
            Appended::Lost if !self.unproven => {
                self.has_raced = true;
                self.lines.heat.raced(&self.stream);
            }
            Appended::Landed(_) if !self.has_raced => self.lines.heat.met_nobody(&self.stream),
            Appended::Lost | Appended::Landed(_) | Appended::Known(_) => {}
        }
    }

    /// Whether an answer was given for what a state is, and under no key that would have
    /// told of another dispatch of the same id.
    fn judges_a_state(&self, answer: &Answer<C>) -> bool {
        use DispatchError::{
            AlreadyExists, Conflict, InvariantViolated, NotFound, Panicked, Rejected,
        };
        match answer {
            Ok(Outcome { decided_by, .. }) => {
                *decided_by == Decision::NothingToDo && !self.options.record_outcome
            }
            Err(Rejected(_)) => !self.options.record_outcome,
            Err(
                Conflict(_)
                | AlreadyExists { .. }
                | NotFound { .. }
                | InvariantViolated { .. }
                | Panicked { .. },
            ) => true,
            Err(_) => false,
        }
    }

    /// Appends where the state was loaded, under the command id.
    async fn append(&mut self, at: &At<C>, draft: &Draft<C>) -> Result<Appended, DispatchError<C>> {
        let Some(last) = draft.new_events.last().map(|event| event.id) else {
            return self.without_events(at).await;
        };
        if self.remaining().is_some_and(|left| left.is_zero()) {
            return Err(DispatchError::DeadlineExceeded { source: None });
        }
        if self.is_behind() {
            return Ok(Appended::Lost);
        }
        self.sent
            .extend(draft.new_events.iter().map(|event| event.id));
        self.commit(at, draft.new_events.clone(), Some(last)).await
    }

    /// Whether what was decided was decided on a state that is known to be old, so that no
    /// append of it can land.
    pub(super) fn is_behind(&self) -> bool {
        matches!(self.options.seen, Seen::LongAgo(_)) && self.first.is_none()
    }

    /// What has no events to append holds for the current state alone. Where its id is to
    /// be kept, the version check says whether it is that.
    async fn without_events(&mut self, at: &At<C>) -> Result<Appended, DispatchError<C>> {
        // What was so long ago says nothing of now.
        if self.is_behind() {
            return Ok(Appended::Lost);
        }
        if self.options.record_outcome {
            return self.commit(at, Vec::new(), None).await;
        }
        Ok(Appended::Landed(self.unwritten(at.version)))
    }

    /// The receipt of what writes nothing.
    fn unwritten(&self, version: Version) -> Receipt {
        Receipt {
            appends: vec![AppendReceipt {
                stream: self.stream.clone(),
                first: None,
                last: version,
            }],
            position: None,
            replayed: false,
        }
    }

    fn store(&self) -> &Store {
        self.repository.store()
    }

    /// Time left until the deadline, if there is one.
    fn remaining(&self) -> Option<std::time::Duration> {
        let deadline = self.options.deadline?;
        Some(deadline.saturating_sub(self.began.elapsed()))
    }

    /// Waits before the next attempt, which has this cause.
    async fn pause(&mut self, cause: &'static str) -> Result<(), GaveUp> {
        let delay = self.backoff.next_delay(self.remaining())?;
        Self::LABELS.retry(cause);
        // Who does not wait needs no timer, and who has waited in line, where others wait for
        // this one, need not wait again.
        if !delay.is_zero() && !std::mem::take(&mut self.has_waited) {
            tokio::time::sleep(delay).await;
        }
        Ok(())
    }

    /// Waits, if reading may succeed later.
    async fn pause_after(&mut self, error: LoadError) -> Result<(), DispatchError<C>> {
        if !error.is_retryable() {
            return Err(error.into());
        }
        match (self.pause(error.code()).await, error) {
            (Ok(()), _) => Ok(()),
            (Err(GaveUp::Deadline), LoadError::Store(error)) => {
                Err(DispatchError::DeadlineExceeded {
                    source: Some(error),
                })
            }
            (Err(_), error) => Err(error.into()),
        }
    }

    fn panicked(&self, source: Panicked) -> DispatchError<C> {
        let command = self.command.name().to_owned();
        DispatchError::Panicked { command, source }
    }
}

/// How an attempt has ended.
enum Ended<C: Command> {
    Answered(Outcome<C::Aggregate>),
    Lost(At<C>, Draft<C>),
}

/// What becomes of an attempt that lost.
enum Lost<C: Command> {
    Answered(Outcome<C::Aggregate>),
    Again(At<C>, Step<C>),
}

/// What a command id stands for: the command's name and its payload.
pub(crate) fn fingerprint<C: Command>(command: &C) -> Result<Fingerprint, DispatchError<C>> {
    let payload = caught(|| Payload::from_value(command));
    let payload = payload.map_err(|source| DispatchError::Panicked {
        command: command.name().to_owned(),
        source,
    })?;
    let payload = payload.map_err(|source| EncodeError::Payload {
        event_type: command.name().to_owned(),
        source,
    })?;
    // No name holds a NUL that JSON does not escape, so the two do not run together.
    let of = [command.name().as_bytes(), &[0], payload.as_str().as_bytes()].concat();
    Ok(Fingerprint::of(of))
}
