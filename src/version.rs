//! The numbers that order things, each a type of its own, and the expectation
//! that an append states.
//!
//! Everyone uses these. A version counts one stream, a position orders all of
//! them; mixing them up must not compile.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the counting numbers have in common, for code that walks over either.
pub(crate) trait Counter: Copy + Ord {
    const ZERO: Self;
    const MAX: Self;
    fn get(self) -> u64;
}

/// One counting number with a meaning of its own.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Nothing yet.
            pub const ZERO: Self = Self(0);
            /// Beyond anything that a store will ever reach.
            pub const MAX: Self = Self(u64::MAX);

            /// Names a number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// This many further on; [`MAX`](Self::MAX) where that would be beyond it.
            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                self.plus(1)
            }
        }

        impl Counter for $name {
            const ZERO: Self = Self::ZERO;
            const MAX: Self = Self::MAX;

            fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// How many events were ever appended to one stream, and so also the number
    /// of one event in it: the first is 1, and 0 means nothing yet. Numbering
    /// never restarts, whatever is removed.
    Version
}

counter! {
    /// The place of an event in the order over all streams of a store. Strictly
    /// increasing in commit order, never reused; the first is 1, and 0 stands
    /// before everything.
    Position
}

counter! {
    /// How often events were removed from a stream. Version and generation
    /// together say that nothing changed.
    Generation
}

/// What a caller believes about a stream, checked when its append commits.
///
/// | | never written | length 3 | deleted at 3 | closed |
/// |---|---|---|---|---|
/// | `Any` | ok | ok | ok | closed |
/// | `NoStream` | ok | conflict | ok | closed |
/// | `StreamExists` | conflict | ok | conflict | closed |
/// | `Exact(0)` | ok | conflict | conflict | closed |
/// | `Exact(2)` | conflict | conflict | conflict | closed |
/// | `Exact(3)` | conflict | ok | ok | closed |
/// | `Exact(4)` | conflict | conflict | conflict | closed |
///
/// A [`Version`] turns into the expectation of exactly that version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedVersion {
    /// Whatever the stream holds. Never reports a lost race.
    Any,
    /// Nothing readable: never written, or deleted.
    NoStream,
    /// At least one readable event.
    StreamExists,
    /// Exactly this many events were ever appended.
    Exact(Version),
}

impl From<Version> for ExpectedVersion {
    fn from(version: Version) -> Self {
        Self::Exact(version)
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no stream"),
            Self::StreamExists => f.write_str("an existing stream"),
            Self::Exact(version) => write!(f, "version {version}"),
        }
    }
}

/// Whether a stream can be read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// No event was ever appended.
    #[default]
    NeverWritten,
    /// It has events and takes more.
    Live,
    /// Its events were removed; appending brings it back, numbering goes on.
    Deleted,
    /// Its events are readable; nothing is appended to it again.
    Closed,
}
