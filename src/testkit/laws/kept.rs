//! Histories of a hunt that are folded once more when it ends: what looks at a clock of
//! seconds is the same twice in a row, and not later.

use super::case::Case;
use super::findings::Breach;
use super::kin::Kin;
use super::same;
use super::scene::{Scene, Step, fold};
use crate::domain::AnyCommand;
use crate::domain::probe::{LiveEvent, LiveState};

const KEPT_MAX: usize = 64;

/// A few histories, each command with its events and the states between.
#[derive(Default)]
pub(super) struct Kept(Vec<Vec<Deed>>);

struct Deed {
    command: AnyCommand,
    events: Vec<LiveEvent>,
    after: LiveState,
}

impl Kept {
    pub(super) fn add(&mut self, scene: &Scene<'_>) {
        if self.0.len() >= KEPT_MAX || scene.len() == 0 {
            return;
        }
        let deed = |step: &Step| Deed {
            command: step.command.clone(),
            events: step.events.clone(),
            after: step.after.clone(),
        };
        let before = scene.given.iter().chain(&scene.theirs);
        let deeds: Vec<_> = before.map(deed).collect();
        let mine = scene.mine.iter().map(deed).collect();
        self.0.push(if deeds.is_empty() { mine } else { deeds });
    }

    /// The shortest history that folds to another state now.
    pub(super) fn changed(&self, kin: &Kin) -> Option<(Case, Breach)> {
        let mut found: Vec<_> = self
            .0
            .iter()
            .filter_map(|deeds| again(kin, deeds))
            .collect();
        found.sort_by_key(|(case, _)| case.given.len());
        found.into_iter().next()
    }
}

fn again(kin: &Kin, deeds: &[Deed]) -> Option<(Case, Breach)> {
    let initial = kin.aggregate.initial().ok()?;
    let mut state = initial;
    let mut events = Vec::new();
    for (number, deed) in deeds.iter().enumerate() {
        state = fold(&state, &deed.events).ok()?;
        events.extend(deed.events.iter().cloned());
        if !kin.same(&deed.after, &state) {
            let before = deeds.iter().take(number);
            let case = Case {
                given: before.map(|deed| deed.command.clone()).collect(),
                theirs: Vec::new(),
                mine: deed.command.clone(),
            };
            let breach = same::differently(&events, &deed.after, &state, "a moment later it is");
            return Some((case, breach));
        }
    }
    None
}
