//! What `Commute` promises: what was decided first still holds on the current state.

use super::findings::{Breach, Findings};
use super::law::Law;
use super::scene::{Conflict, Stumble, fold, invariants};
use super::story;
use crate::domain::probe::LiveState;

pub(super) fn check(
    conflict: &Conflict<'_>,
    findings: &mut Findings<'_>,
) -> Result<(), Box<Stumble>> {
    if conflict.clashes()? {
        return Ok(());
    }
    let commuted = fold(conflict.current, &conflict.mine.events)?;
    // The bus refuses it there.
    if invariants(&commuted)?.is_err() {
        return Ok(());
    }
    let command = &conflict.mine.command;
    let refused = accepted(conflict, &commuted);
    findings.say(Law::CommuteAccepted, command, refused);
    let other = fold(&conflict.mine.after, &conflict.unseen)?;
    let differs = order(conflict, &commuted, &other);
    findings.say(Law::CommuteOrder, command, differs);
    Ok(())
}

fn accepted(conflict: &Conflict<'_>, commuted: &LiveState) -> Option<Breach> {
    let on = conflict.current.json();
    let but = match &conflict.again {
        Ok(events) if *events == conflict.mine.events => return None,
        Ok(events) => format!("decided on {on} it gives {}", story::events(events)),
        Err(why) => format!("decided on {on} it is rejected: {why}"),
    };
    Some(Breach {
        law: Law::CommuteAccepted,
        says: format!(
            "{} declares Commute, and does not: where it lands, it would not have been decided like that",
            conflict.mine.command.name()
        ),
        lines: vec![("commuted", commuted.json().to_string()), ("but", but)],
        next: "declare Redecide, name the event in clashes_with, or let an invariant refuse it",
    })
}

fn order(conflict: &Conflict<'_>, commuted: &LiveState, other: &LiveState) -> Option<Breach> {
    if conflict.scene.kin.same(commuted, other) {
        return None;
    }
    let (commuted, other) = (commuted.json(), other.json());
    let mut lines = vec![
        ("commuted", commuted.to_string()),
        ("but", format!("in the other order it is {other}")),
    ];
    lines.extend(story::differ(
        ("commuted", &commuted),
        ("other way", &other),
    ));
    Some(Breach {
        law: Law::CommuteOrder,
        says: format!(
            "{} declares Commute, and does not: before and after what it did not see, its events lead to different states",
            conflict.mine.command.name()
        ),
        lines,
        next: "record what changed and not what came out, name the event in clashes_with, or declare Redecide",
    })
}
