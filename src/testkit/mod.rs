//! What a test needs: scenarios for aggregates and their commands, the contract as data,
//! a clock that you set, and a judge of what concurrent clients were answered.
//!
//! Behind the feature `testkit`; nothing of it is in a release build that does not
//! ask for it.

pub mod clock;
pub mod contract;
pub mod history;
pub mod scenario;
