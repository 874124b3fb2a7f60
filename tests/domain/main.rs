//! The registry of a domain: what it refuses, and that a command or an aggregate without
//! its type is told as it is with it.

mod bank;
#[cfg(feature = "sqlite")]
mod projections;
#[cfg(feature = "sqlite")]
mod reactions;
mod registry;
mod untyped;
