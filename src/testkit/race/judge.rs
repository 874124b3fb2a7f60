//! Whether an ending is one that the declarations promise. Nothing here asks the bus how it
//! decides: the rules are stated once more, on pure functions of the domain.

use super::Contest;
use super::ending::{Answered, Ending, Fate, list};
use super::serial::{self, Tried};
use super::stage::Landed;
use crate::conflict::{ConflictReason, Policy};
use crate::domain::probe::{Decided, LiveEvent, ProbedCommand, Sides, Unanswered};
use crate::version::Version;

/// What is wrong with an ending.
#[derive(Clone, Debug)]
pub(super) enum Wrong {
    /// A state that stood there breaks an invariant.
    Invariant { version: Version, violation: String },
    /// A command took effect in a way that it does not declare.
    Policy { who: usize, why: String },
    /// A command took effect more than once.
    Twice { who: usize },
    /// A command was answered what is not so.
    Untrue { who: usize, why: String },
    /// A command ended in an error that is no answer, as where its code panics.
    Failed { who: usize, why: String },
    /// No order of one after another ends like this.
    Serial { tried: Vec<Tried> },
    /// User code failed.
    Unanswered { why: String },
}

impl From<Unanswered> for Wrong {
    fn from(error: Unanswered) -> Self {
        let why = error.to_string();
        Self::Unanswered { why }
    }
}

pub(super) fn judge(contest: &Contest, ending: &Ending) -> Result<(), Wrong> {
    once(ending)?;
    invariants(ending)?;
    for landed in &ending.landed {
        policy(contest, ending, landed)?;
    }
    truth(contest, ending)?;
    let tried = serial::orders(contest, ending)?;
    match tried.iter().any(|tried| tried.differs.is_empty()) {
        true => Ok(()),
        false => Err(Wrong::Serial { tried }),
    }
}

/// Nothing takes effect twice, whatever was lost on the way.
fn once(ending: &Ending) -> Result<(), Wrong> {
    for who in 0..ending.answers.len() {
        let landed = ending.landed.iter().filter(|landed| landed.who == who);
        if landed.count() > 1 {
            return Err(Wrong::Twice { who });
        }
    }
    Ok(())
}

/// The state after each commit. That of what was given is the user's.
fn invariants(ending: &Ending) -> Result<(), Wrong> {
    let after = ending.landed.iter().map(|landed| landed.last);
    for version in after {
        let Some(state) = ending.state(version) else {
            continue;
        };
        if let Err(violation) = state.invariants()? {
            let violation = violation.to_string();
            return Err(Wrong::Invariant { version, violation });
        }
    }
    Ok(())
}

/// What landed is what the declared policy makes of the state that it landed on.
fn policy(contest: &Contest, ending: &Ending, landed: &Landed) -> Result<(), Wrong> {
    let &Landed {
        who,
        base,
        at,
        last,
        ..
    } = landed;
    let wrong = |why: String| Wrong::Policy { who, why };
    let Some(command) = contest.commands.get(who).map(|command| command.probed()) else {
        return Ok(());
    };
    let Some(current) = ending.state(at) else {
        return Err(wrong(format!(
            "it was appended at version {at}, which is not there"
        )));
    };
    let events = ending.between(at, last);
    let expected = match at == base {
        true => command.decide(current)?,
        false => declared(command, ending, landed)?.map_err(wrong)?,
    };
    let says = match expected {
        Ok(expected) if expected == events => return Ok(()),
        Ok(expected) => list(&expected),
        Err(why) => format!("no: {why}"),
    };
    let whose = match at == base {
        true => "its decision",
        false => "what it declares",
    };
    let events = list(&events);
    Err(wrong(format!(
        "it appended {events} at version {at}, where {whose} says {says}"
    )))
}

/// What a policy makes of a conflict; or why nothing may land.
fn declared(
    command: &dyn ProbedCommand,
    ending: &Ending,
    landed: &Landed,
) -> Result<Result<Decided, String>, Unanswered> {
    let &Landed { base, at, .. } = landed;
    if matches!(command.policy(), Policy::Redecide | Policy::Commute)
        && let Some(event) = clash(command, &ending.between(base, at))?
    {
        let told = &event.told.event_type;
        return Ok(Err(format!("it passed {told}, which it clashes with")));
    }
    let made = made(command, ending, base, at)?;
    Ok(made.ok_or_else(|| format!("it surfaces, and went on from version {base} to {at}")))
}

fn clash(
    command: &dyn ProbedCommand,
    unseen: &[LiveEvent],
) -> Result<Option<LiveEvent>, Unanswered> {
    for event in unseen {
        if command.clashes_with(event)? {
            return Ok(Some(event.clone()));
        }
    }
    Ok(None)
}

/// Who was told that something happened finds it stored, and who was told that nothing did
/// finds nothing, and a reason.
fn truth(contest: &Contest, ending: &Ending) -> Result<(), Wrong> {
    for (who, answer) in ending.answers.iter().enumerate() {
        let untrue = |why: String| Wrong::Untrue { who, why };
        let landed = ending.landed.iter().find(|landed| landed.who == who);
        match (&answer.fate, landed) {
            (Fate::Failed(why), _) => {
                let why = why.clone();
                return Err(Wrong::Failed { who, why });
            }
            (Fate::TookEffect(_), None) => {
                let why = "it was told that it took effect, and nothing is stored";
                return Err(untrue(why.to_owned()));
            }
            (Fate::TookEffect(_), Some(landed)) => outcome(contest, ending, answer, landed)?,
            (_, Some(landed)) => {
                let events = list(&ending.between(landed.at, landed.last));
                return Err(untrue(format!(
                    "{events} is stored, and it was told: {}",
                    answer.told
                )));
            }
            (Fate::Surfaced, None) if !surfaces(contest, ending, who, answer)? => {
                let why = format!("nothing declared says so, and it was told: {}", answer.told);
                return Err(untrue(why));
            }
            (Fate::Nothing, None) if !nothing_is_left(contest, ending, who, answer)? => {
                return Err(untrue("it was told that nothing is left to do".to_owned()));
            }
            (_, None) => {}
        }
    }
    Ok(())
}

/// Whether a command that was told so had nothing left to do on what it saw last.
fn nothing_is_left(
    contest: &Contest,
    ending: &Ending,
    who: usize,
    answer: &Answered,
) -> Result<bool, Unanswered> {
    let now = answer.outcome.as_ref().map(|outcome| outcome.version);
    let (Some(command), Some(now)) = (contest.commands.get(who), now) else {
        return Ok(false);
    };
    let command = command.probed();
    let is_empty = |decided: &Decided| matches!(decided, Ok(events) if events.is_empty());
    if let Some(state) = ending.state(now)
        && is_empty(&command.decide(state)?)
    {
        return Ok(true);
    }
    let Some(base) = answer.base.filter(|_| answer.lost) else {
        return Ok(false);
    };
    let made = made(command, ending, base, now)?;
    Ok(command.policy() == Policy::Merge && made.is_some_and(|made| is_empty(&made)))
}

/// Whether what a command was told of its effect is what is stored.
fn outcome(
    contest: &Contest,
    ending: &Ending,
    answer: &Answered,
    landed: &Landed,
) -> Result<(), Wrong> {
    let stored = ending.between(landed.at, landed.last);
    let told = answer.outcome.as_ref().zip(ending.state(landed.last));
    let Some((outcome, state)) = told else {
        return Ok(());
    };
    let same_state = match contest.aggregate.read_state(&outcome.state) {
        Ok(told) => contest.equal.holds(&told, state),
        // What cannot be read back was only told.
        Err(_) => true,
    };
    let same_events = outcome
        .events
        .iter()
        .eq(stored.iter().map(|event| &event.told));
    match outcome.version == landed.last && same_events && same_state {
        true => Ok(()),
        false => Err(Wrong::Untrue {
            who: landed.who,
            why: format!(
                "it was told of version {} and {}, and there stands {} at version {}, {}",
                outcome.version,
                outcome.state,
                list(&stored),
                landed.last,
                state.json()
            ),
        }),
    }
}

/// Whether a command that lost had to be told so: somebody else was there, and what it
/// declares does not go on.
fn surfaces(
    contest: &Contest,
    ending: &Ending,
    who: usize,
    answer: &Answered,
) -> Result<bool, Unanswered> {
    let (Some(command), Some(base)) = (contest.commands.get(who), answer.base) else {
        return Ok(false);
    };
    let others = || ending.landed.iter().filter(|landed| landed.who != who);
    if !others().any(|landed| landed.at >= base) {
        return Ok(false);
    }
    let command = command.probed();
    let Some(conflict) = &answer.conflict else {
        return refused(command, ending, base);
    };
    let conflict = conflict.as_ref();
    let (now, unseen) = (conflict.actual, ending.between(base, conflict.actual));
    Ok(match (&conflict.reason, command.policy()) {
        (ConflictReason::Declared, policy) => policy == Policy::Surface,
        (ConflictReason::Clash { .. }, Policy::Redecide | Policy::Commute) => {
            clash(command, &unseen)?.is_some()
        }
        (ConflictReason::Refused { .. }, Policy::Merge) => {
            matches!(made(command, ending, base, now)?, Some(Err(_)))
        }
        _ => false,
    })
}

/// Whether an invariant refuses what a command makes of some state that it may have met.
fn refused(
    command: &dyn ProbedCommand,
    ending: &Ending,
    base: Version,
) -> Result<bool, Unanswered> {
    let after_base = ending.landed.iter().map(|landed| landed.last);
    for now in after_base.filter(|version| *version > base) {
        let Some(state) = ending.state(now) else {
            continue;
        };
        if state.invariants()?.is_err() {
            return Ok(true);
        }
        if let Some(Ok(events)) = made(command, ending, base, now)?
            && state.fold(&events)?.invariants()?.is_err()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the policy of a command makes of what came between two versions, whether or not it
/// clashes; nothing where it surfaces.
pub(super) fn made(
    command: &dyn ProbedCommand,
    ending: &Ending,
    base: Version,
    now: Version,
) -> Result<Option<Decided>, Unanswered> {
    let (Some(first), Some(current)) = (ending.state(base), ending.state(now)) else {
        return Ok(None);
    };
    Ok(match command.policy() {
        Policy::Surface => None,
        Policy::Redecide => Some(command.decide(current)?),
        Policy::Commute => Some(command.decide(first)?),
        Policy::Merge => command.merge(Sides {
            base: first,
            current,
            unseen: &ending.between(base, now),
            proposed: &command.decide(first)?.unwrap_or_default(),
        })?,
    })
}
