//! What stands between a reaction and what follows the store: it acts before an event is
//! taken in, and keeps no tables of its own.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::{Reacting, Reaction, ReactionResult};
use crate::caught::{caught_async, chain};
use crate::command::CommandBus;
use crate::event::RecordedEvent;
use crate::follow::{Before, FollowOptions, Follower, Ledger, Trouble};
use crate::ids::StreamId;
use crate::store::{
    BoxError, Derivation, Derived, Filter, Forgotten, InvalidDerivation, Rights, Tx,
};
use crate::version::Position;

/// What reactions, process managers and publishers have in common.
pub(super) trait Act: Send + Sync + 'static {
    fn name(&self) -> &'static str;

    fn filter(&self) -> Filter;

    /// For how many events it acts at once.
    fn events_max(&self) -> usize {
        1
    }

    fn act<'a>(
        &'a self,
        events: &'a [&'a RecordedEvent],
        ledger: &'a Ledger,
    ) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Takes in an event upon which it has acted.
    fn take_in<'a>(
        &'a self,
        event: &'a RecordedEvent,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        let _ = (event, tx);
        Box::pin(async { Ok(()) })
    }
}

pub(super) fn follower(
    act: impl Act,
    options: FollowOptions,
) -> Result<Follower, InvalidDerivation> {
    let act: Arc<dyn Act> = Arc::new(act);
    Ok(Follower {
        code: Derivation::new(Arc::new(Acting(Arc::clone(&act))))?,
        before: Some(Arc::new(Acting(act))),
        options,
    })
}

struct Acting(Arc<dyn Act>);

impl Before for Acting {
    fn events_max(&self) -> usize {
        self.0.events_max().max(1)
    }

    fn before<'a>(
        &'a self,
        events: &'a [&'a RecordedEvent],
        ledger: &'a Ledger,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let first = events
                .first()
                .map_or(Position::ZERO, |event| event.position);
            match caught_async(self.0.act(events, ledger)).await {
                Ok(done) => done,
                Err(panicked) => Err(Trouble::Poison {
                    at: first,
                    why: panicked.to_string(),
                }),
            }
        })
    }
}

impl Derived for Acting {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> Vec<String> {
        Vec::new()
    }

    fn filter(&self) -> Filter {
        self.0.filter()
    }

    fn set_up<'a>(&'a self, _: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async { Ok(()) })
    }

    fn apply<'a>(
        &'a self,
        event: &'a RecordedEvent,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            // No code of the application's has the transaction here.
            tx.act_as(Rights::Ours);
            let sql = "DELETE FROM annalist_replies WHERE name = $1 AND position = $2";
            tx.execute(sql, &[self.0.name().into(), event.position.into()])
                .await?;
            self.0.take_in(event, tx).await
        })
    }

    /// What was done upon events that are removed is done.
    fn forget<'a>(
        &'a self,
        _: &'a StreamId,
        _: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, Result<Forgotten, BoxError>> {
        Box::pin(async { Ok(Forgotten::Done) })
    }
}

/// A [`Reaction`], and what it dispatches by.
pub(super) struct React<R> {
    pub(super) bus: CommandBus,
    pub(super) reaction: Arc<R>,
}

impl<R: Reaction> Act for React<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn filter(&self) -> Filter {
        self.reaction.filter()
    }

    fn act<'a>(
        &'a self,
        events: &'a [&'a RecordedEvent],
        ledger: &'a Ledger,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            for event in events {
                let cx = Reacting::new(&self.bus, ledger, event).await?;
                let done = self.reaction.react(event, &cx).await;
                settle(event, cx, done)?;
            }
            Ok(())
        })
    }
}

/// What is to be made of an event that was reacted to.
pub(super) fn settle(
    event: &RecordedEvent,
    cx: Reacting<'_>,
    done: ReactionResult,
) -> Result<(), Trouble> {
    match (cx.into_trouble(), done) {
        // Whatever the reaction made of it: one of its commands has no answer.
        (Some(trouble), _) => Err(trouble),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(poison(event, error.as_ref())),
    }
}

pub(super) fn poison(event: &RecordedEvent, error: &(dyn std::error::Error + 'static)) -> Trouble {
    Trouble::Poison {
        at: event.position,
        why: chain(error),
    }
}
