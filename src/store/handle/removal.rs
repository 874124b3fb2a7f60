//! Removing events and sealing streams.

use super::Store;
use crate::ids::StreamId;
use crate::store::error::{AppendError, StoreError};
use crate::store::limits::check_stream;
use crate::store::removal::{Compacted, Removal, RemovalRequest, Removed};
use crate::version::{ExpectedVersion, Version};

impl Store {
    /// Removes all events of a stream, if it is as expected. It can be written again;
    /// numbering goes on where it was.
    ///
    /// What was removed is not read again, but its ids and commit keys stay known.
    /// Its payload stays in the file until [`compact`](Self::compact).
    ///
    /// ```
    /// use annalist::{ExpectedVersion, NewEvent, Store, StreamState, Version};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Store::memory();
    /// let account = "account-42".parse()?;
    /// store.append(&account, Version::ZERO, [NewEvent::json("Opened", &1)?]).await?;
    /// let removed = store.delete(&account, Version::new(1)).await?;
    /// assert_eq!(removed.state, StreamState::Deleted);
    /// assert!(store.read_stream(&account).collect().await?.events.is_empty());
    ///
    /// let receipt =
    ///     store.append(&account, ExpectedVersion::NoStream, [NewEvent::json("Opened", &2)?]).await?;
    /// assert_eq!(receipt.version(), Version::new(2));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AppendError::Conflict`] or [`AppendError::StreamClosed`] when the stream is
    /// not as expected, or [`AppendError::Store`]. Repeating a deletion is no error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the stream deleted or not; asking again tells.
    pub async fn delete(
        &self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
    ) -> Result<Removed, AppendError> {
        self.remove(stream, Removal::Delete(expected.into())).await
    }

    /// Removes the events of a stream before a version, such as those that an event
    /// at that version sums up. At least one event is left. A closed stream can be
    /// truncated too.
    ///
    /// # Errors
    ///
    /// [`AppendError::Invalid`] when the version is beyond the stream's, or
    /// [`AppendError::Store`]. Repeating it is no error.
    ///
    /// # Cancel safety
    ///
    /// As [`delete`](Self::delete).
    pub async fn truncate_before(
        &self,
        stream: &StreamId,
        version: Version,
    ) -> Result<Removed, AppendError> {
        self.remove(stream, Removal::TruncateBefore(version)).await
    }

    /// Seals a stream, if it is as expected: what it holds stays readable, nothing is
    /// appended to it again.
    ///
    /// # Errors
    ///
    /// As [`delete`](Self::delete).
    ///
    /// # Cancel safety
    ///
    /// As [`delete`](Self::delete).
    pub async fn close_stream(
        &self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
    ) -> Result<Removed, AppendError> {
        self.remove(stream, Removal::Close(expected.into())).await
    }

    async fn remove(&self, stream: &StreamId, removal: Removal) -> Result<Removed, AppendError> {
        check_stream(stream, &self.limits)?;
        let stream = stream.clone();
        self.backend
            .remove(RemovalRequest { stream, removal })
            .await
    }

    /// Strips removed events of payload and metadata, for good. What is left of each
    /// is a skeleton: id, stream, version, position, type and time, so that numbering,
    /// order and the recognition of repeats stay whole.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be written. What was stripped until then
    /// stays so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future lets the work go on or stop; asking again finishes it.
    pub async fn compact(&self) -> Result<Compacted, StoreError> {
        self.backend.compact().await
    }
}
