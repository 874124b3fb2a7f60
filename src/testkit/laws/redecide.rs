//! What `Redecide` promises: deciding again asks the rules again, and finds what is left to
//! do.

use super::findings::{Breach, Findings};
use super::law::Law;
use super::scene::{Conflict, Stumble, fold, invariants};
use super::story;
use crate::aggregate::Violation;
use crate::domain::probe::{LiveEvent, LiveState};

pub(super) fn check(
    conflict: &Conflict<'_>,
    findings: &mut Findings<'_>,
) -> Result<(), Box<Stumble>> {
    if conflict.clashes()? {
        return Ok(());
    }
    let (command, kin) = (&conflict.mine.command, conflict.scene.kin);
    let Ok(events) = &conflict.again else {
        return Ok(());
    };
    let after = fold(conflict.current, events)?;
    let broken = invariants(&after)?.err();
    let broken = broken.map(|why| breaks(conflict, events, &after, &why));
    findings.say(Law::RedecideInvariants, command, broken);
    let changed = !kin.same(conflict.base, &conflict.mine.after);
    if changed && *events == conflict.mine.events {
        let again = kin.same(conflict.current, &after);
        let repeated = again.then(|| repeats(conflict, events));
        findings.say(Law::RedecideRepeats, command, repeated);
    }
    Ok(())
}

fn breaks(
    conflict: &Conflict<'_>,
    events: &[LiveEvent],
    after: &LiveState,
    why: &Violation,
) -> Breach {
    Breach {
        law: Law::RedecideInvariants,
        says: format!(
            "{} declares Redecide, and does not ask again: on the current state it decides what must not be",
            conflict.mine.command.name()
        ),
        lines: vec![
            ("again", format!("decided on {}", conflict.current.json())),
            ("", format!("{}  {}", story::events(events), after.json())),
            ("but", format!("an invariant is broken: {why}")),
        ],
        next: "ask in decide what the invariant asks, and reject it in the domain's own words",
    }
}

fn repeats(conflict: &Conflict<'_>, events: &[LiveEvent]) -> Breach {
    Breach {
        law: Law::RedecideRepeats,
        says: format!(
            "{} declares Redecide, and repeats: what has taken effect already is recorded once more",
            conflict.mine.command.name()
        ),
        lines: vec![
            ("again", format!("decided on {}", conflict.current.json())),
            ("", story::events(events)),
            ("but", "its events change nothing any more".to_owned()),
        ],
        next: "decide on no events where nothing is left to do",
    }
}
