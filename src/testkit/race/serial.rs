//! One after another: what the same commands come to when nobody races, in every order.

use super::Contest;
use super::ending::{Answered, Ending, Fate};
use super::schedule::letter;
use crate::command::Requires;
use crate::conflict::{Policy, changed_fields};
use crate::domain::probe::{LiveEvent, LiveState, Unanswered};

/// A serial order, and how the ending differs from it.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    pub(super) order: Vec<usize>,
    /// Nothing where the ending is that of this order.
    pub(super) differs: Vec<String>,
}

/// Tries each order of the commands that took part. A command that lost and was told so has
/// done nothing: it took no part.
pub(super) fn orders(contest: &Contest, ending: &Ending) -> Result<Vec<Tried>, Unanswered> {
    let answers = ending.answers.iter().enumerate();
    let took_part = answers.filter(|(_, answer)| answer.fate != Fate::Surfaced);
    let mut orders = vec![Vec::new()];
    for (who, _) in took_part {
        orders = orders.iter().flat_map(|order| with(order, who)).collect();
    }
    orders.retain(|order| is_possible(contest, ending, order));
    orders.sort();
    let mut tried = Vec::new();
    for order in orders {
        let next = try_order(contest, ending, order)?;
        let fits = next.differs.is_empty();
        tried.push(next);
        if fits {
            break;
        }
    }
    Ok(tried)
}

/// Whether what was merged stands behind all that it was merged with.
fn is_possible(contest: &Contest, ending: &Ending, order: &[usize]) -> bool {
    let place = |who| order.iter().position(|other| *other == who);
    let merged = ending.landed.iter().enumerate();
    let mut merged =
        merged.filter(|(_, landed)| merged_events(contest, ending, landed.who).is_some());
    merged.all(|(index, landed)| {
        let before = ending.landed.iter().take(index);
        let mut before = before.map(|before| place(before.who));
        before.all(|before| before < place(landed.who))
    })
}

/// An order with one more, at each place.
fn with(order: &[usize], who: usize) -> Vec<Vec<usize>> {
    let at = |place| {
        let mut order = order.to_vec();
        order.insert(place, who);
        order
    };
    (0..=order.len()).map(at).collect()
}

fn try_order(contest: &Contest, ending: &Ending, order: Vec<usize>) -> Result<Tried, Unanswered> {
    let (mut differs, mut saw) = (Vec::new(), Vec::new());
    let (Some(given), Some(end)) = (ending.state(ending.given), ending.state(ending.last())) else {
        return Ok(Tried { order, differs });
    };
    let (mut state, mut exists) = (given.clone(), !contest.given.is_empty());
    for &who in &order {
        let Some(answer) = ending.answers.get(who) else {
            continue;
        };
        let (fate, events) = match merged_events(contest, ending, who) {
            // A merge is a decision of its own; what it made stands in this place.
            Some(events) => (answer.fate.clone(), events),
            None => alone(contest, who, &state, exists)?,
        };
        if fate != answer.fate {
            differs.push(told(who, &fate, &answer.fate));
        }
        exists |= !events.is_empty();
        match state.fold(&events) {
            Ok(next) => state = next,
            Err(error) => {
                differs.push(format!("{} cannot stand there: {error}", letter(who)));
                return Ok(Tried { order, differs });
            }
        }
        saw.extend(saw_another(contest, answer, who, &state));
    }
    if !contest.equal.holds(end, &state) {
        let (end, state) = (end.json(), state.json());
        let fields = changed_fields(&state, &end).join(", ");
        let at = match fields.is_empty() {
            true => String::new(),
            false => format!(", which differs in {fields}"),
        };
        differs.push(format!("the state would be {state}{at}"));
    }
    // What was told on the way matters where everything else agrees.
    if differs.is_empty() {
        differs = saw;
    }
    Ok(Tried { order, differs })
}

/// What a command was told of, where that is another state than this.
fn saw_another(
    contest: &Contest,
    answer: &Answered,
    who: usize,
    state: &LiveState,
) -> Option<String> {
    let outcome = answer.outcome.as_ref()?;
    // What cannot be read back was only told.
    let told = contest.aggregate.read_state(&outcome.state).ok()?;
    (!contest.equal.holds(&told, state)).then(|| {
        let (told, state) = (&outcome.state, state.json());
        format!(
            "{} would be told of {state}, and was told of {told}",
            letter(who)
        )
    })
}

/// What a command made by merging, nothing included.
fn merged_events(contest: &Contest, ending: &Ending, who: usize) -> Option<Vec<LiveEvent>> {
    if contest.commands.get(who)?.probed().policy() != Policy::Merge {
        return None;
    }
    let answer = ending.answers.get(who)?;
    match ending.landed.iter().find(|landed| landed.who == who) {
        Some(landed) if landed.at == landed.base => None,
        Some(landed) => Some(ending.between(landed.at, landed.last)),
        None => (answer.lost && answer.fate == Fate::Nothing).then(Vec::new),
    }
}

/// What comes of a command when nobody else is there.
fn alone(
    contest: &Contest,
    who: usize,
    state: &LiveState,
    exists: bool,
) -> Result<(Fate, Vec<LiveEvent>), Unanswered> {
    let Some(command) = contest.commands.get(who).map(|command| command.probed()) else {
        return Ok((Fate::Nothing, Vec::new()));
    };
    let nothing = |fate| Ok((fate, Vec::new()));
    match (command.requires(), exists) {
        (Requires::New, true) => return nothing(Fate::Refused("already_exists".to_owned())),
        (Requires::Existing, false) => return nothing(Fate::Refused("not_found".to_owned())),
        _ => {}
    }
    if let (true, Err(violation)) = (exists, state.invariants()?) {
        return nothing(Fate::Refused(violation.to_string()));
    }
    let events = match command.decide(state)? {
        Err(why) => return nothing(Fate::Rejected(why)),
        Ok(events) if events.is_empty() => return nothing(Fate::Nothing),
        Ok(events) => events,
    };
    if let Err(violation) = state.fold(&events)?.invariants()? {
        return nothing(Fate::Refused(violation.to_string()));
    }
    let told = events.iter().map(|event| event.told.clone()).collect();
    Ok((Fate::TookEffect(told), events))
}

fn told(who: usize, alone: &Fate, raced: &Fate) -> String {
    format!("{} would be {alone}, and was {raced}", letter(who))
}
