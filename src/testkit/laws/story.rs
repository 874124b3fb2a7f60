//! How a broken law is told: plain text for a person, who may never have heard of it. It
//! decides nothing.

use std::fmt;

use serde_json::Value;

use super::case::Case;
use super::findings::{Breach, label};
use super::law::Law;
use super::scene::{Role, Scene, Step, field};
use crate::conflict::changed_fields;
use crate::domain::AnyCommand;
use crate::domain::probe::{Decided, LiveEvent};
use crate::testkit::scenario::story::Story;
use crate::testkit::told::named;

/// Fields that are told of two states that differ.
const FIELDS_MAX: usize = 8;
/// Beyond this, states are not set in a column beside the events.
const COLUMN_MAX: usize = 40;

/// A law that is broken, and by what. Shown, it is the whole story.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CounterExample {
    /// The law.
    pub law: Law,
    /// The category of the aggregate.
    pub category: String,
    /// The case as one line of JSON, for [`replay`](super::Laws::replay); none where it is a
    /// recorded history.
    pub case: Option<String>,
    /// How many events it took.
    pub events: usize,
    story: String,
    /// Where it was found, and where it is kept.
    notes: Vec<String>,
}

impl CounterExample {
    /// A case that breaks a law.
    pub(super) fn of_case(category: &str, case: &Case, scene: &Scene<'_>, breach: &Breach) -> Self {
        let mut told = Story::default();
        for (label, text) in played(scene, breach) {
            told.line(label, text);
        }
        Self {
            law: breach.law,
            category: category.to_owned(),
            case: Some(case.line(breach.law)),
            events: scene.len() + stuck(breach),
            story: end(told, breach),
            notes: Vec::new(),
        }
    }

    /// A history that breaks a law.
    pub(super) fn of_history(
        category: &str,
        case: Option<&Case>,
        events: usize,
        breach: &Breach,
    ) -> Self {
        Self {
            law: breach.law,
            category: category.to_owned(),
            case: case.map(|case| case.line(breach.law)),
            events,
            story: end(Story::default(), breach),
            notes: Vec::new(),
        }
    }

    /// Adds a line at the end.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.story)?;
        let replayed = self.case.as_ref().map(|case| {
            let fence = fence(case);
            format!("keep it:  annalist::testkit::laws(&domain).replay(r{fence}\"{case}\"{fence});")
        });
        let notes: Vec<_> = self.notes.iter().chain(&replayed).collect();
        for (number, note) in notes.iter().enumerate() {
            let gap = if number == 0 { "\n" } else { "" };
            writeln!(f, "{gap}  {note}")?;
        }
        Ok(())
    }
}

/// As many `#` as the text in a raw string asks for.
fn fence(text: &str) -> String {
    let mut fence = "#".to_owned();
    while text.contains(&format!("\"{fence}")) {
        fence.push('#');
    }
    fence
}

fn end(mut told: Story, breach: &Breach) -> String {
    for (label, text) in &breach.lines {
        told.line(label, text.clone());
    }
    told.line("next", breach.next);
    format!("{}\n\n{told}", breach.says)
}

/// The events of the command that the case got stuck with are in the breach.
fn stuck(breach: &Breach) -> usize {
    let roles = [Role::Given, Role::Theirs, Role::Mine].map(label);
    let is_command = |(label, _): &(&str, String)| roles.contains(label);
    let Some(at) = breach.lines.iter().position(is_command) else {
        return 0;
    };
    let rest = breach.lines.iter().skip(at + 1);
    rest.take_while(|(label, _)| label.is_empty()).count()
}

/// What was done, by whom, with the states that it left.
fn played(scene: &Scene<'_>, breach: &Breach) -> Vec<(&'static str, String)> {
    let width = column(scene);
    let mut lines = Vec::new();
    let version = scene.history().len();
    let base = format!("{}, version {version}", scene.base().json());
    match scene.given.as_slice() {
        [] => lines.push((label(Role::Given), format!("nothing: {base}"))),
        [before @ .., last] => {
            for (number, step) in before.iter().enumerate() {
                let state = step.after.json().to_string();
                lines.extend(acted(Role::Given, number, step, &state, width));
            }
            lines.extend(acted(Role::Given, before.len(), last, &base, width));
        }
    }
    for (number, step) in scene.theirs.iter().enumerate() {
        let state = step.after.json().to_string();
        lines.extend(acted(Role::Theirs, number, step, &state, width));
    }
    let told_below = breach
        .lines
        .iter()
        .any(|(told, _)| *told == label(Role::Mine));
    if let Some(mine) = scene.mine.as_ref().filter(|_| !told_below) {
        let mut told = acted(Role::Mine, 0, mine, "", width);
        if let (Some((_, command)), false) = (told.first_mut(), scene.theirs.is_empty()) {
            *command = format!("{command}, decided on version {version}");
        }
        if scene.theirs.is_empty()
            && let Some((_, event)) = told.last_mut()
        {
            *event = format!("{event:<width$}  {}", mine.after.json());
        }
        lines.extend(told);
    }
    lines
}

/// A command, its events, and the state after the last.
fn acted(
    role: Role,
    number: usize,
    step: &Step,
    state: &str,
    width: usize,
) -> Vec<(&'static str, String)> {
    let label = if number == 0 { label(role) } else { "" };
    let mut lines = vec![(label, command(&step.command))];
    lines.extend(step.events.iter().map(|told| ("", event(told))));
    if let (Some((_, last)), false) = (lines.last_mut(), state.is_empty()) {
        *last = format!("{last:<width$}  {state}");
    }
    lines
}

/// How wide the column of the events is.
fn column(scene: &Scene<'_>) -> usize {
    let steps = scene.given.iter().chain(&scene.theirs).chain(&scene.mine);
    let last = steps.filter_map(|step| step.events.last());
    let widths = last.map(|told| event(told).chars().count());
    widths
        .filter(|width| *width <= COLUMN_MAX)
        .max()
        .unwrap_or(0)
}

/// A command in one line.
pub(super) fn command(command: &AnyCommand) -> String {
    named(command.name(), &command.probed().payload())
}

/// An event in one line.
pub(super) fn event(event: &LiveEvent) -> String {
    named(&event.told.event_type, &event.told.payload)
}

/// Events in one line.
pub(super) fn events(events: &[LiveEvent]) -> String {
    let told: Vec<_> = events.iter().map(event).collect();
    told.join(", ")
}

/// What a command says, in one line.
pub(super) fn decided(said: &Decided) -> String {
    match said {
        Ok(made) if made.is_empty() => "nothing to do".to_owned(),
        Ok(made) => events(made),
        Err(why) => format!("rejected: {why}"),
    }
}

/// A field by its pointer.
pub(super) fn place(at: &str) -> &str {
    if at.is_empty() { "the state" } else { at }
}

/// The fields in which two states differ.
pub(super) fn differ(
    (one_is, one): (&str, &Value),
    (other_is, other): (&str, &Value),
) -> Vec<(&'static str, String)> {
    let differ = changed_fields(one, other);
    let mut lines: Vec<_> = differ
        .iter()
        .take(FIELDS_MAX)
        .enumerate()
        .map(|(number, at)| {
            let label = if number == 0 { "differs" } else { "" };
            let (one, other) = (field(one, at), field(other, at));
            (
                label,
                format!("{}  {one_is} {one}, {other_is} {other}", place(at)),
            )
        })
        .collect();
    if differ.len() > FIELDS_MAX {
        lines.push(("", format!("and {} more", differ.len() - FIELDS_MAX)));
    }
    lines
}
