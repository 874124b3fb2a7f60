//! A follower that comes on when it is asked to, and not by itself.

use std::sync::Arc;
use std::time::Duration;

use super::lane::{Lane, Means};
use super::ledger::{Ledger, Trouble};
use super::{FollowError, FollowOptions, OnPoison};
use crate::clock::Clock;
use crate::store::{Checkpoint, Database, Derivation, OldBuild, PageBounds, Store};

/// Code and its tables, in a database that nobody else fills.
pub(crate) struct Fold {
    ledger: Ledger,
    store: Store,
    clock: Arc<dyn Clock>,
    lane: Option<Lane>,
}

impl Fold {
    pub(crate) fn new(store: &Store, code: Derivation, database: Database) -> Self {
        let FollowOptions { clock, .. } = FollowOptions::default();
        Self {
            ledger: Ledger {
                database,
                code,
                // So that a future which was dropped holds nothing.
                lease: Duration::ZERO,
                clock: Arc::clone(&clock),
                fence: 0,
                heard: None,
            },
            store: store.clone(),
            clock,
            lane: None,
        }
    }

    /// Takes in all that the store holds now.
    pub(crate) async fn catch_up(&mut self) -> Result<(), FollowError> {
        let caught_up = self.come_to_the_end().await;
        caught_up.map_err(|trouble| match trouble {
            Trouble::Database(error) => FollowError::Store(error),
            trouble => FollowError::Refused {
                name: self.ledger.code.name.to_string(),
                why: trouble.to_string(),
            },
        })
    }

    async fn come_to_the_end(&mut self) -> Result<(), Trouble> {
        let head = self.store.head().await?;
        // Whatever becomes of this future, what the lane has taken in is taken in.
        let lane = match &mut self.lane {
            Some(lane) => lane,
            none => none.insert(found(&mut self.ledger, &self.store, &self.clock).await?),
        };
        while lane.build.checkpoint.position < head {
            let means = Means {
                ledger: &self.ledger,
                before: None,
                on_poison: OnPoison::Stop,
                clock: self.clock.as_ref(),
            };
            lane.ready().await?;
            match lane.go_on(means).await {
                Ok(()) => {}
                Err(Trouble::NeedsRebuild) => {
                    *lane = begun(&self.ledger, &self.store, &self.clock).await?;
                }
                // A future was dropped in the middle of a transaction, which was made all
                // the same.
                Err(Trouble::Overtaken) => {
                    *lane = found(&mut self.ledger, &self.store, &self.clock).await?;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }
}

/// The build that is there, or the first.
async fn found(
    ledger: &mut Ledger,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> Result<Lane, Trouble> {
    let (head, now) = (store.head().await?, clock.now());
    // Nobody else has the database, and no lease lasts in it.
    let _ = ledger.acquire_if_free(now).await?;
    let start = Checkpoint::start(store.id());
    match ledger.open(start, head, now).await?.live {
        Some(build) => Lane::new(build, store, PageBounds::default(), ledger).await,
        None => begun(ledger, store, clock).await,
    }
}

/// A build that holds nothing yet, in the place of one that was there.
async fn begun(ledger: &Ledger, store: &Store, clock: &Arc<dyn Clock>) -> Result<Lane, Trouble> {
    let (head, now) = (store.head().await?, clock.now());
    let start = Checkpoint::start(store.id());
    let drop = OldBuild::Drop;
    let build = ledger.begin(start, (head, drop), now).await?;
    let build = ledger.go_live(&build, drop, now).await?;
    Lane::new(build, store, PageBounds::default(), ledger).await
}
