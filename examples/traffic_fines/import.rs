//! From the log to the store: read all of it, then record it line by line.
//!
//! [`Log`] checks every line, so that a bad one is found before anything is written.
//! [`import`] then hands the lines to [`WORKERS`] tasks. The lines of a case follow each
//! other closely, so that several workers are at the same case at the same time.
//!
//! Every line is a command under an id derived from it. Whoever imports the same log again
//! sends the same commands, and each is recognised or finds nothing left to do: an import
//! that was interrupted is simply run again.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use annalist::{BusOptions, CommandBus, Decision, DispatchError, Outcome, Store, stream_id};
use futures_util::stream::{self, StreamExt};
use indicatif::HumanCount;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::fine::{Fine, FineEvent, Record};

/// A small log, made up for this example.
pub(crate) const SAMPLE: &[u8] = include_bytes!("sample.jsonl");

/// How many lines are recorded at once.
const WORKERS: usize = 16;

/// How often a line is attempted. It loses at most once to each other line of its case.
const ATTEMPTS_MAX: u32 = 100;

/// A log that was read and checked.
#[derive(Default)]
pub(crate) struct Log {
    /// What happened to each case, in its order.
    cases: BTreeMap<String, Vec<FineEvent>>,
    pub(crate) events: u64,
}

/// A line of the log. The activity becomes the event's type, the other fields its
/// payload.
#[derive(Deserialize)]
struct Line {
    case: String,
    activity: String,
    #[serde(flatten)]
    details: Map<String, Value>,
}

impl Log {
    /// Reads and checks a file of JSON lines.
    pub(crate) fn read(path: &Path) -> Result<Self, LogError> {
        let name = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&name, &bytes),
            Err(source) => Err(LogError::Unreadable { log: name, source }),
        }
    }

    /// Checks a log that was read from `name`.
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Self, LogError> {
        let mut log = Self::default();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            log.add(line).map_err(|problem| LogError::BadLine {
                log: name.to_owned(),
                line: index + 1,
                // Each line was parsed on its own; which one it was is said above.
                problem: problem.to_string().replace(" at line 1 ", " at "),
            })?;
        }
        Ok(log)
    }

    /// Turns one line into the next event of its case.
    fn add(&mut self, line: &[u8]) -> Result<(), Box<dyn Error>> {
        let line: Line = serde_json::from_slice(line)?;
        stream_id::<Fine>(&line.case)?;
        // To serde an enum is `{"<variant>": <fields>}`.
        let event = serde_json::from_value(json!({ line.activity: line.details }))?;
        self.cases.entry(line.case).or_default().push(event);
        self.events += 1;
        Ok(())
    }

    /// The command of each line: its case, its number in it, and what it brings.
    fn commands(&self) -> impl Iterator<Item = (&str, usize, Record)> {
        self.cases.iter().flat_map(|(case, history)| {
            (1..=history.len()).map(move |number| {
                let history = history.iter().take(number).cloned().collect();
                (case.as_str(), number, Record { history })
            })
        })
    }
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Events that were written.
    pub(crate) appended: u64,
    /// Lines whose command was recognised by its id.
    pub(crate) recognised: u64,
    /// Lines that found their event written already.
    pub(crate) nothing_to_do: u64,
    /// Lines that lost a race, each at least once.
    pub(crate) conflicts: u64,
    /// Lines that were decided again after that, and then written.
    pub(crate) redecided: u64,
}

impl Imported {
    fn count(&mut self, outcome: &Outcome<Fine>) {
        match outcome.decided_by {
            Decision::AlreadyApplied => self.recognised += 1,
            Decision::NothingToDo => self.nothing_to_do += 1,
            decision => {
                self.appended += outcome.events.len() as u64;
                self.redecided += u64::from(decision == Decision::Redecided);
            }
        }
        self.conflicts += u64::from(!outcome.unseen.is_empty());
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64| HumanCount(number).to_string();
        writeln!(f, "{:>9} events appended", count(self.appended))?;
        let recognised = count(self.recognised);
        writeln!(f, "{recognised:>9} lines recognised by their command id")?;
        let nothing_to_do = count(self.nothing_to_do);
        writeln!(f, "{nothing_to_do:>9} lines with nothing left to do")?;
        let (conflicts, redecided) = (count(self.conflicts), count(self.redecided));
        write!(f, "{conflicts:>9} lines lost a race, ")?;
        write!(f, "{redecided} of them were decided again and appended")
    }
}

/// Imports a log. `on_line` is called after each line.
///
/// The first refusal ends the import. What was written until then stays, and a second
/// import goes on from there.
pub(crate) async fn import(
    store: &Store,
    log: &Log,
    on_line: impl Fn(),
) -> Result<Imported, DispatchError<Record>> {
    let mut options = BusOptions::default();
    options.retry.attempts_max = ATTEMPTS_MAX;
    let bus = CommandBus::with(store.clone(), options);
    let mut workers = stream::iter(log.commands())
        .map(|(case, number, command)| {
            let dispatch = bus.dispatch(case, command);
            // It must never change: under another id a line is another command.
            let dispatch = dispatch.command_id(format!("traffic-fines/{case}/{number}"));
            tokio::spawn(dispatch.into_future())
        })
        .buffer_unordered(WORKERS);
    let mut imported = Imported::default();
    while let Some(outcome) = workers.next().await {
        imported.count(&outcome.expect("a dispatch catches what panics")?);
        on_line();
    }
    Ok(imported)
}

/// A log that cannot be imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("{log} cannot be read")]
    Unreadable { log: String, source: std::io::Error },
    #[error("{log}, line {line}: {problem}")]
    BadLine {
        log: String,
        line: usize,
        problem: String,
    },
}
