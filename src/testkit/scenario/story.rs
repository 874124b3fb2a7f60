//! How a scenario is told when it does not end as expected: plain text for a person, from
//! plain data. It decides nothing, and no user code that panics ends it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::aggregate::Aggregate;
use crate::caught::{caught, chain};
use crate::codec::Codec;
use crate::command::{Command, DispatchOptions, Seen};
use crate::conflict::changed_fields;
use crate::event::NewEvent;
use crate::testkit::told::named;

/// An event by its type and its JSON.
#[derive(PartialEq)]
pub(super) struct Told {
    event_type: String,
    payload: Value,
}

impl Told {
    pub(super) fn of<A: Aggregate>(event: &A::Event) -> Self {
        match Codec::<A>::new().encode(event) {
            Ok(event) => Self::of_new(&event),
            Err(error) => Self {
                event_type: "(an event that cannot be stored)".to_owned(),
                payload: Value::String(chain(&error)),
            },
        }
    }

    pub(super) fn of_new(event: &NewEvent) -> Self {
        Self {
            event_type: event.event_type.to_string(),
            payload: event.payload.decode().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&named(&self.event_type, &self.payload))
    }
}

/// Events in one line.
pub(super) fn list(events: &[Told]) -> String {
    let told: Vec<_> = events.iter().map(Told::to_string).collect();
    told.join(", ")
}

/// A command in one line.
pub(super) fn command<C: Command>(command: &C, id: Option<&str>) -> String {
    let name = caught(|| command.name().to_owned()).unwrap_or_default();
    let mut told = named(name, &json(command).unwrap_or_default());
    if let Some(id) = id {
        told.push_str(&format!(", sent as {id:?}"));
    }
    told
}

/// What a caller says about a command, in one line.
pub(super) fn options(options: &DispatchOptions) -> String {
    let mut told = Vec::new();
    if let Some(id) = &options.command_id {
        told.push(format!("sent as {id:?}"));
    }
    match options.seen {
        Seen::Nothing => {}
        Seen::Exactly(version) => told.push(format!("expecting version {version}")),
        Seen::Token(token) => told.push(format!("expecting token {token}")),
        Seen::LongAgo(version) => told.push(format!("based on version {version}")),
    }
    if let Some(deadline) = options.deadline {
        told.push(format!("within {deadline:?}"));
    }
    if options.repairing {
        told.push("repairing".to_owned());
    }
    if options.record_outcome {
        told.push("its outcome recorded".to_owned());
    }
    told.join(", ")
}

/// The JSON of something, if it has one.
pub(super) fn json<T: Serialize>(value: &T) -> Option<Value> {
    caught(|| serde_json::to_value(value).ok()).unwrap_or_default()
}

/// What happened, line by line, each under a label.
#[derive(Clone, Default)]
pub(in crate::testkit) struct Story(Vec<(String, String)>);

impl Story {
    /// Adds a line.
    pub(in crate::testkit) fn line(&mut self, label: &str, text: impl Into<String>) {
        self.0.push((label.to_owned(), text.into()));
    }

    /// Adds a blank line.
    pub(super) fn pause(&mut self) {
        self.line("", "");
    }

    /// Adds the events that are not as expected, with the fields that differ.
    pub(super) fn compare(&mut self, expected: &[Told], got: &[Told]) {
        for index in 0..expected.len().max(got.len()) {
            let number = format!("event {}", index + 1);
            match (expected.get(index), got.get(index)) {
                (Some(expected), Some(got)) if expected == got => {
                    self.line(&number, got.to_string())
                }
                (expected, got) => self.differ(&number, expected, got),
            }
        }
    }

    fn differ(&mut self, number: &str, expected: Option<&Told>, got: Option<&Told>) {
        let told = |event: Option<&Told>| event.map_or("nothing".to_owned(), Told::to_string);
        let mut rows = vec![
            ("expected".to_owned(), told(expected)),
            ("got".to_owned(), told(got)),
        ];
        if let (Some(expected), Some(got)) = (expected, got)
            && expected.event_type == got.event_type
        {
            let field = |of: &Value, at: &str| {
                of.pointer(at)
                    .map_or("nothing".to_owned(), Value::to_string)
            };
            let differ = changed_fields(&expected.payload, &got.payload);
            rows.extend(differ.into_iter().map(|at| {
                let (expected, got) = (field(&expected.payload, &at), field(&got.payload, &at));
                let at = if at.is_empty() {
                    "its payload".to_owned()
                } else {
                    at
                };
                (at, format!("expected {expected}, got {got}"))
            }));
        }
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (row, (name, text)) in rows.into_iter().enumerate() {
            let label = if row == 0 { number } else { "" };
            self.line(label, format!("{name:<width$}  {text}"));
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, text) in &self.0 {
            // What user code says may have lines of its own.
            let text = text.replace('\n', "\n            ");
            writeln!(f, "{}", format!("  {label:<8}  {text}").trim_end())?;
        }
        Ok(())
    }
}
