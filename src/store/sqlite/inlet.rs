//! The end of a queue that callers hold.
//!
//! Closing it takes no message and no waiting: what is in the queue is still
//! received, and then the thread at the other end ends.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::Sender;

use crate::store::error::{StoreError, StoreErrorKind};

/// Gives callers a sender until it is closed. Dropping it closes it too.
pub(super) struct Inlet<T>(Mutex<Option<Sender<T>>>);

impl<T> Inlet<T> {
    pub(super) fn new(sender: Sender<T>) -> Self {
        Self(Mutex::new(Some(sender)))
    }

    /// A sender for one message. While it lives, the queue does not end.
    pub(super) fn sender(&self) -> Result<Sender<T>, StoreError> {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.clone().ok_or_else(closed)
    }

    pub(super) fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What a caller is told who comes too late.
pub(super) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::HandleClosed, "the store in a file")
}
