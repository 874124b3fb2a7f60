//! Runs projections that follow the store at their own pace.

use std::fmt;

use super::{Projection, derive};
use crate::follow::{self, FollowError, FollowOptions, Follower, Following};
use crate::store::{InvalidDerivation, Store};

/// Fills projections from what happens, in tasks of its own: see [`follow`](crate::follow)
/// for how they are watched, and what they are told.
///
/// - Tables and checkpoint are written in one transaction, in the database that the tables
///   are in: each event counts exactly once, whatever is killed when.
/// - There is one runner of a projection at a time over all processes. Run it in each; one
///   fills it, the others stand by.
/// - All projections of one runner read the feed once.
/// - When [`VERSION`](Projection::VERSION) is raised, the new build is made beside the old
///   one, which is read meanwhile.
///
/// A read model that is kept in anything but SQL follows by a
/// [subscription](Store::subscribe): keep its [`Checkpoint`](crate::Checkpoint) where the
/// read model is, in one transaction with it.
///
/// ```
/// # use annalist::projection::{Documents, Projection, ProjectionResult};
/// # use annalist::store::{Forgotten, Tx};
/// # use annalist::{RecordedEvent, StreamId};
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
/// use std::time::Duration;
/// use annalist::projection::ProjectionRunner;
/// use annalist::store::Database;
/// use annalist::follow::FollowOptions;
/// use annalist::{ExpectedVersion, NewEvent, Store};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::memory(); // which has no tables, so they are kept beside it
/// let database = Database::memory().await?;
/// let mut options = FollowOptions::default();
/// options.database = Some(database.clone());
/// let running = ProjectionRunner::new(&store).follow_with(Balances, options).start()?;
///
/// let deposited = NewEvent::json("Deposited", &500)?;
/// let receipt = store.append(&"account-42".parse()?, ExpectedVersion::Any, [deposited]).await?;
/// let position = receipt.position.expect("an event was written");
/// running.wait_for("balances", position, Duration::from_secs(5)).await?;
/// assert_eq!(BALANCES.get("42", &database).await?, Some(500));
///
/// running.stop().await;
/// # Ok(()) }
/// ```
#[must_use = "nothing is run until `start` is called"]
pub struct ProjectionRunner {
    store: Store,
    followers: Vec<Follower>,
    /// The first thing that cannot be.
    problem: Option<InvalidDerivation>,
}

impl ProjectionRunner {
    /// A runner of nothing yet.
    pub fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            followers: Vec::new(),
            problem: None,
        }
    }

    /// A runner of these.
    pub(crate) fn of(store: &Store, followers: Vec<Follower>) -> Self {
        Self {
            store: store.clone(),
            followers,
            problem: None,
        }
    }

    /// Follows with a projection, in the store's own file.
    pub fn follow<P: Projection>(self, projection: P) -> Self {
        self.follow_with(projection, FollowOptions::default())
    }

    /// The same with options.
    pub fn follow_with<P: Projection>(mut self, projection: P, options: FollowOptions) -> Self {
        match derive::derivation(projection) {
            Ok(code) => self.followers.push(Follower {
                code,
                before: None,
                options,
            }),
            Err(problem) => drop(self.problem.get_or_insert(problem)),
        }
        self
    }

    /// Runs them, each in a task of its own.
    ///
    /// # Errors
    ///
    /// [`FollowError::Invalid`] when a projection cannot be what it declares,
    /// [`FollowError::Twice`] when two have one name, [`FollowError::Store`] when one needs a
    /// [database](FollowOptions::database) because the store has no tables. What goes wrong
    /// later is told by its [status](Following::status).
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(self) -> Result<Following, FollowError> {
        match self.problem {
            Some(problem) => Err(FollowError::Invalid(problem)),
            None => follow::start(&self.store, self.followers),
        }
    }
}

impl fmt::Debug for ProjectionRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.followers.iter().map(|follower| &follower.code.name);
        f.debug_tuple("ProjectionRunner")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}
