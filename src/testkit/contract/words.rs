//! The words that cases are written in. Each makes one piece of data of `case`.

pub(super) use super::read_words::{feed, list, read, read_all};

use super::case::{
    Answer, Case, Draft, DraftAppend, DraftEvent, DraftPayload, Read, Span, Step, StreamList,
    Unseen, Violation,
};
use crate::store::{Duplicate, LeaseAsk, Removal};
use crate::version::{ExpectedVersion, StreamState, Version};

pub(super) fn case(name: &'static str) -> Case {
    Case {
        name,
        given: Vec::new(),
        steps: Vec::new(),
    }
}

impl Case {
    pub(super) fn given(mut self, draft: Draft) -> Self {
        self.given.push(draft);
        self
    }

    pub(super) fn then(self, draft: Draft, answer: Answer) -> Self {
        self.step(Step::Commit { draft, answer })
    }

    pub(super) fn race(
        self,
        drafts: impl IntoIterator<Item = Draft>,
        answers: impl IntoIterator<Item = (usize, Answer)>,
    ) -> Self {
        self.step(Step::Race {
            drafts: drafts.into_iter().collect(),
            answers: answers.into_iter().collect(),
        })
    }

    pub(super) fn deletes(self, stream: &str, expected: ExpectedVersion, answer: Answer) -> Self {
        self.removes(stream, Removal::Delete(expected), answer)
    }

    pub(super) fn truncates(self, stream: &str, before: u64, answer: Answer) -> Self {
        self.removes(
            stream,
            Removal::TruncateBefore(Version::new(before)),
            answer,
        )
    }

    pub(super) fn closes(self, stream: &str, expected: ExpectedVersion, answer: Answer) -> Self {
        self.removes(stream, Removal::Close(expected), answer)
    }

    fn removes(self, stream: &str, removal: Removal, answer: Answer) -> Self {
        self.step(Step::Remove {
            stream: stream.into(),
            removal,
            answer,
        })
    }

    pub(super) fn compacts(self, events: u64) -> Self {
        self.step(Step::Compact { events })
    }

    /// Asks for a lease, which must be granted under a token or, with none, refused.
    pub(super) fn leases(self, name: &str, ask: LeaseAsk, granted: Option<u64>) -> Self {
        self.step(Step::Lease {
            name: name.into(),
            ask,
            granted,
        })
    }

    pub(super) fn restart(self) -> Self {
        self.step(Step::Restart)
    }

    /// A read of one stream, which also tells its version.
    pub(super) fn reads(self, read: Read, events: &[&str], version: u64) -> Self {
        self.step(Step::Read {
            read,
            events: owned(events),
            version: Some(version),
        })
    }

    pub(super) fn reads_all(self, read: Read, events: &[&str]) -> Self {
        self.step(Step::Read {
            read,
            events: owned(events),
            version: None,
        })
    }

    pub(super) fn lists(self, list: StreamList, streams: &[&str]) -> Self {
        self.step(Step::List {
            list,
            streams: owned(streams),
        })
    }

    /// Version 0 is a stream that was never written.
    pub(super) fn stands_at(self, stream: &str, version: u64) -> Self {
        self.step(Step::Info {
            stream: stream.into(),
            version,
        })
    }

    pub(super) fn finds(self, stream: &str, event: &str, version: u64) -> Self {
        self.find(stream, event, Some(version))
    }

    pub(super) fn misses(self, stream: &str, event: &str) -> Self {
        self.find(stream, event, None)
    }

    fn find(self, stream: &str, event: &str, version: Option<u64>) -> Self {
        self.step(Step::Find {
            stream: stream.into(),
            event: event.into(),
            version,
        })
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().copied().map(String::from).collect()
}

pub(super) const fn exact(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(Version::new(version))
}

/// A commit that names no stream.
pub(super) fn nothing() -> Draft {
    Draft::default()
}

pub(super) fn append<E: Into<DraftEvent>>(
    stream: &str,
    expected: ExpectedVersion,
    events: impl IntoIterator<Item = E>,
) -> Draft {
    nothing().and(stream, expected, events)
}

pub(super) fn check(stream: &str, expected: ExpectedVersion) -> Draft {
    nothing().and_check(stream, expected)
}

/// What a case begins with.
pub(super) fn put<E: Into<DraftEvent>>(stream: &str, events: impl IntoIterator<Item = E>) -> Draft {
    append(stream, ExpectedVersion::Any, events)
}

impl Draft {
    pub(super) fn and<E: Into<DraftEvent>>(
        mut self,
        stream: &str,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = E>,
    ) -> Self {
        self.appends.push(DraftAppend {
            stream: stream.into(),
            expected,
            generation: None,
            events: events.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// Of the stream named last.
    pub(super) fn at_generation(mut self, generation: u64) -> Self {
        if let Some(append) = self.appends.last_mut() {
            append.generation = Some(generation);
        }
        self
    }

    pub(super) fn and_check(self, stream: &str, expected: ExpectedVersion) -> Self {
        self.and::<DraftEvent>(stream, expected, [])
    }

    /// The fingerprint is that of the text `of`.
    pub(super) fn key(mut self, key: &str, of: &str) -> Self {
        self.key = Some((key.into(), of.into()));
        self
    }

    pub(super) fn fenced_by(mut self, name: &str, token: u64) -> Self {
        self.fences.push((name.into(), token));
        self
    }

    pub(super) fn asking_unseen(mut self, events_max: u32) -> Self {
        self.unseen_events_max = events_max;
        self
    }
}

/// An event that is called so, of type `Noted`, and says its name.
pub(super) fn event(name: &str) -> DraftEvent {
    DraftEvent {
        name: name.into(),
        event_type: "Noted".into(),
        schema_version: 1,
        payload: DraftPayload::Text(format!(r#"{{"n":"{name}"}}"#)),
        actor: None,
        extra: None,
    }
}

/// So many events.
pub(super) fn events(count: usize) -> Vec<DraftEvent> {
    (1..=count).map(|n| event(&format!("n{n}"))).collect()
}

impl From<&str> for DraftEvent {
    fn from(name: &str) -> Self {
        event(name)
    }
}

impl DraftEvent {
    pub(super) fn of_type(mut self, event_type: &str) -> Self {
        self.event_type = event_type.into();
        self
    }

    pub(super) const fn schema(mut self, version: u32) -> Self {
        self.schema_version = version;
        self
    }

    pub(super) fn payload(mut self, text: &str) -> Self {
        self.payload = DraftPayload::Text(text.into());
        self
    }

    pub(super) fn filled(mut self, bytes: usize) -> Self {
        self.payload = DraftPayload::Filled(bytes);
        self
    }

    pub(super) fn float(mut self, value: f64) -> Self {
        self.payload = DraftPayload::Float(value);
        self
    }

    pub(super) fn by(mut self, actor: &str) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// A free key of the metadata.
    pub(super) fn extra(mut self, json: &str) -> Self {
        self.extra = Some(json.into());
        self
    }

    /// Metadata whose stored form has exactly so many bytes.
    pub(super) fn metadata(self, bytes: usize) -> Self {
        let around = r#"{"actor":""}"#.len();
        self.by(&"m".repeat(bytes.saturating_sub(around)))
    }
}

/// Stream, first version, last version.
type Written<'a> = (&'a str, u64, u64);

fn spans<'a>(spans: impl IntoIterator<Item = Written<'a>>) -> Vec<Span> {
    let span = |(stream, first, last): Written<'_>| Span {
        stream: stream.into(),
        first: Some(first),
        last,
    };
    spans.into_iter().map(span).collect()
}

fn versions<'a>(versions: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Span> {
    let span = |(stream, last): (&str, u64)| Span {
        stream: stream.into(),
        first: None,
        last,
    };
    versions.into_iter().map(span).collect()
}

pub(super) fn appended<'a>(written: impl IntoIterator<Item = Written<'a>>) -> Answer {
    Answer::Appended(spans(written))
}

pub(super) fn replayed<'a>(written: impl IntoIterator<Item = Written<'a>>) -> Answer {
    Answer::Replayed(spans(written))
}

pub(super) fn already<'a>(written: impl IntoIterator<Item = Written<'a>>) -> Answer {
    Answer::AlreadyCommitted(spans(written))
}

pub(super) fn already_checked<'a>(streams: impl IntoIterator<Item = (&'a str, u64)>) -> Answer {
    Answer::AlreadyCommitted(versions(streams))
}

pub(super) fn checked<'a>(streams: impl IntoIterator<Item = (&'a str, u64)>) -> Answer {
    Answer::Checked(versions(streams))
}

pub(super) fn conflict<V: Into<Violation>>(violations: impl IntoIterator<Item = V>) -> Answer {
    Answer::Conflict(violations.into_iter().map(Into::into).collect())
}

/// Stream, what was expected of it, its actual version.
impl From<(&str, ExpectedVersion, u64)> for Violation {
    fn from((stream, expected, actual): (&str, ExpectedVersion, u64)) -> Self {
        Self {
            stream: stream.into(),
            expected,
            actual,
            state: match actual {
                0 => StreamState::NeverWritten,
                _ => StreamState::Live,
            },
            unseen: None,
        }
    }
}

/// Version, generation, state after a removal that was done.
pub(super) const fn removed(version: u64, generation: u64, state: StreamState) -> Answer {
    Answer::Removed {
        version,
        generation,
        state,
        changed: true,
    }
}

/// The same where there was nothing to do.
pub(super) const fn removed_before(version: u64, generation: u64, state: StreamState) -> Answer {
    Answer::Removed {
        version,
        generation,
        state,
        changed: false,
    }
}

pub(super) const fn truncates_beyond(before: u64, version: u64) -> Answer {
    Answer::TruncateBeyond { before, version }
}

pub(super) fn closed<V: Into<Violation>>(violations: impl IntoIterator<Item = V>) -> Answer {
    Answer::Closed(violations.into_iter().map(Into::into).collect())
}

pub(super) fn violated(stream: &str, expected: ExpectedVersion, actual: u64) -> Violation {
    (stream, expected, actual).into()
}

impl Violation {
    pub(super) const fn in_state(mut self, state: StreamState) -> Self {
        self.state = state;
        self
    }

    /// All that was not seen.
    pub(super) fn unseen(mut self, events: &[&str]) -> Self {
        self.unseen = Some(Unseen {
            events: owned(events),
            truncated: false,
        });
        self
    }

    /// The first of what was not seen, no more having been asked for.
    pub(super) fn unseen_first(mut self, events: &[&str]) -> Self {
        self.unseen = Some(Unseen {
            events: owned(events),
            truncated: true,
        });
        self
    }
}

fn duplicate(stream: &str, event: &str, duplicate: Duplicate) -> Answer {
    Answer::Duplicate {
        stream: stream.into(),
        event: event.into(),
        duplicate,
    }
}

pub(super) fn sent_twice(stream: &str, event: &str) -> Answer {
    duplicate(stream, event, Duplicate::Sent)
}

pub(super) fn stored(stream: &str, event: &str, version: u64) -> Answer {
    let version = Version::new(version);
    duplicate(stream, event, Duplicate::Stored { version })
}

pub(super) fn other_type(stream: &str, event: &str, version: u64) -> Answer {
    let version = Version::new(version);
    duplicate(stream, event, Duplicate::OtherType { version })
}

pub(super) fn other_payload(stream: &str, event: &str, version: u64) -> Answer {
    let version = Version::new(version);
    duplicate(stream, event, Duplicate::OtherPayload { version })
}

pub(super) fn key_reused(stream: &str, key: &str) -> Answer {
    Answer::KeyReused {
        stream: stream.into(),
        key: key.into(),
    }
}

pub(super) fn lease_lost(name: &str, token: u64) -> Answer {
    Answer::LeaseLost {
        name: name.into(),
        token,
    }
}

pub(super) fn limit(limit: &str, max: usize, value: usize) -> Answer {
    Answer::Limit {
        limit: limit.into(),
        max,
        value,
    }
}

pub(super) fn stream_twice(stream: &str) -> Answer {
    Answer::StreamTwice(stream.into())
}

pub(super) fn invalid_metadata(stream: &str, event: &str) -> Answer {
    Answer::InvalidMetadata {
        stream: stream.into(),
        event: event.into(),
    }
}
