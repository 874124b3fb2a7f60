//! How often each law had something to say: a hunt in which none did has shown nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::judge::Judged;
use super::law::Law;
use super::scene::Step;
use crate::command::Requires;
use crate::conflict::Policy;
use crate::domain::CommandInfo;

/// A hunt in which every law held. Shown, it says in one line what was asked, and in one
/// more each what was not.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Checked {
    /// How many cases there were, of all aggregates.
    pub cases: u64,
    /// What they were made from.
    pub seed: u64,
    /// The categories whose commands were tried.
    pub categories: Vec<String>,
    /// In how many cases each law had something to say about each command.
    spoke: BTreeMap<(Law, String), u64>,
    /// In how many cases each command was accepted.
    accepted: BTreeMap<String, u64>,
    /// What it said when it was rejected last.
    rejected: BTreeMap<String, String>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl Checked {
    /// In how many cases a law had something to say.
    #[must_use]
    pub fn asked(&self, law: Law) -> u64 {
        let said = self.spoke.iter().filter(|((of, _), _)| *of == law);
        said.map(|(_, times)| times).sum()
    }

    /// In how many cases a command was accepted.
    #[must_use]
    pub fn accepted(&self, command: &str) -> u64 {
        self.accepted.get(command).copied().unwrap_or(0)
    }

    /// What was not asked of any case, though a declaration promises it.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn of_seed(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    pub(super) fn count(&mut self, judged: &Judged<'_>) {
        self.cases += 1;
        for said in judged.spoke.iter().collect::<BTreeSet<_>>() {
            *self.spoke.entry(said.clone()).or_default() += 1;
        }
        let scene = &judged.scene;
        let steps = scene.given.iter().chain(&scene.theirs).chain(&scene.mine);
        let name = |step: &Step| step.command.name().to_owned();
        for name in steps.map(name).collect::<BTreeSet<_>>() {
            *self.accepted.entry(name).or_default() += 1;
        }
        for asked in &scene.asked {
            if let Err(why) = &asked.said {
                self.rejected
                    .insert(asked.command.name().to_owned(), why.clone());
            }
        }
    }

    pub(super) fn rejection(&self, command: &str) -> Option<&String> {
        self.rejected.get(command)
    }

    /// Warns of what a command promises and was never asked. The command that must be the
    /// first cannot lose a race and go on.
    pub(super) fn warn(&mut self, info: CommandInfo, excepted: impl Fn(Law) -> bool) {
        if info.policy == Policy::Surface || info.requires == Requires::New {
            return;
        }
        let said = |law: Law| self.spoke.contains_key(&(law, info.name.to_owned()));
        let silent = Law::of(info.policy)
            .iter()
            .filter(|law| !excepted(**law) && !said(**law));
        let silent: Vec<_> = silent.map(|law| law.name()).collect();
        // Where a command never repeats itself, there is nothing to say about it.
        let silent: Vec<_> = match silent.as_slice() {
            ["redecide-repeats"] | ["merge-order"] => return,
            silent => silent.to_vec(),
        };
        if !silent.is_empty() {
            self.warnings.push(format!(
                "{} declares {:?}, and no case asked {} of it: give a strategy with .commands(..)",
                info.name,
                info.policy,
                silent.join(", ")
            ));
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let categories = self.categories.join(", ");
        write!(
            f,
            "{} cases of {categories} hold, seed {}",
            self.cases, self.seed
        )?;
        let laws: BTreeSet<_> = self.spoke.keys().map(|(law, _)| *law).collect();
        for (number, law) in laws.into_iter().enumerate() {
            let separator = if number == 0 { ": " } else { ", " };
            write!(f, "{separator}{} {}", law.name(), self.asked(law))?;
        }
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        for warning in &self.warnings {
            write!(f, "\n  warning: {warning}")?;
        }
        Ok(())
    }
}
