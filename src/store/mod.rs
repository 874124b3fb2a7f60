//! Streams and expected-version appends: the handle that users hold, and the
//! backends behind it.
//!
//! In the order that an append takes:
//!
//! | room | what it is for |
//! |---|---|
//! | [`Store`] | the cloneable handle |
//! | `commit` | what one call writes, checked against `limits` |
//! | `receipt` | what it is answered when it has landed |
//! | `fence` | leases and fencing tokens: the words and the rules |
//! | `facts` | the truth table of expectations over what is known of a stream |
//! | `removal` | removing events and sealing streams |
//! | `report` | what a check of everything has found |
//! | `scan` | which numbers one page of a read goes over |
//! | `filter` | which of them it answers |
//! | `fold` | a stream folded where it is read, and states that are kept |
//! | `feed` | events and removals in the order of positions, for followers |
//! | `checkpoint` | where a follower goes on, and whether it still can |
//! | [`Changes`] | the bell that wakes them |
//! | `tables` | the names that tables have in one build of what fills them |
//! | [`Tx`] | SQL inside the transaction of a commit |
//! | [`Database`] | where read models live, beside the events or apart |
//! | [`Backend`] | the contract of what keeps the events |
//! | `derived` | code of the application's that fills tables from the events |
//! | `followers` | how far each has come, and which of its builds is read |
//! | [`CommitHook`] | code of the application's that runs there |
//! | [`Wrapper`] | a backend around another one |
//! | `verdict` | the truth tables as pure functions, asked by every backend |
//! | `memory` | the shortest correct reading of the contract |
//! | [`sqlite`] | the durable one: a writer thread with group commit, and a pool of readers |
//! | `recent` | one read of the feed for all who wait at its end |
//! | `read` | pages turned into streams of events |
//! | `lease` | a lease as a caller holds it |
//! | `error` | what a caller is told when something cannot be |
//!
//! This floor knows neither aggregates nor commands nor projections: it moves
//! bytes under expectations.

mod backend;
mod changes;
mod checkpoint;
mod commit;
#[cfg(feature = "sqlite")]
mod database;
#[cfg(feature = "sqlite")]
mod derived;
mod error;
mod facts;
mod feed;
mod fence;
mod filter;
mod fold;
#[cfg(feature = "sqlite")]
mod followers;
mod handle;
#[cfg(feature = "sqlite")]
mod hook;
mod lease;
mod limits;
mod memory;
mod read;
mod receipt;
mod recent;
mod removal;
mod report;
mod scan;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
mod tables;
#[cfg(feature = "sqlite")]
mod tx;
mod verdict;
mod wrapper;

pub use backend::{
    AllPage, AllQuery, Backend, CommitFound, FoldPage, FoldQuery, ListQuery, StoreIdentity,
    StreamInfo, StreamPage, StreamQuery,
};
pub use changes::Changes;
pub use checkpoint::{Checkpoint, CheckpointMismatch};
pub use commit::{AppendRequest, Commit, CommitKey, CommitRequest, EventRequest, Fingerprint};
#[cfg(feature = "sqlite")]
pub(crate) use database::TransactError;
#[cfg(feature = "sqlite")]
pub use database::{BoxError, Database, QueryError};
#[cfg(feature = "sqlite")]
pub(crate) use derived::{At, Derived, NeedsRebuild, Step};
#[cfg(feature = "sqlite")]
pub use derived::{Derivation, Forgotten, InvalidDerivation};
pub use error::{AppendError, Duplicate, HookError, InvalidCommit, StoreError, StoreErrorKind};
pub use feed::{FeedItem, FeedPage, FeedQuery, RemovalKind, RemovalMarker, Scanned};
pub use fence::{
    Fence, FencingToken, InvalidLeaseName, LeaseAnswer, LeaseAsk, LeaseName, LeaseRequest,
    LeaseState,
};
pub use filter::Filter;
pub use fold::{Snapshot, StreamFold};
#[cfg(feature = "sqlite")]
pub use followers::OldBuild;
#[cfg(feature = "tool")]
pub(crate) use followers::READ_ALL;
#[cfg(feature = "sqlite")]
pub(crate) use followers::{Build, BuildState, builds};
pub use handle::Store;
#[cfg(feature = "sqlite")]
pub use hook::{CommitHook, HookResult};
pub use lease::{AcquireLease, Lease, LeaseError};
pub use limits::{LimitExceeded, Limits};
pub use memory::MemoryOptions;
pub use read::{Items, ListStreams, Paged, Pages, ReadAll, ReadStream, StreamSlice};
pub use receipt::{AppendReceipt, Receipt};
pub(crate) use recent::Seat;
pub use removal::{Compacted, Removal, RemovalRequest, Removed};
pub use report::{BackedUp, Damage, VerifyReport};
pub use scan::{Direction, PageBounds, Scan};
#[cfg(feature = "sqlite")]
pub use tables::InvalidTables;
#[cfg(feature = "sqlite")]
pub(crate) use tx::Rights;
#[cfg(feature = "sqlite")]
pub use tx::{SqlRow, SqlValue, Tx, TxError};
pub use wrapper::Wrapper;
