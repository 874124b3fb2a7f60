//! From what a case writes down to what a store takes, and back.

use std::collections::HashMap;

use serde::Deserialize;

use super::case::{
    Answer, Case, Draft, DraftAppend, DraftEvent, DraftPayload, Span, Step, Unseen, Violation,
};
use crate::conflict::{Conflicts, UnseenEvents, VersionConflict};
use crate::event::{InvalidEvent, Metadata, NewEvent};
use crate::ids::EventId;
use crate::payload::Payload;
use crate::store::{
    AppendError, Commit, Fence, FencingToken, Fingerprint, InvalidCommit, LeaseName, Receipt,
    Removed,
};
use crate::version::Generation;

/// The id that belongs to a name. The same in every stream.
pub(super) fn event_id(name: &str) -> EventId {
    EventId::derived("annalist contract", name)
}

/// The names that belong to the ids of a case.
pub(super) struct Names(HashMap<EventId, String>);

impl Names {
    pub(super) fn of(case: &Case) -> Self {
        let mut drafts: Vec<&Draft> = case.given.iter().collect();
        for step in &case.steps {
            let step = match step {
                Step::Follow { step, .. } => step,
                step => step,
            };
            match step {
                Step::Commit { draft, .. } => drafts.push(draft),
                Step::Race { drafts: racers, .. } => drafts.extend(racers),
                _ => {}
            }
        }
        let appends = drafts.into_iter().flat_map(|draft| &draft.appends);
        let events = appends.flat_map(|append| &append.events);
        let names = events.map(|event| (event_id(&event.name), event.name.clone()));
        Self(names.collect())
    }

    pub(super) fn name(&self, id: EventId) -> String {
        let known = self.0.get(&id);
        known.map_or_else(|| id.to_string(), Clone::clone)
    }
}

impl Draft {
    /// The commit; or, where it cannot even be made, the answer to that.
    pub(super) fn build(&self) -> Result<Commit, Answer> {
        let mut commit = Commit::new().with_unseen(self.unseen_events_max);
        for append in &self.appends {
            commit = append.build(commit)?;
        }
        for (name, token) in &self.fences {
            let name = lease_name(name)?;
            let token = FencingToken::new(*token);
            commit = commit.fenced_by(Fence { name, token });
        }
        Ok(match &self.key {
            Some((key, of)) => commit.key(key, Fingerprint::of(of)),
            None => commit,
        })
    }

    /// The appends that are no checks.
    pub(super) fn written(&self) -> impl Iterator<Item = &DraftAppend> {
        let appends = self.appends.iter();
        appends.filter(|append| !append.events.is_empty())
    }

    pub(super) fn events_count(&self) -> usize {
        self.appends.iter().map(|append| append.events.len()).sum()
    }
}

impl DraftAppend {
    fn build(&self, commit: Commit) -> Result<Commit, Answer> {
        let stream = self.stream.parse().map_err(|_| Answer::InvalidName)?;
        let events = self.events.iter().map(DraftEvent::build);
        let events: Vec<NewEvent> = events.collect::<Result<_, _>>()?;
        let commit = commit.append(stream, self.expected, events);
        Ok(match self.generation {
            Some(generation) => commit.at_generation(Generation::new(generation)),
            None => commit,
        })
    }
}

impl DraftEvent {
    pub(super) fn build(&self) -> Result<NewEvent, Answer> {
        let made = self.make().map_err(|error| match error {
            InvalidEvent::Type(_) => Answer::InvalidName,
            InvalidEvent::Payload(_) => Answer::InvalidPayload,
        })?;
        Ok(made
            .with_id(event_id(&self.name))
            .with_schema_version(self.schema_version)
            .with_metadata(self.build_metadata()?))
    }

    fn build_metadata(&self) -> Result<Metadata, Answer> {
        let metadata = self.actor.as_ref().map(Metadata::by).unwrap_or_default();
        let Some(json) = &self.extra else {
            return Ok(metadata);
        };
        // Deeper than a reader allows, so that the store has something to refuse.
        let mut json = serde_json::Deserializer::from_str(json);
        json.disable_recursion_limit();
        let value = serde_json::Value::deserialize(&mut json);
        let value = value.map_err(|error| Answer::Other(error.to_string()))?;
        Ok(metadata.with_extra("extra", value))
    }

    fn make(&self) -> Result<NewEvent, InvalidEvent> {
        let payload = match &self.payload {
            DraftPayload::Text(text) => Payload::from_text(text.as_str())?,
            DraftPayload::Filled(bytes) => Payload::from_text(filled(*bytes))?,
            DraftPayload::Float(value) => Payload::from_value(value)?,
        };
        Ok(NewEvent::new(self.event_type.parse()?, payload))
    }
}

/// The lease that goes by a name; or, where none can, the answer to that.
pub(super) fn lease_name(name: &str) -> Result<LeaseName, Answer> {
    name.parse().map_err(|_| Answer::InvalidName)
}

/// A JSON text of exactly so many bytes, its quotes among them.
fn filled(bytes: usize) -> String {
    format!("\"{}\"", "p".repeat(bytes.saturating_sub(2)))
}

/// What a store answered, in the words of a case.
pub(super) fn answer(names: &Names, got: &Result<Receipt, AppendError>) -> Answer {
    let error = match got {
        Ok(receipt) if receipt.replayed => return Answer::Replayed(spans(receipt)),
        Ok(receipt) if receipt.position.is_none() => return Answer::Checked(spans(receipt)),
        Ok(receipt) => return Answer::Appended(spans(receipt)),
        Err(error) => error,
    };
    refusal(names, error)
}

/// What a store answered to a removal.
pub(super) fn removed(names: &Names, got: &Result<Removed, AppendError>) -> Answer {
    match got {
        Ok(removed) => Answer::Removed {
            version: removed.version.get(),
            generation: removed.generation.get(),
            state: removed.state,
            changed: removed.changed,
        },
        Err(error) => refusal(names, error),
    }
}

fn refusal(names: &Names, error: &AppendError) -> Answer {
    let other = || Answer::Other(format!("{}: {error}", error.code()));
    match error {
        AppendError::Conflict(conflicts) => {
            violations(names, conflicts).map_or_else(other, Answer::Conflict)
        }
        AppendError::StreamClosed(conflicts) => {
            violations(names, conflicts).map_or_else(other, Answer::Closed)
        }
        AppendError::DuplicateEvent {
            stream,
            id,
            duplicate,
        } => Answer::Duplicate {
            stream: stream.to_string(),
            event: names.name(*id),
            duplicate: *duplicate,
        },
        AppendError::AlreadyCommitted { receipt, .. } => Answer::AlreadyCommitted(spans(receipt)),
        AppendError::KeyReused { stream, key } => Answer::KeyReused {
            stream: stream.to_string(),
            key: key.clone(),
        },
        AppendError::LeaseLost { name, token } => Answer::LeaseLost {
            name: name.to_string(),
            token: token.get(),
        },
        AppendError::Limit(exceeded) => Answer::Limit {
            limit: exceeded.limit.into(),
            max: exceeded.max,
            value: exceeded.value,
        },
        AppendError::Invalid(InvalidCommit::Empty) => Answer::Empty,
        AppendError::Invalid(InvalidCommit::StreamTwice(stream)) => {
            Answer::StreamTwice(stream.to_string())
        }
        AppendError::Invalid(InvalidCommit::TruncateBeyond {
            before, version, ..
        }) => Answer::TruncateBeyond {
            before: before.get(),
            version: version.get(),
        },
        AppendError::Invalid(InvalidCommit::Key) => Answer::InvalidKey,
        AppendError::Invalid(InvalidCommit::Metadata { stream, id }) => Answer::InvalidMetadata {
            stream: stream.to_string(),
            event: names.name(*id),
        },
        AppendError::Hook { .. } | AppendError::Store(_) => other(),
    }
}

impl Answer {
    /// Whether a store that answers `got` answers this.
    pub(super) fn admits(&self, got: &Self) -> bool {
        match (self, got) {
            (Self::Landed, Self::Appended(_)) | (Self::Lost, Self::Conflict(_)) => true,
            _ => self == got,
        }
    }
}

fn spans(receipt: &Receipt) -> Vec<Span> {
    let span = |append: &crate::store::AppendReceipt| Span {
        stream: append.stream.to_string(),
        first: append.first.map(|version| version.get()),
        last: append.last.get(),
    };
    receipt.appends.iter().map(span).collect()
}

/// None where unseen events could not be read, which no case asks for.
fn violations(names: &Names, conflicts: &Conflicts) -> Option<Vec<Violation>> {
    let found = conflicts.violations().iter();
    found.map(|conflict| violation(names, conflict)).collect()
}

fn violation(names: &Names, conflict: &VersionConflict) -> Option<Violation> {
    let unseen = match &conflict.unseen {
        UnseenEvents::NotRead => None,
        UnseenEvents::Unreadable { .. } => return None,
        UnseenEvents::Read { events, truncated } => Some(Unseen {
            events: events.iter().map(|event| names.name(event.id)).collect(),
            truncated: *truncated,
        }),
    };
    Some(Violation {
        stream: conflict.stream.to_string(),
        expected: conflict.expected,
        actual: conflict.actual.get(),
        state: conflict.state,
        unseen,
    })
}
