//! Looks at single positions of the store.

use std::sync::Arc;

use super::Lead;
use crate::event::RecordedEvent;
use crate::follow::ledger::Trouble;
use crate::store::{Checkpoint, FeedItem, FeedPage, FeedQuery};
use crate::version::Position;

impl Lead {
    /// Where one begins that was never run.
    pub(super) async fn start(&self) -> Result<Checkpoint, Trouble> {
        let (store, after) = (self.store.id(), self.options.begin_after);
        if after == Position::ZERO {
            return Ok(Checkpoint::start(store));
        }
        let page = self.look_at(after).await?;
        match page.scanned {
            Some(scanned) => Ok(Checkpoint::new(store, after, scanned.event)),
            None => Err(Trouble::Invalid(format!(
                "it is to begin after position {after}, but the store ends at {}",
                page.head
            ))),
        }
    }

    /// The event at a position, unless it was removed.
    pub(super) async fn event_at(
        &self,
        position: Position,
    ) -> Result<Option<Arc<RecordedEvent>>, Trouble> {
        let page = self.look_at(position).await?;
        let item = page.items.into_iter().next();
        Ok(match item {
            Some(FeedItem::Event(event)) if event.position == position => Some(Arc::new(event)),
            _ => None,
        })
    }

    async fn look_at(&self, position: Position) -> Result<FeedPage, Trouble> {
        let backend = self.store.backend();
        Ok(backend.read_feed(FeedQuery::at(position)).await?)
    }
}
