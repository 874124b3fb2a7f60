//! Races of which every schedule is explored: true declarations hold, and a false one is
//! told as a story.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fails;
mod holds;
mod shop;
