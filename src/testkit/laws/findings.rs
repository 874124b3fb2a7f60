//! What the laws have to say about one case.

use std::collections::BTreeSet;

use super::law::Law;
use super::scene::{Function, Role, Stumble};
use super::story;
use crate::domain::AnyCommand;
use crate::domain::probe::Unanswered;

/// Commands that say themselves that a law is not theirs.
#[derive(Clone, Default)]
pub(super) struct Exceptions(BTreeSet<(&'static str, Law)>);

impl Exceptions {
    pub(super) fn add(&mut self, command: &'static str, law: Law) {
        self.0.insert((command, law));
    }

    pub(super) fn has(&self, command: &str, law: Law) -> bool {
        self.0.iter().any(|known| *known == (command, law))
    }
}

/// A law that is broken.
pub(super) struct Breach {
    pub(super) law: Law,
    /// What it is, in one sentence.
    pub(super) says: String,
    /// What there is to see of it, each line under a label.
    pub(super) lines: Vec<(&'static str, String)>,
    /// What to do about it.
    pub(super) next: &'static str,
}

/// What the laws say.
pub(super) struct Findings<'a> {
    exceptions: &'a Exceptions,
    pub(super) breaches: Vec<Breach>,
    /// Which law had something to say about which command.
    pub(super) spoke: Vec<(Law, String)>,
}

impl<'a> Findings<'a> {
    pub(super) const fn new(exceptions: &'a Exceptions) -> Self {
        Self {
            exceptions,
            breaches: Vec::new(),
            spoke: Vec::new(),
        }
    }

    /// A law speaks about a command: it holds, or is broken.
    pub(super) fn say(&mut self, law: Law, command: &AnyCommand, breach: Option<Breach>) {
        if self.exceptions.has(command.name(), law) {
            return;
        }
        self.spoke.push((law, command.name().to_owned()));
        self.breaches.extend(breach);
    }

    /// A function gave no answer.
    pub(super) fn stumbled(&mut self, stumble: &Stumble, mine: &AnyCommand) {
        let command = stumble
            .command
            .as_ref()
            .map_or(mine, |(_, command)| command);
        let breach = told(stumble);
        self.say(breach.law, command, Some(breach));
    }
}

fn told(stumble: &Stumble) -> Breach {
    let mut lines = Vec::new();
    if let Some((role, command)) = &stumble.command {
        lines.push((label(*role), story::command(command)));
        lines.extend(stumble.events.iter().map(|event| ("", story::event(event))));
    }
    let function = stumble.function;
    let (law, says) = match &stumble.why {
        Unanswered::Panicked(_) => (
            Law::Panics,
            format!("{function} panics on a state that can be reached"),
        ),
        Unanswered::Unreadable(_) => (
            Law::RoundTrip,
            format!("{function} makes an event that cannot be stored"),
        ),
    };
    let but = match &stumble.why {
        Unanswered::Panicked(panicked) => {
            format!(
                "{function} panics on {}: {}",
                stumble.on.json(),
                panicked.message
            )
        }
        Unanswered::Unreadable(why) => why.clone(),
    };
    lines.push(("but", but));
    Breach {
        law,
        says,
        lines,
        next: next(function),
    }
}

const fn next(function: Function) -> &'static str {
    match function {
        Function::Decide => "answer a rejection instead",
        Function::Apply => {
            "an event has happened and cannot be refused any more: let decide reject what apply cannot hold"
        }
        Function::Invariants => "answer a violation instead",
        Function::ClashesWith => "answer whether it clashes for every event that there is",
        Function::Merge => "refuse the merge with a reason instead",
    }
}

pub(super) const fn label(role: Role) -> &'static str {
    match role {
        Role::Given => "given",
        Role::Theirs => "theirs",
        Role::Mine => "mine",
    }
}
