//! The transactions of a runner, in the database that its follower fills: to become the one
//! runner, to open a build, to take things in, to put them aside, to change over.
//!
//! Each of them first makes sure that the runner is still the one, in the same transaction:
//! one that was overtaken while it slept writes nothing.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::parked::{self, Parked};
use crate::caught::chain;
use crate::clock::Clock;
use crate::event::RecordedEvent;
use crate::ids::StreamId;
use crate::store::{
    At, BoxError, Build, Checkpoint, Database, Derivation, HookError, NeedsRebuild, SqlValue, Step,
    StoreError, TransactError, Tx,
};
use crate::version::{Position, Version};

mod asked;
mod builds;
mod runner;

pub(crate) use asked::Rebuilds;
pub(crate) use runner::Heard;

/// Why something was not written.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The code cannot take in what stands at this position.
    Poison { at: Position, why: String },
    /// It may go well in a while.
    Again(String),
    /// The tables do not tell what to forget.
    NeedsRebuild,
    /// Somebody else is the runner now.
    Overtaken,
    /// The follower cannot be what it is.
    Invalid(String),
    /// The database, or the store, cannot be read or written.
    Database(StoreError),
}

/// Somebody else is the runner now.
#[derive(Debug, thiserror::Error)]
#[error("somebody else fills it")]
struct Overtaken;

/// One follower in its database, under the name of one runner.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) database: Database,
    pub(crate) code: Derivation,
    /// How long a runner that is not heard of stays the runner.
    pub(crate) lease: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    /// The token of this runner; 0 before it is one.
    pub(crate) fence: i64,
    /// What was last heard of another one.
    pub(crate) heard: Option<Heard>,
}

/// What a runner begins with.
pub(crate) struct Opened {
    /// The build that is read, if this code fills it.
    pub(crate) live: Option<Build>,
    /// The one that is filled beside it.
    pub(crate) beside: Option<Build>,
    /// The one that is read, if an older version has filled it.
    pub(crate) older: Option<Build>,
    pub(crate) rebuilds: Rebuilds,
}

/// One thing to take in.
#[derive(Clone, Debug)]
pub(crate) enum Taken {
    Event(Arc<RecordedEvent>),
    /// Events of a stream were removed, up to this version; this is left of it.
    Removed {
        at: Position,
        stream: StreamId,
        removed_to: Version,
        left: Vec<RecordedEvent>,
    },
}

impl Ledger {
    /// Takes things into the tables of a build, and moves its checkpoint.
    pub(crate) async fn take(
        &self,
        build: &Build,
        what: Arc<[Taken]>,
        to: Checkpoint,
        now: DateTime<Utc>,
    ) -> Result<(), Trouble> {
        let at = Arc::new(At::default());
        let (holds, code, build, seen) = (
            self.holds(now),
            self.code.clone(),
            build.clone(),
            Arc::clone(&at),
        );
        let taken = self.database.transact(&self.code.name, move |tx| {
            let (code, build, what, at) = (
                code.clone(),
                build.clone(),
                Arc::clone(&what),
                Arc::clone(&seen),
            );
            Box::pin(async move {
                holds.renew(&code.name, tx).await?;
                // First, so that no code meets what a transaction that was made has done.
                advance(&build, &to, tx).await?;
                code.take(&build.tables()?, &steps(&what), &at, tx).await?;
                for taken in &*what {
                    if let Taken::Removed {
                        stream, removed_to, ..
                    } = taken
                    {
                        parked::forget(&build, stream, *removed_to, tx).await?;
                    }
                }
                Ok(())
            })
        });
        taken.await.map_err(|error| trouble(error, at.get()))
    }

    /// Puts an event aside with why, or to wait behind one that was, and moves on.
    pub(crate) async fn park(
        &self,
        build: &Build,
        parked: Parked,
        to: Checkpoint,
        now: DateTime<Utc>,
    ) -> Result<(), Trouble> {
        let (holds, build) = (self.holds(now), build.clone());
        self.transact(move |name, tx| {
            let (build, parked) = (build.clone(), parked.clone());
            Box::pin(async move {
                holds.renew(name, tx).await?;
                advance(&build, &to, tx).await?;
                Ok(parked.insert(&build, now, tx).await?)
            })
        })
        .await
    }

    /// Takes in what was put aside, or drops it if it is there no more, or not wanted. False
    /// if nothing was put aside there.
    pub(crate) async fn unpark(
        &self,
        build: &Build,
        position: Position,
        event: Option<Arc<RecordedEvent>>,
        now: DateTime<Utc>,
    ) -> Result<bool, Trouble> {
        let at = Arc::new(At::default());
        let (holds, code, build, seen) = (
            self.holds(now),
            self.code.clone(),
            build.clone(),
            Arc::clone(&at),
        );
        let taken = self.database.transact(&self.code.name, move |tx| {
            let (code, build, event, at) = (
                code.clone(),
                build.clone(),
                event.clone(),
                Arc::clone(&seen),
            );
            Box::pin(async move {
                holds.renew(&code.name, tx).await?;
                if let Some(event) = &event {
                    code.take(&build.tables()?, &[Step::Apply(event)], &at, tx)
                        .await?;
                }
                Ok(parked::remove(&build, position, tx).await?)
            })
        });
        taken.await.map_err(|error| trouble(error, at.get()))
    }

    /// Passes over what was put aside, for good. False if it was not.
    pub(crate) async fn drop_parked(
        &self,
        position: Position,
        now: DateTime<Utc>,
    ) -> Result<bool, Trouble> {
        let holds = self.holds(now);
        self.transact(move |name, tx| {
            Box::pin(async move {
                holds.renew(name, tx).await?;
                Ok(parked::drop_for_good(name, position, tx).await?)
            })
        })
        .await
    }

    /// Writes down that an event that was put aside could not be taken in once more.
    pub(crate) async fn still_parked(
        &self,
        build: &Build,
        position: Position,
        why: String,
        now: DateTime<Utc>,
    ) -> Result<(), Trouble> {
        let (holds, build) = (self.holds(now), build.clone());
        self.transact(move |name, tx| {
            let (build, why) = (build.clone(), why.clone());
            Box::pin(async move {
                holds.renew(name, tx).await?;
                parked::tried(&build, position, &why, tx).await?;
                Ok(())
            })
        })
        .await
    }

    /// Runs something of the follower's own, as long as this is the runner.
    pub(crate) async fn write(
        &self,
        sql: &'static str,
        params: Vec<SqlValue>,
        now: DateTime<Utc>,
    ) -> Result<(), Trouble> {
        let holds = self.holds(now);
        self.transact(move |name, tx| {
            let params = params.clone();
            Box::pin(async move {
                holds.renew(name, tx).await?;
                tx.execute(sql, &params).await?;
                Ok(())
            })
        })
        .await
    }

    /// Writes down why a build has stopped.
    pub(crate) async fn stop(
        &self,
        build: &Build,
        problem: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Trouble> {
        let (holds, build, problem) = (self.holds(now), build.clone(), problem.to_owned());
        self.transact(move |name, tx| {
            let (build, problem) = (build.clone(), problem.clone());
            Box::pin(async move {
                holds.renew(name, tx).await?;
                build.note_problem(Some(&problem), tx).await?;
                Ok(())
            })
        })
        .await
    }

    /// Runs the store's own part of it.
    async fn transact<T: Send + 'static>(
        &self,
        run: impl for<'t> Fn(
            &'t str,
            &'t mut Tx<'_>,
        ) -> futures_core::future::BoxFuture<'t, Result<T, BoxError>>
        + Send
        + Sync
        + 'static,
    ) -> Result<T, Trouble> {
        let name = Arc::clone(&self.code.name);
        let run = Arc::new(run);
        let done = self.database.transact(&self.code.name, move |tx| {
            let (name, run) = (Arc::clone(&name), Arc::clone(&run));
            Box::pin(async move { run(&name, tx).await })
        });
        done.await.map_err(|error| trouble(error, None))
    }
}

async fn advance(build: &Build, to: &Checkpoint, tx: &mut Tx<'_>) -> Result<(), BoxError> {
    match build.advance(to, tx).await? {
        true => Ok(()),
        // The writer of the store fills it, or it was removed.
        false => Err(Overtaken.into()),
    }
}

fn steps(what: &[Taken]) -> Vec<Step<'_>> {
    let mut steps = Vec::with_capacity(what.len());
    for taken in what {
        match taken {
            Taken::Event(event) => steps.push(Step::Apply(event)),
            Taken::Removed {
                at, stream, left, ..
            } => {
                steps.push(Step::Forget(*at, stream));
                steps.extend(left.iter().map(Step::Again));
            }
        }
    }
    steps
}

/// What is to be made of a transaction that was not committed.
fn trouble(error: TransactError, at: Option<Position>) -> Trouble {
    let code = match error {
        TransactError::Database(error) => return Trouble::Database(error),
        TransactError::Code(error) => error,
    };
    if let HookError::Refused(error) = &code {
        if error.is::<Overtaken>() {
            return Trouble::Overtaken;
        }
        if error.is::<NeedsRebuild>() {
            return Trouble::NeedsRebuild;
        }
    }
    let why = chain(&code);
    match at {
        Some(at) => Trouble::Poison { at, why },
        None => Trouble::Invalid(why),
    }
}

impl Trouble {
    /// Whether the same may go well in a while.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Again(_) => true,
            _ => false,
        }
    }

    /// Whether another build may do without it.
    pub(super) fn is_of_build(&self) -> bool {
        match self {
            Self::Poison { .. } | Self::NeedsRebuild | Self::Invalid(_) => true,
            Self::Database(_) => !self.may_pass(),
            Self::Overtaken | Self::Again(_) => false,
        }
    }
}
