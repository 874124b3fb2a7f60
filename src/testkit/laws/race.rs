//! The accepted commands of a case, raced through the real bus: every order of their calls to
//! a store ends as some serial order of them does. The other laws look at one conflict on
//! pure functions; this one sees what several of them come to.

use super::findings::{Breach, Exceptions, Findings};
use super::law::Law;
use super::scene::{Conflict, Scene};
use crate::testkit::race::{Contest, Mishap, raced};

/// Whether a case is raced too. It takes as long as ten cases that are not, or a hundred.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Racing {
    Always,
    /// Where it would say something else after the one other.
    Contested,
    Never,
}

/// Two or three commands have schedules that a test can wait for.
const THEIRS_MAX: usize = 2;
/// Two commands take some twenty runs; of three, as many are made as these, and a tenth as
/// many schedules are drawn at random.
const RUNS_MAX: u64 = 64;

pub(super) fn check(
    scene: &Scene<'_>,
    conflict: Option<&Conflict<'_>>,
    racing: Racing,
    exceptions: &Exceptions,
    findings: &mut Findings<'_>,
) {
    let is_due = match racing {
        Racing::Always => true,
        Racing::Contested => conflict.is_some_and(is_contested),
        Racing::Never => false,
    };
    if !is_due {
        return;
    }
    let Some(mine) = &scene.mine else {
        return;
    };
    let theirs = scene.theirs.len();
    if !(1..=THEIRS_MAX).contains(&theirs) {
        return;
    }
    let racers = scene.theirs.iter().chain([mine]);
    let commands: Vec<_> = racers.map(|step| step.command.clone()).collect();
    // Who is excepted spoils the race of the others, too.
    let mut names = commands.iter().map(|command| command.name());
    if names.any(|name| exceptions.has(name, Law::Race)) {
        return;
    }
    let mut contest = Contest::new(mine.command.category(), scene.kin.aggregate);
    contest.given = scene
        .history()
        .into_iter()
        .map(|event| event.stored)
        .collect();
    contest.commands = commands;
    contest.equal = scene.kin.equal.clone();
    contest.faults_max = 0;
    contest.runs_max = RUNS_MAX;
    let mishap = raced(&contest).err();
    let breach = mishap.map(|mishap| told(&mishap, theirs));
    findings.say(Law::Race, &mine.command, breach);
}

/// Two commands whose order matters to the one that came later. Of three, each race takes
/// too long to look for more of them.
fn is_contested(conflict: &Conflict<'_>) -> bool {
    let same = matches!(&conflict.again, Ok(again) if *again == conflict.mine.events);
    conflict.scene.theirs.len() == 1 && !same
}

fn told(mishap: &Mishap, theirs: usize) -> Breach {
    let who = match theirs {
        1 => "theirs is A, mine is B",
        _ => "theirs are A and B, mine is C",
    };
    let mut lines = vec![("race", who.to_owned())];
    let steps = mishap.steps().lines().filter(|step| !step.is_empty());
    lines.extend(steps.map(|step| ("", step.to_owned())));
    Breach {
        law: Law::Race,
        says: mishap.wrong.clone(),
        lines,
        next: "read the steps; declare what the serial orders show",
    }
}
