//! A lease as a caller holds it: acquired, renewed, given back.
//!
//! The rules are in `fence`; here is the waiting.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::fence::{
    Fence, FencingToken, LeaseAnswer, LeaseAsk, LeaseName, LeaseRequest, LeaseState,
};

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Somebody else held it for as long as the caller was ready to wait.
    #[error("the lease {name} is held until {expires_at}; wait longer, or let its holder finish")]
    Held {
        /// The lease.
        name: LeaseName,
        /// When its holder's time is over, unless it renews.
        expires_at: DateTime<Utc>,
    },
    /// Its time was over and somebody else was granted it, or it was given back: what
    /// was done under it must be looked at again.
    #[error(
        "the lease {name} under token {token} is lost; acquire it again, and look again at what it was for"
    )]
    Lost {
        /// The lease.
        name: LeaseName,
        /// The token that is not the last one any more.
        token: FencingToken,
    },
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LeaseError {
    /// The stable name of this error, such as `lease_held`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Held { .. } => "lease_held",
            Self::Lost { .. } => "lease_lost",
            Self::Store(error) => error.code(),
        }
    }

    /// Whether asking the same again later may succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Held { .. } => true,
            Self::Lost { .. } => false,
            Self::Store(error) => error.is_retryable(),
        }
    }
}

/// A lease to be acquired, see [`Store::lease`](crate::Store::lease).
#[must_use = "nothing is acquired until `acquire` is awaited"]
pub struct AcquireLease {
    backend: Arc<dyn Backend>,
    name: LeaseName,
    duration: Duration,
    wait: Duration,
}

impl AcquireLease {
    /// How often a waiting caller looks whether the lease is free.
    const POLL: Duration = Duration::from_millis(20);

    pub(super) fn new(backend: Arc<dyn Backend>, name: LeaseName) -> Self {
        Self {
            backend,
            name,
            duration: Duration::from_secs(30),
            wait: Duration::ZERO,
        }
    }

    /// How long it is held without being renewed, by the store's clock. Default 30 seconds.
    /// Choose it longer than the work between two renewals ever takes.
    ///
    /// Processes that share a store share its machine, and so its clock. Where that is set
    /// back, a lease that runs lasts so much longer; where it is set forward, it ends
    /// early, which the token makes safe.
    pub fn for_duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// How long to wait while somebody else holds it. Default: not at all. Who waits is
    /// not served in any order.
    pub fn wait(mut self, at_most: Duration) -> Self {
        self.wait = at_most;
        self
    }

    /// Acquires it.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Held`] when somebody else held it all the time,
    /// [`LeaseError::Store`] when the store cannot answer.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may leave the lease held by nobody who knows, until its
    /// time is over.
    pub async fn acquire(self) -> Result<Lease, LeaseError> {
        let deadline = Instant::now().checked_add(self.wait);
        loop {
            let held = match self.ask(LeaseAsk::Acquire(self.duration)).await? {
                LeaseAnswer::Granted(state) => {
                    let Self { backend, name, .. } = self;
                    return Ok(Lease {
                        backend,
                        name,
                        state,
                    });
                }
                LeaseAnswer::Refused(held) => held,
            };
            if !self.is_free_before(deadline).await? {
                return Err(LeaseError::Held {
                    name: self.name,
                    expires_at: held.expires_at,
                });
            }
        }
    }

    /// Waits until nobody seems to hold it. Only looks, so that a crowd that waits does
    /// not keep writers waiting.
    async fn is_free_before(&self, deadline: Option<Instant>) -> Result<bool, StoreError> {
        loop {
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(left.min(Self::POLL)).await;
            if self.backend.lease_holder(&self.name).await?.is_none() {
                return Ok(true);
            }
        }
    }

    async fn ask(&self, ask: LeaseAsk) -> Result<LeaseAnswer, StoreError> {
        ask_backend(&self.backend, &self.name, ask).await
    }
}

/// A lease that was granted. Dropping it gives nothing back: its time runs out.
pub struct Lease {
    backend: Arc<dyn Backend>,
    name: LeaseName,
    state: LeaseState,
}

impl Lease {
    /// What it is about.
    #[must_use]
    pub fn name(&self) -> &LeaseName {
        &self.name
    }

    /// What tells this holder from those before and after.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.state.token
    }

    /// When its time is over, by the store's clock.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.state.expires_at
    }

    /// Holds it for so long from now on. Works also after its time was over, as long as
    /// nobody else was granted it.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Lost`] when somebody else was.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves it renewed or not.
    pub async fn renew(&mut self, duration: Duration) -> Result<(), LeaseError> {
        self.state = self.ask(LeaseAsk::Renew(self.token(), duration)).await?;
        Ok(())
    }

    /// Gives it back, so that the next one need not wait.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Lost`] when it is somebody else's already.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves it given back or not; its time runs out then.
    pub async fn release(self) -> Result<(), LeaseError> {
        self.ask(LeaseAsk::Release(self.token())).await.map(drop)
    }

    async fn ask(&self, ask: LeaseAsk) -> Result<LeaseState, LeaseError> {
        match ask_backend(&self.backend, &self.name, ask).await? {
            LeaseAnswer::Granted(state) => Ok(state),
            LeaseAnswer::Refused(_) => Err(LeaseError::Lost {
                name: self.name.clone(),
                token: self.token(),
            }),
        }
    }
}

impl From<&Lease> for Fence {
    fn from(lease: &Lease) -> Self {
        Self {
            name: lease.name.clone(),
            token: lease.token(),
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

async fn ask_backend(
    backend: &Arc<dyn Backend>,
    name: &LeaseName,
    ask: LeaseAsk,
) -> Result<LeaseAnswer, StoreError> {
    let name = name.clone();
    backend.lease(LeaseRequest { name, ask }).await
}
