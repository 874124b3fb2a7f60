//! An event-sourced aggregate store with expected-version appends.
//!
//! Each aggregate is a stream of events. An append succeeds only if its stream is
//! as the caller expected; otherwise nothing is written, and the caller learns what
//! it expected, what is there, and what happened meanwhile. The store detects, the
//! application decides: two stale writers never overwrite each other in silence.
//!
//! ```
//! use annalist::{AppendError, Commit, ExpectedVersion, NewEvent, Store, Version};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::memory(); // or, durable: Store::open("bank.db").await?
//! let account = "account-42".parse()?;
//! let deposited = |cents: i64| NewEvent::json("Deposited", &json!({ "cents": cents }));
//!
//! let receipt = store.append(&account, ExpectedVersion::NoStream, [deposited(500)?]).await?;
//! store.append(&account, receipt.version(), [deposited(100)?]).await?;
//!
//! // A writer that still believes in the first version loses, and is told why.
//! let stale = Commit::new().append(account, receipt.version(), [deposited(1)?]).with_unseen(10);
//! match store.commit(stale).await {
//!     Err(AppendError::Conflict(conflicts)) => {
//!         let lost = &conflicts.violations()[0];
//!         assert_eq!(lost.actual, Version::new(2));
//!         assert_eq!(lost.unseen.events()[0].payload.as_str(), r#"{"cents":100}"#);
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok(()) }
//! ```
//!
//! # What holds
//!
//! - A commit lands whole or not at all, on one or several streams, and all of its
//!   expectations hold on the state that it is written upon.
//! - Versions of a stream have no holes and never restart; positions order all
//!   events in commit order and have no holes.
//! - An answer is given when what it rests on is durable, see
//!   [`Durability`](store::sqlite::Durability).
//! - An event is recognised by its id within its stream, a commit by its key: sending
//!   either again writes nothing and answers the first receipt.
//! - What is stored is under a checksum that every read verifies, and no index is believed
//!   alone; what one look cannot see is said in [`store::sqlite`].
//!
//! # Choices where the field differs
//!
//! - A commit key belongs to the stream that its commit names first.
//! - If any violated stream is closed, the whole answer is
//!   [`AppendError::StreamClosed`], since no retry can land.
//! - Metadata and schema version are not compared when an event is sent again: type
//!   and payload decide.
//! - Deleting a deleted stream under `StreamExists` repeats the deletion and is no
//!   conflict. A closed stream can be truncated, not deleted. Truncating leaves an
//!   event at least, and is not a deletion that `NoStream` fits.
//! - A removal takes a position of its own under which no event is read; a subscription
//!   is told of it there. Closing a stream takes none.
//! - A read of events ends where the store ended when its first page was read.
//! - `from` and `to` of a read are its smallest and largest number in both directions.
//! - A key that comes with events that are stored already is remembered, too.
//! - `recorded_at` is the caller's clock when the commit was handed over, never less
//!   than the event before.
//!
//! # The house
//!
//! Modules in the order of floors; each imports only those above it.
//!
//! | module | what it is for |
//! |---|---|
//! | | **vocabulary: plain data, pure functions** |
//! | `ids` | the names of things: [`StreamId`], [`EventType`], [`EventId`], [`CommandId`] |
//! | `version` | the numbers that order things, and [`ExpectedVersion`] |
//! | `payload` | the JSON of an event, checked when made: [`Payload`] |
//! | `event` | an event before and after it is stored: [`NewEvent`], [`RecordedEvent`] |
//! | `retry` | when to try again, and when to stop: [`RetryPolicy`], [`Backoff`] |
//! | `conflict` | what a caller learns when its expectation did not hold: [`ConflictReport`] |
//! | `token` | what a client has seen, as text that cannot be forged: [`VersionToken`] |
//! | `clock` | the only reader of wall time |
//! | `caught` | user code that panics: [`Panicked`] |
//! | `metrics` | what is reported to the crate `metrics`: conflicts, retries, batches, queues (feature `metrics`) |
//! | `sample` | values of any type that serde reads, for the test kit (feature `testkit`) |
//! | | **domain: what a user writes, still without I/O** |
//! | `upcast` | how events in older shapes are read: [`Upcasters`] |
//! | `aggregate` | a state folded from events: [`Aggregate`], [`Violation`] |
//! | `codec` | the only (de)serializer of events: [`Codec`], [`RecordedEvent::decode`] |
//! | | **storage: moves bytes under expectations** |
//! | [`store`] | [`Store`], and behind it [`Backend`](store::Backend): in memory and in SQLite |
//! | `trace` | what belongs together over all streams, and what caused what: [`Trace`] |
//! | | **followers: what happened, as it happens** |
//! | [`subscription`] | catch up by pages, then follow the head: [`Store::subscribe`], [`Checkpoint`] |
//! | [`follow`] | code that keeps in tables what it made of what happened: one runner, its checkpoint, its trouble (feature `sqlite`) |
//! | [`projection`] | read models, filled from the events: [`Projection`](projection::Projection) (feature `sqlite`) |
//! | | **aggregates: loaded, decided, saved** |
//! | `snapshot` | states that are kept beside their events: [`Snapshots`] |
//! | `repository` | aggregates loaded and saved by hand: [`Repository`], [`Conflict`] |
//! | [`command`] | commands, and conflicts that are decided: [`Command`], [`CommandBus`] |
//! | [`reaction`] | what is done upon what happens: [`Reaction`](reaction::Reaction), [`ProcessManager`](reaction::ProcessManager) (feature `sqlite`) |
//! | [`domain`] | the one registry: aggregates and commands that come as text, projections, reactions: [`Domain`], [`AnyCommand`] |
//! | | **for clients, people and tests** |
//! | `http` | version tokens as `ETag`, preconditions, problem details, on the types of the crate `http` (feature `http`); routes for axum (feature `axum`) |
//! | `tool` | the command line `annalist` as a library, for a [`Domain`] of your own (feature `tool`) |
//! | [`performance`] | what to expect of the speed, how to measure it, what to tune: a page, no code |
//! | `testkit` | given/when/then for commands, the laws of what a command declares and a hunt for what breaks them, every race of a few commands, the contract of a backend as data, a checker of recorded histories, a clock that you set (feature `testkit`) |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `sqlite` | yes | [`Store::open`]: the durable store in one file, SQLite built in |
//! | `testkit` | no | `annalist::testkit`: scenarios, laws of what commands declare, every schedule of a race |
//! | `http` | no | `annalist::http`: preconditions and problem details for any web framework |
//! | `axum` | no | `annalist::http::axum`: routes for the aggregates of a domain |
//! | `tool` | no | the command line `annalist`, and `annalist::tool` |
//! | `metrics` | no | figures for a recorder of the crate `metrics`; `annalist::metrics` lists them |

mod aggregate;
mod caught;
mod clock;
mod codec;
pub mod command;
mod conflict;
pub mod domain;
mod event;
#[cfg(feature = "sqlite")]
pub mod follow;
#[cfg(feature = "http")]
pub mod http;
mod ids;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "metrics/unmeasured.rs"]
mod metrics;
mod payload;
pub mod performance;
#[cfg(feature = "sqlite")]
pub mod projection;
#[cfg(feature = "sqlite")]
pub mod reaction;
mod repository;
mod retry;
#[cfg(feature = "testkit")]
mod sample;
mod snapshot;
pub mod store;
pub mod subscription;
#[cfg(feature = "testkit")]
pub mod testkit;
mod token;
#[cfg(feature = "tool")]
pub mod tool;
mod trace;
mod upcast;
mod version;

pub use aggregate::{Aggregate, Contention, Snapshots, Violation, ensure, fold, stream_id};
pub use caught::Panicked;
pub use clock::{Clock, SystemClock};
pub use codec::{
    Codec, DecodeError, DecodeErrorKind, Decoded, EncodeError, FoldError, InvalidAggregate,
};
pub use command::{
    BusOptions, Command, CommandBus, Decision, Dispatch, DispatchError, Diverged, OnConflict,
    Outcome, Requires,
};
pub use conflict::{
    ConflictKind, ConflictReason, ConflictReport, Conflicts, Policy, UnseenEvent, UnseenEvents,
    VersionConflict,
};
pub use domain::{
    AnyCommand, AnyDispatch, AnyDispatchError, AnyEvent, AnyLoaded, AnyOutcome, Domain,
    DomainError, InvalidDomain,
};
pub use event::{EventRef, InvalidEvent, Metadata, NewEvent, RecordedEvent};
pub use ids::{CommandId, EventId, EventType, InvalidName, StreamId};
pub use payload::{InvalidPayload, Payload, PayloadRef};
pub use repository::{Conflict, LoadError, Loaded, Repository, SaveError};
pub use retry::{Backoff, GaveUp, RetryPolicy};
pub use store::{
    AppendError, AppendReceipt, Checkpoint, CheckpointMismatch, Commit, Duplicate, FeedItem, Fence,
    FencingToken, Fingerprint, InvalidCommit, Lease, LeaseError, LeaseName, LimitExceeded, Limits,
    PageBounds, Receipt, RemovalKind, RemovalMarker, Store, StoreError, StoreErrorKind, StreamInfo,
    StreamSlice,
};
pub use subscription::{Subscribe, SubscriptionPage};
pub use token::{InvalidToken, TokenKey, TokenSubject, VersionToken};
pub use trace::{Trace, TracedEvent};
pub use upcast::{UpcastError, UpcastEvent, Upcasters};
/// The crate that event ids come from, for [`EventId::from_uuid`].
pub use uuid;
pub use version::{ExpectedVersion, Generation, Position, StreamState, Version};

/// The README's code, run with the documentation's.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
