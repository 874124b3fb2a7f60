//! Waits for what comes next, and loses nothing of what does not.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::follow::command::Command;
use crate::follow::lane::Lane;
use crate::follow::ledger::Trouble;

/// Which lane goes first if both can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Live,
    Beside,
}

impl Turn {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Live => Self::Beside,
            Self::Beside => Self::Live,
        }
    }
}

/// What comes next.
pub(super) enum Next {
    Command(Option<Command>),
    Live(Result<(), Trouble>),
    Beside(Result<(), Trouble>),
    Tick,
}

/// Waits for whatever comes first. What does not come first loses nothing.
pub(super) async fn next(
    commands: &mut mpsc::Receiver<Command>,
    (live, beside, turn): (Option<&mut Lane>, Option<&mut Lane>, Turn),
    tick: Instant,
) -> Next {
    let mut live = pin!(ready(live));
    let mut beside = pin!(ready(beside));
    let mut tick = pin!(sleep_until(tick));
    poll_fn(|cx| {
        if let Poll::Ready(command) = commands.poll_recv(cx) {
            return Poll::Ready(Next::Command(command));
        }
        // Before the lanes, which may always be ready.
        if tick.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Next::Tick);
        }
        for lane in [turn, turn.other()] {
            let ready = match lane {
                Turn::Live => live.as_mut().poll(cx).map(Next::Live),
                Turn::Beside => beside.as_mut().poll(cx).map(Next::Beside),
            };
            if ready.is_ready() {
                return ready;
            }
        }
        Poll::Pending
    })
    .await
}

/// Never, where there is none.
async fn ready(lane: Option<&mut Lane>) -> Result<(), Trouble> {
    match lane {
        Some(lane) => lane.ready().await,
        None => std::future::pending().await,
    }
}
