//! How a run of a race has ended: what is stored, version by version, and what each command
//! was answered, in words that do not depend on the run.

use super::Contest;
use super::run::{Answer, Run, Sent};
use super::stage::{Landed, Seat, Step};
use crate::command::Decision;
use crate::conflict::ConflictReport;
use crate::domain::probe::{LiveEvent, LiveState, Unanswered};
use crate::domain::{AnyEvent, AnyOutcome};
use crate::testkit::told::named;
use crate::version::Version;

/// The end of a run.
pub(super) struct Ending {
    /// The version of what was given.
    pub(super) given: Version,
    /// The state at each version, from 0.
    pub(super) states: Vec<LiveState>,
    /// What is read of the event of each version, from 1.
    pub(super) events: Vec<Vec<LiveEvent>>,
    pub(super) landed: Vec<Landed>,
    pub(super) answers: Vec<Answered>,
    pub(super) steps: Vec<Step>,
}

/// What a command was answered last.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) fate: Fate,
    /// Whether an append of it was in conflict.
    pub(super) lost: bool,
    /// The version that it decided on first.
    pub(super) base: Option<Version>,
    /// The conflict that it was told of.
    pub(super) conflict: Option<Box<ConflictReport>>,
    /// The version, the state and the events that it was told of.
    pub(super) outcome: Option<Box<AnyOutcome>>,
    /// In one line.
    pub(super) told: String,
}

/// What an answer says of a command, as far as a serial order has to say the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fate {
    TookEffect(Vec<AnyEvent>),
    Nothing,
    Rejected(String),
    /// What it requires is not so; or a state breaks an invariant.
    Refused(String),
    /// It lost, and nothing of it happened.
    Surfaced,
    Failed(String),
}

impl Ending {
    pub(super) fn of(contest: &Contest, run: &Run<'_>) -> Result<Self, Unanswered> {
        let recorded = run.recorded().map_err(Unanswered::Unreadable)?;
        let mut states = vec![contest.aggregate.initial()?];
        let mut events = Vec::new();
        for event in &recorded {
            let read = contest.aggregate.read(event)?;
            if let Some(state) = states.last() {
                let next = state.fold(&read)?;
                states.push(next);
            }
            events.push(read);
        }
        if !states.iter().all(|state| contest.equal.knows(state)) {
            let why = "a state has no JSON form; say by .equal(..) which states are the same";
            return Err(Unanswered::Unreadable(why.to_owned()));
        }
        let happened = run.stage.happened();
        let answered = |sent: &Sent| {
            let seat = happened.seats.get(sent.seat)?;
            Some(Answered::of(sent.answer.as_ref(), seat))
        };
        Ok(Self {
            given: Version::new(u64::try_from(contest.given.len()).unwrap_or(u64::MAX)),
            states,
            events,
            landed: happened.landed.clone(),
            answers: run.sent.iter().filter_map(answered).collect(),
            steps: happened.steps.clone(),
        })
    }

    pub(super) fn state(&self, version: Version) -> Option<&LiveState> {
        self.states.get(place(version))
    }

    /// The events after one version, up to another.
    pub(super) fn between(&self, after: Version, to: Version) -> Vec<LiveEvent> {
        let some = self.events.get(place(after)..place(to));
        some.unwrap_or_default().iter().flatten().cloned().collect()
    }

    pub(super) fn last(&self) -> Version {
        Version::new(u64::try_from(self.events.len()).unwrap_or(u64::MAX))
    }
}

fn place(version: Version) -> usize {
    usize::try_from(version.get()).unwrap_or(usize::MAX)
}

impl Answered {
    fn of(answer: Option<&Answer>, seat: &Seat) -> Self {
        let lost = seat.lost;
        let (fate, told) = match answer {
            None => (
                Fate::Failed("without an answer".to_owned()),
                "nothing".to_owned(),
            ),
            Some(Ok(outcome)) => {
                let fate = match outcome.decided_by {
                    Decision::NothingToDo => Fate::Nothing,
                    _ => Fate::TookEffect(outcome.events.clone()),
                };
                let told = format!("{} at version {}", outcome.decided_by, outcome.version);
                (fate, told)
            }
            Some(Err(error)) => {
                let fate = match error.code.as_str() {
                    "rejected" => Fate::Rejected(error.rejection.clone().unwrap_or_default()),
                    "conflict" => Fate::Surfaced,
                    // What an invariant refuses on a later state has lost, and did nothing.
                    "invariant_violated" if lost => Fate::Surfaced,
                    "invariant_violated" => {
                        Fate::Refused(error.violation.clone().unwrap_or_default())
                    }
                    "not_found" | "already_exists" => Fate::Refused(error.code.clone()),
                    _ => Fate::Failed(error.message.clone()),
                };
                (fate, error.message.clone())
            }
        };
        let outcome = answer.and_then(|answer| answer.as_ref().ok());
        let error = answer.and_then(|answer| answer.as_ref().err());
        Self {
            fate,
            lost,
            base: seat.base,
            conflict: error.and_then(|error| error.conflict.clone()),
            outcome: outcome.cloned().map(Box::new),
            told,
        }
    }
}

/// Events in one line.
pub(super) fn list(events: &[LiveEvent]) -> String {
    match events {
        [] => "nothing".to_owned(),
        events => told(events.iter().map(|event| &event.told)),
    }
}

pub(super) fn told<'a>(events: impl IntoIterator<Item = &'a AnyEvent>) -> String {
    let one = |event: &AnyEvent| named(&event.event_type, &event.payload);
    let told: Vec<_> = events.into_iter().map(one).collect();
    told.join(", ")
}
