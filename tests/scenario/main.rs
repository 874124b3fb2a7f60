//! Scenarios: each expectation where it holds, and what it says where it does not.

mod domain;
mod failures;
mod holds;
