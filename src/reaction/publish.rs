//! Publishing: events are handed over in their order, and acknowledged.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::Publisher;
use super::act::{Act, poison};
use crate::event::RecordedEvent;
use crate::follow::{Ledger, Trouble};
use crate::store::Filter;

/// A [`Publisher`].
pub(super) struct Publish<P>(pub(super) Arc<P>);

impl<P: Publisher> Act for Publish<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn filter(&self) -> Filter {
        self.0.filter()
    }

    fn events_max(&self) -> usize {
        self.0.events_max()
    }

    fn act<'a>(
        &'a self,
        events: &'a [&'a RecordedEvent],
        _: &'a Ledger,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let published = self.0.publish(events).await;
            match (published, events.first()) {
                // Which of them is at fault is found by handing them over one by one.
                (Err(error), Some(first)) => Err(poison(first, error.as_ref())),
                _ => Ok(()),
            }
        })
    }
}
