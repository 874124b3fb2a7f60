//! How cases are made: commands from their own serde shape, or from a strategy of the
//! user's, a few in a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::strategy::{BoxedStrategy, Strategy, Union};

use super::case::Case;
use super::error::HuntError;
use crate::command::Command;
use crate::domain::probe::ProbedKind;
use crate::domain::{AnyCommand, Domain};
use crate::sample::Learned;

const GIVEN_MAX: usize = 4;
const THEIRS_MAX: usize = 2;
/// As many choices as a command may ask for; beyond them it is as simple as it can be.
const CHOICES_MAX: usize = 24;

/// The strategies of the user's, by the name of the command.
#[derive(Default)]
pub(super) struct Strategies(BTreeMap<&'static str, BoxedStrategy<AnyCommand>>);

impl Strategies {
    pub(super) fn add<C: Command>(&mut self, strategy: impl Strategy<Value = C> + 'static) {
        let any = strategy.prop_map(AnyCommand::new).boxed();
        self.0.insert(C::NAME, any);
    }

    /// Whether the user says how this one is made.
    pub(super) fn has(&self, command: &str) -> bool {
        self.0.contains_key(command)
    }

    /// Strategies for commands that the domain does not know make nothing.
    pub(super) fn check(&self, domain: &Domain) -> Result<(), HuntError> {
        let known = |name: &str| domain.commands().any(|known| known.name == name);
        match self.0.keys().find(|name| !known(name)) {
            Some(name) => Err(HuntError::Unknown {
                command: (*name).to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// The cases of one category; none where it has no commands.
    pub(super) fn cases(
        &self,
        domain: &Domain,
        category: &str,
    ) -> Result<Option<BoxedStrategy<Case>>, HuntError> {
        let mut commands = Vec::new();
        for (info, kind) in domain.kinds(category) {
            commands.push(match self.0.get(info.name) {
                Some(given) => given.clone(),
                None => sampled(info.name, kind)?,
            });
        }
        Ok((!commands.is_empty()).then(|| cases(Union::new(commands).boxed())))
    }
}

/// Every third or fourth time, another sends the very same command.
fn cases(command: BoxedStrategy<AnyCommand>) -> BoxedStrategy<Case> {
    let given = vec(command.clone(), 0..=GIVEN_MAX);
    let theirs = vec(command.clone(), 1..=THEIRS_MAX);
    let twin =
        prop_oneof![3 => proptest::strategy::Just(false), 1 => proptest::strategy::Just(true)];
    let parts = (given, theirs, command, twin);
    let case = parts.prop_map(|(given, mut theirs, mine, twin)| {
        if let (true, Some(other)) = (twin, theirs.first_mut()) {
            *other = mine.clone();
        }
        Case {
            given,
            theirs,
            mine,
        }
    });
    case.boxed()
}

fn choices() -> impl Strategy<Value = Vec<u64>> {
    // Small ones, so that commands meet: the same seat, the same name.
    let choice = prop_oneof![
        6 => 0..4_u64,
        3 => 0..16_u64,
        2 => 0..1_000_u64,
        1 => any::<u64>(),
    ];
    vec(choice, 0..=CHOICES_MAX)
}

/// Commands made from their own serde shape.
fn sampled(
    name: &'static str,
    kind: &'static dyn ProbedKind,
) -> Result<BoxedStrategy<AnyCommand>, HuntError> {
    let learned = Arc::new(Learned::default());
    // What cannot be made from the simplest choices cannot be shrunk, either.
    if let Err(source) = kind.sample(&[], &learned) {
        return Err(HuntError::Unsampled {
            command: name.to_owned(),
            why: source.to_string(),
        });
    }
    let made = choices().prop_filter_map("choices that make a command", move |choices| {
        kind.sample(&choices, &learned).ok()
    });
    Ok(made.boxed())
}
