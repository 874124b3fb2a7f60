//! Aggregates without their type: loaded as JSON, their events read as JSON. Only the
//! [`Domain`](super::Domain) calls it; it folds nothing itself, repositories do.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::AnyEvent;
use super::error::DomainError;
use super::probe::ProbedAggregate;
use crate::aggregate::Aggregate;
use crate::caught::caught;
use crate::codec::Codec;
use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::repository::{Loaded, Repository};
use crate::store::Store;
use crate::version::{Generation, Version};

/// An aggregate at some version of its stream, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnyLoaded {
    /// Its stream.
    pub stream: StreamId,
    /// The stream's version then; 0 if it was never written.
    pub version: Version,
    /// The stream's generation then.
    pub generation: Generation,
    /// The id of the last event that was folded; none of one that was never written or is
    /// deleted.
    pub last_event: Option<EventId>,
    /// The state that its events fold to.
    pub state: Value,
}

impl AnyLoaded {
    /// Whether there is anything to read of it: not if it was never written, or is deleted.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.last_event.is_some()
    }
}

/// When an aggregate is looked at.
#[derive(Clone, Copy)]
pub(super) enum When {
    Now,
    At(Version),
    AsOf(DateTime<Utc>),
}

/// What can be asked of an aggregate without its type.
pub(super) trait Folded: ProbedAggregate {
    fn load<'a>(
        &'a self,
        store: Store,
        stream: &'a StreamId,
        when: When,
    ) -> BoxFuture<'a, Result<AnyLoaded, DomainError>>;

    fn decode(&self, event: &RecordedEvent) -> Result<Vec<AnyEvent>, DomainError>;
}

/// An aggregate's type.
pub(super) struct Of<A>(PhantomData<fn() -> A>);

impl<A: Aggregate> Of<A> {
    pub(super) const NEW: &'static dyn Folded = &Self(PhantomData);
}

impl<A: Aggregate> Folded for Of<A> {
    fn load<'a>(
        &'a self,
        store: Store,
        stream: &'a StreamId,
        when: When,
    ) -> BoxFuture<'a, Result<AnyLoaded, DomainError>> {
        Box::pin(async move {
            let repository = Repository::<A>::new(store);
            let loaded = match when {
                When::Now => repository.load(stream.key()).await?,
                When::At(version) => repository.load_at(stream.key(), version).await?,
                When::AsOf(time) => repository.load_as_of(stream.key(), time).await?,
            };
            as_json(loaded)
        })
    }

    fn decode(&self, event: &RecordedEvent) -> Result<Vec<AnyEvent>, DomainError> {
        let codec = Codec::<A>::new();
        let events = codec.decode(event)?;
        let events = events.map(|event| AnyEvent::of(&codec, &event));
        Ok(events.collect::<Result<_, _>>()?)
    }
}

fn as_json<A: Aggregate>(loaded: Loaded<A>) -> Result<AnyLoaded, DomainError> {
    let state = caught(|| serde_json::to_value(&loaded.state))?;
    let stream = loaded.stream;
    match state {
        Ok(state) => Ok(AnyLoaded {
            stream,
            version: loaded.version,
            generation: loaded.generation,
            last_event: loaded.last_event,
            state,
        }),
        Err(source) => Err(DomainError::State { stream, source }),
    }
}
