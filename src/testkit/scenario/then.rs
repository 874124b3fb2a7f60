//! What came of the command of a scenario, held against what was expected. It sends
//! nothing, and its only way to say no is a panic that tells the story.

use std::fmt;

use super::story::{self, Story, Told};
use crate::aggregate::Aggregate;
use crate::caught::{caught, chain};
use crate::command::{Command, Decision, DispatchError, EventOf, Outcome};
use crate::event::RecordedEvent;
use crate::repository::{LoadError, Loaded};

/// A scenario that ended as expected, of which more may be expected.
pub struct Then<C: Command> {
    ran: Ran<C>,
    story: Story,
}

/// What is known of a scenario when it has ended.
pub(super) struct Ran<C: Command> {
    pub(super) before: Result<Loaded<C::Aggregate>, LoadError>,
    pub(super) answer: Result<Outcome<C::Aggregate>, DispatchError<C>>,
    pub(super) after: Result<Loaded<C::Aggregate>, LoadError>,
    pub(super) recorded: Vec<RecordedEvent>,
}

impl<C: Command> Then<C> {
    pub(super) fn new(ran: Ran<C>, mut story: Story) -> Self {
        story.line("before", state(&ran.before));
        story.line("after", state(&ran.after));
        Self { ran, story }
    }

    /// Unless the others came when they were to come, nothing else matters.
    #[track_caller]
    pub(super) fn after(self, others: Result<(), String>) -> Self {
        match others {
            Ok(()) => self,
            Err(why) => self.fail("another writer to be faster", |story| {
                story.line("problem", why);
            }),
        }
    }

    /// The assertions hold of the state that is stored afterwards.
    ///
    /// # Panics
    ///
    /// When they do not, with the whole story.
    #[track_caller]
    pub fn then_state(self, check: impl FnOnce(&C::Aggregate)) -> Self {
        let expected = "a state that holds the assertions";
        let problem = match &self.ran.after {
            Ok(after) => match caught(|| check(&after.state)) {
                Ok(()) => return self,
                Err(panic) => panic.message,
            },
            Err(error) => chain(error),
        };
        self.fail(expected, |story| story.line("problem", problem))
    }

    /// The assertions hold of what was recorded since it was sent, by whomever.
    ///
    /// # Panics
    ///
    /// When they do not, with the whole story.
    #[track_caller]
    pub fn then_recorded(self, check: impl FnOnce(&[RecordedEvent])) -> Self {
        match caught(|| check(&self.ran.recorded)) {
            Ok(()) => self,
            Err(panic) => self.fail("records that hold the assertions", |story| {
                story.line("problem", panic.message);
            }),
        }
    }

    #[track_caller]
    pub(super) fn took_effect(
        self,
        decision: Option<Decision>,
        events: impl IntoIterator<Item = EventOf<C>>,
    ) -> Self {
        let told = |event: &EventOf<C>| Told::of::<C::Aggregate>(event);
        let expected: Vec<_> = events.into_iter().map(|event| told(&event)).collect();
        let got = match &self.ran.answer {
            Ok(outcome) => outcome.events.iter().map(told).collect(),
            Err(_) => Vec::new(),
        };
        let ended = self
            .ran
            .answer
            .as_ref()
            .ok()
            .map(|outcome| outcome.decided_by);
        let as_expected = match (ended, decision) {
            (Some(ended), Some(decision)) => ended == decision,
            (Some(Decision::AlreadyApplied), None) | (None, _) => false,
            (Some(_), None) => true,
        };
        if as_expected && expected == got {
            return self;
        }
        let how = decision.map_or("to take effect".to_owned(), |how| how.to_string());
        self.fail(
            &format!("{how} with {}", counted(expected.len())),
            |story| {
                story.pause();
                story.compare(&expected, &got);
            },
        )
    }

    #[track_caller]
    pub(super) fn ended_as(self, decision: Decision) -> Self {
        match &self.ran.answer {
            Ok(outcome) if outcome.decided_by == decision => self,
            Ok(outcome) => {
                let told = outcome.events.iter().map(Told::of::<C::Aggregate>);
                let told: Vec<_> = told.collect();
                self.fail(&decision.to_string(), |story| {
                    story.pause();
                    story.compare(&told, &told);
                })
            }
            Err(_) => self.fail(&decision.to_string(), |_| ()),
        }
    }

    #[track_caller]
    pub(super) fn rejected(self, expected: &C::Rejection) -> Self {
        match &self.ran.answer {
            Err(DispatchError::Rejected(got)) if shown(got) == shown(expected) => self,
            Err(DispatchError::Rejected(got)) => {
                let got = shown(got);
                self.fail(&format!("rejected: {expected}"), |story| {
                    story.pause();
                    story.line("reason", format!("expected  {}", shown(expected)));
                    story.line("", format!("got       {got}"));
                })
            }
            _ => self.fail(&format!("rejected: {expected}"), |_| ()),
        }
    }

    /// It ended in an error of which this finds a part, and the assertions about that hold.
    #[track_caller]
    pub(super) fn failed<T>(
        self,
        expected: &str,
        check: impl FnOnce(&T),
        part: impl FnOnce(&DispatchError<C>) -> Option<&T>,
    ) -> Self {
        let found = self.ran.answer.as_ref().err().and_then(part);
        let checked = found.map(|found| caught(|| check(found)));
        match checked {
            Some(Ok(())) => self,
            Some(Err(panic)) => self.fail(expected, |story| story.line("problem", panic.message)),
            None => self.fail(expected, |_| ()),
        }
    }

    #[track_caller]
    fn fail(&self, expected: &str, detail: impl FnOnce(&mut Story)) -> ! {
        let mut story = self.story.clone();
        story.line("expected", expected);
        story.line("got", self.got());
        if let Err(DispatchError::Conflict(conflict)) = &self.ran.answer {
            let report = conflict.report();
            story.line("conflict", report.to_string());
            if !report.changed.is_empty() {
                story.line("changed", report.changed.join(", "));
            }
        }
        detail(&mut story);
        panic!("the command did not end as expected\n\n{story}")
    }

    fn got(&self) -> String {
        match &self.ran.answer {
            Ok(outcome) => {
                let attempts = match outcome.attempts {
                    1 => String::new(),
                    attempts => format!(", in {attempts} attempts"),
                };
                let (how, events) = (outcome.decided_by, counted(outcome.events.len()));
                format!("{how} with {events}, version {}{attempts}", outcome.version)
            }
            Err(DispatchError::Rejected(why)) => format!("rejected: {}", chain(why)),
            Err(DispatchError::Conflict(_)) => "a conflict".to_owned(),
            Err(error) => format!("the error {}: {}", error.code(), chain(error)),
        }
    }
}

impl<C: Command> fmt::Debug for Then<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.got())
    }
}

fn state<A: Aggregate>(loaded: &Result<Loaded<A>, LoadError>) -> String {
    match loaded {
        Ok(at) => match story::json(&at.state) {
            Some(state) => format!("{state} at version {}", at.version),
            None => format!("a state without JSON at version {}", at.version),
        },
        Err(error) => format!("it cannot be loaded: {}", chain(error)),
    }
}

/// How a reason is shown, in full.
fn shown(rejection: &impl fmt::Debug) -> String {
    format!("{rejection:?}")
}

fn counted(events: usize) -> String {
    match events {
        0 => "no events".to_owned(),
        1 => "1 event".to_owned(),
        events => format!("{events} events"),
    }
}
