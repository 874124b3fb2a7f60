//! One command on its way, with what its caller says about it.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use futures_core::future::BoxFuture;

use super::run::Run;
use super::{Command, CommandBus, DispatchError, OnConflict, Outcome};
use crate::event::Metadata;
use crate::token::VersionToken;
use crate::version::Version;

/// A command that is about to be sent. It is sent when it is awaited; it owns all that it
/// needs, so that it can be spawned.
///
/// # Errors
///
/// Awaiting it answers [`DispatchError`] when there is no outcome.
///
/// # Cancel safety
///
/// A future that is dropped leaves the command taken effect or not, never half. Sending it
/// again under the same command id tells, and does it if it was not done.
#[must_use = "a command is sent when it is awaited"]
pub struct Dispatch<C: Command> {
    pub(super) bus: CommandBus,
    pub(super) key: String,
    pub(super) command: C,
    pub(crate) options: DispatchOptions,
    pub(super) on_conflict: OnConflict<C>,
}

/// What a caller says about a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct DispatchOptions {
    pub(crate) command_id: Option<String>,
    pub(crate) seen: Seen,
    pub(crate) metadata: Metadata,
    pub(crate) deadline: Option<Duration>,
    pub(crate) repairing: bool,
    pub(crate) record_outcome: bool,
    /// How many unseen events a caller that demanded an older version is told of.
    pub(crate) unseen_max: Option<u64>,
}

/// What the caller has seen of the aggregate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Seen {
    /// Nothing that matters.
    #[default]
    Nothing,
    /// This version, and no other will do.
    Exactly(Version),
    /// What this token proves, and nothing else will do.
    Token(VersionToken),
    /// This version, some time ago.
    LongAgo(Version),
}

/// What can be said of a command, whether or not its type is known.
macro_rules! dispatch_options {
    (impl $($dispatch:tt)+) => {
        impl $($dispatch)+ {
            /// Names it, so that it is recognised for ever: at most 255 bytes. It is recognised by
            /// its aggregate: the same id on another one is another command. Without it each
            /// dispatch is a command of its own.
            pub fn command_id(mut self, id: impl Into<String>) -> Self {
                self.options.command_id = Some(id.into());
                self
            }

            /// Demands that the aggregate is at this version. If it is not, or another writer is
            /// faster, the conflict surfaces, whatever the command declares.
            pub fn expecting(mut self, version: $crate::Version) -> Self {
                self.options.seen = $crate::command::Seen::Exactly(version);
                self
            }

            /// Demands that the aggregate is as it was when the token was minted, in the same way.
            pub fn expecting_token(mut self, token: $crate::VersionToken) -> Self {
                self.options.seen = $crate::command::Seen::Token(token);
                self
            }

            /// Decides on the aggregate as it was at this version, such as when its user went
            /// offline. If it has moved on, that is a conflict that the command's declaration
            /// speaks to.
            pub fn based_on(mut self, version: $crate::Version) -> Self {
                self.options.seen = $crate::command::Seen::LongAgo(version);
                self
            }

            /// What is kept beside every event of it. The command's id is added.
            pub fn metadata(mut self, metadata: $crate::Metadata) -> Self {
                self.options.metadata = metadata;
                self
            }

            /// How long it may take. No attempt begins later, and none is cut short.
            pub fn deadline(mut self, after: std::time::Duration) -> Self {
                self.options.deadline = Some(after);
                self
            }

            /// Lets it begin on a state that breaks an invariant. What it leaves must not.
            pub fn repairing(mut self) -> Self {
                self.options.repairing = true;
                self
            }

            /// Keeps its id also if it is rejected, nothing is left to do, or what its aggregate is
            /// forbids it: that is not there, exists already or would break an invariant. Sent
            /// again it is [`AlreadyApplied`](crate::Decision::AlreadyApplied), without events. A
            /// closed aggregate keeps nothing, and refuses for ever.
            pub fn record_outcome(mut self) -> Self {
                self.options.record_outcome = true;
                self
            }
        }
    };
}

pub(crate) use dispatch_options;

dispatch_options!(impl<C: Command> Dispatch<C>);

impl<C: Command> Dispatch<C> {
    pub(super) fn new(bus: CommandBus, key: String, command: C) -> Self {
        Self {
            bus,
            key,
            command,
            options: DispatchOptions::default(),
            on_conflict: C::ON_CONFLICT,
        }
    }

    /// What a conflict means this time, in place of what the command declares.
    pub fn on_conflict(mut self, on_conflict: OnConflict<C>) -> Self {
        self.on_conflict = on_conflict;
        self
    }
}

impl<C: Command> IntoFuture for Dispatch<C> {
    type Output = Result<Outcome<C::Aggregate>, DispatchError<C>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Run::dispatch(self))
    }
}

impl<C: Command> fmt::Debug for Dispatch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {:?}", self.command.name(), self.key)
    }
}
