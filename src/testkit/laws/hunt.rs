//! The hunt: what is recorded, what was found before, and then new cases, one after
//! another, until a law is broken or none was.

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRunner};

use super::Laws;
use super::case::Case;
use super::error::HuntError;
use super::fixture::{self, Met};
use super::judge::{Judged, judge};
use super::kept::Kept;
use super::kin::Kin;
use super::law::Law;
use super::numbers::Numbers;
use super::race::Racing;
use super::regressions;
use super::settings::Settings;
use super::shrink::shrink;
use super::story::CounterExample;
use super::tally::Checked;

/// Tries to see once more what does not happen every time.
const LOOKS: usize = 8;
/// Only some cases race, so that a hunt takes no longer for it than for all else: now and
/// then one, and a few of those in which the order of two commands is seen to matter.
const RACE_EVERY: u32 = 200;
const CONTESTED_MAX: usize = 8;

/// Whether what is found, and what is met, may be written to files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Read,
    Written,
}

pub(super) struct Hunt<'a> {
    laws: &'a Laws,
    settings: Settings,
    files: Files,
    checked: Checked,
}

/// One aggregate's part of the hunt.
struct Part {
    category: &'static str,
    kin: Kin,
    kept: Kept,
}

impl<'a> Hunt<'a> {
    pub(super) fn new(laws: &'a Laws, files: Files) -> Result<Self, HuntError> {
        laws.domain.clone().checked()?;
        laws.strategies.check(&laws.domain)?;
        let settings = laws.said.settings()?;
        let checked = Checked::of_seed(settings.seed);
        Ok(Self {
            laws,
            settings,
            files,
            checked,
        })
    }

    pub(super) fn run(mut self) -> Result<Checked, HuntError> {
        for inline in &self.laws.inline {
            inline.check(&self.laws.kin(inline.category, inline.aggregate)?)?;
        }
        let mut parts = Vec::new();
        for category in self.laws.domain.categories() {
            let Ok(aggregate) = self.laws.domain.probed(category) else {
                continue;
            };
            let kin = self.laws.kin(category, aggregate)?;
            parts.push(self.part(category, kin)?);
        }
        // At the very end: as late as can be.
        for part in &parts {
            if let Some((case, breach)) = part.kept.changed(&part.kin) {
                let events = case.given.len() + 1;
                let found = CounterExample::of_history(part.category, Some(&case), events, &breach);
                let found = found.note(format!("found at the end, seed {}", self.settings.seed));
                return Err(self.keep(found));
            }
        }
        Ok(self.checked)
    }

    fn part(&mut self, category: &'static str, kin: Kin) -> Result<Part, HuntError> {
        let (mut kept, mut met) = (Kept::default(), Met::default());
        self.recorded(category, &kin)?;
        self.replay(category, &kin)?;
        if let Some(cases) = self.laws.strategies.cases(&self.laws.domain, category)? {
            self.checked.categories.push(category.to_owned());
            self.cases(category, &kin, &cases, &mut kept, &mut met)?;
            self.accepted(category)?;
        }
        if let (Some(folder), true) = (&self.settings.fixtures, self.records()) {
            let path = fixture::file(folder, category);
            let number = fixture::record(&kin, category, &path, &met)?;
            let note = format!("{number} histories recorded in {}", path.display());
            self.checked.note(note);
        }
        Ok(Part {
            category,
            kin,
            kept,
        })
    }

    fn records(&self) -> bool {
        self.settings.recording && self.files == Files::Written
    }

    /// What was stored once means the same. Where it is recorded anew, it need not.
    fn recorded(&mut self, category: &str, kin: &Kin) -> Result<(), HuntError> {
        let Some(folder) = self.settings.fixtures.as_ref().filter(|_| !self.records()) else {
            return Ok(());
        };
        let note = match fixture::check(kin, category, &fixture::file(folder, category))? {
            Some(number) => format!("{number} recorded histories of {category} hold"),
            None => {
                format!(
                    "nothing is recorded of {category}, ANNALIST_RECORD=1 cargo test records it"
                )
            }
        };
        self.checked.note(note);
        Ok(())
    }

    /// What was found before is looked at first.
    fn replay(&self, category: &str, kin: &Kin) -> Result<(), HuntError> {
        let Some(folder) = &self.settings.regressions else {
            return Ok(());
        };
        for kept in regressions::read(folder, category, &self.laws.domain)? {
            let judged = judge(kin, &self.laws.exceptions, &kept.case, Racing::Always);
            if let Some(breach) = judged.breach(None) {
                let found = CounterExample::of_case(category, &kept.case, &judged.scene, breach);
                let found = found.note(format!("found before, kept in {}", kept.at));
                return Err(HuntError::Broken(Box::new(found)));
            }
        }
        Ok(())
    }

    fn cases(
        &mut self,
        category: &str,
        kin: &Kin,
        cases: &BoxedStrategy<Case>,
        kept: &mut Kept,
        met: &mut Met,
    ) -> Result<(), HuntError> {
        let mut runner = TestRunner::new(Config {
            // Its other one takes longer than all that is made of it.
            rng_algorithm: RngAlgorithm::XorShift,
            rng_seed: RngSeed::Fixed(self.settings.seed),
            failure_persistence: None,
            ..Config::default()
        });
        let mut contested = 0;
        for number in 1..=self.settings.cases {
            let tree = cases
                .new_tree(&mut runner)
                .map_err(|why| HuntError::Unsampled {
                    command: format!("case of {category}"),
                    why: why.to_string(),
                })?;
            let case = tree.current();
            let racing = match number % RACE_EVERY {
                0 => Racing::Always,
                _ if contested < CONTESTED_MAX => Racing::Contested,
                _ => Racing::Never,
            };
            let judged = judge(kin, &self.laws.exceptions, &case, racing);
            if let Some(breach) = judged.breach(None) {
                let law = breach.law;
                let numbers = Numbers {
                    domain: &self.laws.domain,
                    strategies: &self.laws.strategies,
                };
                let smaller = shrink(tree, |case| self.breaks(kin, case, law), &numbers);
                let found = self.seen(category, kin, &smaller, law);
                let found = found.unwrap_or_else(|| {
                    CounterExample::of_case(category, &case, &judged.scene, breach)
                });
                let events = found.events;
                let found = found.note(format!(
                    "found in case {number} of {}, seed {}; shrunk to {events} event{}",
                    self.settings.cases,
                    self.settings.seed,
                    if events == 1 { "" } else { "s" }
                ));
                return Err(self.keep(found));
            }
            contested += usize::from(racing == Racing::Contested && judged.has_raced());
            self.count(&judged, kept, met);
        }
        Ok(())
    }

    fn count(&mut self, judged: &Judged<'_>, kept: &mut Kept, met: &mut Met) {
        self.checked.count(judged);
        kept.add(&judged.scene);
        met.add(&judged.scene);
    }

    fn breaks(&self, kin: &Kin, case: &Case, law: Law) -> bool {
        let judged = judge(kin, &self.laws.exceptions, case, racing(law));
        judged.breach(Some(law)).is_some()
    }

    /// A case that breaks a law, looked at until it does.
    fn seen(&self, category: &str, kin: &Kin, case: &Case, law: Law) -> Option<CounterExample> {
        (0..LOOKS).find_map(|_| {
            let judged = judge(kin, &self.laws.exceptions, case, racing(law));
            let breach = judged.breach(Some(law))?;
            Some(CounterExample::of_case(
                category,
                case,
                &judged.scene,
                breach,
            ))
        })
    }

    /// A command that was never accepted was not looked at.
    fn accepted(&mut self, category: &str) -> Result<(), HuntError> {
        for (info, _) in self.laws.domain.kinds(category) {
            if self.checked.accepted(info.name) == 0 {
                return Err(HuntError::NeverAccepted {
                    command: info.name.to_owned(),
                    cases: self.settings.cases,
                    seed: self.settings.seed,
                    rejection: self.checked.rejection(info.name).cloned(),
                });
            }
            let excepted = |law| self.laws.exceptions.has(info.name, law);
            self.checked.warn(info, excepted);
        }
        Ok(())
    }

    fn keep(&self, found: CounterExample) -> HuntError {
        let keeps = self.settings.keeps_regressions && self.files == Files::Written;
        let found = match &self.settings.regressions {
            Some(folder) if keeps => regressions::keep(folder, found),
            _ => found,
        };
        HuntError::Broken(Box::new(found))
    }
}

/// Only a law that is about a race is looked at by racing.
fn racing(law: Law) -> Racing {
    match law {
        Law::Race => Racing::Always,
        _ => Racing::Never,
    }
}
