//! What a check of everything stored has found.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::StreamId;
use crate::version::Position;

/// What [`Store::verify`](crate::Store::verify) has looked at, and what is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Events looked at, those that were removed among them.
    pub events: u64,
    /// Streams looked at.
    pub streams: u64,
    /// Removals looked at.
    pub removals: u64,
    /// Commit keys looked at.
    pub keys: u64,
    /// What is not as it was written, in the order it was found; at most
    /// [`DAMAGES_MAX`](Self::DAMAGES_MAX).
    pub damages: Vec<Damage>,
    /// Whether there is more damage than is listed.
    pub truncated: bool,
    /// What is damaged and does no harm: states that were kept beside their events. They are
    /// ignored, and the next load replaces them; the disk deserves a look all the same. The
    /// first [`DAMAGES_MAX`](Self::DAMAGES_MAX).
    #[serde(default)]
    pub harmless: Vec<Damage>,
}

impl VerifyReport {
    /// How many damages are listed.
    pub const DAMAGES_MAX: usize = 1_000;

    /// Whether everything is as it was written, but for what is [`harmless`](Self::harmless).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damages.is_empty()
    }

    #[cfg_attr(
        not(feature = "sqlite"),
        expect(dead_code, reason = "memory is not damaged")
    )]
    pub(crate) fn note(&mut self, damage: Damage) {
        match self.damages.len() < Self::DAMAGES_MAX {
            true => self.damages.push(damage),
            false => self.truncated = true,
        }
    }
}

#[cfg(feature = "sqlite")]
impl VerifyReport {
    pub(crate) fn note_harmless(&mut self, damage: Damage) {
        if self.harmless.len() < Self::DAMAGES_MAX {
            self.harmless.push(damage);
        }
    }
}

/// What [`Store::backup`](crate::Store::backup) has written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackedUp {
    /// Bytes of the copy.
    pub bytes: u64,
    /// What a look at everything in the copy has found: no damage.
    pub report: VerifyReport,
}

/// One thing that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Damage {
    /// The position concerned, where it is one.
    pub position: Option<Position>,
    /// The stream concerned, where it is known.
    pub stream: Option<StreamId>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "position {position}: ")?;
        }
        if let Some(stream) = &self.stream {
            write!(f, "stream {stream}: ")?;
        }
        f.write_str(&self.what)
    }
}
