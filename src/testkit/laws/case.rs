//! One case: what was done before, what others did, and what is done without having seen
//! that. As text it is one line of JSON, to be kept and run again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::law::Law;
use crate::caught::chain;
use crate::domain::Domain;
use crate::domain::{AnyCommand, DomainError};

/// Commands of one aggregate. Those that are not accepted are passed over.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) given: Vec<AnyCommand>,
    pub(super) theirs: Vec<AnyCommand>,
    pub(super) mine: AnyCommand,
}

/// A command by its name and its JSON.
type Told = (String, Value);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    law: Option<Law>,
    #[serde(default)]
    given: Vec<Told>,
    #[serde(default)]
    theirs: Vec<Told>,
    mine: Told,
}

impl Case {
    /// All of its commands, in the order in which they are decided.
    pub(super) fn commands(&self) -> impl Iterator<Item = &AnyCommand> {
        let others = self.given.iter().chain(&self.theirs);
        others.chain([&self.mine])
    }

    /// The case in one line, with the law that it breaks.
    pub(super) fn line(&self, law: Law) -> String {
        let told = |command: &AnyCommand| (command.name().to_owned(), command.probed().payload());
        let line = Line {
            law: Some(law),
            given: self.given.iter().map(told).collect(),
            theirs: self.theirs.iter().map(told).collect(),
            mine: told(&self.mine),
        };
        // Values and names are JSON.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Reads a case, or says what is wrong with it.
    pub(super) fn read(domain: &Domain, line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let decode = |(name, payload): Told| domain.decode(&name, payload.to_string());
        let decode_all =
            |told: Vec<Told>| told.into_iter().map(decode).collect::<Result<Vec<_>, _>>();
        let read = || -> Result<Self, DomainError> {
            Ok(Self {
                given: decode_all(line.given)?,
                theirs: decode_all(line.theirs)?,
                mine: decode(line.mine)?,
            })
        };
        let case = read().map_err(|error| chain(&error))?;
        let category = case.mine.category();
        if let Some(other) = case.commands().find(|one| one.category() != category) {
            return Err(format!(
                "{} is of {category}, and {} of {}",
                case.mine.name(),
                other.name(),
                other.category()
            ));
        }
        Ok(case)
    }
}
