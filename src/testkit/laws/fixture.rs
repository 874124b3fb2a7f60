//! Histories that were recorded, with the state after each event: what was stored once must
//! mean the same for ever, or `STATE_VERSION` says that it does not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::HuntError;
use super::files;
use super::findings::Breach;
use super::kin::Kin;
use super::law::Law;
use super::scene::Scene;
use super::story::{self, CounterExample};
use crate::domain::probe::{LiveEvent, LiveState, ProbedAggregate};
use crate::event::NewEvent;

/// As many histories as are recorded at first.
const HISTORIES: usize = 5;

/// One aggregate's events as they were stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    state_version: u32,
    events: Vec<Recorded>,
}

/// An event as it was stored, and the state that it left.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    #[serde(rename = "type")]
    event_type: String,
    schema_version: u32,
    payload: Value,
    state: Value,
}

impl Recorded {
    fn stored(&self) -> Result<NewEvent, String> {
        let event = NewEvent::json(&self.event_type, &self.payload);
        let event = event.map_err(|error| error.to_string())?;
        Ok(event.with_schema_version(self.schema_version))
    }

    /// What it is the only example of, perhaps.
    fn shape(&self) -> (String, u32) {
        (self.event_type.clone(), self.schema_version)
    }
}

/// What a stored event is read as, and the state after it.
struct Reading {
    read: Vec<LiveEvent>,
    state: LiveState,
}

fn read(kin: &Kin, before: &LiveState, stored: &NewEvent) -> Result<Reading, String> {
    let read = kin
        .aggregate
        .read_event(stored)
        .map_err(|why| why.to_string())?;
    let state = before.fold(&read).map_err(|why| why.to_string())?;
    Ok(Reading { read, state })
}

pub(super) fn file(folder: &Path, category: &str) -> PathBuf {
    files::of_category(folder, category, "json")
}

fn histories(path: &Path) -> Result<Option<Vec<History>>, HuntError> {
    let Some(text) = files::read(path)? else {
        return Ok(None);
    };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| {
        let why = format!(
            "it holds no histories: {error}; restore it, since what was recorded in it cannot be recorded once more"
        );
        files::failed(path, &why)
    })
}

/// How many histories hold; nothing where none are recorded.
pub(super) fn check(kin: &Kin, category: &str, path: &Path) -> Result<Option<usize>, HuntError> {
    let Some(histories) = histories(path)? else {
        return Ok(None);
    };
    for (number, history) in histories.iter().enumerate() {
        if let Some((events, breach)) = differs(kin, category, history) {
            let found = CounterExample::of_history(category, None, events, &breach);
            let at = format!("recorded in {}, history {}", path.display(), number + 1);
            return Err(HuntError::Broken(Box::new(found.note(at))));
        }
    }
    Ok(Some(histories.len()))
}

/// The first event after which the state is not as it was recorded.
fn differs(kin: &Kin, category: &str, history: &History) -> Option<(usize, Breach)> {
    let mut before = kin.initial.clone();
    for (number, recorded) in history.events.iter().enumerate() {
        let stored = recorded.stored();
        let reading = stored.and_then(|stored| read(kin, &before, &stored));
        match reading {
            Ok(reading) if kin.is_recorded(&reading.state, &recorded.state) => {
                before = reading.state;
            }
            other => {
                return Some((
                    number + 1,
                    changed(kin, category, history, number, recorded, other),
                ));
            }
        }
    }
    None
}

fn changed(
    kin: &Kin,
    category: &str,
    history: &History,
    number: usize,
    recorded: &Recorded,
    reading: Result<Reading, String>,
) -> Breach {
    let (was, is) = (history.state_version, kin.aggregate.state_version());
    let mut lines = vec![
        (
            "event",
            format!("{} of {}", number + 1, history.events.len()),
        ),
        (
            "stored",
            stored(
                &recorded.event_type,
                recorded.schema_version,
                &recorded.payload,
            ),
        ),
    ];
    let is_read = reading.is_ok();
    lines.extend(read_as(reading, &recorded.state));
    let (says, next) = match (is_read, was == is) {
        (false, _) => (
            format!("an event of {category} that was recorded cannot be read any more"),
            "add what it was, or an upcaster that renames, rewrites or drops it",
        ),
        (true, true) => (
            format!(
                "apply or an upcaster of {category} changed what old events mean, and STATE_VERSION is still {is}"
            ),
            "snapshots of before would be believed: raise STATE_VERSION, then record anew with ANNALIST_RECORD=1",
        ),
        (true, false) => (
            format!(
                "{category} was recorded under STATE_VERSION {was}, it is {is} now, and old events mean something else"
            ),
            "look at what differs; if it is meant, record anew with ANNALIST_RECORD=1",
        ),
    };
    Breach {
        law: Law::Recorded,
        says,
        lines,
        next,
    }
}

fn stored(event_type: &str, schema_version: u32, payload: &Value) -> String {
    format!("{event_type} {payload}, schema version {schema_version}")
}

fn read_as(reading: Result<Reading, String>, recorded: &Value) -> Vec<(&'static str, String)> {
    let reading = match reading {
        Ok(reading) => reading,
        Err(why) => return vec![("but", format!("it cannot be read any more: {why}"))],
    };
    let told = match reading.read.as_slice() {
        [] => "no event".to_owned(),
        read => story::events(read),
    };
    let now = reading.state.json();
    let mut lines = vec![
        ("read as", told),
        ("recorded", recorded.to_string()),
        ("now", now.to_string()),
    ];
    lines.extend(story::differ(("recorded", recorded), ("now", &now)));
    lines
}

/// A history in the test itself: its events as they were stored, and the state at its end.
pub(super) struct Inline {
    pub(super) category: &'static str,
    pub(super) aggregate: &'static dyn ProbedAggregate,
    pub(super) events: Vec<NewEvent>,
    pub(super) state: Value,
}

impl Inline {
    pub(super) fn check(&self, kin: &Kin) -> Result<(), HuntError> {
        let mut state = kin.initial.clone();
        let mut lines = Vec::new();
        for (number, event) in self.events.iter().enumerate() {
            let payload = event.payload.decode().unwrap_or_default();
            let label = if number == 0 { "stored" } else { "" };
            lines.push((
                label,
                stored(event.event_type.as_str(), event.schema_version, &payload),
            ));
            match read(kin, &state, event) {
                Ok(reading) => {
                    let told = story::events(&reading.read);
                    lines.push(("", format!("read as {told}  {}", reading.state.json())));
                    state = reading.state;
                }
                Err(why) => {
                    lines.push(("but", format!("it cannot be read any more: {why}")));
                    return Err(self.broken(number + 1, lines));
                }
            }
        }
        if kin.is_recorded(&state, &self.state) {
            return Ok(());
        }
        let now = state.json();
        lines.push(("recorded", self.state.to_string()));
        lines.push(("now", now.to_string()));
        lines.extend(story::differ(("recorded", &self.state), ("now", &now)));
        Err(self.broken(self.events.len(), lines))
    }

    fn broken(&self, events: usize, lines: Vec<(&'static str, String)>) -> HuntError {
        let breach = Breach {
            law: Law::Recorded,
            says: format!(
                "recorded events of {} do not fold to the state that was recorded with them",
                self.category
            ),
            lines,
            next: "let the upcaster, or apply, keep what the events have meant; if the new state is meant, raise STATE_VERSION and record it",
        };
        let found = CounterExample::of_history(self.category, None, events, &breach);
        HuntError::Broken(Box::new(found))
    }
}

/// Histories that a hunt meets and may be recorded: different ones, and a few.
#[derive(Default)]
pub(super) struct Met {
    histories: Vec<Vec<LiveEvent>>,
    types: BTreeSet<String>,
}

impl Met {
    pub(super) fn add(&mut self, scene: &Scene<'_>) {
        let mut events = [scene.history(), scene.unseen()].concat();
        if let (true, Some(mine)) = (events.is_empty(), &scene.mine) {
            events.clone_from(&mine.events);
        }
        let types = events.iter().map(|event| event.told.event_type.to_string());
        let before = self.types.len();
        self.types.extend(types);
        let is_new = self.types.len() > before;
        if is_new || (events.len() > 2 && self.histories.len() < HISTORIES) {
            self.histories.push(events);
        }
    }
}

/// Folds what is recorded anew, and adds what is not covered. The events that are there stay
/// as they are: they are the old shapes.
pub(super) fn record(
    kin: &Kin,
    category: &str,
    path: &Path,
    met: &Met,
) -> Result<usize, HuntError> {
    let mut recorded = histories(path)?.unwrap_or_default();
    for history in &mut recorded {
        refold(kin, category, history)?;
    }
    let is_first = recorded.is_empty();
    let shapes = |history: &History| {
        history
            .events
            .iter()
            .map(Recorded::shape)
            .collect::<Vec<_>>()
    };
    let mut covered: BTreeSet<_> = recorded.iter().flat_map(shapes).collect();
    // The richest first: it may cover what the others would.
    let mut candidates: Vec<_> = met.histories.iter().collect();
    candidates.sort_by_key(|events| std::cmp::Reverse(events.len()));
    for events in candidates {
        let Some(history) = made(kin, events) else {
            continue;
        };
        let new = shapes(&history)
            .into_iter()
            .any(|shape| !covered.contains(&shape));
        if new || (is_first && recorded.len() < HISTORIES) {
            covered.extend(shapes(&history));
            recorded.push(history);
        }
    }
    let json =
        serde_json::to_string_pretty(&recorded).map_err(|error| files::failed(path, &error))?;
    files::write(path, &format!("{json}\n"))?;
    Ok(recorded.len())
}

fn refold(kin: &Kin, category: &str, history: &mut History) -> Result<(), HuntError> {
    let mut state = kin.initial.clone();
    for number in 0..history.events.len() {
        let Some(recorded) = history.events.get(number) else {
            break;
        };
        let stored = recorded.stored();
        match stored.and_then(|stored| read(kin, &state, &stored)) {
            Ok(reading) => state = reading.state,
            Err(why) => {
                let breach = changed(kin, category, history, number, recorded, Err(why));
                let found = CounterExample::of_history(category, None, number + 1, &breach);
                return Err(HuntError::Broken(Box::new(found)));
            }
        }
        if let Some(recorded) = history.events.get_mut(number) {
            recorded.state = state.json();
        }
    }
    history.state_version = kin.aggregate.state_version();
    Ok(())
}

fn made(kin: &Kin, events: &[LiveEvent]) -> Option<History> {
    let mut state = kin.initial.clone();
    let mut recorded = Vec::new();
    for event in events {
        state = state.fold(std::slice::from_ref(event)).ok()?;
        recorded.push(Recorded {
            event_type: event.stored.event_type.to_string(),
            schema_version: event.stored.schema_version,
            payload: event.stored.payload.decode().ok()?,
            state: state.json(),
        });
    }
    Some(History {
        state_version: kin.aggregate.state_version(),
        events: recorded,
    })
}
