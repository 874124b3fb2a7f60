//! Aggregates as a program holds them: loaded from their stream, saved to it.
//!
//! The command bus stands on it; whoever wants to load, change and save by hand uses it
//! directly. A save tells its caller what it has not seen and never tries again by itself.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::aggregate::{Aggregate, stream_id};
use crate::codec::{Codec, FoldError};
use crate::event::{NewEvent, RecordedEvent};
use crate::ids::{EventId, InvalidName, StreamId};
use crate::store::{Store, StoreErrorKind};
use crate::version::{Generation, Version};

mod cache;
mod conflict;
mod error;
mod fold;
mod keep;
mod save;

pub(crate) use cache::Cache;
pub use conflict::Conflict;
pub(crate) use error::debug;
pub use error::{LoadError, SaveError};
use fold::Until;

/// Loads and saves aggregates of one kind.
///
/// ```
/// use annalist::{Aggregate, Repository, SaveError, Store, Violation, ensure};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// enum AccountEvent {
///     Deposited { cents: i64 },
/// }
///
/// #[derive(Default, Clone, Serialize, Deserialize)]
/// struct Account {
///     balance: i64,
/// }
///
/// impl Aggregate for Account {
///     const CATEGORY: &'static str = "account";
///     type Event = AccountEvent;
///
///     fn apply(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) {
///         self.balance += cents;
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let accounts = Repository::<Account>::new(Store::memory());
/// let mine = accounts.load("42").await?;
/// let theirs = accounts.load("42").await?;
/// accounts.save(theirs, vec![AccountEvent::Deposited { cents: 500 }]).await?;
///
/// match accounts.save(mine, vec![AccountEvent::Deposited { cents: 1 }]).await {
///     Err(SaveError::Conflict(conflict)) => {
///         assert_eq!(conflict.current.balance, 500);
///         assert_eq!(conflict.report().changed, ["/balance"]);
///     }
///     _ => panic!("the other one was faster"),
/// }
/// # Ok(()) }
/// ```
pub struct Repository<A: Aggregate> {
    store: Store,
    codec: Codec<A>,
}

/// An aggregate as it was at some version of its stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded<A> {
    /// Its stream.
    pub stream: StreamId,
    /// The state that its events fold to.
    pub state: A,
    /// The stream's version then; 0 if it was never written.
    pub version: Version,
    /// The stream's generation then.
    pub generation: Generation,
    /// The id of the last event that was folded.
    pub last_event: Option<EventId>,
}

impl<A: Aggregate> Loaded<A> {
    /// One that was never written.
    pub(crate) fn new(stream: StreamId) -> Self {
        Self {
            stream,
            state: A::default(),
            version: Version::ZERO,
            generation: Generation::ZERO,
            last_event: None,
        }
    }

    /// Whether there is anything to read of it: not if it was never written, or is
    /// deleted.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.last_event.is_some()
    }
}

/// What has become of an aggregate since it was loaded.
pub(crate) struct Since<A> {
    pub(crate) now: Loaded<A>,
    /// What happened since, as far as it can be read.
    pub(crate) unseen: Vec<RecordedEvent>,
}

impl<A: Aggregate> Repository<A> {
    /// The aggregates of this kind in a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let codec = Codec::new();
        Self { store, codec }
    }

    /// Loads an aggregate by the key of its stream. One that was never written is at
    /// version 0, with the default state.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when the key cannot be one, or the stream cannot be read or folded.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn load(&self, key: impl fmt::Display) -> Result<Loaded<A>, LoadError> {
        let stream = stream_id::<A>(key)?;
        self.load_stream(&stream).await
    }

    /// Loads an aggregate as it was at a version.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load); [`LoadError::NotReached`] when the stream is not so far
    /// yet, [`LoadError::Removed`] when the events up to there were removed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn load_at(
        &self,
        key: impl fmt::Display,
        version: Version,
    ) -> Result<Loaded<A>, LoadError> {
        let stream = stream_id::<A>(key)?;
        self.load_stream_at(&stream, version).await
    }

    /// Loads an aggregate as it was recorded at a time: with the events whose
    /// `recorded_at` is not after it.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load); [`LoadError::Removed`] when the events up to there were
    /// removed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn load_as_of(
        &self,
        key: impl fmt::Display,
        time: DateTime<Utc>,
    ) -> Result<Loaded<A>, LoadError> {
        let stream = stream_id::<A>(key)?;
        let (loaded, first) = self.fold(&stream, Until::Time(time)).await?;
        match first {
            // What was removed may have been recorded before that time.
            Some(first) if !loaded.exists() && first > Version::new(1) => {
                Err(LoadError::Removed { stream, first })
            }
            _ => Ok(loaded),
        }
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) async fn load_stream(&self, stream: &StreamId) -> Result<Loaded<A>, LoadError> {
        let (loaded, _) = self.fold(stream, Until::Version(Version::MAX)).await?;
        Ok(loaded)
    }

    pub(crate) async fn load_stream_at(
        &self,
        stream: &StreamId,
        version: Version,
    ) -> Result<Loaded<A>, LoadError> {
        let info = self.store.stream_info(stream).await?;
        if version > info.version {
            return Err(LoadError::NotReached {
                stream: stream.clone(),
                asked: version,
                version: info.version,
            });
        }
        let (loaded, _) = self.fold(stream, Until::Version(version)).await?;
        // Nothing is left below a stream's first event. Of a deleted one there is nothing at
        // all, and that is how it is at its last version.
        let gone = !loaded.exists() && version > Version::ZERO && version < info.version;
        match gone {
            true => Err(LoadError::Removed {
                stream: stream.clone(),
                first: info.first_version.unwrap_or(info.version.next()),
            }),
            false => Ok(loaded),
        }
    }

    fn apply(&self, loaded: Loaded<A>, events: &[RecordedEvent]) -> Result<Loaded<A>, LoadError> {
        let Some(last) = events.last() else {
            return Ok(loaded);
        };
        Ok(Loaded {
            state: self.codec.fold(loaded.state, events)?,
            version: last.version,
            last_event: Some(last.id),
            ..loaded
        })
    }

    /// The state as it is now, if nothing has come since more often than not.
    pub(crate) async fn refresh(&self, seen: &Loaded<A>) -> Result<Loaded<A>, LoadError> {
        let at = (seen.version, seen.generation);
        match self.store.stands_at(&seen.stream, at) {
            true => Ok(seen.clone()),
            false => self.catch_up(seen).await.map(|since| since.now),
        }
    }

    /// Reads what happened since. Where events were removed meanwhile, the state is folded
    /// afresh.
    pub(crate) async fn catch_up(&self, seen: &Loaded<A>) -> Result<Since<A>, LoadError> {
        let rest = self
            .store
            .read_stream(&seen.stream)
            .from(seen.version.next());
        let slice = match rest.collect().await {
            Ok(slice) if slice.generation == seen.generation => slice,
            Ok(_) => return self.afresh(seen).await,
            Err(error) if error.kind() == StoreErrorKind::RemovedMeanwhile => {
                return self.afresh(seen).await;
            }
            Err(error) => return Err(error.into()),
        };
        let now = self.apply(seen.clone(), &slice.events)?;
        Ok(Since {
            now,
            unseen: slice.events,
        })
    }

    async fn afresh(&self, seen: &Loaded<A>) -> Result<Since<A>, LoadError> {
        let now = self.load_stream(&seen.stream).await?;
        let rest = self.store.read_stream(&seen.stream);
        let rest = rest.from(seen.version.next()).to(now.version);
        let unseen = rest.collect().await?.events;
        Ok(Since { now, unseen })
    }

    /// Reads recorded events as those of the aggregate.
    pub(crate) fn decode<'a>(
        &self,
        recorded: impl IntoIterator<Item = &'a RecordedEvent>,
    ) -> Result<Vec<A::Event>, LoadError> {
        let mut events = Vec::new();
        for event in recorded {
            events.extend(self.codec.decode(event).map_err(FoldError::from)?);
        }
        Ok(events)
    }

    /// Turns events into what is stored.
    pub(crate) fn encode(
        &self,
        events: &[A::Event],
    ) -> Result<Vec<NewEvent>, crate::codec::EncodeError> {
        events
            .iter()
            .map(|event| self.codec.encode(event))
            .collect()
    }
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            codec: self.codec.clone(),
        }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repository of {}", A::CATEGORY)
    }
}

impl From<InvalidName> for LoadError {
    fn from(error: InvalidName) -> Self {
        Self::Name(error)
    }
}
