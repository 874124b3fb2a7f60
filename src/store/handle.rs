//! The handle that users hold: checks what is asked, and asks the backend.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::conflict::{Conflicts, UnseenEvents};
use crate::event::{NewEvent, RecordedEvent};
use crate::ids::{EventId, StreamId};
use crate::store::backend::{Backend, CommitFound, StoreIdentity, StreamInfo};
use crate::store::commit::Commit;
#[cfg(feature = "sqlite")]
use crate::store::database::Database;
use crate::store::error::{AppendError, StoreError};
use crate::store::fence::{LeaseName, LeaseState};
use crate::store::lease::AcquireLease;
use crate::store::limits::Limits;
use crate::store::memory::{MemoryOptions, MemoryStore};
use crate::store::read::{ListStreams, ReadAll, ReadStream};
use crate::store::receipt::Receipt;
use crate::store::recent::{Recent, Seat};
use crate::store::report::{BackedUp, VerifyReport};
#[cfg(feature = "sqlite")]
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::version::{ExpectedVersion, Position};

mod removal;
mod snapshots;
mod tokens;

/// A handle to a store. Cloning it is cheap, and every clone is the same store.
///
/// ```
/// use annalist::{AppendError, ExpectedVersion, NewEvent, Store, Version};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::memory();
/// let account = "account-42".parse()?;
///
/// let deposited = NewEvent::json("Deposited", &json!({ "cents": 500 }))?;
/// let receipt = store.append(&account, ExpectedVersion::NoStream, [deposited]).await?;
/// assert_eq!(receipt.version(), Version::new(1));
///
/// // A writer that has not seen the deposit is told so, and writes nothing.
/// let withdrawn = NewEvent::json("Withdrawn", &json!({ "cents": 500 }))?;
/// let refused = store.append(&account, Version::ZERO, [withdrawn]).await;
/// assert!(matches!(refused, Err(AppendError::Conflict(_))));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    identity: StoreIdentity,
    limits: Arc<Limits>,
    /// What its followers share.
    recent: Arc<Recent>,
    /// One for each state that is being kept.
    places: Arc<Semaphore>,
}

impl Store {
    /// An empty store in memory, gone with its last handle. It checks everything
    /// that the durable stores check, so tests may run on it.
    #[must_use]
    pub fn memory() -> Self {
        Self::memory_with(MemoryOptions::default())
    }

    /// The same with options.
    #[must_use]
    pub fn memory_with(options: MemoryOptions) -> Self {
        let limits = options.limits.clone();
        Self::from_backend(Arc::new(MemoryStore::new(options)), limits)
    }

    /// Opens the store in a SQLite file with default options; creates it where
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file is not a store, was written by a newer
    /// release, or cannot be opened.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime whose timers are enabled, as those of
    /// `#[tokio::main]` are.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the file as it was, or created and empty.
    #[cfg(feature = "sqlite")]
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    #[cfg(feature = "sqlite")]
    pub async fn open_with(
        path: impl AsRef<Path>,
        options: SqliteOptions,
    ) -> Result<Self, StoreError> {
        let limits = options.limits.clone();
        let backend = SqliteStore::open(path.as_ref(), options).await?;
        Ok(Self::from_backend(Arc::new(backend), limits))
    }

    /// A handle to a backend of the caller's, such as one that wraps another.
    #[must_use]
    pub fn from_backend(backend: Arc<dyn Backend>, limits: Limits) -> Self {
        Self {
            identity: backend.identity(),
            limits: Arc::new(limits),
            recent: Arc::default(),
            places: Arc::new(Semaphore::new(Self::KEPT_AT_ONCE_MAX)),
            backend,
        }
    }

    /// The backend behind this handle, for one that wraps it.
    #[must_use]
    pub fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.backend)
    }

    /// A place among the followers of this store.
    pub(crate) fn seat(&self) -> Seat {
        Seat::taken(Arc::clone(&self.recent))
    }

    /// Appends events to one stream, if it is as expected.
    ///
    /// The same as a [`Commit`] with one append. Without events it is a check.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    ///
    /// # Cancel safety
    ///
    /// As [`commit`](Self::commit).
    pub async fn append(
        &self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Result<Receipt, AppendError> {
        let commit = Commit::new().append(stream.clone(), expected, events);
        self.commit(commit).await
    }

    /// Writes a commit: all of it, or nothing.
    ///
    /// # Errors
    ///
    /// [`AppendError`] says why nothing was written. Two of its cases are answers
    /// rather than failures: a conflict, upon which the caller loads and decides
    /// again, and a commit key that took effect before.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the commit done or not done, never half.
    /// Sending the same commit again, with the same event ids or key, tells which,
    /// and does it if it was not done.
    pub async fn commit(&self, commit: Commit) -> Result<Receipt, AppendError> {
        let unseen_events_max = commit.unseen_events_max();
        let request = commit.into_request(&self.limits)?;
        let mut answer = self.backend.commit(request).await;
        if unseen_events_max > 0
            && let Err(AppendError::Conflict(conflicts) | AppendError::StreamClosed(conflicts)) =
                &mut answer
        {
            self.read_unseen(conflicts, unseen_events_max).await;
        }
        answer
    }

    /// Writes commits of which each was decided on what the ones before it leave, and none
    /// after the first that is refused, see [`Backend::commit_chain`].
    pub(crate) async fn commit_chain(
        &self,
        commits: Vec<Commit>,
    ) -> Vec<Result<Receipt, AppendError>> {
        let mut requests = Vec::with_capacity(commits.len());
        let mut refused = None;
        for commit in commits {
            match commit.into_request(&self.limits) {
                Ok(request) => requests.push(request),
                Err(error) => {
                    refused = Some(Err(error));
                    break;
                }
            }
        }
        let sent = requests.len();
        let mut told = match sent {
            0 => Vec::new(),
            _ => self.backend.commit_chain(requests).await,
        };
        if told.len() == sent && told.iter().all(Result::is_ok) {
            told.extend(refused);
        }
        told
    }

    /// Reads what the losers of a conflict have not seen. Versions are never
    /// given again, so reading after the refusal reads the same events.
    async fn read_unseen(&self, conflicts: &mut Conflicts, events_max: u32) {
        for conflict in conflicts.violations_mut() {
            let Some(seen) = conflict.acted_on() else {
                continue;
            };
            let read = self
                .read_stream(&conflict.stream)
                .from(seen.next())
                .to(conflict.actual)
                .limit(events_max.into());
            conflict.unseen = match read.collect().await {
                Ok(slice) => UnseenEvents::Read {
                    truncated: slice.events.len() as u64 == u64::from(events_max)
                        && slice
                            .events
                            .last()
                            .is_some_and(|last| last.version < conflict.actual),
                    events: slice.events,
                },
                Err(error) => UnseenEvents::Unreadable {
                    reason: error.to_string(),
                },
            };
        }
    }

    /// Reads the events of one stream.
    pub fn read_stream(&self, stream: &StreamId) -> ReadStream {
        ReadStream::new(Arc::clone(&self.backend), stream.clone())
    }

    /// Reads the events of all streams in the order of their positions.
    pub fn read_all(&self) -> ReadAll {
        ReadAll::new(Arc::clone(&self.backend))
    }

    /// Lists the streams that were ever written, in the order of their names.
    pub fn list_streams(&self) -> ListStreams {
        ListStreams::new(Arc::clone(&self.backend))
    }

    /// Says what a stream is without reading its events: version 0 and
    /// [`NeverWritten`](crate::StreamState::NeverWritten) for one that is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn stream_info(&self, stream: &StreamId) -> Result<StreamInfo, StoreError> {
        self.backend.stream_info(stream).await
    }

    /// Finds an event of a stream by its id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn find_event(
        &self,
        stream: &StreamId,
        id: EventId,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        self.backend.find_event(stream, id).await
    }

    /// The commit that took effect under a key of a stream; none if none did. A shortcut:
    /// what decides is the key inside of the commit, see [`Commit::key`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn find_commit(
        &self,
        stream: &StreamId,
        key: &str,
    ) -> Result<Option<CommitFound>, StoreError> {
        self.backend.find_commit(stream, key).await
    }

    /// A lease on a stream, or on anything else that has a name: one holder at a time,
    /// over all processes that have the store open.
    ///
    /// It spares work that would be lost, and does not stop a holder that was overtaken
    /// while it slept: for that, its commits carry the lease's token with
    /// [`Commit::fenced_by`]. None of it replaces the version check.
    ///
    /// ```
    /// use std::time::Duration;
    /// use annalist::{AppendError, Commit, ExpectedVersion, LeaseName, NewEvent, Store};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = Store::memory();
    /// let account = "account-42".parse()?;
    /// let billing = LeaseName::from(&account);
    /// let slow = store.lease(billing.clone()).for_duration(Duration::ZERO).acquire().await?;
    /// let quick = store.lease(billing).wait(Duration::from_secs(1)).acquire().await?;
    ///
    /// let billed = || NewEvent::json("Billed", &500);
    /// let commit = |lease, events| {
    ///     Commit::new().append(account.clone(), ExpectedVersion::Any, events).fenced_by(lease)
    /// };
    /// store.commit(commit(&quick, [billed()?])).await?;
    /// let refused = store.commit(commit(&slow, [billed()?])).await;
    /// assert!(matches!(refused, Err(AppendError::LeaseLost { .. })));
    /// # Ok(()) }
    /// ```
    pub fn lease(&self, name: LeaseName) -> AcquireLease {
        AcquireLease::new(Arc::clone(&self.backend), name)
    }

    /// Who holds a lease now; none if nobody does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn lease_holder(&self, name: &LeaseName) -> Result<Option<LeaseState>, StoreError> {
        self.backend.lease_holder(name).await
    }

    /// The database that the events are in, for read models beside them: what they are
    /// made of and what was made of it are in one file then, and in one backup.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Invalid`](crate::StoreErrorKind::Invalid) for a store that has no
    /// tables, such as one in memory: open a [`Database`] of its own beside it.
    #[cfg(feature = "sqlite")]
    pub fn database(&self) -> Result<Database, StoreError> {
        self.backend.database().ok_or_else(|| {
            let what = "looking for tables in a store that has none; open a Database beside it";
            StoreError::new(crate::store::error::StoreErrorKind::Invalid, what)
        })
    }

    /// The largest position written; zero in an empty store.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn head(&self) -> Result<Position, StoreError> {
        self.backend.head().await
    }

    /// Looks at everything stored: every checksum, every number that must have no hole,
    /// the indexes, the removals and the commit keys. Reads and appends go on meanwhile.
    ///
    /// Damage is no error of this call: it is in the report.
    ///
    /// ```
    /// # use annalist::{NewEvent, Store, Version};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = Store::memory();
    /// # store.append(&"account-42".parse()?, Version::ZERO, [NewEvent::json("Opened", &1)?]).await?;
    /// let report = store.verify().await?;
    /// assert!(report.is_whole() && report.events == 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read at all.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.backend.verify().await
    }

    /// Copies the store into a new file while it is in use, by SQLite's backup API. The
    /// copy is one state of the store, everything in it is looked at, and it is on disk
    /// and readable by its owner alone when this returns. It is a store like any other:
    /// to restore it, put it in the place of the one that is lost, with no process
    /// running and without the `-wal` and `-shm` files that lie beside that.
    ///
    /// Appends and reads go on. The write-ahead log grows by what is appended meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Invalid`](crate::StoreErrorKind::Invalid) where there is a file
    /// already, or the log of one that was, or for a store that is no file;
    /// [`Corrupt`](crate::StoreErrorKind::Corrupt) where the copy is damaged, and then so
    /// is the store; any other when it cannot be read or the copy not be written. Nothing
    /// is left at the path then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the copying, and nothing is left of it.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<BackedUp, StoreError> {
        self.backend.backup(to.as_ref()).await
    }

    /// What this handle takes at most.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Answers every commit that was accepted, then closes the store for all of
    /// its handles. When it returns, the file is free. Calling it again is no error.
    ///
    /// A store whose last handle is dropped without it does the same in the
    /// background.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the thread that writes has died. What was acknowledged stays
    /// durable all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the store closing.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.backend.close().await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
