//! What one call writes.
//!
//! A caller builds a [`Commit`]; the handle checks it against the limits and
//! turns it into the [`CommitRequest`] that a backend takes.

use std::collections::HashSet;
use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::event::{Metadata, NewEvent, RecordedEvent};
use crate::ids::{EventId, EventType, StreamId};
use crate::payload::Payload;
use crate::store::error::{AppendError, Duplicate, InvalidCommit, StoreError, StoreErrorKind};
use crate::store::fence::Fence;
use crate::store::limits::{Limits, check, check_stream};
use crate::version::{ExpectedVersion, Generation, Position, Version};

/// One atomic step: events for one or several streams, each under its own
/// expectation, and streams that are only checked. All expectations hold, or
/// nothing is written.
///
/// ```
/// use annalist::{Commit, ExpectedVersion, NewEvent, Store, Version};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::memory();
/// let moved = json!({ "cents": 500 });
/// let receipt = store
///     .commit(
///         Commit::new()
///             .append("account-1".parse()?, ExpectedVersion::Any, [NewEvent::json("Sent", &moved)?])
///             .append("account-2".parse()?, ExpectedVersion::Any, [NewEvent::json("Received", &moved)?])
///             .check("bank-limits".parse()?, ExpectedVersion::NoStream),
///     )
///     .await?;
/// assert_eq!(receipt.appends.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a commit does nothing until a store is given it"]
pub struct Commit {
    appends: Vec<Append>,
    key: Option<CommitKey>,
    fences: Vec<Fence>,
    unseen_events_max: u32,
}

#[derive(Clone, Debug)]
struct Append {
    stream: StreamId,
    expected: ExpectedVersion,
    generation: Option<Generation>,
    events: Vec<NewEvent>,
}

impl Commit {
    /// A commit of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends events to a stream. Without events it is a check: it writes
    /// nothing, creates nothing, and is answered the stream's version.
    pub fn append(
        mut self,
        stream: StreamId,
        expected: impl Into<ExpectedVersion>,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Self {
        self.appends.push(Append {
            stream,
            expected: expected.into(),
            generation: None,
            events: events.into_iter().collect(),
        });
        self
    }

    /// Checks a stream without writing to it.
    pub fn check(self, stream: StreamId, expected: impl Into<ExpectedVersion>) -> Self {
        self.append(stream, expected, [])
    }

    /// Expects of the stream named last that no events were removed from it since it
    /// was read at this generation: what was folded from them may not be there now.
    pub fn at_generation(mut self, generation: Generation) -> Self {
        if let Some(append) = self.appends.last_mut() {
            append.generation = Some(generation);
        }
        self
    }

    /// Names the commit, so that it is recognised for ever: sent again with the
    /// same fingerprint it is answered with the first receipt, whatever its
    /// events are. The key belongs to the stream named first in the commit; in
    /// another stream the same text is another key.
    pub fn key(mut self, key: impl Into<String>, fingerprint: Fingerprint) -> Self {
        self.key = Some(CommitKey {
            key: key.into(),
            fingerprint,
        });
        self
    }

    /// Writes the commit only if nobody was granted this lease since, see
    /// [`Store::lease`](crate::Store::lease). Several are all compared. A repeat of what
    /// was written already is answered whatever became of the lease.
    pub fn fenced_by(mut self, fence: impl Into<Fence>) -> Self {
        self.fences.push(fence.into());
        self
    }

    /// Asks that a conflict brings up to this many of the events that the caller
    /// has not seen, for each violated expectation. Default 0: none are read.
    pub fn with_unseen(mut self, events_max: u32) -> Self {
        self.unseen_events_max = events_max;
        self
    }

    pub(crate) const fn unseen_events_max(&self) -> u32 {
        self.unseen_events_max
    }

    /// Checks all that can be told without the store.
    pub(crate) fn into_request(self, limits: &Limits) -> Result<CommitRequest, AppendError> {
        self.check_streams(limits)?;
        if let Some(key) = &self.key {
            key.check()?;
        }
        check(
            "COMMIT_FENCES_MAX",
            Limits::COMMIT_FENCES_MAX,
            self.fences.len(),
            || "leases that the commit is fenced by".to_owned(),
        )?;
        let events = self.appends.iter().map(|append| append.events.len()).sum();
        check(
            "commit_events_max",
            limits.commit_events_max,
            events,
            || "events of the commit".to_owned(),
        )?;
        let appends = self
            .appends
            .into_iter()
            .map(|append| append.into_request(limits));
        let request = CommitRequest {
            appends: appends.collect::<Result<_, _>>()?,
            key: self.key,
            fences: self.fences,
        };
        check(
            "commit_bytes_max",
            limits.commit_bytes_max,
            request.bytes(),
            || "bytes of the commit's payloads and metadata".to_owned(),
        )?;
        Ok(request)
    }

    fn check_streams(&self, limits: &Limits) -> Result<(), AppendError> {
        if self.appends.is_empty() {
            return Err(AppendError::Invalid(InvalidCommit::Empty));
        }
        let streams = self.appends.len();
        check(
            "commit_streams_max",
            limits.commit_streams_max,
            streams,
            || "streams of the commit".to_owned(),
        )?;
        let mut seen = HashSet::new();
        for Append { stream, .. } in &self.appends {
            check_stream(stream, limits)?;
            if streams > 1 && !seen.insert(stream) {
                let twice = InvalidCommit::StreamTwice(stream.clone());
                return Err(AppendError::Invalid(twice));
            }
        }
        Ok(())
    }
}

impl Append {
    fn into_request(self, limits: &Limits) -> Result<AppendRequest, AppendError> {
        let Self {
            stream,
            expected,
            generation,
            events,
        } = self;
        if let Some(id) = first_twice(&events) {
            return Err(AppendError::DuplicateEvent {
                stream,
                id,
                duplicate: Duplicate::Sent,
            });
        }
        let events = events
            .into_iter()
            .map(|event| EventRequest::new(event, &stream, limits))
            .collect::<Result<_, _>>()?;
        Ok(AppendRequest {
            stream,
            expected,
            generation,
            events,
        })
    }
}

fn first_twice(events: &[NewEvent]) -> Option<EventId> {
    if events.len() < 2 {
        return None;
    }
    let mut seen = HashSet::with_capacity(events.len());
    events
        .iter()
        .map(|event| event.id)
        .find(|id| !seen.insert(*id))
}

/// A commit that has passed the limits: what a [`Backend`](crate::store::Backend) takes.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    /// What is appended and checked; at least one, no stream twice.
    pub appends: Vec<AppendRequest>,
    /// The commit key; it belongs to the stream of the first append.
    pub key: Option<CommitKey>,
    /// The leases that the caller must still hold.
    pub fences: Vec<Fence>,
}

/// The part of a commit that concerns one stream.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// The stream.
    pub stream: StreamId,
    /// What the caller believes about it.
    pub expected: ExpectedVersion,
    /// The generation that the caller has seen, where that matters to it.
    pub generation: Option<Generation>,
    /// The events; none for a check. No id stands twice.
    pub events: Vec<EventRequest>,
}

/// One event to append, its metadata as it is stored.
#[derive(Clone, Debug)]
pub struct EventRequest {
    /// Its identity.
    pub id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// Which shape of that type the payload has.
    pub schema_version: u32,
    /// The details.
    pub payload: Payload,
    /// The metadata as JSON; none where nothing is set.
    pub metadata: Option<Box<str>>,
}

impl CommitRequest {
    /// Bytes of all payloads and metadata.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let events = self.appends.iter().flat_map(|append| &append.events);
        events.map(EventRequest::bytes).sum()
    }
}

impl EventRequest {
    fn new(event: NewEvent, stream: &StreamId, limits: &Limits) -> Result<Self, AppendError> {
        let NewEvent {
            id,
            event_type,
            schema_version,
            payload,
            metadata,
        } = event;
        let metadata = metadata.to_stored().map_err(|_| {
            let stream = stream.clone();
            AppendError::Invalid(InvalidCommit::Metadata { stream, id })
        })?;
        let place = |what| format!("bytes of the {what} of event {id} of stream {stream}");
        let type_bytes = event_type.as_str().len();
        check(
            "event_type_bytes_max",
            limits.event_type_bytes_max,
            type_bytes,
            || place("type"),
        )?;
        let payload_bytes = payload.as_str().len();
        check(
            "payload_bytes_max",
            limits.payload_bytes_max,
            payload_bytes,
            || place("payload"),
        )?;
        let metadata_bytes = metadata.as_deref().map_or(0, str::len);
        check(
            "metadata_bytes_max",
            limits.metadata_bytes_max,
            metadata_bytes,
            || place("metadata"),
        )?;
        Ok(Self {
            id,
            event_type,
            schema_version,
            payload,
            metadata,
        })
    }

    /// The event as it is read once it stands there.
    pub(crate) fn recorded(
        &self,
        stream: &StreamId,
        version: Version,
        position: Position,
        recorded_at: DateTime<Utc>,
    ) -> Result<RecordedEvent, StoreError> {
        let metadata = Metadata::from_stored(self.metadata.as_deref()).map_err(|error| {
            let position = Some(position);
            StoreError::new(StoreErrorKind::Corrupt { position }, "reading metadata")
                .with_source(error)
        })?;
        Ok(RecordedEvent {
            id: self.id,
            stream: stream.clone(),
            version,
            position,
            event_type: self.event_type.clone(),
            schema_version: self.schema_version,
            payload: self.payload.clone(),
            metadata,
            recorded_at,
        })
    }

    fn bytes(&self) -> usize {
        self.payload.as_str().len() + self.metadata.as_deref().map_or(0, str::len)
    }
}

/// How a commit is recognised for ever: a text, and what it stood for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommitKey {
    /// The text, at most 255 bytes.
    pub key: String,
    /// What the key stands for: the same key for something else is an error.
    pub fingerprint: Fingerprint,
}

impl CommitKey {
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        if self.key.is_empty() || self.key.contains(char::is_control) {
            return Err(AppendError::Invalid(InvalidCommit::Key));
        }
        let max = Limits::COMMIT_KEY_BYTES_MAX;
        check("COMMIT_KEY_BYTES_MAX", max, self.key.len(), || {
            "bytes of the commit key".to_owned()
        })?;
        Ok(())
    }
}

/// What a commit key stands for, in 16 bytes.
///
/// ```
/// use annalist::Fingerprint;
///
/// let withdrawal = Fingerprint::of(br#"withdraw {"cents":500}"#);
/// assert_ne!(withdrawal, Fingerprint::of(br#"withdraw {"cents":501}"#));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of these bytes: the first 128 bits of their SHA-256
    /// (FIPS 180-4), the same on every machine and in every release.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let mut fingerprint = [0; 16];
        let digest = Sha256::digest(bytes.as_ref());
        for (byte, of_digest) in fingerprint.iter_mut().zip(digest) {
            *byte = of_digest;
        }
        Self(fingerprint)
    }

    /// A fingerprint that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, as a backend stores them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}
