//! What a case is made of. Plain data: streams and events go by short names, and
//! numbers are bare, so that a case reads like a row of a table.

use std::fmt;

use crate::store::{Direction, Duplicate, LeaseAsk, PageBounds, Removal};
use crate::version::{ExpectedVersion, StreamState};

/// One promise of the contract, as a story that every store tells the same.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// The promise as a sentence in snake case.
    pub name: &'static str,
    /// What is written first; each of these lands.
    pub given: Vec<Draft>,
    /// What is asked then, each step with what must be answered.
    pub steps: Vec<Step>,
}

/// One thing asked of the store, and what must be answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// A commit.
    Commit {
        /// What is sent.
        draft: Draft,
        /// What must be answered.
        answer: Answer,
    },
    /// Several commits at once, all begun before the first is answered. One task
    /// polls them; whether they run side by side is up to the store.
    Race {
        /// What each racer sends.
        drafts: Vec<Draft>,
        /// How many of them must be answered what, whichever they are.
        answers: Vec<(usize, Answer)>,
    },
    /// Events of a stream are removed, or it is sealed.
    Remove {
        /// The stream.
        stream: String,
        /// What is to become of it.
        removal: Removal,
        /// What must be answered.
        answer: Answer,
    },
    /// Removed events are stripped of what they hold.
    Compact {
        /// How many of them must be.
        events: u64,
    },
    /// A lease is asked for.
    Lease {
        /// What it is about.
        name: String,
        /// What is asked.
        ask: LeaseAsk,
        /// The token that must be granted; none where it must be refused.
        granted: Option<u64>,
    },
    /// The store is closed and opened again.
    Restart,
    /// A read of events.
    Read {
        /// What is read.
        read: Read,
        /// The events that must come, by name.
        events: Vec<String>,
        /// The version that must be reported; none where all streams are read.
        version: Option<u64>,
    },
    /// The feed, read to its end.
    Feed {
        /// What is read.
        feed: Feed,
        /// The items that must come: events by name, and removals such as `deleted
        /// order-1 to 4` and `truncated order-1 to 2`.
        items: Vec<String>,
    },
    /// Another step, while a follower waits on each handle at the end of the store.
    Follow {
        /// The step.
        step: Box<Step>,
        /// The items that each of them must be woken for.
        items: Vec<String>,
    },
    /// A list of streams.
    List {
        /// What is listed.
        list: StreamList,
        /// The streams that must come.
        streams: Vec<String>,
    },
    /// What a stream is.
    Info {
        /// The stream.
        stream: String,
        /// The version that must be reported.
        version: u64,
    },
    /// A look-up of one event.
    Find {
        /// The stream.
        stream: String,
        /// The event's name.
        event: String,
        /// The version that it must be found at; none where it must not be found.
        version: Option<u64>,
    },
}

/// A commit as a case writes it down.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Draft {
    /// Its appends; those without events are checks.
    pub appends: Vec<DraftAppend>,
    /// Its key, and the text whose fingerprint goes with it.
    pub key: Option<(String, String)>,
    /// The leases that it is fenced by, and their tokens.
    pub fences: Vec<(String, u64)>,
    /// How many unseen events a conflict is to bring.
    pub unseen_events_max: u32,
}

/// The part of a draft that concerns one stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DraftAppend {
    /// The stream, as raw text: it may be no stream id at all.
    pub stream: String,
    /// What is expected of it.
    pub expected: ExpectedVersion,
    /// The generation that is expected of it, where one is.
    pub generation: Option<u64>,
    /// The events.
    pub events: Vec<DraftEvent>,
}

/// An event as a case writes it down.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DraftEvent {
    /// Its name; its id is derived from it, so equal names are equal ids.
    pub name: String,
    /// Its type, as raw text: it may be no event type at all.
    pub event_type: String,
    /// Its schema version.
    pub schema_version: u32,
    /// Its payload.
    pub payload: DraftPayload,
    /// Who did it, in its metadata.
    pub actor: Option<String>,
    /// The JSON of a free key, in its metadata.
    pub extra: Option<String>,
}

/// A payload as a case writes it down.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DraftPayload {
    /// This text, which may be no JSON at all.
    Text(String),
    /// JSON of exactly so many bytes.
    Filled(usize),
    /// A Rust value.
    Float(f64),
}

/// What a commit is answered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// It was written, and this is where.
    Appended(Vec<Span>),
    /// It was written, wherever that is: for races.
    Landed,
    /// An expectation did not hold, whichever it is: for races.
    Lost,
    /// It was written before.
    Replayed(Vec<Span>),
    /// It had no events, and its expectations held.
    Checked(Vec<Span>),
    /// These expectations did not hold.
    Conflict(Vec<Violation>),
    /// These expectations did not hold, and a stream among them is closed.
    Closed(Vec<Violation>),
    /// An event is there already.
    Duplicate {
        /// The stream.
        stream: String,
        /// The event's name.
        event: String,
        /// Where it stands.
        duplicate: Duplicate,
    },
    /// Its key took effect before, and this is the first commit's receipt.
    AlreadyCommitted(Vec<Span>),
    /// Its key took effect before for something else.
    KeyReused {
        /// The stream that the key belongs to.
        stream: String,
        /// The key.
        key: String,
    },
    /// It carries a token of this lease that is not the last one.
    LeaseLost {
        /// The lease.
        name: String,
        /// The token.
        token: u64,
    },
    /// A part is too large.
    Limit {
        /// The limit's name.
        limit: String,
        /// What it allows.
        max: usize,
        /// What was sent.
        value: usize,
    },
    /// The removal was done, or had been before.
    Removed {
        /// The stream's version.
        version: u64,
        /// The stream's generation then.
        generation: u64,
        /// The stream's state then.
        state: StreamState,
        /// Whether anything was written.
        changed: bool,
    },
    /// It truncates beyond the stream's version.
    TruncateBeyond {
        /// Before which version.
        before: u64,
        /// The stream's version.
        version: u64,
    },
    /// It names no stream.
    Empty,
    /// It names this stream twice.
    StreamTwice(String),
    /// Its key cannot be one.
    InvalidKey,
    /// The metadata of an event nests too deep.
    InvalidMetadata {
        /// The stream.
        stream: String,
        /// The event's name.
        event: String,
    },
    /// It cannot even be made: a stream id or event type cannot be one.
    InvalidName,
    /// It cannot even be made: a payload cannot be one.
    InvalidPayload,
    /// Anything else, which no case asks for.
    Other(String),
}

/// Where the events of one append stand in their stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// The stream.
    pub stream: String,
    /// The version of the first event; none where none was sent.
    pub first: Option<u64>,
    /// The version of the last event, or the current one.
    pub last: u64,
}

/// An expectation that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The stream.
    pub stream: String,
    /// What was expected of it.
    pub expected: ExpectedVersion,
    /// Its version.
    pub actual: u64,
    /// Its state.
    pub state: StreamState,
    /// What the sender had not seen; none where it did not ask or cannot be told.
    pub unseen: Option<Unseen>,
}

/// The events that a sender had not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unseen {
    /// The events, by name.
    pub events: Vec<String>,
    /// Whether there are more than were asked for.
    pub truncated: bool,
}

/// What is read: one stream or all of them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Read {
    /// The stream; none for all.
    pub stream: Option<String>,
    /// The smallest version or position.
    pub from: Option<u64>,
    /// The largest version or position.
    pub to: Option<u64>,
    /// Which way to go.
    pub direction: Direction,
    /// How many events at most.
    pub limit: Option<u64>,
    /// Event types.
    pub types: Vec<String>,
    /// Categories, where all streams are read.
    pub categories: Vec<String>,
    /// Beginnings of stream ids, where all streams are read.
    pub prefixes: Vec<String>,
    /// The size of a page.
    pub bounds: PageBounds,
}

/// Which part of the feed is read, and how.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Feed {
    /// After which position.
    pub after: u64,
    /// Event types.
    pub types: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Beginnings of stream ids.
    pub prefixes: Vec<String>,
    /// The size of a page.
    pub bounds: PageBounds,
}

/// Which streams are listed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StreamList {
    /// The category.
    pub category: Option<String>,
    /// The beginning of the stream ids.
    pub prefix: Option<String>,
    /// The stream after which to begin.
    pub after: Option<String>,
    /// How many streams at most.
    pub limit: Option<u64>,
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, append) in self.appends.iter().take(4).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{append}")?;
        }
        if self.appends.len() > 4 {
            write!(f, "; {} streams in all", self.appends.len())?;
        }
        if let Some((key, of)) = &self.key {
            write!(f, "; key {key:?} for {of:?}")?;
        }
        for (name, token) in &self.fences {
            write!(f, "; fenced by {name:?} under {token}")?;
        }
        Ok(())
    }
}

impl fmt::Display for DraftAppend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            expected,
            events,
            ..
        } = self;
        if events.is_empty() {
            return write!(f, "check {stream:?}, expecting {expected}");
        }
        let names = events.iter().map(|event| event.name.as_str());
        let names: Vec<&str> = names.take(8).collect();
        let more = match events.len() > names.len() {
            true => format!(", {} in all", events.len()),
            false => String::new(),
        };
        let names = names.join(", ");
        write!(
            f,
            "append {names}{more} to {stream:?}, expecting {expected}"
        )
    }
}
