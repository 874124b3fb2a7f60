//! Commands that stand in line for one aggregate: each is decided on what the one before it
//! leaves, and as many as are waiting are written together.
//!
//! Nobody serves a line but those who stand in it: whoever comes first takes a turn, which
//! serves all that wait by then. If that caller goes away, the next one goes on with the turn
//! where it is, so that no task is needed and none is left behind.
//!
//! Nothing here decides. A chain of commits stands on a state that may be old, and the store's
//! version check says so; what is decided then, and how a lost race ends, is each command's
//! own business (`run`). It must never answer for an effect that is not on stable storage.

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_core::future::BoxFuture;
use tokio::sync::oneshot;

use crate::aggregate::Aggregate;
use crate::caught::{caught_async, let_go};
use crate::ids::StreamId;
use crate::repository::{Cache, Loaded, Repository};
use crate::store::{Commit, Receipt, StoreError};

mod serve;

use serve::Serving;

/// A command in line, whose type the others do not know.
pub(super) trait InLine<A: Aggregate>: Send {
    /// Whether nobody waits for its answer any more.
    fn is_gone(&self) -> bool;

    /// Whether it goes its own way when it is its turn, as one that demands a version does.
    fn goes_alone(&self) -> bool;

    /// Decides on this state.
    fn draft(&mut self, at: &Loaded<A>) -> Drafted<A>;

    /// What it drafted is written.
    fn landed(self: Box<Self>, receipt: &Receipt);

    /// What it drafted writes nothing, and holds.
    fn answer(self: Box<Self>);

    /// Goes on by itself, to its answer.
    fn go(self: Box<Self>, way: Way<A>) -> BoxFuture<'static, Fate>;
}

/// What a command makes of a state.
pub(super) enum Drafted<A: Aggregate> {
    /// It is to be written.
    Commit {
        commit: Commit,
        /// The state after it, unless it leaves it as it is.
        then: Option<Loaded<A>>,
        bytes: usize,
    },
    /// It writes nothing.
    Answer,
}

/// How a command goes on by itself.
pub(super) enum Way<A> {
    /// As one that has just come.
    Anew,
    /// As one that has lost a race, having been decided on this state.
    Raced(Loaded<A>),
    /// As one that was sent, and may have been written; if it was not, as one that has lost
    /// a race on this state.
    Again(Loaded<A>, Option<StoreError>),
}

/// Whether what was drafted on top of a command still stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stands,
    Falls,
}

/// The lines of a bus. Every clone is the same.
#[derive(Clone, Default)]
pub(super) struct Lines {
    /// Those in which somebody stands. Two types may fold one stream.
    lines: Arc<Mutex<HashMap<Key, Stood>>>,
}

/// A line, and how many stand in it.
type Stood = (Arc<dyn Any + Send + Sync>, usize);

type Key = (TypeId, StreamId);

/// Those who wait for one aggregate.
struct Line<A: Aggregate> {
    waiting: Mutex<VecDeque<Box<dyn InLine<A>>>>,
    /// What is being done for some of them. Whoever holds the lock does it; it stays here if
    /// that caller goes away.
    turn: tokio::sync::Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Lines {
    /// Takes a place in the line of a stream, which is there as long as somebody is in it.
    pub(super) fn join<A: Aggregate>(
        &self,
        stream: &StreamId,
        repository: Repository<A>,
        cache: Option<Cache>,
    ) -> Place<A> {
        let key = (TypeId::of::<Line<A>>(), stream.clone());
        let mut lines = lock(&self.lines);
        let known = lines.get_mut(&key).and_then(|(line, places)| {
            *places += 1;
            Arc::clone(line).downcast::<Line<A>>().ok()
        });
        let line = known.unwrap_or_else(|| {
            let line = Arc::new(Line::<A> {
                waiting: Mutex::default(),
                turn: tokio::sync::Mutex::default(),
            });
            lines.insert(key.clone(), (Arc::clone(&line) as Arc<_>, 1));
            line
        });
        drop(lines);
        Place {
            lines: self.clone(),
            key,
            line,
            repository,
            cache,
        }
    }
}

/// A place in a line. Dropping it leaves the line.
pub(super) struct Place<A: Aggregate> {
    lines: Lines,
    key: Key,
    line: Arc<Line<A>>,
    repository: Repository<A>,
    cache: Option<Cache>,
}

/// What comes first to one who waits.
enum First<T, G> {
    Answer(Option<T>),
    Turn(G),
}

impl<A: Aggregate> Place<A> {
    /// Waits until the command has its answer, and serves the line when nobody else does.
    /// None if it was lost with a turn that panicked.
    pub(super) async fn wait<T>(
        &self,
        command: Box<dyn InLine<A>>,
        mut answer: oneshot::Receiver<T>,
    ) -> Option<T> {
        lock(&self.line.waiting).push_back(command);
        loop {
            let mut turn = Box::pin(self.line.turn.lock());
            let first = poll_fn(|cx| match Pin::new(&mut answer).poll(cx) {
                Poll::Ready(answer) => Poll::Ready(First::Answer(answer.ok())),
                Poll::Pending => turn.as_mut().poll(cx).map(First::Turn),
            });
            let mut turn = match first.await {
                First::Answer(answer) => return answer,
                First::Turn(turn) => turn,
            };
            let serving = turn.get_or_insert_with(|| {
                let line = Serving {
                    stream: self.key.1.clone(),
                    repository: self.repository.clone(),
                    cache: self.cache.clone(),
                    waiting: std::mem::take(&mut *lock(&self.line.waiting)),
                };
                Box::pin(line.serve())
            });
            // What panics takes its turn with it, and nobody else's.
            let served = caught_async(serving.as_mut()).await;
            let_go((served, turn.take()));
        }
    }
}

impl<A: Aggregate> Drop for Place<A> {
    fn drop(&mut self) {
        let mut lines = lock(&self.lines.lines);
        let left = match lines.get_mut(&self.key) {
            Some((_, places)) if *places > 1 => {
                *places -= 1;
                None
            }
            _ => lines.remove(&self.key),
        };
        drop(lines);
        // What is left in it is user code's to drop.
        let_go(left);
    }
}

/// No user code runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
    struct Nothing;

    impl Aggregate for Nothing {
        const CATEGORY: &'static str = "nothing";
        type Event = ();

        fn apply(&mut self, (): &()) {}
    }

    #[test]
    fn a_line_is_there_as_long_as_somebody_stands_in_it() {
        let lines = Lines::default();
        let stream: StreamId = "nothing-1".parse().expect("an id");
        let repository = Repository::<Nothing>::new(Store::memory());
        let join = || lines.join(&stream, repository.clone(), None);
        let (first, second) = (join(), join());
        assert!(Arc::ptr_eq(&first.line, &second.line));
        drop(first);
        let third = join();
        assert!(Arc::ptr_eq(&third.line, &second.line));
        drop((second, third));
        assert!(lock(&lines.lines).is_empty());
    }
}
