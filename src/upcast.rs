//! How events that were stored in older shapes become those of today.
//!
//! An aggregate declares its upcasters once; the codec asks them for every event that it
//! reads or writes. Stored events are never changed. An event of today's shape passes
//! without being touched.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

mod error;
mod follow;

pub use error::UpcastError;
pub(crate) use follow::Route;

/// What a function that rewrites JSON may fail with: anything that `?` or `into` makes.
type Failure = Box<dyn Error + Send + Sync>;

/// The ways from every shape that was ever stored to the shapes of today.
///
/// A shape is an event type and a schema version, which starts at 1. The current version of
/// a type is one more than the highest that a step leads away from; new events carry it.
/// Steps are followed until none applies. What then is not of its type's current version
/// stops the read: a version that no step leads on from, or one from a newer release.
///
/// ```
/// use annalist::{UpcastEvent, Upcasters};
/// use serde_json::json;
///
/// let upcasters = Upcasters::new()
///     // Another name for the same shape. Its schema version goes on under the new name.
///     .rename("MoneyPaidIn", "Deposited")
///     // Version 1 had no currency, version 2 has one.
///     .step("Deposited", 1, |mut payload| {
///         payload["currency"] = "EUR".into();
///         Ok(payload)
///     })
///     // One event that said two things.
///     .split("Moved", 1, |payload| {
///         let account = |field: &str| json!({ "account": payload[field] });
///         Ok(vec![
///             UpcastEvent::new("Left", account("from")),
///             UpcastEvent::new("Entered", account("to")),
///         ])
///     })
///     // One that nobody reads any more.
///     .drop("Viewed", 1);
/// assert_eq!(upcasters.schema_version("Deposited"), 2);
/// assert_eq!(upcasters.schema_version("Left"), 1);
/// ```
///
/// Where one declaration contradicts another, every read and write answers
/// [`InvalidAggregate`](crate::InvalidAggregate), so that the first test tells. Payloads that go through a function are read as [`Value`], so
/// integers of 2^64 and more become floats there; renamed ones are not.
#[derive(Clone, Default)]
pub struct Upcasters {
    types: BTreeMap<String, History>,
    /// Steps of all types: a way that is longer goes in a circle.
    steps: usize,
    revision: u32,
    /// The first declaration that contradicts another.
    problem: Option<String>,
}

/// What is declared of one event type.
#[derive(Clone, Default)]
struct History {
    steps: BTreeMap<u32, Step>,
    renamed_to: Option<String>,
    /// The current schema version where it is not the first.
    raised_to: u32,
}

#[derive(Clone)]
enum Step {
    Rewrite(Arc<dyn Fn(Value) -> Result<Value, Failure> + Send + Sync>),
    Split(Arc<dyn Fn(Value) -> Result<Vec<UpcastEvent>, Failure> + Send + Sync>),
    Drop,
}

/// An event on its way to the shape of today, such as one that a split makes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UpcastEvent {
    /// Its type.
    pub event_type: String,
    /// Which shape of that type the payload has; 1 unless said otherwise.
    pub schema_version: u32,
    /// The payload.
    pub payload: Value,
}

impl UpcastEvent {
    /// An event in the first shape of its type.
    #[must_use]
    pub fn new(event_type: impl Into<String>, payload: Value) -> Self {
        Self {
            event_type: event_type.into(),
            schema_version: 1,
            payload,
        }
    }

    /// Says which shape of its type the payload has: the current one when the split was
    /// written. Steps that are declared later go on from there.
    #[must_use]
    pub fn with_schema_version(mut self, schema_version: u32) -> Self {
        self.schema_version = schema_version;
        self
    }
}

impl Upcasters {
    /// None: every event is of schema version 1 and read as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads events of one type as another. The schema version stays, so a new name goes on
    /// where the old one stopped. Steps of the old name come first.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        if self.end_of_renames(to) == from {
            return self.refuse(format!("{from:?} is renamed to itself"));
        }
        let history = self.types.entry(from.to_owned()).or_default();
        if let Some(known) = history.renamed_to.replace(to.to_owned()) {
            return self.refuse(format!("{from:?} is renamed to {known:?} and to {to:?}"));
        }
        let current = self.schema_version(from);
        self.raise(to, current);
        self
    }

    /// Rewrites the payload of one shape into that of the next schema version.
    #[must_use]
    pub fn step(
        self,
        event_type: &str,
        schema_version: u32,
        rewrite: impl Fn(Value) -> Result<Value, Failure> + Send + Sync + 'static,
    ) -> Self {
        self.with(event_type, schema_version, Step::Rewrite(Arc::new(rewrite)))
    }

    /// Reads an event of one shape as several, in their order, or as none.
    #[must_use]
    pub fn split(
        self,
        event_type: &str,
        schema_version: u32,
        split: impl Fn(Value) -> Result<Vec<UpcastEvent>, Failure> + Send + Sync + 'static,
    ) -> Self {
        self.with(event_type, schema_version, Step::Split(Arc::new(split)))
    }

    /// Reads past events of one shape.
    #[must_use]
    pub fn drop(self, event_type: &str, schema_version: u32) -> Self {
        self.with(event_type, schema_version, Step::Drop)
    }

    /// Raise it when a function changes: states folded through the older one are folded
    /// afresh. Declaring or removing a step does so by itself.
    #[must_use]
    pub fn revision(mut self, revision: u32) -> Self {
        self.revision = revision;
        self
    }

    /// The current schema version of a type, which new events carry.
    #[must_use]
    pub fn schema_version(&self, event_type: &str) -> u32 {
        let raised = self.types.get(event_type).map(|known| known.raised_to);
        raised.unwrap_or_default().max(1)
    }

    /// What a cached state is keyed by beside the state's own version: the SHA-256 of all
    /// declared shapes and the revision, the same on every machine and in every release.
    /// It does not know what the functions do.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut feed = |part: &[u8]| {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        };
        feed(b"annalist upcasters 1");
        feed(&self.revision.to_be_bytes());
        for (event_type, history) in &self.types {
            feed(event_type.as_bytes());
            feed(history.renamed_to.as_deref().unwrap_or_default().as_bytes());
            feed(&(history.steps.len() as u64).to_be_bytes());
            for (schema_version, step) in &history.steps {
                feed(&schema_version.to_be_bytes());
                feed(step.word().as_bytes());
            }
        }
        digest.finalize().into()
    }

    fn with(mut self, event_type: &str, schema_version: u32, step: Step) -> Self {
        let history = self.types.entry(event_type.to_owned()).or_default();
        if history.steps.insert(schema_version, step).is_some() {
            return self.refuse(format!(
                "{event_type:?} has two steps from schema version {schema_version}"
            ));
        }
        self.steps += 1;
        self.raise(event_type, schema_version.saturating_add(1));
        self
    }

    /// Raises the current version of a type, and of the names that it goes on under.
    fn raise(&mut self, event_type: &str, schema_version: u32) {
        let mut name = event_type.to_owned();
        loop {
            let history = self.types.entry(name).or_default();
            history.raised_to = history.raised_to.max(schema_version);
            match &history.renamed_to {
                Some(to) => name = to.clone(),
                None => return,
            }
        }
    }

    /// The last name of a type. It ends: no rename that closes a circle is taken in.
    fn end_of_renames<'a>(&'a self, event_type: &'a str) -> &'a str {
        let mut name = event_type;
        while let Some(to) = self.renamed_to(name) {
            name = to;
        }
        name
    }

    fn refuse(mut self, problem: String) -> Self {
        self.problem.get_or_insert(problem);
        self
    }
}

/// What the codec asks.
impl Upcasters {
    /// What is wrong with the declarations, if anything is.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The name that events of this type are read under instead, if there is one.
    pub(crate) fn renamed_to(&self, event_type: &str) -> Option<&str> {
        self.types.get(event_type)?.renamed_to.as_deref()
    }
}

impl Step {
    const fn word(&self) -> &'static str {
        match self {
            Self::Rewrite(_) => "step",
            Self::Split(_) => "split",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Debug for Upcasters {
    /// Shows the shapes; functions have none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for (event_type, history) in &self.types {
            for (schema_version, step) in &history.steps {
                list.entry(&format_args!(
                    "{} {event_type:?} {schema_version}",
                    step.word()
                ));
            }
            if let Some(to) = &history.renamed_to {
                list.entry(&format_args!("rename {event_type:?} {to:?}"));
            }
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests;
