//! What is stored and read goes on as if it never had been: a state in a snapshot, an event
//! in its stream.

use super::findings::{Breach, Findings};
use super::law::Law;
use super::scene::{Scene, Stumble, decide, fold};
use super::story;
use crate::domain::probe::{LiveEvent, LiveState, Unanswered};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings<'_>) -> Result<(), Box<Stumble>> {
    let events = [scene.history(), scene.unseen()].concat();
    let Some(command) = scene.asked.last().map(|asked| &asked.command) else {
        return Ok(());
    };
    let mut before = scene.kin.initial.clone();
    let mut states = vec![before.clone()];
    for event in &events {
        let after = fold(&before, std::slice::from_ref(event))?;
        let breach = round_trip(scene, &before, event, &after)?;
        findings.say(Law::RoundTrip, command, breach);
        states.push(after.clone());
        before = after;
    }
    for (number, state) in states.iter().enumerate() {
        let rest = events.get(number..).unwrap_or_default();
        let breach = match read(scene, state) {
            Ok(kept) => resumed(scene, state, &kept, rest, &before)?,
            Err(breach) => Some(breach),
        };
        findings.say(Law::Snapshot, command, breach);
    }
    decides(scene, findings)
}

fn round_trip(
    scene: &Scene<'_>,
    before: &LiveState,
    event: &LiveEvent,
    after: &LiveState,
) -> Result<Option<Breach>, Box<Stumble>> {
    let read = match scene.kin.aggregate.read_event(&event.stored) {
        Ok(read) => read,
        Err(why) => return Ok(Some(misread(event, why.to_string()))),
    };
    if read != [event.clone()] {
        let told = match read.as_slice() {
            [] => "no event".to_owned(),
            read => story::events(read),
        };
        return Ok(Some(misread(event, format!("it is read as {told}"))));
    }
    let other = fold(before, &read)?;
    let differs = !scene.kin.same(after, &other);
    Ok(differs.then(|| {
        let but = format!(
            "read back, it makes {}, and not {}",
            other.json(),
            after.json()
        );
        misread(event, but)
    }))
}

fn misread(event: &LiveEvent, but: String) -> Breach {
    Breach {
        law: Law::RoundTrip,
        says: format!(
            "{} is not read back as it was recorded",
            event.told.event_type
        ),
        lines: vec![
            ("event", story::event(event)),
            ("stored", event.stored.payload.as_str().to_owned()),
            ("but", but),
        ],
        next: "what apply needs of an event is in its JSON: look at its serde attributes, and at the upcasters of its newest shape",
    }
}

fn read(scene: &Scene<'_>, state: &LiveState) -> Result<LiveState, Breach> {
    let json = state.json();
    scene.kin.aggregate.read_state(&json).map_err(|why| {
        let why = match why {
            Unanswered::Panicked(panicked) => panicked.to_string(),
            Unanswered::Unreadable(why) => why,
        };
        lost(vec![("kept", json.to_string()), ("but", why)])
    })
}

fn resumed(
    scene: &Scene<'_>,
    state: &LiveState,
    kept: &LiveState,
    rest: &[LiveEvent],
    end: &LiveState,
) -> Result<Option<Breach>, Box<Stumble>> {
    let other = fold(kept, rest)?;
    if scene.kin.same(end, &other) {
        return Ok(None);
    }
    let (folded, resumed) = (end.json(), other.json());
    let mut lines = vec![("kept", state.json().to_string())];
    if !rest.is_empty() {
        lines.push(("then", story::events(rest)));
    }
    lines.push((
        "but",
        format!("it goes on to {resumed}, and not to {folded}"),
    ));
    lines.extend(story::differ(("folded", &folded), ("kept", &resumed)));
    Ok(Some(lost(lines)))
}

/// A kept state decides as the one that was folded.
fn decides(scene: &Scene<'_>, findings: &mut Findings<'_>) -> Result<(), Box<Stumble>> {
    let Some(asked) = scene.asked.last() else {
        return Ok(());
    };
    let Ok(kept) = read(scene, &asked.on) else {
        return Ok(());
    };
    let said = decide(&asked.command, &kept)?;
    let breach = (said != asked.said).then(|| {
        lost(vec![
            ("kept", asked.on.json().to_string()),
            ("asked", story::command(&asked.command)),
            ("folded", story::decided(&asked.said)),
            (
                "but",
                format!("on what was kept: {}", story::decided(&said)),
            ),
        ])
    });
    findings.say(Law::Snapshot, &asked.command, breach);
    Ok(())
}

fn lost(lines: Vec<(&'static str, String)>) -> Breach {
    Breach {
        law: Law::Snapshot,
        says: "a state that is kept as JSON does not go on as the one that was folded".to_owned(),
        lines,
        next: "all that apply and decide look at is in the JSON of the state: look at its serde attributes",
    }
}
