//! One case as it plays out, on pure functions: what was done, by whom, and what it left.
//! The laws look at it and ask further. No bus and no store is there.

use std::fmt;

use serde_json::Value;

use super::case::Case;
use super::kin::Kin;
use crate::aggregate::Violation;
use crate::domain::AnyCommand;
use crate::domain::probe::{Decided, LiveEvent, LiveState, Sides, Unanswered};

/// Whose command it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Given,
    Theirs,
    Mine,
}

/// A function of the user's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Decide,
    Apply,
    Invariants,
    ClashesWith,
    Merge,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decide => "decide",
            Self::Apply => "apply",
            Self::Invariants => "invariants",
            Self::ClashesWith => "clashes_with",
            Self::Merge => "the merge",
        })
    }
}

/// A function that gave no answer.
pub(super) struct Stumble {
    pub(super) function: Function,
    /// What it was asked on.
    pub(super) on: LiveState,
    /// What it was asked about.
    pub(super) events: Vec<LiveEvent>,
    pub(super) why: Unanswered,
    /// The command that the case got stuck with.
    pub(super) command: Option<(Role, AnyCommand)>,
}

/// A command that took effect.
pub(super) struct Step {
    pub(super) command: AnyCommand,
    pub(super) events: Vec<LiveEvent>,
    pub(super) after: LiveState,
}

/// A command that was asked.
pub(super) struct Asked {
    pub(super) command: AnyCommand,
    pub(super) on: LiveState,
    pub(super) said: Decided,
}

/// A case as it plays out.
pub(super) struct Scene<'a> {
    pub(super) kin: &'a Kin,
    pub(super) given: Vec<Step>,
    pub(super) theirs: Vec<Step>,
    /// Decided on what was given.
    pub(super) mine: Option<Step>,
    /// Every command that was asked, also those that were rejected.
    pub(super) asked: Vec<Asked>,
}

impl<'a> Scene<'a> {
    /// Plays a case until its end, or until something gives no answer.
    pub(super) fn play(kin: &'a Kin, case: &Case) -> (Self, Option<Box<Stumble>>) {
        let mut scene = Self {
            kin,
            given: Vec::new(),
            theirs: Vec::new(),
            mine: None,
            asked: Vec::new(),
        };
        let stumble = scene.act(case).err();
        (scene, stumble)
    }

    fn act(&mut self, case: &Case) -> Result<(), Box<Stumble>> {
        for command in &case.given {
            let step = self.attempt(Role::Given, command, &self.base().clone())?;
            self.given.extend(step);
        }
        for command in &case.theirs {
            let step = self.attempt(Role::Theirs, command, &self.current().clone())?;
            self.theirs.extend(step);
        }
        self.mine = self.attempt(Role::Mine, &case.mine, &self.base().clone())?;
        Ok(())
    }

    fn attempt(
        &mut self,
        role: Role,
        command: &AnyCommand,
        on: &LiveState,
    ) -> Result<Option<Step>, Box<Stumble>> {
        let exists = !self.given.is_empty() || (role == Role::Theirs && !self.theirs.is_empty());
        if !command.probed().requires().is_met(exists) {
            return Ok(None);
        }
        let stuck = |mut stumble: Box<Stumble>| {
            stumble.command = Some((role, command.clone()));
            stumble
        };
        let said = decide(command, on).map_err(stuck)?;
        self.asked.push(Asked {
            command: command.clone(),
            on: on.clone(),
            said: said.clone(),
        });
        match said {
            Ok(events) if !events.is_empty() => accept(command, on, events).map_err(stuck),
            _ => Ok(None),
        }
    }

    /// What the command was decided on.
    pub(super) fn base(&self) -> &LiveState {
        self.given
            .last()
            .map_or(&self.kin.initial, |step| &step.after)
    }

    /// What it is now: the same, and what the others did.
    pub(super) fn current(&self) -> &LiveState {
        self.theirs.last().map_or(self.base(), |step| &step.after)
    }

    pub(super) fn history(&self) -> Vec<LiveEvent> {
        events(&self.given)
    }

    pub(super) fn unseen(&self) -> Vec<LiveEvent> {
        events(&self.theirs)
    }

    /// How many events took effect in it.
    pub(super) fn len(&self) -> usize {
        let steps = self.given.iter().chain(&self.theirs).chain(&self.mine);
        steps.map(|step| step.events.len()).sum()
    }

    /// The conflict of the case: nothing where the bus answers before it asks the policy.
    pub(super) fn conflict(&self) -> Result<Option<Conflict<'_>>, Box<Stumble>> {
        let Some(mine) = self.mine.as_ref().filter(|_| !self.theirs.is_empty()) else {
            return Ok(None);
        };
        if !mine.command.probed().requires().is_met(true) {
            return Ok(None);
        }
        let again = decide(&mine.command, self.current())?;
        if matches!(&again, Ok(events) if events.is_empty()) {
            return Ok(None);
        }
        Ok(Some(Conflict {
            scene: self,
            mine,
            base: self.base(),
            current: self.current(),
            unseen: self.unseen(),
            again,
        }))
    }
}

/// A command that has lost a race, and may go on.
pub(super) struct Conflict<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) mine: &'a Step,
    pub(super) base: &'a LiveState,
    pub(super) current: &'a LiveState,
    pub(super) unseen: Vec<LiveEvent>,
    /// What it decides on the current state.
    pub(super) again: Decided,
}

impl Conflict<'_> {
    /// Whether it cannot stand beside what it did not see, so that it surfaces after all.
    pub(super) fn clashes(&self) -> Result<bool, Box<Stumble>> {
        for event in &self.unseen {
            let asked = self.mine.command.probed().clashes_with(event);
            let about = std::slice::from_ref(event);
            if asked.map_err(stumble(Function::ClashesWith, self.current, about))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What it merges to, or why it refuses; nothing where it declares no merge.
    pub(super) fn merge(
        &self,
        current: &LiveState,
        unseen: &[LiveEvent],
    ) -> Result<Option<Decided>, Box<Stumble>> {
        let merged = self.mine.command.probed().merge(Sides {
            base: self.base,
            current,
            unseen,
            proposed: &self.mine.events,
        });
        merged.map_err(stumble(Function::Merge, current, unseen))
    }
}

/// What a command says to a state.
pub(super) fn decide(command: &AnyCommand, on: &LiveState) -> Result<Decided, Box<Stumble>> {
    let decided = command.probed().decide(on);
    decided.map_err(stumble(Function::Decide, on, &[]))
}

/// The state after these events.
pub(super) fn fold(on: &LiveState, events: &[LiveEvent]) -> Result<LiveState, Box<Stumble>> {
    on.fold(events)
        .map_err(stumble(Function::Apply, on, events))
}

/// Whether a state may be.
pub(super) fn invariants(state: &LiveState) -> Result<Result<(), Violation>, Box<Stumble>> {
    let held = state.invariants();
    held.map_err(stumble(Function::Invariants, state, &[]))
}

/// A command that was accepted, unless an invariant refuses it.
pub(super) fn accept(
    command: &AnyCommand,
    on: &LiveState,
    events: Vec<LiveEvent>,
) -> Result<Option<Step>, Box<Stumble>> {
    let after = fold(on, &events)?;
    let holds = invariants(&after)?.is_ok();
    Ok(holds.then(|| Step {
        command: command.clone(),
        events,
        after,
    }))
}

fn stumble<'a>(
    function: Function,
    on: &'a LiveState,
    events: &'a [LiveEvent],
) -> impl FnOnce(Unanswered) -> Box<Stumble> + use<'a> {
    move |why| {
        Box::new(Stumble {
            function,
            on: on.clone(),
            events: events.to_vec(),
            why,
            command: None,
        })
    }
}

fn events(steps: &[Step]) -> Vec<LiveEvent> {
    let events = steps.iter().flat_map(|step| &step.events);
    events.cloned().collect()
}

/// A field of a state; what is not there counts as null.
pub(super) fn field<'a>(state: &'a Value, at: &str) -> &'a Value {
    state.pointer(at).unwrap_or(&Value::Null)
}
