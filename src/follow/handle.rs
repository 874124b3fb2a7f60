//! The handle of who runs followers: to watch them, and to tell them what to do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::command::{Command, Retried};
use super::status::{FollowState, FollowStatus};
use crate::store::{InvalidDerivation, OldBuild, StoreError};
use crate::version::Position;

/// Commands that wait for a follower's task.
pub(super) const COMMANDS_MAX: usize = 64;

/// Followers that are being run. Cloning it is cheap; when the last clone is dropped, they
/// stop after what they are at.
#[derive(Clone)]
pub struct Following {
    followers: Arc<BTreeMap<String, Handle>>,
    tasks: Arc<tokio::sync::Mutex<Vec<JoinHandle<()>>>>,
}

/// The ends of what leads to a follower's task.
pub(super) struct Handle {
    /// Whether it acts upon events, and would act once more if it were rebuilt.
    pub(super) acts: bool,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<FollowStatus>,
}

/// Why something cannot be had of a follower.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// No follower is called so.
    #[error("no follower is called {name:?}, only {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Two are called the same.
    #[error("two followers are called {name:?}; give one of them another name")]
    Twice {
        /// The name.
        name: String,
    },
    /// It did not come so far in time.
    #[error(
        "{name} is at position {position} and not at {wanted} after {waited:?}; wait longer, or see what holds it up in its status"
    )]
    TimedOut {
        /// The follower.
        name: String,
        /// Where it was to come.
        wanted: Position,
        /// Where it is.
        position: Position,
        /// How long it was waited for.
        waited: Duration,
    },
    /// It has stopped, and does not come there.
    #[error("{name} has stopped at position {position}: {problem}")]
    Stopped {
        /// The follower.
        name: String,
        /// Where it is.
        position: Position,
        /// Why.
        problem: String,
    },
    /// Its runner cannot do that now.
    #[error("{name} cannot do that: {why}")]
    Refused {
        /// The follower.
        name: String,
        /// Why not.
        why: String,
    },
    /// One of them cannot be what it declares.
    #[error(transparent)]
    Invalid(#[from] InvalidDerivation),
    /// The store cannot be followed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FollowError {
    /// The stable name of this error, such as `timed_out`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown_follower",
            Self::Twice { .. } => "follower_twice",
            Self::TimedOut { .. } => "timed_out",
            Self::Stopped { .. } => "follower_stopped",
            Self::Refused { .. } => "follower_refused",
            Self::Invalid(_) => "invalid_follower",
            Self::Store(error) => error.code(),
        }
    }

    /// Whether asking the same again later may succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl Following {
    pub(super) fn new(followers: BTreeMap<String, Handle>, tasks: Vec<JoinHandle<()>>) -> Self {
        Self {
            followers: Arc::new(followers),
            tasks: Arc::new(tokio::sync::Mutex::new(tasks)),
        }
    }

    /// How far each of them has come, in the order of their names.
    #[must_use]
    pub fn statuses(&self) -> Vec<FollowStatus> {
        let handles = self.followers.values();
        handles
            .map(|handle| handle.status.borrow().clone())
            .collect()
    }

    /// How far one has come.
    ///
    /// # Errors
    ///
    /// [`FollowError::Unknown`].
    pub fn status(&self, name: &str) -> Result<FollowStatus, FollowError> {
        Ok(self.handle(name)?.status.borrow().clone())
    }

    /// Tells each change of how far one has come.
    ///
    /// # Errors
    ///
    /// [`FollowError::Unknown`].
    pub fn watch(&self, name: &str) -> Result<watch::Receiver<FollowStatus>, FollowError> {
        Ok(self.handle(name)?.status.clone())
    }

    /// Waits until one holds what was written at a position, such as that of a
    /// [receipt](crate::Receipt), so that whoever wrote it reads it. Another process may be
    /// its runner.
    ///
    /// That is the build that is read, also where older code has filled it. What was put
    /// aside is passed, and not in the tables.
    ///
    /// # Errors
    ///
    /// [`FollowError::TimedOut`], and [`FollowError::Stopped`] when it has stopped before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn wait_for(
        &self,
        name: &str,
        position: Position,
        at_most: Duration,
    ) -> Result<(), FollowError> {
        let mut status = self.handle(name)?.status.clone();
        let holds = |status: &FollowStatus| status.build > 0 && status.position >= position;
        let there = status.wait_for(|status| holds(status) || status.state == FollowState::Stopped);
        let there = timeout(at_most, there).await;
        // Where that is an error, its task is gone with all that it could tell.
        let there = there.map(|there| there.is_ok_and(|status| holds(&status)));
        let status = self.status(name)?;
        match there {
            Ok(true) => Ok(()),
            Ok(false) => Err(stopped(status)),
            Err(_) => Err(FollowError::TimedOut {
                name: status.name,
                wanted: position,
                position: status.position,
                waited: at_most,
            }),
        }
    }

    /// Has one pause: when this returns, it takes in nothing more. It stays the runner, and
    /// one that stands by does not begin when it takes over.
    ///
    /// # Errors
    ///
    /// [`FollowError::Unknown`], and [`FollowError::Stopped`] when it was stopped for good.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it pausing or not.
    pub async fn pause(&self, name: &str) -> Result<(), FollowError> {
        let (answer, answered) = oneshot::channel();
        self.ask(name, Command::Pause(answer), answered).await
    }

    /// Has one go on that was paused, or has stopped and can go on since.
    ///
    /// # Errors
    ///
    /// [`FollowError::Unknown`], and [`FollowError::Stopped`] when it was stopped for good.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it going on or not.
    pub async fn resume(&self, name: &str) -> Result<(), FollowError> {
        let (answer, answered) = oneshot::channel();
        self.ask(name, Command::Resume(answer), answered).await
    }

    /// Makes one anew, beside what is read, which is read until the new one holds as much
    /// and takes its place in one step. Watch its [status](Self::status) for the progress.
    ///
    /// One that was begun and not finished, by this process or one that was killed, goes on
    /// by itself when it is run again; asked for once more, it begins from the beginning.
    /// One that pauses makes it when it is resumed.
    ///
    /// # Errors
    ///
    /// [`FollowError::Refused`] when it cannot be begun now, and [`FollowError::Stopped`] when
    /// it could not be finished; what is read goes on as it was. Where another process is the
    /// runner, that one does it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it going on.
    pub async fn rebuild(&self, name: &str, old: OldBuild) -> Result<(), FollowError> {
        if self.handle(name)?.acts {
            return Err(FollowError::Refused {
                name: name.to_owned(),
                why: "it has acted upon the events, and would act once more".to_owned(),
            });
        }
        let (answer, answered) = oneshot::channel();
        let build = self
            .ask(name, Command::Rebuild { old, answer }, answered)
            .await?;
        let mut status = self.handle(name)?.status.clone();
        let halted = |status: &FollowStatus| {
            let rebuild = status.rebuild.clone();
            rebuild.filter(|rebuild| rebuild.build >= build && rebuild.problem.is_some())
        };
        let done = status.wait_for(|status| {
            let ended = status.build >= build || status.state == FollowState::Stopped;
            ended || halted(status).is_some()
        });
        match done.await {
            Ok(status) if status.build >= build => return Ok(()),
            _ => {}
        }
        let mut status = status.borrow().clone();
        if let Some(rebuild) = halted(&status) {
            (status.position, status.problem) = (rebuild.position, rebuild.problem);
        }
        Err(stopped(status))
    }

    /// Lists what one has put aside, in the order of positions, as many as a query answers.
    ///
    /// # Errors
    ///
    /// [`FollowError::Refused`] when it cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn parked(&self, name: &str) -> Result<Vec<super::Parked>, FollowError> {
        let (answer, answered) = oneshot::channel();
        self.ask(name, Command::ListParked(answer), answered).await
    }

    /// Tries once more what one has put aside, each stream in its order until one fails.
    ///
    /// # Errors
    ///
    /// [`FollowError::Refused`] when another process is its runner, or it cannot go on now.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it going on.
    pub async fn retry_parked(&self, name: &str) -> Result<Retried, FollowError> {
        let (answer, answered) = oneshot::channel();
        self.ask(name, Command::RetryParked(answer), answered).await
    }

    /// Passes over an event that was put aside, for good, also when it is rebuilt: what
    /// waits behind it can be tried again then.
    ///
    /// # Errors
    ///
    /// [`FollowError::Refused`] when another process is its runner, it has stopped, or
    /// nothing was put aside there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it dropped or not.
    pub async fn drop_parked(&self, name: &str, position: Position) -> Result<(), FollowError> {
        let (answer, answered) = oneshot::channel();
        let command = Command::DropParked(position, answer);
        self.ask(name, command, answered).await
    }

    /// Has one stop after what it is at, for good. Another process may take over.
    ///
    /// # Errors
    ///
    /// [`FollowError::Unknown`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it stopping.
    pub async fn stop_one(&self, name: &str) -> Result<(), FollowError> {
        self.send(name, Command::Stop).await?;
        let mut status = self.handle(name)?.status.clone();
        // Its task is gone with it.
        let _ = status
            .wait_for(|status| status.state == FollowState::Stopped)
            .await;
        Ok(())
    }

    /// Has all of them stop after what they are at. When it returns, none writes any more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves them stopping.
    pub async fn stop(&self) {
        for handle in self.followers.values() {
            // One that has stopped already takes nothing more.
            let _ = handle.commands.send(Command::Stop).await;
        }
        for task in self.tasks.lock().await.iter_mut() {
            if !task.is_finished() {
                let _ = task.await;
            }
        }
    }

    fn handle(&self, name: &str) -> Result<&Handle, FollowError> {
        self.followers
            .get(name)
            .ok_or_else(|| FollowError::Unknown {
                name: name.to_owned(),
                known: self.followers.keys().cloned().collect(),
            })
    }

    async fn send(&self, name: &str, command: Command) -> Result<(), FollowError> {
        let handle = self.handle(name)?;
        // One that has stopped for good takes nothing more; its status says so.
        let _ = handle.commands.send(command).await;
        Ok(())
    }

    async fn ask<T>(
        &self,
        name: &str,
        command: Command,
        answered: oneshot::Receiver<Result<T, String>>,
    ) -> Result<T, FollowError> {
        self.send(name, command).await?;
        let refused = |why| FollowError::Refused {
            name: name.to_owned(),
            why,
        };
        match answered.await {
            Ok(answer) => answer.map_err(refused),
            Err(_) => Err(stopped(self.status(name)?)),
        }
    }
}

fn stopped(status: FollowStatus) -> FollowError {
    FollowError::Stopped {
        name: status.name,
        position: status.position,
        problem: status
            .problem
            .unwrap_or_else(|| "it was told to".to_owned()),
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.followers.keys()).finish()
    }
}
