//! What came of a command, as plain data: for an HTTP body, a line on a terminal, a
//! message. Nothing is decided here.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aggregate::Aggregate;
use crate::caught::{caught, chain};
use crate::codec::{Codec, EncodeError};
use crate::command::{Command, Decision, DispatchError, Outcome};
use crate::conflict::{ConflictReport, UnseenEvent};
use crate::ids::{EventId, EventType, StreamId};
use crate::version::{Generation, Position, Version};

/// An event by its type and its JSON, in today's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnyEvent {
    /// What happened.
    pub event_type: EventType,
    /// The details.
    pub payload: Value,
}

impl AnyEvent {
    /// The event as it would be stored today.
    pub(super) fn of<A: Aggregate>(
        codec: &Codec<A>,
        event: &A::Event,
    ) -> Result<Self, EncodeError> {
        let event = codec.encode(event)?;
        // A payload is JSON from the moment that it is made.
        let payload = event.payload.decode().unwrap_or_default();
        Ok(Self {
            event_type: event.event_type,
            payload,
        })
    }
}

/// What came of a command whose type is not known: an [`Outcome`] as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnyOutcome {
    /// The stream.
    pub stream: StreamId,
    /// The stream's version after it.
    pub version: Version,
    /// The version of its first event; none where it had none.
    pub first_version: Option<Version>,
    /// The stream's generation, as far as it is known.
    pub generation: Generation,
    /// The id of the stream's last event then; none where there was none to read.
    pub last_event: Option<EventId>,
    /// The position of its last event; none where it had none.
    pub position: Option<Position>,
    /// What decided it.
    pub decided_by: Decision,
    /// How often it was attempted.
    pub attempts: u32,
    /// What it made happen. Of a command that took effect long ago, what today's aggregate
    /// could not store any more is left out.
    pub events: Vec<AnyEvent>,
    /// What happened while it was on its way, and did not hinder it.
    pub unseen: Vec<UnseenEvent>,
    /// The state after it; null where it has no JSON form.
    pub state: Value,
}

impl AnyOutcome {
    pub(super) fn new<A: Aggregate>(stream: StreamId, outcome: &Outcome<A>) -> Self {
        let codec = Codec::<A>::new();
        let events = outcome.events.iter();
        let events = events.filter_map(|event| AnyEvent::of(&codec, event).ok());
        // It has happened: that its state cannot be shown must not hide that.
        let state = caught(|| serde_json::to_value(&outcome.state).unwrap_or_default());
        Self {
            stream,
            version: outcome.version,
            first_version: outcome.first_version,
            generation: outcome.generation,
            last_event: outcome.last_event,
            position: outcome.position,
            decided_by: outcome.decided_by,
            attempts: outcome.attempts,
            events: events.collect(),
            unseen: outcome.unseen.iter().map(UnseenEvent::from).collect(),
            state: state.unwrap_or_default(),
        }
    }
}

/// Why a command whose type is not known has no outcome: a [`DispatchError`] as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnyDispatchError {
    /// The stable name of the error, as [`DispatchError::code`].
    pub code: String,
    /// What it says, with its causes.
    pub message: String,
    /// As [`DispatchError::is_retryable`].
    pub is_retryable: bool,
    /// The command's name.
    pub command: String,
    /// The stream; none where the key cannot be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// Why the domain says no, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<String>,
    /// The stable name of that, as [`Command::rejection_code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection_code: Option<String>,
    /// Which invariant would be broken, or is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<String>,
    /// The conflict, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Box<ConflictReport>>,
}

/// How much a conflict tells.
#[derive(Clone, Copy, Default)]
pub(super) enum Telling {
    #[default]
    WithoutPayloads,
    InFull,
}

impl AnyDispatchError {
    pub(super) fn new<C: Command>(
        command: String,
        stream: Option<StreamId>,
        error: &DispatchError<C>,
        telling: Telling,
    ) -> Self {
        let report = error.conflict().map(|conflict| match telling {
            Telling::WithoutPayloads => conflict.report(),
            Telling::InFull => conflict.report_in_full(),
        });
        let rejection = match error {
            DispatchError::Rejected(why) => Some(why),
            _ => None,
        };
        let violation = match error {
            DispatchError::InvariantViolated { source, .. } => Some(source.to_string()),
            _ => None,
        };
        Self {
            code: error.code().to_owned(),
            message: chain(error),
            is_retryable: error.is_retryable(),
            command,
            stream,
            rejection: rejection.map(|why| chain(why)),
            rejection_code: rejection.map(|why| named::<C>(why).to_owned()),
            violation,
            conflict: report.map(Box::new),
        }
    }
}

/// User code names it: what it does wrong must not hide the rejection.
fn named<C: Command>(rejection: &C::Rejection) -> &'static str {
    caught(|| C::rejection_code(rejection)).unwrap_or("rejected")
}

impl fmt::Display for AnyDispatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AnyDispatchError {}
