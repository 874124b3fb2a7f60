//! How a race that ended wrong is told: numbered steps, the state after each, the serial
//! orders that were tried, and the line that runs the schedule alone.

use std::fmt::{self, Write as _};

use super::ending::{Ending, Fate, list, told as events_told};
use super::explore::Found;
use super::judge::Wrong;
use super::schedule::letter;
use super::serial::Tried;
use super::stage::{Did, Stands, Step};
use super::{Contest, Mishap};
use crate::domain::AnyEvent;
use crate::testkit::told::named;
use crate::version::Version;

/// Events that are told of what was given.
const GIVEN_MAX: usize = 20;

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TookEffect(events) => write!(f, "accepted with {}", events_told(events)),
            Self::Nothing => f.write_str("told that nothing is left to do"),
            Self::Rejected(why) => write!(f, "rejected ({why})"),
            Self::Refused(why) => write!(f, "refused ({why})"),
            Self::Surfaced => f.write_str("told of the conflict"),
            Self::Failed(why) => write!(f, "without an answer ({why})"),
        }
    }
}

pub(super) fn tell(contest: &Contest, found: &Found) -> Mishap {
    let ending = found.ending.as_ref();
    let mut told = String::new();
    if let Some(ending) = ending {
        steps(&mut told, contest, ending);
        if let Wrong::Serial { tried } = &found.wrong {
            orders(&mut told, tried);
        }
    }
    Mishap {
        wrong: flat(&headline(contest, &found.wrong)),
        schedule: found.schedule.to_string(),
        cast: cast(contest, ending),
        steps: told,
        seed: found.drawn.then_some(contest.seed),
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            wrong,
            schedule,
            cast,
            steps,
            seed,
        } = self;
        if cast.is_empty() {
            return f.write_str(wrong);
        }
        write!(f, "{wrong}\n\n{cast}\n{steps}")?;
        if let Some(seed) = seed {
            writeln!(f, "\n  drawn at random, seed {seed}")?;
        }
        writeln!(
            f,
            "\n  keep it as a test of its own, with what is given and sent here:\n  .schedule({schedule:?}).check();"
        )
    }
}

fn headline(contest: &Contest, wrong: &Wrong) -> String {
    let name = |who: usize| {
        let command = contest.commands.get(who);
        let name = command.map_or("", |command| command.name());
        format!("{} ({name})", letter(who))
    };
    match wrong {
        Wrong::Invariant { version, violation } => {
            format!("an invariant does not hold at version {version}: {violation}")
        }
        Wrong::Policy { who, why } => format!("{} did what it does not declare: {why}", name(*who)),
        Wrong::Twice { who } => format!("{} took effect twice", name(*who)),
        Wrong::Untrue { who, why } => format!("{} was told what is not so: {why}", name(*who)),
        Wrong::Failed { who, why } => format!("{} has no answer: {why}", name(*who)),
        Wrong::Serial { .. } => "the race ends as no serial order does".to_owned(),
        Wrong::Unanswered { why } => format!("the race cannot be judged: {why}"),
    }
}

/// Who takes part, and what was there before.
fn cast(contest: &Contest, ending: Option<&Ending>) -> String {
    let mut told = String::new();
    let story = &mut told;
    if contest.given.is_empty() {
        line(story, "given", "nothing");
    }
    for event in contest.given.iter().take(GIVEN_MAX) {
        let event = AnyEvent {
            event_type: event.event_type.clone(),
            payload: event.payload.decode().unwrap_or_default(),
        };
        line(story, "given", &events_told([&event]));
    }
    if contest.given.len() > GIVEN_MAX {
        let more = contest.given.len() - GIVEN_MAX;
        line(story, "", &format!("and {more} more"));
    }
    if let Some(ending) = ending {
        line(story, "", &state(ending, ending.given));
    }
    for (who, command) in contest.commands.iter().enumerate() {
        let policy = command.probed().policy();
        let told = named(command.name(), &command.probed().payload());
        let said = format!("{told}, declared to {policy}");
        line(story, &letter(who).to_string(), &said);
    }
    told
}

fn line(story: &mut String, label: &str, text: &str) {
    let told = format!("  {label:<6}  {}", flat(text));
    let _ = writeln!(story, "{}", told.trim_end());
}

fn steps(story: &mut String, contest: &Contest, ending: &Ending) {
    for (number, step) in ending.steps.iter().enumerate() {
        let who = match step.late {
            true => format!("what {} sent first", letter(step.who)),
            false => letter(step.who).to_string(),
        };
        let did = flat(&told(contest, ending, step));
        let _ = writeln!(story, "  {:>4}  {who} {did}", number + 1);
    }
}

/// What a command did, and what stands there after it.
fn told(contest: &Contest, ending: &Ending, step: &Step) -> String {
    match &step.did {
        Did::Looked { known: false } => "looks up its id, which is new".to_owned(),
        Did::Looked { known: true } => "looks up its id, and finds it".to_owned(),
        Did::Loaded { at } => {
            let decided = decided(contest, ending, step.who, *at);
            format!("loads {}, and {decided}", state(ending, *at))
        }
        Did::Read { after, to } if after == to => "reads on, and finds nothing new".to_owned(),
        Did::Read { after, to } => {
            let (from, events) = (after.next(), list(&ending.between(*after, *to)));
            match from == *to {
                true => format!("reads version {to}: {events}"),
                false => format!("reads version {from} to {to}: {events}"),
            }
        }
        Did::Asked => "asks whether the stream was closed or removed".to_owned(),
        Did::Found => "looks for its event".to_owned(),
        Did::Landed { at, last } => {
            let events = ending.between(*at, *last);
            let (events, after) = (list(&events), state(ending, *last));
            format!("appends at version {at}: {events} lands, which makes {after}")
        }
        Did::Known => "appends what is there already".to_owned(),
        Did::Lost { at, actual } => {
            let winner = ending.landed.iter().find(|landed| landed.at == *at);
            let winner = winner.map_or(String::new(), |winner| {
                format!(" to {}", letter(winner.who))
            });
            format!("appends at version {at}, and loses{winner}: it is at version {actual}")
        }
        Did::Refused { code } => format!("appends, and is refused: {code}"),
        Did::Unheard => "is not told: the answer is lost".to_owned(),
        Did::Crashed {
            stands: Stands::Late,
        } => "crashes while its append is under way, and is sent again under its id".to_owned(),
        Did::Crashed { .. } => {
            "crashes, has heard nothing, and is sent again under its id".to_owned()
        }
        Did::Answered => {
            let answer = ending.answers.get(step.who);
            format!("is answered: {}", answer.map_or("", |answer| &answer.told))
        }
    }
}

/// What a command says at a version.
fn decided(contest: &Contest, ending: &Ending, who: usize, at: Version) -> String {
    let command = contest.commands.get(who);
    let Some((command, state)) = command.zip(ending.state(at)) else {
        return String::new();
    };
    let command = command.probed();
    let requires = command.requires();
    if !requires.is_met(at > Version::ZERO) {
        return format!("is refused: it requires {requires:?}");
    }
    let held = state.invariants();
    if let (true, Ok(Err(violation))) = (at > Version::ZERO, held) {
        return format!("is refused: {violation}");
    }
    match command.decide(state) {
        Ok(Ok(events)) if events.is_empty() => "finds nothing left to do".to_owned(),
        Ok(Ok(events)) => format!("decides: {}", list(&events)),
        Ok(Err(why)) => format!("is rejected: {why}"),
        Err(error) => format!("has no answer: {error}"),
    }
}

fn orders(story: &mut String, tried: &[Tried]) {
    story.push_str("\n  one after another, which is\n");
    for Tried { order, differs } in tried {
        let order: Vec<_> = order.iter().map(|who| letter(*who).to_string()).collect();
        let order = match order.is_empty() {
            true => "nobody".to_owned(),
            false => order.join(", "),
        };
        for (row, differs) in differs.iter().enumerate() {
            let order = if row == 0 { order.as_str() } else { "" };
            let _ = writeln!(story, "  {order:>8}  {}", flat(differs));
        }
    }
}

fn state(ending: &Ending, version: Version) -> String {
    let state = ending.state(version).map(|state| state.json());
    format!("version {version}, {}", state.unwrap_or_default())
}

/// Text in one line, whatever user code says: no line of it passes for one of the story's.
fn flat(text: &str) -> String {
    let flat = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(flat).collect()
}
