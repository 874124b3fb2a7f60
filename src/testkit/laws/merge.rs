//! What `Merge` promises: what both leave to happen, and nothing of either is lost unsaid.

use serde_json::Value;

use super::findings::{Breach, Findings};
use super::law::Law;
use super::scene::{Conflict, Scene, Stumble, field, fold, invariants};
use super::story;
use crate::conflict::changed_fields;
use crate::domain::probe::{LiveEvent, LiveState};

/// What a merge came to.
struct Merged<'a> {
    conflict: &'a Conflict<'a>,
    events: &'a [LiveEvent],
    base: Value,
    own: Value,
    current: Value,
    merged: Value,
}

pub(super) fn check(
    conflict: &Conflict<'_>,
    findings: &mut Findings<'_>,
) -> Result<(), Box<Stumble>> {
    let merged = merged(conflict, conflict.current, &conflict.unseen)?;
    if let Ok((events, after)) = &merged {
        kept(conflict, events, after, findings)?;
    }
    order(conflict, &merged, findings)
}

/// What was merged is allowed, and has what both sides did.
fn kept(
    conflict: &Conflict<'_>,
    events: &[LiveEvent],
    after: &LiveState,
    findings: &mut Findings<'_>,
) -> Result<(), Box<Stumble>> {
    let command = &conflict.mine.command;
    let merged = Merged {
        conflict,
        events,
        base: conflict.base.json(),
        own: conflict.mine.after.json(),
        current: conflict.current.json(),
        merged: after.json(),
    };
    let broken = invariants(after)?.err();
    let broken = broken.map(|why| {
        let but = format!("an invariant is broken: {why}");
        merged.breach(
            Law::MergeInvariants,
            "makes what must not be",
            vec![("but", but)],
        )
    });
    findings.say(Law::MergeInvariants, command, broken);
    findings.say(Law::MergeDrops, command, merged.drops());
    findings.say(Law::MergeUndoes, command, merged.undoes()?);
    Ok(())
}

impl Merged<'_> {
    fn breach(&self, law: Law, says: &str, lines: Vec<(&'static str, String)>) -> Breach {
        let told = match self.events {
            [] => "nothing is left to happen".to_owned(),
            events => story::events(events),
        };
        let told = format!("{told}  {}", self.merged);
        let name = self.conflict.mine.command.name();
        Breach {
            law,
            says: format!("{name} declares a merge that {says}"),
            lines: [vec![("merged", told)], lines].concat(),
            next: match law {
                Law::MergeInvariants => "refuse the merge with a reason where both cannot be",
                Law::MergeDrops => "keep what the command changed, or refuse with a reason",
                _ => {
                    "keep what the others changed or refuse with a reason; where the last writer is to win, say so: laws(&domain).except::<TheCommand>(Law::MergeUndoes)"
                }
            },
        }
    }

    /// What only the command changed, and the merge has not.
    fn drops(&self) -> Option<Breach> {
        let mut lost = changed_fields(&self.base, &self.own);
        lost.retain(|at| {
            let base = field(&self.base, at);
            !alike(field(&self.own, at), base)
                && alike(field(&self.current, at), base)
                && alike(field(&self.merged, at), base)
        });
        let at = lost.first()?;
        let but = format!(
            "{} was changed to {} by the command alone, and is {} again",
            story::place(at),
            field(&self.own, at),
            field(&self.merged, at)
        );
        Some(self.breach(
            Law::MergeDrops,
            "drops what it was to do",
            vec![("but", but)],
        ))
    }

    /// What the others changed, and the merge has as it was, or as the command alone would
    /// have had it.
    fn undoes(&self) -> Result<Option<Breach>, Box<Stumble>> {
        let mut undone = changed_fields(&self.base, &self.current);
        undone.retain(|at| {
            let base = field(&self.base, at);
            !alike(field(&self.current, at), base)
                && alike(field(&self.own, at), base)
                && alike(field(&self.merged, at), base)
        });
        let but = match undone.first() {
            Some(at) => format!(
                "{} was changed to {} by the others alone, and is {} again",
                story::place(at),
                field(&self.current, at),
                field(&self.merged, at)
            ),
            None => match self.overwritten()? {
                Some(but) => but,
                None => return Ok(None),
            },
        };
        let breach = self.breach(
            Law::MergeUndoes,
            "undoes what others did",
            vec![("but", but)],
        );
        Ok(Some(breach))
    }

    /// An event of which nothing is left.
    fn overwritten(&self) -> Result<Option<String>, Box<Stumble>> {
        let mut before = self.conflict.base.clone();
        for event in &self.conflict.unseen {
            let after = fold(&before, std::slice::from_ref(event))?;
            let (was, is) = (before.json(), after.json());
            let mut trace = changed_fields(&was, &is);
            // What others changed and changed back is nobody's any more.
            trace.retain(|at| {
                let current = field(&self.current, at);
                field(&is, at) == current && !alike(field(&self.base, at), current)
            });
            let gone = |at: &String| {
                let merged = field(&self.merged, at);
                !alike(merged, field(&self.current, at))
                    && [field(&self.base, at), field(&self.own, at)].contains(&merged)
            };
            if let (Some(at), true) = (trace.first(), trace.iter().all(gone)) {
                return Ok(Some(format!(
                    "nothing is left of {}: {} is {}",
                    story::event(event),
                    story::place(at),
                    field(&self.merged, at)
                )));
            }
            before = after;
        }
        Ok(None)
    }
}

/// Whether a field is the same: what is not there is often read as what is empty, such as
/// a text in a map.
fn alike(one: &Value, other: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    let absent = one.is_null() || other.is_null();
    one == other || (absent && is_empty(one) && is_empty(other))
}

/// Two others that are independent may come in either order.
fn order(
    conflict: &Conflict<'_>,
    one: &MergedTo,
    findings: &mut Findings<'_>,
) -> Result<(), Box<Stumble>> {
    let (command, scene) = (&conflict.mine.command, conflict.scene);
    let Some((current, unseen)) = swapped(scene)? else {
        return Ok(());
    };
    let other = merged(conflict, &current, &unseen)?;
    let same = match (one, &other) {
        (Ok((_, one)), Ok((_, other))) => scene.kin.same(one, other),
        (Err(_), Err(_)) => true,
        _ => false,
    };
    let breach = (!same).then(|| Breach {
        law: Law::MergeOrder,
        says: format!(
            "{} declares a merge that depends on the order of others who do not depend on each other",
            command.name()
        ),
        lines: vec![
            ("merged", told(one)),
            ("but", format!("after {}", story::events(&unseen))),
            ("", told(&other)),
        ],
        next: "merge by what changed, not by which event came first or last",
    });
    findings.say(Law::MergeOrder, command, breach);
    Ok(())
}

type MergedTo = Result<(Vec<LiveEvent>, LiveState), String>;

fn merged(
    conflict: &Conflict<'_>,
    current: &LiveState,
    unseen: &[LiveEvent],
) -> Result<MergedTo, Box<Stumble>> {
    Ok(match conflict.merge(current, unseen)? {
        Some(Ok(events)) => {
            let after = fold(current, &events)?;
            Ok((events, after))
        }
        Some(Err(why)) => Err(why),
        None => Err(String::new()),
    })
}

fn told(merged: &MergedTo) -> String {
    match merged {
        Ok((events, after)) => format!("{}  {}", story::events(events), after.json()),
        Err(why) => format!("refused: {why}"),
    }
}

/// The two others the other way round, where that makes no difference to them.
fn swapped(scene: &Scene<'_>) -> Result<Option<(LiveState, Vec<LiveEvent>)>, Box<Stumble>> {
    let [first, second] = scene.theirs.as_slice() else {
        return Ok(None);
    };
    let exists = !scene.given.is_empty();
    if !second.command.probed().requires().is_met(exists)
        || !first.command.probed().requires().is_met(true)
    {
        return Ok(None);
    }
    let mut state = scene.base().clone();
    let mut unseen = Vec::new();
    for step in [second, first] {
        if super::scene::decide(&step.command, &state)? != Ok(step.events.clone()) {
            return Ok(None);
        }
        state = fold(&state, &step.events)?;
        if invariants(&state)?.is_err() {
            return Ok(None);
        }
        unseen.extend(step.events.iter().cloned());
    }
    Ok(scene
        .kin
        .same(&state, scene.current())
        .then_some((state, unseen)))
}
