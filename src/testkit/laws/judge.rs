//! All laws on one case.

use super::case::Case;
use super::findings::{Breach, Exceptions, Findings};
use super::kin::Kin;
use super::law::Law;
use super::race::{self, Racing};
use super::scene::{Scene, Stumble};
use super::{commute, merge, redecide, same, stored};

type Check = fn(&Scene<'_>, &mut Findings<'_>) -> Result<(), Box<Stumble>>;

/// In the order in which they are told: what is not the same twice explains the rest. A
/// race comes after these, in [`judge`], and only where nothing else is wrong.
const CHECKS: &[Check] = &[
    same::check,
    stored::check,
    commute::check,
    redecide::check,
    merge::check,
    merge::check_order,
];

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
            let stumbles = CHECKS
                .iter()
                .filter_map(|check| check(&scene, &mut findings).err());
            for stumble in stumbles.collect::<Vec<_>>() {
                findings.stumbled(&stumble, &case.mine);
            }
            // It was asked, and answered.
            findings.say(Law::Panics, &case.mine, None);
            if findings.breaches.is_empty() {
                race::check(&scene, racing, exceptions, &mut findings);
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
