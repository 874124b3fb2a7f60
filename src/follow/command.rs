//! What the task of a follower is told to do.

use tokio::sync::oneshot;

use super::Parked;
use crate::store::OldBuild;
use crate::version::Position;

/// Something for the task of a follower to do. Who asks is answered, or why not.
pub(super) enum Command {
    Pause(oneshot::Sender<Result<(), String>>),
    Resume(oneshot::Sender<Result<(), String>>),
    Stop,
    Rebuild {
        old: OldBuild,
        answer: oneshot::Sender<Result<u32, String>>,
    },
    ListParked(oneshot::Sender<Result<Vec<Parked>, String>>),
    RetryParked(oneshot::Sender<Result<Retried, String>>),
    DropParked(Position, oneshot::Sender<Result<(), String>>),
}

impl Command {
    pub(super) fn refuse(self, why: &str) {
        match self {
            Self::Stop => {}
            Self::Pause(answer) | Self::Resume(answer) => drop(answer.send(Err(why.to_owned()))),
            Self::Rebuild { answer, .. } => drop(answer.send(Err(why.to_owned()))),
            Self::ListParked(answer) => drop(answer.send(Err(why.to_owned()))),
            Self::RetryParked(answer) => drop(answer.send(Err(why.to_owned()))),
            Self::DropParked(_, answer) => drop(answer.send(Err(why.to_owned()))),
        }
    }
}

/// What came of trying once more what was put aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retried {
    /// Events that were taken in, or were removed meanwhile.
    pub taken_in: u64,
    /// Events that failed again. Those behind them in their streams still wait.
    pub failed: u64,
}
