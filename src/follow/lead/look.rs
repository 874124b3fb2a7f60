//! Looks at single positions of the store.

use std::sync::Arc;

use super::Lead;
use crate::event::RecordedEvent;
use crate::follow::ledger::Trouble;
use crate::store::{Checkpoint, FeedItem, FeedPage, FeedQuery, Filter, PageBounds};
use crate::version::Position;

impl Lead {
    /// Where one begins that was never run.
    pub(super) async fn start(&self) -> Result<Checkpoint, Trouble> {
        let (store, after) = (self.store.id(), self.options.begin_after);
        let Some(before) = after.get().checked_sub(1) else {
            return Ok(Checkpoint::start(store));
        };
        let page = self.look(Position::new(before)).await?;
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
        let before = position.get().saturating_sub(1);
        let page = self.look(Position::new(before)).await?;
        let item = page.items.into_iter().next();
        Ok(match item {
            Some(FeedItem::Event(event)) if event.position == position => Some(Arc::new(event)),
            _ => None,
        })
    }

    /// The page of the one position after this one.
    async fn look(&self, after: Position) -> Result<FeedPage, Trouble> {
        let query = FeedQuery {
            after,
            filter: Filter::default(),
            bounds: PageBounds {
                scan_max: 1,
                ..PageBounds::default()
            },
        };
        Ok(self.store.backend().read_feed(query).await?)
    }
}
