//! Followers: code that takes in what happens and keeps, in a database, what it made of it
//! and how far it has come.
//!
//! Projections and reactions are followers. What they share is here: one runner for each
//! over all processes, checkpoints that move together with what was made of the events,
//! what happens to an event that cannot be taken in, rebuilding beside what is read, and
//! what of it can be watched. It knows neither what is made nor of what.
//!
//! In the order that an event takes:
//!
//! | room | what it is for |
//! |---|---|
//! | `shared` | one read of the feed for all followers of a runner |
//! | `lead` | the task of one follower |
//! | `lane` | one build that is filled: what comes next, and what if it fails |
//! | `ledger` | the transactions in the follower's database |
//! | `fold` | one that comes on when it is asked |
//! | `parked` | events that were put aside |
//! | [`give_up`] | removes one with all that it has made |
//! | `status` | how far it has come |
//! | [`Following`] | the handle of who runs them |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::caught::chain;
use crate::clock::{Clock, SystemClock};
use crate::event::RecordedEvent;
use crate::retry::RetryPolicy;
use crate::store::{Database, Derivation, OldBuild, PageBounds, Store, StoreError};
use crate::version::Position;

mod command;
mod fold;
mod give_up;
mod handle;
mod lane;
mod lead;
mod ledger;
mod parked;
mod shared;
mod status;

pub use command::Retried;
pub(crate) use fold::Fold;
pub use give_up::give_up;
pub use handle::{FollowError, Following};
pub(crate) use lane::unreadable;
pub(crate) use ledger::{Ledger, Trouble};
pub use parked::Parked;
pub use status::{FollowState, FollowStatus, RebuildStatus};

use lead::Lead;
use shared::SharedFeed;

/// What becomes of an event that a follower cannot take in.
///
/// Whatever is chosen, it is never passed over in silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPoison {
    /// The follower stops before it, and says why.
    #[default]
    Stop,
    /// It is tried again, in a while, and then the follower stops before it.
    Retry(RetryPolicy),
    /// It is put aside with the error, and the follower goes on. What happens to the same
    /// stream later waits behind it. It can be listed, tried again, and dropped, see
    /// [`Following::parked`].
    Park,
}

/// How a follower is run.
///
/// ```
/// use annalist::follow::{FollowOptions, OnPoison};
///
/// let mut options = FollowOptions::default();
/// options.on_poison = OnPoison::Park;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FollowOptions {
    /// Where it keeps what it makes. Default the store's own file.
    pub database: Option<Database>,
    /// What becomes of an event that it cannot take in. Default [`OnPoison::Stop`].
    pub on_poison: OnPoison,
    /// What it takes in in one transaction, at most. Default 512 events, 1 MiB.
    pub batch: PageBounds,
    /// How long a runner that is not heard of any more stays the runner, before one of
    /// another process takes over, by the clock of either. A runner that goes on all the
    /// same writes nothing more. Default 10 seconds.
    pub lease: Duration,
    /// After which position one begins that was never run, and each build that is made of it
    /// later. Default the beginning of the store.
    pub begin_after: Position,
    /// What becomes of the build of an older version, once the one of this version is
    /// filled. Default [`OldBuild::Drop`].
    pub old: OldBuild,
    /// What tells the time of leases and how old events are. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            database: None,
            on_poison: OnPoison::default(),
            batch: PageBounds::default(),
            lease: Duration::from_secs(10),
            begin_after: Position::ZERO,
            old: OldBuild::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// What is done about events before they are taken in. It is done at least once: again, if
/// what follows fails.
pub(crate) trait Before: Send + Sync + 'static {
    /// For how many at once.
    fn events_max(&self) -> usize;

    fn before<'a>(
        &'a self,
        events: &'a [&'a RecordedEvent],
        ledger: &'a Ledger,
    ) -> BoxFuture<'a, Result<(), Trouble>>;
}

/// One follower that is to be run.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) code: Derivation,
    pub(crate) before: Option<Arc<dyn Before>>,
    pub(crate) options: FollowOptions,
}

/// Runs followers of one store, each in a task of its own.
pub(crate) fn start(store: &Store, followers: Vec<Follower>) -> Result<Following, FollowError> {
    let mut following = BTreeMap::new();
    let shared = (followers.len() > 1).then(|| Arc::new(SharedFeed::new(store.backend())));
    let store = match &shared {
        Some(shared) => Store::from_backend(Arc::clone(shared) as _, store.limits().clone()),
        None => store.clone(),
    };
    let mut leads = Vec::with_capacity(followers.len());
    for Follower {
        code,
        before,
        options,
    } in followers
    {
        let name = code.name.to_string();
        let database = match &options.database {
            Some(database) => database.clone(),
            None => store.database().map_err(FollowError::Store)?,
        };
        let (board, status) = watch::channel(FollowStatus::new(&name));
        let (commands, told) = mpsc::channel(handle::COMMANDS_MAX);
        let handle = handle::Handle {
            acts: before.is_some(),
            commands,
            status,
        };
        let lead = Lead {
            ledger: Ledger {
                database,
                code,
                lease: options.lease,
                clock: Arc::clone(&options.clock),
                fence: 0,
                heard: None,
            },
            store: store.clone(),
            shared: shared.clone(),
            options,
            before,
            board,
            commands: told,
            paused: false,
        };
        if following.insert(name.clone(), handle).is_some() {
            return Err(FollowError::Twice { name });
        }
        leads.push(lead);
    }
    let tasks = leads.into_iter().map(|lead| tokio::spawn(lead.run()));
    Ok(Following::new(following, tasks.collect()))
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poison { at, why } => write!(
                f,
                "the event at position {at} cannot be taken in: {why}; mend the code or the \
                 database and resume, or park such events"
            ),
            Self::Again(why) => write!(f, "it is tried again: {why}"),
            Self::NeedsRebuild => f.write_str("it has to be rebuilt"),
            Self::Overtaken => f.write_str("another runner fills it now"),
            Self::Invalid(why) => f.write_str(why),
            Self::Database(error) => f.write_str(&chain(error)),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Database(error)
    }
}
