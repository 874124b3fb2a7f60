//! Read models: tables that the application fills from the events.
//!
//! A [`Projection`] is written once and filled in one of three ways.
//!
//! | | when | where | what it costs |
//! |---|---|---|---|
//! | [`inline`] | in the transaction of each commit | the store's file | every append waits for it; it is never behind |
//! | following, by a [`ProjectionRunner`] | after, at its own pace | the store's file, or another [`Database`](crate::store::Database) | nothing to appends but the disk |
//! | [`Live`] | when it is read | memory | each read folds what is new |
//!
//! In each of them the tables and how far they have come are written in one transaction, so
//! that an event counts exactly once, whatever is killed when.
//!
//! | room | what it is for |
//! |---|---|
//! | `derive` | a projection as the store runs it |
//! | [`Documents`] | JSON by key, without SQL |
//! | [`Totals`] | counts and sums by group, without SQL |
//! | [`ProjectionRunner`] | fills projections that follow |
//! | [`Live`] | fills one when it is read |
//!
//! # Elsewhere
//!
//! A read model that is no SQL, such as a search engine or a file, follows by a
//! [subscription](crate::Store::subscribe). What makes each event count exactly once is
//! that the [`Checkpoint`](crate::Checkpoint) is kept where the read model is, and written
//! together with it:
//!
//! ```
//! use std::path::Path;
//! use annalist::{Checkpoint, FeedItem, Position, Store};
//! use futures_util::StreamExt;
//! use serde::{Deserialize, Serialize};
//!
//! /// How many events there are, in a file of JSON.
//! #[derive(Default, Serialize, Deserialize)]
//! struct Count {
//!     events: u64,
//!     checkpoint: Option<Checkpoint>,
//! }
//!
//! async fn count(store: &Store, file: &Path) -> Result<u64, Box<dyn std::error::Error>> {
//!     let mut count = match std::fs::read(file) {
//!         Ok(json) => serde_json::from_slice(&json)?,
//!         Err(_) => Count::default(),
//!     };
//!     let checkpoint = count.checkpoint.unwrap_or_else(|| Checkpoint::start(store.id()));
//!     let mut pages = store.subscribe(checkpoint).pages();
//!     while checkpoint.position < store.head().await? {
//!         let page = pages.next().await.ok_or("it never ends")??;
//!         for item in &page.items {
//!             match item {
//!                 FeedItem::Event(_) => count.events += 1,
//!                 FeedItem::Removed(marker) => println!("{} has less", marker.stream),
//!             }
//!         }
//!         count.checkpoint = Some(page.checkpoint);
//!         // Both at once: the new file takes the place of the old one, or does not.
//!         let new = file.with_extension("new");
//!         std::fs::write(&new, serde_json::to_vec(&count)?)?;
//!         std::fs::rename(&new, file)?;
//!         if page.is_last() {
//!             break;
//!         }
//!     }
//!     Ok(count.events)
//! }
//! # use annalist::{ExpectedVersion, NewEvent};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (store, folder) = (Store::memory(), tempfile::tempdir()?);
//! # let file = folder.path().join("count.json");
//! # for events in 1..4 {
//! #     let noted = NewEvent::json("Noted", &events)?;
//! #     store.append(&"note-1".parse()?, ExpectedVersion::Any, [noted]).await?;
//! #     assert_eq!(count(&store, &file).await?, events);
//! # }
//! # Ok(()) }
//! ```

use std::future::Future;

use crate::event::RecordedEvent;
use crate::ids::StreamId;
use crate::store::{BoxError, Derivation, Filter, Forgotten, InvalidDerivation, Tx};

mod derive;
mod documents;
mod live;
mod runner;
mod totals;

pub use documents::Documents;
pub use live::Live;
pub use runner::ProjectionRunner;
pub use totals::{Total, Totals};

/// What a projection ends with when it cannot take something in.
pub type ProjectionResult<T = ()> = Result<T, BoxError>;

/// A read model: tables, and how they are filled from the events.
///
/// - It runs in a transaction, and may await its [`Tx`] and nothing else. What it does
///   otherwise, such as sending a message, is done again when the transaction is. For that
///   there are reactions.
/// - It writes the tables that it [declares](Self::tables) and no others. It may read any.
/// - What it makes must depend on the events alone, not on a clock or on what else is in
///   the database: then it can be [rebuilt](ProjectionRunner).
///
/// ```
/// use annalist::projection::{Documents, Projection, ProjectionResult};
/// use annalist::store::{Forgotten, Tx};
/// use annalist::{RecordedEvent, StreamId};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Balance {
///     cents: i64,
/// }
///
/// const BALANCES: Documents<str, Balance> = Documents::new("balances");
///
/// struct Balances;
///
/// impl Projection for Balances {
///     const NAME: &'static str = "balances";
///
///     fn tables(&self) -> Vec<String> {
///         BALANCES.tables()
///     }
///
///     async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
///         BALANCES.set_up(tx).await
///     }
///
///     async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
///         let cents: i64 = serde_json::from_str(event.payload.as_str())?;
///         BALANCES.update(event.stream.key(), |balance| balance.cents += cents, tx).await
///     }
///
///     async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
///         BALANCES.remove(stream.key(), tx).await?;
///         Ok(Forgotten::Done)
///     }
/// }
///
/// # use annalist::store::sqlite::SqliteOptions;
/// # use annalist::{ExpectedVersion, NewEvent, Store, projection};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("bank.db");
/// let mut options = SqliteOptions::default();
/// options.inline.push(projection::inline(Balances)?);
/// let store = Store::open_with(&path, options).await?;
///
/// let deposited = NewEvent::json("Deposited", &500)?;
/// store.append(&"account-42".parse()?, ExpectedVersion::NoStream, [deposited]).await?;
/// let balance = BALANCES.get("42", &store.database()?).await?;
/// assert_eq!(balance.map(|balance| balance.cents), Some(500));
/// # Ok(()) }
/// ```
///
/// # Tables
///
/// Each build of a projection fills tables of its own, `balances__r1` and so on, so that a
/// new one can be made beside the one that is read. Under the declared name stands a view
/// of the live build, which any reader can ask. The SQL of a projection is rewritten: where
/// it says `balances`, it means the table of the build that it fills. So the declared
/// names, and those of its indexes and triggers, are the projection's alone. Its foreign
/// keys refer to its own tables. A view of a table for full-text search is asked by column:
/// `WHERE note MATCH 'late'`.
pub trait Projection: Send + Sync + 'static {
    /// What it is called, in its database and in errors: 1 to 100 bytes.
    const NAME: &'static str;

    /// Raised when the code makes something else of the same events, or its tables have
    /// changed: what the older one made is then built anew, beside it.
    const VERSION: u32 = 1;

    /// The tables that it fills. Names are of ASCII letters, digits and `_`, and no words of
    /// SQL. Other tables take another [`VERSION`](Self::VERSION).
    fn tables(&self) -> Vec<String>;

    /// The events that it takes in. Default all. Of the others nothing is told to it.
    fn filter(&self) -> Filter {
        Filter::default()
    }

    /// Makes its tables, which are not there yet.
    fn set_up(&self, tx: &mut Tx<'_>) -> impl Future<Output = ProjectionResult> + Send;

    /// Takes in one event. An error stops it there, or what its
    /// [policy](crate::follow::OnPoison) says; as an inline projection it refuses the append.
    fn apply(
        &self,
        event: &RecordedEvent,
        tx: &mut Tx<'_>,
    ) -> impl Future<Output = ProjectionResult> + Send;

    /// Takes out everything that came from one stream, of which events were removed. What
    /// is left of the stream is applied again afterwards, so that nothing of the removed
    /// events stays.
    ///
    /// Default: it cannot, and is rebuilt. An inline projection has to, or else the removal
    /// is refused.
    fn forget(
        &self,
        stream: &StreamId,
        tx: &mut Tx<'_>,
    ) -> impl Future<Output = ProjectionResult<Forgotten>> + Send {
        let _ = (stream, tx);
        async { Ok(Forgotten::Rebuild) }
    }
}

/// A projection for [`SqliteOptions::inline`](crate::store::sqlite::SqliteOptions::inline):
/// filled in the transaction of each commit, so that whoever has read a receipt reads what
/// it has made.
///
/// - It is recorded in the file. Opening the store with a new one, or one in a new version,
///   fills it from the events that are there before anything is appended, which takes as
///   long as reading them; other processes that have the store open cannot append from then
///   on, see [`ProjectionMissing`](crate::StoreErrorKind::ProjectionMissing).
/// - One that fails refuses that commit alone:
///   [`AppendError::Hook`](crate::AppendError::Hook).
/// - It takes its time from everybody who appends.
///
/// # Errors
///
/// [`InvalidDerivation`] when its name or its tables cannot be.
pub fn inline<P: Projection>(projection: P) -> Result<Derivation, InvalidDerivation> {
    derive::derivation(projection)
}
