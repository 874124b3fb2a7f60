//! The bell that a backend rings when there is something new to read.
//!
//! It may ring too often, never too seldom: who is woken reads, and learns by that what
//! there is. The number that it tells only spares a read that another has done.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::version::Position;

/// Tells when to look again, made by [`Backend::changes`](crate::store::Backend::changes).
///
/// To miss nothing: [`mark_seen`](Self::mark_seen), read to the end, then wait for
/// [`changed`](Self::changed). What is committed after the read rings after the mark.
#[derive(Clone)]
pub struct Changes {
    heads: watch::Receiver<Position>,
    /// What must be kept running meanwhile.
    _listening: Option<Arc<dyn Any + Send + Sync>>,
}

impl Changes {
    /// Rings at each value that is sent, and for good once the sender is gone. What is
    /// sent is the largest position that is committed, or [`Position::MAX`] when the store
    /// is closed.
    #[must_use]
    pub fn new(heads: watch::Receiver<Position>) -> Self {
        Self {
            heads,
            _listening: None,
        }
    }

    /// Holds something as long as anybody listens, such as what stops a thread when it
    /// is dropped.
    #[must_use]
    pub fn holding(self, listening: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            _listening: Some(listening),
            ..self
        }
    }

    /// Takes all that has rung so far as heard, and answers what was sent last.
    pub fn mark_seen(&mut self) -> Position {
        *self.heads.borrow_and_update()
    }

    /// Waits until it rings. Returns at once if it has rung since it was heard last, or
    /// will not ring any more because the store is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no ring.
    pub async fn changed(&mut self) {
        let _ = self.heads.changed().await;
    }
}

/// Rings for a head, unless it has rung for it before: who commits and who listens for
/// others may tell the same, in any order.
pub(crate) fn ring(heads: &watch::Sender<Position>, head: Position) {
    heads.send_if_modified(|told| {
        let is_new = head > *told;
        *told = head.max(*told);
        is_new
    });
}

/// Rings for the last time: who reads now is told that the store is closed.
pub(crate) fn ring_out(heads: &watch::Sender<Position>) {
    ring(heads, Position::MAX);
}

/// Rings whatever has rung before: there may be something else to learn than a head.
#[cfg(feature = "sqlite")]
pub(crate) fn ring_anyway(heads: &watch::Sender<Position>) {
    heads.send_modify(|_| {});
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = *self.heads.borrow();
        f.debug_struct("Changes")
            .field("head", &head)
            .finish_non_exhaustive()
    }
}
