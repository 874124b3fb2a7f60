//! Something that happens to the aggregate of a scenario without the command under test:
//! before it, or in between. Only the scenario and its store make and do it.

use futures_core::future::BoxFuture;

use super::story;
use crate::aggregate::Aggregate;
use crate::caught::chain;
use crate::codec::Codec;
use crate::command::{Command, CommandBus, Decision};
use crate::event::NewEvent;
use crate::ids::{EventId, StreamId};
use crate::store::Store;
use crate::version::ExpectedVersion;

type Done = BoxFuture<'static, Result<(), String>>;

/// What happens, and how it is told.
pub(super) struct Deed {
    pub(super) told: String,
    act: Box<dyn FnOnce(Store, StreamId) -> Done + Send>,
}

impl Deed {
    fn new<F>(
        told: impl Into<String>,
        act: impl FnOnce(Store, StreamId) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self {
            told: told.into(),
            act: Box::new(|store, stream| Box::pin(act(store, stream))),
        }
    }

    /// Events are appended, under ids that are derived from this text.
    #[track_caller]
    pub(super) fn append<A: Aggregate>(
        ids: &str,
        events: impl IntoIterator<Item = A::Event>,
    ) -> Self {
        let codec = Codec::<A>::new();
        let mut stored: Vec<NewEvent> = Vec::new();
        for event in events {
            let id = EventId::derived("scenario", &format!("{ids} {}", stored.len()));
            match codec.encode(&event) {
                Ok(event) => stored.push(event.with_id(id)),
                Err(error) => panic!("an event of the scenario: {}", chain(&error)),
            }
        }
        Self::store(stored)
    }

    /// Events are appended as they are.
    pub(super) fn store(events: impl IntoIterator<Item = NewEvent>) -> Self {
        let events: Vec<_> = events.into_iter().collect();
        let told: Vec<_> = events.iter().map(story::Told::of_new).collect();
        Self::new(story::list(&told), |store, stream| async move {
            let appended = store.append(&stream, ExpectedVersion::Any, events).await;
            appended.map(|_| ()).map_err(|error| chain(&error))
        })
    }

    pub(super) fn delete() -> Self {
        Self::new("deleted", |store, stream| async move {
            let deleted = store.delete(&stream, ExpectedVersion::Any).await;
            deleted.map(|_| ()).map_err(|error| chain(&error))
        })
    }

    pub(super) fn close() -> Self {
        Self::new("closed", |store, stream| async move {
            let closed = store.close_stream(&stream, ExpectedVersion::Any).await;
            closed.map(|_| ()).map_err(|error| chain(&error))
        })
    }

    /// A command takes effect.
    pub(super) fn command<C: Command>(command: C, command_id: Option<&str>) -> Self {
        let command_id = command_id.map(str::to_owned);
        let told = story::command(&command, command_id.as_deref());
        Self::new(told, |store, stream| async move {
            let mut dispatch = CommandBus::new(store).dispatch(stream.key(), command);
            if let Some(id) = command_id {
                dispatch = dispatch.command_id(id);
            }
            match dispatch.await {
                Ok(outcome) if outcome.decided_by == Decision::NothingToDo => {
                    Err("nothing is left to do for it".to_owned())
                }
                Ok(_) => Ok(()),
                Err(error) => Err(chain(&error)),
            }
        })
    }

    /// Does it.
    pub(super) async fn happen(self, store: &Store, stream: &StreamId) -> Result<(), String> {
        let Self { told, act } = self;
        let done = act(store.clone(), stream.clone()).await;
        done.map_err(|why| format!("{told}: {why}"))
    }
}
