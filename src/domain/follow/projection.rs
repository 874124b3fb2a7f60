//! The projections of a domain, each with how it is run.

use std::any::type_name;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Followed;
use crate::caught::chain;
use crate::domain::{Domain, InvalidDomain};
use crate::follow::{FollowOptions, Follower};
use crate::projection::{self, Projection, ProjectionRunner};
use crate::store::Store;

/// Those that are registered, by name.
#[derive(Clone, Default)]
pub(super) struct Projections(BTreeMap<&'static str, Known>);

#[derive(Clone)]
struct Known {
    rust: &'static str,
    info: ProjectionInfo,
    follower: Follower,
}

/// What a projection declares of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectionInfo {
    /// Its name.
    pub name: &'static str,
    /// The version of its code.
    pub version: u32,
}

impl Domain {
    /// Registers a projection that follows, in the store's own file.
    ///
    /// One that is filled inline is an option of the store,
    /// [`SqliteOptions::inline`](crate::store::sqlite::SqliteOptions::inline), and is not
    /// registered.
    ///
    /// ```
    /// # use annalist::projection::{Documents, Projection, ProjectionResult};
    /// # use annalist::store::Tx;
    /// # use annalist::{Domain, ExpectedVersion, NewEvent, RecordedEvent, Store};
    /// # use std::time::Duration;
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
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let domain = Domain::new().projection(Balances).checked()?;
    /// let store = Store::open(folder.path().join("bank.db")).await?;
    /// let running = domain.projection_runner(&store)?.start()?;
    /// # let deposited = NewEvent::json("Deposited", &500)?;
    /// # let receipt = store.append(&"account-42".parse()?, ExpectedVersion::Any, [deposited]).await?;
    /// # let position = receipt.position.expect("an event was written");
    /// running.wait_for("balances", position, Duration::from_secs(5)).await?;
    /// assert_eq!(BALANCES.get("42", &store.database()?).await?, Some(500));
    /// # running.stop().await;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn projection<P: Projection>(self, projection: P) -> Self {
        self.projection_with(projection, FollowOptions::default())
    }

    /// The same with options, such as another database to keep its tables in.
    #[must_use]
    pub fn projection_with<P: Projection>(mut self, projection: P, options: FollowOptions) -> Self {
        let registry = Arc::make_mut(&mut self.registry);
        if let Err(problem) = registry.followed.add_projection(projection, options) {
            registry.problem.get_or_insert(problem);
        }
        self
    }

    /// The projections, in the order of their names.
    pub fn projections(&self) -> impl Iterator<Item = ProjectionInfo> {
        let known = self.registry.followed.projections.0.values();
        known.map(|known| known.info)
    }

    /// A runner of all projections, which follow this store once it is
    /// [started](ProjectionRunner::start).
    ///
    /// # Errors
    ///
    /// [`InvalidDomain`] when two projections share a name, or anything else keeps the
    /// domain from being one.
    pub fn projection_runner(&self, store: &Store) -> Result<ProjectionRunner, InvalidDomain> {
        let known = self.valid()?.followed.projections.0.values();
        let followers = known.map(|known| known.follower.clone()).collect();
        Ok(ProjectionRunner::of(store, followers))
    }

    /// One of them, if it is known.
    #[cfg_attr(
        not(feature = "tool"),
        expect(dead_code, reason = "only the tool asks")
    )]
    pub(crate) fn projection_named(&self, name: &str) -> Result<Option<Follower>, InvalidDomain> {
        let known = self.valid()?.followed.projections.0.get(name);
        Ok(known.map(|known| known.follower.clone()))
    }
}

impl Projections {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    pub(super) fn rust(&self, name: &str) -> Option<&'static str> {
        self.0.get(name).map(|known| known.rust)
    }
}

impl Followed {
    fn add_projection<P: Projection>(
        &mut self,
        projection: P,
        options: FollowOptions,
    ) -> Result<(), InvalidDomain> {
        let (name, rust) = (P::NAME, type_name::<P>());
        self.refuse_taken(name, rust)?;
        let code = projection::inline(projection);
        let code = code.map_err(|error| InvalidDomain::Follower { why: chain(&error) })?;
        let known = Known {
            rust,
            info: ProjectionInfo {
                name,
                version: P::VERSION,
            },
            follower: Follower {
                code,
                before: None,
                options,
            },
        };
        self.projections.0.insert(name, known);
        Ok(())
    }
}
