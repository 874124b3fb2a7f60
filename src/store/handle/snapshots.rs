//! Keeping states for loads to begin with. The repository asks, in the background.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Store;
use crate::ids::StreamId;
use crate::store::error::StoreError;
use crate::store::fold::Snapshot;
use crate::version::{Generation, Version};

impl Store {
    /// States that are being kept at once; one that finds no place is not kept, and the
    /// next one is.
    pub(super) const KEPT_AT_ONCE_MAX: usize = 16;

    /// Whether a stream is known to stand at this version and generation now, without asking
    /// anybody.
    pub(crate) fn stands_at(&self, stream: &StreamId, at: (Version, Generation)) -> bool {
        self.backend.stands_at(stream, at.0, at.1) == Some(true)
    }

    /// A place for a state that is to be kept, if there is one.
    pub(crate) fn place_to_keep(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Keeps a state, if it is not larger than a commit may be; says whether it did.
    pub(crate) async fn keep_snapshot(
        &self,
        stream: StreamId,
        snapshot: Snapshot,
    ) -> Result<bool, StoreError> {
        match snapshot.state.len() <= self.limits.commit_bytes_max {
            true => self.backend.keep_snapshot(stream, snapshot).await,
            false => Ok(false),
        }
    }
}
