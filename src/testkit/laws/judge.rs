//! All laws on one case.

use super::case::Case;
use super::findings::{Breach, Exceptions, Findings};
use super::kin::Kin;
use super::law::Law;
use super::race::{self, Racing};
use super::scene::{Conflict, Scene, Stumble};
use super::{commute, merge, redecide, same, stored};
use crate::conflict::Policy;

type Laws = fn(&Scene<'_>, &mut Findings<'_>) -> Result<(), Box<Stumble>>;

/// What holds of every case, in the order in which it is told: what is not the same twice
/// explains the rest.
const ALWAYS: &[Laws] = &[same::check, stored::check];

/// A case with what became of it.
pub(super) struct Judged<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) breaches: Vec<Breach>,
    pub(super) spoke: Vec<(Law, String)>,
}

impl Judged<'_> {
    /// Whether the case was raced through a bus.
    pub(super) fn has_raced(&self) -> bool {
        self.spoke.iter().any(|(law, _)| *law == Law::Race)
    }

    /// The breach of one law, or the first of any.
    pub(super) fn breach(&self, law: Option<Law>) -> Option<&Breach> {
        let mut breaches = self.breaches.iter();
        breaches.find(|breach| law.is_none_or(|law| breach.law == law))
    }
}

/// Asks every law about a case.
pub(super) fn judge<'a>(
    kin: &'a Kin,
    exceptions: &Exceptions,
    case: &Case,
    racing: Racing,
) -> Judged<'a> {
    let (scene, stumble) = Scene::play(kin, case);
    let mut findings = Findings::new(exceptions);
    match stumble {
        Some(stumble) => findings.stumbled(&stumble, &case.mine),
        None => {
            for check in ALWAYS {
                if let Err(stumble) = check(&scene, &mut findings) {
                    findings.stumbled(&stumble, &case.mine);
                }
            }
            let conflict = scene.conflict().and_then(|conflict| {
                conflict
                    .iter()
                    .try_for_each(|conflict| declared(conflict, &mut findings))?;
                Ok(conflict)
            });
            // What was asked has answered, or it is told what has not.
            if let Err(stumble) = &conflict {
                findings.stumbled(stumble, &case.mine);
            }
            findings.say(Law::Panics, &case.mine, None);
            // A race comes last, and only where nothing else is wrong.
            if let (Ok(conflict), true) = (&conflict, findings.breaches.is_empty()) {
                race::check(&scene, conflict.as_ref(), racing, exceptions, &mut findings);
            }
        }
    }
    let Findings {
        breaches, spoke, ..
    } = findings;
    Judged {
        scene,
        breaches,
        spoke,
    }
}

/// What a command promises by its policy.
fn declared(conflict: &Conflict<'_>, findings: &mut Findings<'_>) -> Result<(), Box<Stumble>> {
    match conflict.mine.command.probed().policy() {
        Policy::Surface => Ok(()),
        Policy::Commute => commute::check(conflict, findings),
        Policy::Redecide => redecide::check(conflict, findings),
        Policy::Merge => merge::check(conflict, findings),
    }
}
