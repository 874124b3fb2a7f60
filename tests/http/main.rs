//! What HTTP is told: preconditions row by row, problems as the texts that they are, and keys
//! of requests.

mod asked;
mod bank;
mod failures;
mod keys;
mod preconditions;
mod problems;
