//! The command line, as its user meets it: what it prints, and how it exits.

#![cfg(feature = "tool")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod look;
mod projections;
mod replay;
mod shared;
mod tail;
