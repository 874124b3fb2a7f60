//! Projections that are filled when they are read.

use std::fmt;

use tokio::sync::Mutex;

use super::{Projection, derive};
use crate::follow::{Fold, FollowError};
use crate::store::{Database, Store};

/// A projection in memory, which takes in what is new when it is read. For what is read
/// seldom, for tests, and to try a projection on a store before it is run.
///
/// The first read folds the whole store, each later one what has come since. Nothing is
/// written to the store, and all is gone with the last handle.
///
/// ```
/// # use annalist::projection::{Documents, Projection, ProjectionResult};
/// # use annalist::store::Tx;
/// # use annalist::RecordedEvent;
/// # const BALANCES: Documents<str, i64> = Documents::new("balances");
/// # struct Balances;
/// # impl Projection for Balances {
/// #     const NAME: &'static str = "balances";
/// #     fn tables(&self) -> Vec<String> { BALANCES.tables() }
/// #     async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult { BALANCES.set_up(tx).await }
/// #     async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
/// #         let cents: i64 = serde_json::from_str(event.payload.as_str())?;
/// #         BALANCES.update(event.stream.key(), |balance| *balance += cents, tx).await
/// #     }
/// # }
/// use annalist::projection::Live;
/// use annalist::{ExpectedVersion, NewEvent, Store};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::memory();
/// let live = Live::new(&store, Balances).await?;
/// for cents in [500, -200] {
///     let moved = NewEvent::json("Moved", &cents)?;
///     store.append(&"account-42".parse()?, ExpectedVersion::Any, [moved]).await?;
/// }
/// assert_eq!(BALANCES.get("42", live.now().await?).await?, Some(300));
/// # Ok(()) }
/// ```
pub struct Live {
    database: Database,
    fold: Mutex<Fold>,
}

impl Live {
    /// A projection of a store, which holds nothing before it is first read.
    ///
    /// # Errors
    ///
    /// [`FollowError::Invalid`] when the projection cannot be what it declares.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn new<P: Projection>(store: &Store, projection: P) -> Result<Self, FollowError> {
        let code = derive::derivation(projection)?;
        let database = Database::memory().await?;
        Ok(Self {
            fold: Mutex::new(Fold::new(store, code, database.clone())),
            database,
        })
    }

    /// Takes in all that the store holds, and answers the database to read from.
    ///
    /// # Errors
    ///
    /// [`FollowError::Refused`] when an event cannot be taken in, and
    /// [`FollowError::Store`] when the store cannot be read. What was taken in before is
    /// kept, and asked again it goes on from there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it where it is, or a batch further; the next one goes on.
    pub async fn now(&self) -> Result<&Database, FollowError> {
        self.fold.lock().await.catch_up().await?;
        Ok(&self.database)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}
