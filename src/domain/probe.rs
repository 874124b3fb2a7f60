//! Aggregates, commands, states and events whose types are not known, as far as the test kit
//! asks of them. A build without the kit has `unprobed.rs` in this place, which is nothing.
//!
//! All of it runs user code, so each call answers a panic as what it is.

use std::any::Any;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::aggregate::Of;
use super::answer::AnyEvent;
use super::command::{AnyCommand, OfCommand};
use super::error::DomainError;
use super::{CommandInfo, Domain};
use crate::aggregate::{Aggregate, Violation, fold, stream_id};
use crate::caught::{Panicked, caught, chain};
use crate::codec::Codec;
use crate::command::{Command, Diverged, EventOf, OnConflict, Requires};
use crate::conflict::Policy;
use crate::event::{NewEvent, RecordedEvent};
use crate::sample::{Learned, NoSample, sample};
use crate::version::{Position, Version};

/// Why something that was asked of user code has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// What it answered cannot be stored or read.
    #[error("{0}")]
    Unreadable(String),
}

/// An event whose type is not known.
#[derive(Clone)]
pub(crate) struct LiveEvent {
    event: Arc<dyn Any + Send + Sync>,
    /// As it is stored.
    pub(crate) stored: NewEvent,
    pub(crate) told: AnyEvent,
}

/// Events of different types are different, and so are those of different payload.
impl PartialEq for LiveEvent {
    fn eq(&self, other: &Self) -> bool {
        self.told == other.told
    }
}

impl LiveEvent {
    fn of<A: Aggregate>(event: A::Event) -> Result<Self, Unanswered> {
        let codec = Codec::<A>::new();
        let unreadable = |error| Unanswered::Unreadable(chain(&error));
        let stored = codec.encode(&event).map_err(unreadable)?;
        Ok(Self {
            told: AnyEvent {
                event_type: stored.event_type.clone(),
                payload: stored.payload.decode().unwrap_or_default(),
            },
            event: Arc::new(event),
            stored,
        })
    }

    fn all<A: Aggregate>(events: Vec<A::Event>) -> Result<Vec<Self>, Unanswered> {
        events.into_iter().map(Self::of::<A>).collect()
    }

    fn get<A: Aggregate>(&self) -> Result<&A::Event, Unanswered> {
        self.event.downcast_ref().ok_or_else(mixed)
    }
}

/// A state whose type is not known. It never changes.
#[derive(Clone)]
pub(crate) struct LiveState(Arc<dyn State>);

impl LiveState {
    fn of<A: Aggregate>(state: A) -> Self {
        Self(Arc::new(state))
    }

    fn get<A: Aggregate>(&self) -> Result<&A, Unanswered> {
        let state: &dyn Any = self.0.as_any();
        state.downcast_ref().ok_or_else(mixed)
    }

    /// The state as its own type, where it is of that.
    pub(crate) fn downcast<A: Aggregate>(&self) -> Option<&A> {
        self.get().ok()
    }

    /// The state after these events.
    pub(crate) fn fold(&self, events: &[LiveEvent]) -> Result<Self, Unanswered> {
        self.0.fold(events)
    }

    pub(crate) fn invariants(&self) -> Result<Result<(), Violation>, Unanswered> {
        Ok(caught(|| self.0.holds())?)
    }

    /// Its JSON, to be shown; null where it has none.
    pub(crate) fn json(&self) -> Value {
        self.try_json().unwrap_or_default()
    }

    /// Its JSON, if it has one.
    pub(crate) fn try_json(&self) -> Option<Value> {
        caught(|| self.0.to_json()).ok().flatten()
    }
}

trait State: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn fold(&self, events: &[LiveEvent]) -> Result<LiveState, Unanswered>;
    fn holds(&self) -> Result<(), Violation>;
    fn to_json(&self) -> Option<Value>;
}

impl<A: Aggregate> State for A {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn fold(&self, events: &[LiveEvent]) -> Result<LiveState, Unanswered> {
        let events: Vec<_> = events
            .iter()
            .map(LiveEvent::get::<A>)
            .collect::<Result<_, _>>()?;
        let state = caught(|| self.clone())?;
        Ok(LiveState::of(fold(state, events)?))
    }

    fn holds(&self) -> Result<(), Violation> {
        self.invariants()
    }

    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

/// What can be asked of an aggregate.
pub(crate) trait ProbedAggregate: Send + Sync {
    fn state_version(&self) -> u32;
    /// The state of which nothing has happened yet.
    fn initial(&self) -> Result<LiveState, Unanswered>;
    /// A state as a snapshot has kept it.
    fn read_state(&self, json: &Value) -> Result<LiveState, Unanswered>;
    /// What is read of an event that is stored.
    fn read_event(&self, stored: &NewEvent) -> Result<Vec<LiveEvent>, Unanswered>;
    /// The same of one that is recorded.
    fn read(&self, recorded: &RecordedEvent) -> Result<Vec<LiveEvent>, Unanswered>;
}

impl<A: Aggregate> ProbedAggregate for Of<A> {
    fn state_version(&self) -> u32 {
        A::STATE_VERSION
    }

    fn initial(&self) -> Result<LiveState, Unanswered> {
        Ok(LiveState::of(caught(A::default)?))
    }

    fn read_state(&self, json: &Value) -> Result<LiveState, Unanswered> {
        let state = caught(|| serde_json::from_value::<A>(json.clone()))?;
        let unreadable = |error| Unanswered::Unreadable(chain(&error));
        state.map(LiveState::of).map_err(unreadable)
    }

    fn read_event(&self, stored: &NewEvent) -> Result<Vec<LiveEvent>, Unanswered> {
        let stream = stream_id::<A>("1");
        let event = RecordedEvent {
            id: stored.id,
            stream: stream.map_err(|error| Unanswered::Unreadable(chain(&error)))?,
            version: Version::new(1),
            position: Position::new(1),
            event_type: stored.event_type.clone(),
            schema_version: stored.schema_version,
            payload: stored.payload.clone(),
            metadata: stored.metadata.clone(),
            recorded_at: DateTime::<Utc>::default(),
        };
        self.read(&event)
    }

    fn read(&self, recorded: &RecordedEvent) -> Result<Vec<LiveEvent>, Unanswered> {
        let decoded = Codec::<A>::new().decode(recorded);
        let events = decoded.map_err(|error| Unanswered::Unreadable(chain(&error)))?;
        LiveEvent::all::<A>(events.collect())
    }
}

/// What a command says to a state.
pub(crate) type Decided = Result<Vec<LiveEvent>, String>;

/// Two sides that went on from one state, of an aggregate whose type is not known.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a> {
    pub(crate) base: &'a LiveState,
    pub(crate) current: &'a LiveState,
    pub(crate) unseen: &'a [LiveEvent],
    pub(crate) proposed: &'a [LiveEvent],
}

/// What can be asked of a command.
pub(crate) trait ProbedCommand: Send + Sync {
    fn payload(&self) -> Value;
    /// Its JSON to the byte, as a command id stands for it.
    fn text(&self) -> String;
    fn policy(&self) -> Policy;
    fn requires(&self) -> Requires;
    /// Its events, or why it is rejected.
    fn decide(&self, state: &LiveState) -> Result<Decided, Unanswered>;
    fn clashes_with(&self, unseen: &LiveEvent) -> Result<bool, Unanswered>;
    /// Its events, or why it refuses; none where it declares no merge.
    fn merge(&self, sides: Sides<'_>) -> Result<Option<Decided>, Unanswered>;
}

impl<C: Command> ProbedCommand for C {
    fn payload(&self) -> Value {
        caught(|| serde_json::to_value(self).unwrap_or_default()).unwrap_or_default()
    }

    fn text(&self) -> String {
        caught(|| serde_json::to_string(self).unwrap_or_default()).unwrap_or_default()
    }

    fn policy(&self) -> Policy {
        C::ON_CONFLICT.policy()
    }

    fn requires(&self) -> Requires {
        C::REQUIRES
    }

    fn decide(&self, state: &LiveState) -> Result<Decided, Unanswered> {
        let state = state.get::<C::Aggregate>()?;
        let decided = caught(|| Command::decide(self, state).map_err(|why| chain(&why)))?;
        live::<C>(decided)
    }

    fn clashes_with(&self, unseen: &LiveEvent) -> Result<bool, Unanswered> {
        let unseen = unseen.get::<C::Aggregate>()?;
        Ok(caught(|| Command::clashes_with(self, unseen))?)
    }

    fn merge(&self, sides: Sides<'_>) -> Result<Option<Decided>, Unanswered> {
        let OnConflict::Merge(merge) = C::ON_CONFLICT else {
            return Ok(None);
        };
        let owned = |events: &[LiveEvent]| -> Result<Vec<EventOf<C>>, Unanswered> {
            let get = |event: &LiveEvent| event.get::<C::Aggregate>().cloned();
            events.iter().map(get).collect()
        };
        let (unseen, proposed) = (owned(sides.unseen)?, owned(sides.proposed)?);
        let diverged = Diverged {
            base: sides.base.get()?,
            current: sides.current.get()?,
            unseen: &unseen,
            proposed: &proposed,
        };
        live::<C>(caught(|| merge(self, &diverged))?).map(Some)
    }
}

/// What can be asked of a command's type before there is a command.
pub(crate) trait ProbedKind: Send + Sync {
    /// A command from choices; see [`sample`].
    fn sample(&self, choices: &[u64], learned: &Learned) -> Result<AnyCommand, NoSample>;
}

impl<C: Command + DeserializeOwned> ProbedKind for OfCommand<C> {
    fn sample(&self, choices: &[u64], learned: &Learned) -> Result<AnyCommand, NoSample> {
        sample::<C>(choices, learned).map(AnyCommand::new)
    }
}

fn live<C: Command>(decided: Result<Vec<EventOf<C>>, String>) -> Result<Decided, Unanswered> {
    match decided {
        Ok(events) => LiveEvent::all::<C::Aggregate>(events).map(Ok),
        Err(why) => Ok(Err(why)),
    }
}

fn mixed() -> Unanswered {
    Unanswered::Unreadable("it is of another aggregate".to_owned())
}

impl AnyCommand {
    pub(crate) fn probed(&self) -> &dyn ProbedCommand {
        self.command.as_ref()
    }
}

impl Domain {
    /// An aggregate by its category.
    pub(crate) fn probed(
        &self,
        category: &str,
    ) -> Result<&'static dyn ProbedAggregate, DomainError> {
        Ok(self.folded(category)?)
    }

    /// The commands of a category, in the order of their names.
    pub(crate) fn kinds(
        &self,
        category: &str,
    ) -> impl Iterator<Item = (CommandInfo, &'static dyn ProbedKind)> {
        let known = self.registry.commands.values();
        let known = known.filter(move |known| known.info.category == category);
        known.map(|known| (known.info, known.kind as &dyn ProbedKind))
    }
}

/// An aggregate by its type.
pub(crate) const fn probed<A: Aggregate>() -> &'static dyn ProbedAggregate {
    Of::<A>::NEW
}
