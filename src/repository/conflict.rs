//! A conflict in the words of the domain: what was believed, what is, what happened
//! meanwhile, and what was to happen.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::aggregate::Aggregate;
use crate::conflict::{
    ConflictKind, ConflictReason, ConflictReport, Policy, UnseenEvent, changed_fields,
};
use crate::event::RecordedEvent;
use crate::ids::{CommandId, StreamId};
use crate::version::Version;

/// Why a writer lost, with everything that it takes to decide what to do. It is owned:
/// it may be kept, sent to a person, and answered tomorrow.
#[derive(Clone)]
#[non_exhaustive]
pub struct Conflict<A: Aggregate> {
    /// The stream.
    pub stream: StreamId,
    /// When it was noticed.
    pub kind: ConflictKind,
    /// The version that the writer acted on; none where only a token said what it was, and it
    /// is none of the last [`UNSEEN_MAX`](ConflictReport::UNSEEN_MAX).
    pub expected: Option<Version>,
    /// The state at that version; none where it is not known any more.
    pub base: Option<A>,
    /// The current version.
    pub version: Version,
    /// The state at the current version.
    pub current: A,
    /// What happened between the two, as far as it can be read.
    pub unseen: Vec<A::Event>,
    /// The same as it is recorded: one of these may be none or several of those.
    pub unseen_recorded: Vec<RecordedEvent>,
    /// What the writer wanted to happen; nothing where nothing was decided.
    pub proposed: Vec<A::Event>,
    /// Why it ended here.
    pub reason: ConflictReason,
    /// The command, where it was one.
    pub command: Option<String>,
    /// The command's id.
    pub command_id: Option<CommandId>,
    /// What the command declares of conflicts.
    pub policy: Option<Policy>,
    /// How often it was attempted.
    pub attempts: u32,
    /// How long it took to come here.
    pub elapsed: Duration,
}

impl<A: Aggregate> Conflict<A> {
    /// The conflict as plain data, without payloads and state.
    #[must_use]
    pub fn report(&self) -> ConflictReport {
        let (unseen, truncated) = UnseenEvent::list(&self.unseen_recorded);
        ConflictReport {
            stream: self.stream.clone(),
            command: self.command.clone(),
            command_id: self.command_id.clone(),
            kind: self.kind,
            expected: self.expected,
            actual: self.version,
            policy: self.policy,
            next: self.reason.next().to_owned(),
            reason: self.reason.clone(),
            attempts: self.attempts,
            elapsed_micros: u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX),
            unseen,
            truncated,
            changed: self.changed(),
            state: None,
        }
    }

    /// The same with the payloads of the unseen events and the current state, for
    /// whoever may see them.
    #[must_use]
    pub fn report_in_full(&self) -> ConflictReport {
        let mut report = self.report();
        for (listed, event) in report.unseen.iter_mut().zip(&self.unseen_recorded) {
            listed.payload = event.payload.decode().ok();
        }
        report.state = as_json(&self.current);
        report
    }

    /// Nothing where a state has no JSON form, or the one acted on is not known.
    fn changed(&self) -> Vec<String> {
        let before = self.base.as_ref().and_then(as_json);
        let after = as_json(&self.current);
        match (before, after) {
            (Some(before), Some(after)) => changed_fields(&before, &after),
            _ => Vec::new(),
        }
    }
}

/// User code serializes: what it does wrong must not hide the conflict.
fn as_json<A: Aggregate>(state: &A) -> Option<Value> {
    crate::caught::caught(|| serde_json::to_value(state).ok()).unwrap_or_default()
}

impl<A: Aggregate> fmt::Debug for Conflict<A> {
    /// Shows the report: states and events need not be shown, nor may a log learn them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Conflict").field(&self.report()).finish()
    }
}

impl<A: Aggregate> fmt::Display for Conflict<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}
