//! From the log to the store: read all of it, then append it case by case.
//!
//! [`Log`] checks every line, so that a bad one is found before anything is
//! written. [`import`] then gives each case a stream and appends its events one by
//! one, each upon exactly the version that the one before it left.
//!
//! Event ids are derived from the log. Whoever imports the same log again sends
//! the same ids, and the store answers with the receipts of the first time: an
//! import that was interrupted is simply run again.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::ready;
use std::path::Path;

use annalist::{AppendError, EventId, NewEvent, Store, StreamId, Version};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fine::{CATEGORY, FineEvent};

/// A small log, made up for this example.
pub(crate) const SAMPLE: &[u8] = include_bytes!("sample.jsonl");

/// How many cases are imported at once.
const IMPORTERS: usize = 64;

/// What the ids of the events are derived in. It must never change: with another
/// one, every event of a second import would be new.
const ID_NAMESPACE: &str = "annalist/examples/traffic_fines";

/// A log that was read and checked: the events of each case, in their order.
pub(crate) struct Log {
    pub(crate) cases: BTreeMap<StreamId, Vec<NewEvent>>,
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
        let mut cases: BTreeMap<StreamId, Vec<NewEvent>> = BTreeMap::new();
        let mut events = 0;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            add(&mut cases, line).map_err(|problem| LogError::BadLine {
                log: name.to_owned(),
                line: index + 1,
                // Each line was parsed on its own; which one it was is said above.
                problem: problem.to_string().replace(" at line 1 ", " at "),
            })?;
            events += 1;
        }
        Ok(Self { cases, events })
    }
}

/// Turns one line into the next event of its case.
fn add(cases: &mut BTreeMap<StreamId, Vec<NewEvent>>, line: &[u8]) -> Result<(), Box<dyn Error>> {
    let line: Line = serde_json::from_slice(line)?;
    let stream = StreamId::new(CATEGORY, &line.case)?;
    let event = NewEvent::json(&line.activity, &line.details)?;
    // What cannot be read back must not be written.
    FineEvent::decode(&event.event_type, &event.payload)?;

    let events = cases.entry(stream).or_default();
    let id = EventId::derived(ID_NAMESPACE, &format!("{}/{}", line.case, events.len()));
    events.push(event.with_id(id));
    Ok(())
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Events that were written.
    pub(crate) appended: u64,
    /// Events that the store recognised and did not write again.
    pub(crate) replayed: u64,
}

/// Imports a log, [`IMPORTERS`] cases at a time: as soon as one is done, the next
/// one is begun. `on_event` is called after each event.
///
/// The first refusal ends the import. What was appended until then stays, and a
/// second import goes on from there.
pub(crate) async fn import(
    store: &Store,
    log: &Log,
    on_event: impl Fn(),
) -> Result<Imported, AppendError> {
    stream::iter(&log.cases)
        .map(|(stream, events)| import_case(store, stream, events, &on_event))
        .buffer_unordered(IMPORTERS)
        .try_fold(Imported::default(), |sum, case| {
            ready(Ok(Imported {
                appended: sum.appended + case.appended,
                replayed: sum.replayed + case.replayed,
            }))
        })
        .await
}

/// Appends the events of one case, each upon the version that the last one left.
///
/// Nothing is retried: where someone else has written to the stream, the log no
/// longer tells the whole story, and that is for a human to look at.
async fn import_case(
    store: &Store,
    stream: &StreamId,
    events: &[NewEvent],
    on_event: &impl Fn(),
) -> Result<Imported, AppendError> {
    let mut imported = Imported::default();
    let mut version = Version::ZERO;
    for event in events {
        let receipt = store.append(stream, version, [event.clone()]).await?;
        version = receipt.version();
        match receipt.replayed {
            true => imported.replayed += 1,
            false => imported.appended += 1,
        }
        on_event();
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
