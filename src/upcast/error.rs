//! Why an old event has no shape of today. The codec tells whoever reads.

use crate::caught::Panicked;

/// Why an event that was stored in an older shape cannot be read in today's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpcastError {
    /// The step's function answered an error.
    #[error("the upcaster of {event_type:?} from schema version {schema_version} failed")]
    Failed {
        /// The type that the step was declared for.
        event_type: String,
        /// The schema version that the step leads away from.
        schema_version: u32,
        /// What the function said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The step's function panicked.
    #[error("the upcaster of {event_type:?} from schema version {schema_version} panicked")]
    Panicked {
        /// The type that the step was declared for.
        event_type: String,
        /// The schema version that the step leads away from.
        schema_version: u32,
        /// What the panic said.
        source: Panicked,
    },
    /// A split leads back to where it came from.
    #[error(
        "the upcasters go in a circle through {event_type:?} of schema version {schema_version}; let its split answer later schema versions"
    )]
    Endless {
        /// The type on the circle.
        event_type: String,
        /// Its schema version.
        schema_version: u32,
    },
    /// No step leads on from an old version.
    #[error(
        "no upcaster leads {event_type:?} from schema version {schema_version} to {current}; declare a step, or a drop"
    )]
    Missing {
        /// The type.
        event_type: String,
        /// The version that was stored.
        schema_version: u32,
        /// The version that this release reads.
        current: u32,
    },
    /// The event is of a version that this release does not know yet.
    #[error(
        "{event_type:?} has schema version {schema_version}, newer than {current}, which this release reads; run the release that wrote it"
    )]
    Newer {
        /// The type.
        event_type: String,
        /// The version that was stored.
        schema_version: u32,
        /// The version that this release reads.
        current: u32,
    },
}

impl UpcastError {
    /// The stable name of this error: `upcast_failed`, `panicked`, `upcasters_endless`,
    /// `upcaster_missing` or `newer_schema_version`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "upcast_failed",
            Self::Panicked { source, .. } => source.code(),
            Self::Endless { .. } => "upcasters_endless",
            Self::Missing { .. } => "upcaster_missing",
            Self::Newer { .. } => "newer_schema_version",
        }
    }
}
