//! A conflict as plain data: for a log line, an HTTP body, a command line.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::VersionConflict;
use crate::event::RecordedEvent;
use crate::ids::{CommandId, EventId, EventType, StreamId};
use crate::retry::GaveUp;
use crate::version::{ExpectedVersion, Position, StreamState, Version};

/// What a loser is told: what it expected, what is there, what happened meanwhile, why it
/// ended there, and what to do next. It holds no payload and no state unless asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConflictReport {
    /// The stream.
    pub stream: StreamId,
    /// The command that lost, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The command's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// When it was noticed.
    pub kind: ConflictKind,
    /// The version that the loser acted on, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Version>,
    /// The stream's version.
    pub actual: Version,
    /// What the command declares of conflicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Why it ended here.
    pub reason: ConflictReason,
    /// How often it was attempted.
    pub attempts: u32,
    /// Microseconds from the beginning to here.
    pub elapsed_micros: u64,
    /// What happened meanwhile, in order; at most [`UNSEEN_MAX`](Self::UNSEEN_MAX).
    pub unseen: Vec<UnseenEvent>,
    /// Whether more happened than is listed.
    pub truncated: bool,
    /// The fields that differ between the state acted on and the current one, as JSON
    /// Pointers (RFC 6901); at most [`CHANGED_MAX`](Self::CHANGED_MAX).
    pub changed: Vec<String>,
    /// The current state, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// What to do next.
    pub next: String,
}

impl ConflictReport {
    /// How many unseen events are listed.
    pub const UNSEEN_MAX: usize = 100;

    /// How many changed fields are listed.
    pub const CHANGED_MAX: usize = 100;
}

impl fmt::Display for ConflictReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(command) = &self.command {
            write!(f, "{command} on ")?;
        }
        write!(f, "stream {}: ", self.stream)?;
        match self.expected {
            Some(expected) => write!(f, "acted on version {expected}")?,
            None => f.write_str("acted on another version")?,
        }
        write!(f, ", but it is at version {}", self.actual)?;
        let types: Vec<_> = self
            .unseen
            .iter()
            .map(|unseen| unseen.event_type.as_str())
            .collect();
        if !types.is_empty() {
            let more = if self.truncated { ", .." } else { "" };
            write!(f, "; meanwhile {}{more}", types.join(", "))?;
        }
        let attempts = match self.attempts {
            1 => "1 attempt".to_owned(),
            attempts => format!("{attempts} attempts"),
        };
        write!(f, "; {} ({attempts}); {}", self.reason, self.next)
    }
}

/// When a conflict was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// Before anything was decided: the caller had seen an older state.
    StaleVersion,
    /// While it was being decided: another writer was faster.
    LostRace,
}

/// What a command declares of conflicts, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The caller is told.
    Surface,
    /// It is decided again on the current state.
    Redecide,
    /// What was decided first still holds.
    Commute,
    /// A function of the command's own says what becomes of both.
    Merge,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Surface => "surface",
            Self::Redecide => "redecide",
            Self::Commute => "commute",
            Self::Merge => "merge",
        })
    }
}

/// Why a conflict ended where it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
#[non_exhaustive]
pub enum ConflictReason {
    /// The caller demanded this version, so nothing else was asked.
    Demanded,
    /// It is declared to surface, or nothing is declared.
    Declared,
    /// The command names an unseen event that it cannot stand beside.
    Clash {
        /// The event's type.
        event_type: EventType,
        /// Its version.
        version: Version,
    },
    /// Its merge refused.
    Refused {
        /// What it said.
        reason: String,
    },
    /// No attempts are left.
    Attempts,
    /// The deadline has passed.
    Deadline,
    /// The stream was deleted meanwhile.
    Deleted,
    /// Events were removed meanwhile: what was acted on may not be there any more.
    Removed,
    /// The stream is closed.
    Closed,
}

impl From<GaveUp> for ConflictReason {
    fn from(gave_up: GaveUp) -> Self {
        match gave_up {
            GaveUp::Attempts => Self::Attempts,
            GaveUp::Deadline => Self::Deadline,
        }
    }
}

impl ConflictReason {
    /// The stable name of this reason, such as `declared`: what a log is told.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Demanded => "demanded",
            Self::Declared => "declared",
            Self::Clash { .. } => "clash",
            Self::Refused { .. } => "refused",
            Self::Attempts => "attempts",
            Self::Deadline => "deadline",
            Self::Deleted => "deleted",
            Self::Removed => "removed",
            Self::Closed => "closed",
        }
    }

    /// What the loser can do.
    pub(crate) const fn next(&self) -> &'static str {
        match self {
            Self::Demanded | Self::Declared | Self::Clash { .. } => {
                "look at what happened meanwhile, and ask again if it is still meant"
            }
            Self::Refused { .. } => "let whoever asked choose, and ask again",
            Self::Attempts => "try again later; the stream is written often",
            Self::Deadline => "ask again with more time",
            Self::Deleted => "it was deleted; ask again only to bring it back",
            Self::Removed => "load it afresh, and ask again if it is still meant",
            Self::Closed => "it is closed; nothing is appended to it again",
        }
    }
}

impl fmt::Display for ConflictReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demanded => f.write_str("the caller demanded that version"),
            Self::Declared => f.write_str("declared to surface"),
            Self::Clash {
                event_type,
                version,
            } => write!(f, "clashes with {event_type} at version {version}"),
            Self::Refused { reason } => write!(f, "not merged: {reason}"),
            Self::Attempts => f.write_str("no attempts left"),
            Self::Deadline => f.write_str("the deadline has passed"),
            Self::Deleted => f.write_str("deleted meanwhile"),
            Self::Removed => f.write_str("events were removed meanwhile"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

/// An event that a loser had not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnseenEvent {
    /// Its version.
    pub version: Version,
    /// Its position.
    pub position: Position,
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Its payload, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

impl From<&RecordedEvent> for UnseenEvent {
    fn from(event: &RecordedEvent) -> Self {
        Self {
            version: event.version,
            position: event.position,
            id: event.id,
            event_type: event.event_type.clone(),
            payload: None,
        }
    }
}

impl UnseenEvent {
    /// As many as a report lists, and whether there are more.
    pub(crate) fn list(events: &[RecordedEvent]) -> (Vec<Self>, bool) {
        let listed = events.iter().take(ConflictReport::UNSEEN_MAX);
        (
            listed.map(Self::from).collect(),
            events.len() > ConflictReport::UNSEEN_MAX,
        )
    }
}

impl VersionConflict {
    /// The conflict as plain data. At this level no state is known.
    #[must_use]
    pub fn report(&self) -> ConflictReport {
        let (unseen, truncated) = UnseenEvent::list(self.unseen.events());
        let reason = match (self.state, self.expected) {
            (StreamState::Closed, _) => ConflictReason::Closed,
            (StreamState::Deleted, _) => ConflictReason::Deleted,
            (_, ExpectedVersion::Exact(_) | ExpectedVersion::NoStream) => ConflictReason::Demanded,
            _ => ConflictReason::Declared,
        };
        ConflictReport {
            stream: self.stream.clone(),
            command: None,
            command_id: None,
            kind: ConflictKind::StaleVersion,
            expected: self.acted_on(),
            actual: self.actual,
            policy: None,
            next: reason.next().to_owned(),
            reason,
            attempts: 1,
            elapsed_micros: 0,
            unseen,
            truncated,
            changed: Vec::new(),
            state: None,
        }
    }
}

/// Where two states differ, as JSON Pointers (RFC 6901), in the order of the fields.
pub(crate) fn changed_fields(before: &Value, after: &Value) -> Vec<String> {
    let mut changed = Vec::new();
    compare(before, after, &mut String::new(), &mut changed);
    changed
}

fn compare(before: &Value, after: &Value, at: &mut String, changed: &mut Vec<String>) {
    if before == after || changed.len() >= ConflictReport::CHANGED_MAX {
        return;
    }
    let length = at.len();
    let mut inside = |name: &str, before: &Value, after: &Value| {
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        compare(before, after, at, changed);
        at.truncate(length);
    };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                inside(name, value, after.get(name).unwrap_or(&Value::Null));
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                inside(name, &Value::Null, value);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                inside(&index.to_string(), before, after);
            }
        }
        _ => changed.push(at.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changed_fields_are_json_pointers() {
        let before = json!({ "a": 1, "b": { "c/d": [1, 2], "e~f": null }, "gone": 1, "list": [1] });
        let after = json!({ "a": 1, "b": { "c/d": [1, 3], "e~f": 0 }, "new": 1, "list": [1, 2] });
        assert_eq!(
            changed_fields(&before, &after),
            ["/b/c~1d/1", "/b/e~0f", "/gone", "/list", "/new"]
        );
        assert_eq!(changed_fields(&json!(1), &json!(2)), [""]);
        assert!(changed_fields(&before, &before).is_empty());
    }
}
