//! What is asked twice is answered twice alike: deciding, folding, serializing.

use super::findings::{Breach, Findings};
use super::law::Law;
use super::scene::{Asked, Scene, Stumble, decide, fold};
use super::story;
use crate::domain::probe::{Decided, LiveEvent, LiveState};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings<'_>) -> Result<(), Box<Stumble>> {
    for asked in &scene.asked {
        let again = decide(&asked.command, &asked.on)?;
        let differs = (again != asked.said).then(|| decided(asked, &again));
        findings.say(Law::DecideDeterministic, &asked.command, differs);
    }
    serialized(scene, findings);
    folded(scene, findings)
}

fn decided(asked: &Asked, again: &Decided) -> Breach {
    Breach {
        law: Law::DecideDeterministic,
        says: format!(
            "{} decides differently on the same state",
            asked.command.name()
        ),
        lines: vec![
            (
                "asked",
                format!("{} on {}", story::command(&asked.command), asked.on.json()),
            ),
            ("said", story::decided(&asked.said)),
            ("but", format!("asked again: {}", story::decided(again))),
        ],
        next: "decide on the state and the command alone: what comes from a clock, a random number or an order of hashes belongs into the command",
    }
}

/// A command that is read back is the same command, and a command id stands for its text.
fn serialized(scene: &Scene<'_>, findings: &mut Findings<'_>) {
    let Some(Asked { command, .. }) = scene.asked.last() else {
        return;
    };
    let text = command.probed().text();
    // One that cannot be read back came from a strategy, and nobody reads it.
    let Ok(copy) = scene.kin.domain.decode(command.name(), &text) else {
        return;
    };
    let again = copy.probed().text();
    let differs = (again != text).then(|| Breach {
        law: Law::SerializeDeterministic,
        says: format!(
            "{} serializes differently when it is the same: sent again under its command id, it is taken for another",
            command.name()
        ),
        lines: vec![("json", text), ("but", format!("read back, it is {again}"))],
        next: "let its fields have an order: BTreeMap in place of HashMap",
    });
    findings.say(Law::SerializeDeterministic, command, differs);
}

/// What was folded event by event is folded at once, afresh.
fn folded(scene: &Scene<'_>, findings: &mut Findings<'_>) -> Result<(), Box<Stumble>> {
    let history = scene.history();
    let mut ends = vec![
        (Vec::new(), scene.base()),
        (scene.unseen(), scene.current()),
    ];
    if let Some(mine) = &scene.mine {
        ends.push((mine.events.clone(), &mine.after));
    }
    let Some(Asked { command, .. }) = scene.asked.last() else {
        return Ok(());
    };
    let mut breach = None;
    for (rest, state) in ends {
        let events = [history.clone(), rest].concat();
        let again = fold(&scene.kin.initial, &events)?;
        if !scene.kin.same(state, &again) {
            breach = breach.or(Some(differently(
                &events,
                state,
                &again,
                "folded again, it is",
            )));
        }
    }
    findings.say(Law::ApplyDeterministic, command, breach);
    Ok(())
}

/// Events that fold to one state once, and to another once more.
pub(super) fn differently(
    events: &[LiveEvent],
    once: &LiveState,
    again: &LiveState,
    when: &str,
) -> Breach {
    let (once, again) = (once.json(), again.json());
    let mut lines = vec![
        ("events", story::events(events)),
        ("folded", once.to_string()),
        ("but", format!("{when} {again}")),
    ];
    lines.extend(story::differ(("folded", &once), ("again", &again)));
    Breach {
        law: Law::ApplyDeterministic,
        says: "apply folds the same events to different states".to_owned(),
        lines,
        next: "apply looks at the state and the event alone: a time belongs into the event; where the JSON of equal states may differ, as that of a HashSet, say which are equal: laws(&domain).equal::<TheAggregate>(|a, b| a == b)",
    }
}
