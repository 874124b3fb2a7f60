//! What a test needs: the contract as data, and a clock that you set.
//!
//! Behind the feature `testkit`; nothing of it is in a release build that does not
//! ask for it.

pub mod clock;
pub mod contract;
