//! The contract of a store as data: what is sent, and what must be answered.
//!
//! Whoever writes a [`Backend`](crate::store::Backend), or wraps one, runs every
//! one of the [`CASES`] on it by name. The cases suppose default
//! [`Limits`](crate::Limits) and an empty store each; nothing here knows what
//! keeps the events.
//!
//! ```
//! use annalist::Store;
//! use annalist::testkit::contract::{CASES, run};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! for case in CASES.iter() {
//!     // Here goes your own: Store::from_backend(Arc::new(..), Limits::default()).
//!     let mut store = Store::memory();
//!     run(case, &mut store).await?;
//! }
//! # Ok(()) }
//! ```
//!
//! What outlives its handle is also run as a [`Subject`] of the caller's, which
//! reopens the store between steps, or hands out several handles to one store.
//!
//! Beside what a case says, [`run`] holds the store to what is promised always:
//!
//! - A step finds the store as the step before left it.
//! - A refusal, a repeat or a check writes nothing.
//! - What was written is what was sent, in one piece, where the receipt says.
//! - Positions are dense from 1, those of removals among them, versions contiguous
//!   from 1, times never go back.
//! - The feed holds every event that can be read, and every removal.
//! - Every way to read tells the same: forwards, backwards, by stream, by id, in
//!   pages of any size.

use std::sync::LazyLock;

use futures_core::future::BoxFuture;

use crate::store::Store;

mod case;
mod cases;
mod feeds;
mod ledger;
mod promises;
mod read_words;
mod reads;
mod runner;
mod sent;
mod words;

pub use case::{
    Answer, Case, Draft, DraftAppend, DraftEvent, DraftPayload, Feed, Read, Span, Step, StreamList,
    Unseen, Violation,
};
pub use runner::{Failure, run};

/// Every case of the contract, each under a name of its own.
pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases::all);

/// A store under test, empty at first: how a case gets at it.
pub trait Subject: Send {
    /// The handles for the next step; at least one. The first is used, racers take
    /// them in turn. Asked before every step, so it may reopen the store, or begin
    /// with another handle each time.
    fn stores(&mut self) -> BoxFuture<'_, Vec<Store>>;

    /// Closes the store and opens it again. Does nothing where nothing outlives
    /// the handle.
    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// One handle, kept for the whole case.
impl Subject for Store {
    fn stores(&mut self) -> BoxFuture<'_, Vec<Store>> {
        let store = self.clone();
        Box::pin(async { vec![store] })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names = HashSet::new();
        for case in CASES.iter() {
            assert!(names.insert(case.name), "{} stands twice", case.name);
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(case.name.chars().all(is_plain), "{}", case.name);
            assert!(!case.steps.is_empty(), "{} asks nothing", case.name);
        }
        assert!(names.len() >= 400, "only {} cases", names.len());
    }
}
