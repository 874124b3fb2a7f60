//! Commands that stand in line for one aggregate: each is decided on what the one before it
//! leaves, and as many as are waiting are written together.
//!
//! A task serves a line as long as somebody stands in it: turn by turn, each of which serves
//! all that wait when it begins. So nobody has to be polled for the others to go on. Outside
//! of a Tokio runtime, where there are no tasks, whoever comes first serves the others.
//!
//! Nothing here decides. A chain of commits stands on a state that may be old, and the store's
//! version check says so; what is decided then, and how a lost race ends, is each command's
//! own business (`run`). It must never answer for an effect that is not on stable storage.

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::heat::Heat;
use crate::aggregate::Aggregate;
use crate::caught::{caught_async, let_go};
use crate::ids::StreamId;
use crate::metrics;
use crate::repository::{Cache, Loaded, Repository};
use crate::store::{Commit, Receipt, StoreError};

mod turn;

use turn::Turn;

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
    /// As one that was sent, and may have been written. If it was not, and somebody else was
    /// there, as one that has lost a race on this state; without a state, as one that has just
    /// come.
    Again(Option<Loaded<A>>, Option<StoreError>),
    /// As one of which nobody can tell whether it was written.
    Doubtful(StoreError),
}

/// Whether what was drafted on top of a command still stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stands,
    Falls,
    /// Nobody can tell.
    Doubtful,
}

/// The lines of a bus. Every clone is the same.
#[derive(Clone, Default)]
pub(super) struct Lines {
    /// Which aggregates adaptive commands stand in line for.
    pub(super) heat: Heat,
    /// Those in which somebody stands. Two types may fold one stream.
    lines: Arc<Mutex<HashMap<Key, Stood>>>,
}

/// A line, and how many stand in it.
type Stood = (Arc<dyn Any + Send + Sync>, usize);

type Key = (TypeId, StreamId);

/// Those who wait for one aggregate.
struct Line<A: Aggregate> {
    waiting: Mutex<Waiting<A>>,
}

struct Waiting<A: Aggregate> {
    commands: VecDeque<Box<dyn InLine<A>>>,
    /// Whether somebody takes from here until nobody waits.
    is_served: bool,
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
                waiting: Mutex::new(Waiting {
                    commands: VecDeque::new(),
                    is_served: false,
                }),
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

impl<A: Aggregate> Place<A> {
    /// Waits until the command has its answer, and sees to it that the line is served. None
    /// if it was lost with a turn that ended early.
    pub(super) async fn wait<T>(
        self,
        command: Box<dyn InLine<A>>,
        answer: oneshot::Receiver<T>,
    ) -> Option<T> {
        let is_served = {
            let mut waiting = lock(&self.line.waiting);
            waiting.commands.push_back(command);
            std::mem::replace(&mut waiting.is_served, true)
        };
        if !is_served {
            let serving = Serve {
                place: self,
                is_over: false,
            };
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(serving.all())),
                Err(_) => serving.all().await,
            }
            return answer.await.ok();
        }
        let answer = answer.await.ok();
        drop(self);
        answer
    }
}

/// Whoever serves a line, from a place in it.
struct Serve<A: Aggregate> {
    place: Place<A>,
    /// Whether nobody waited any more.
    is_over: bool,
}

impl<A: Aggregate> Serve<A> {
    /// Serves until nobody waits.
    async fn all(mut self) {
        while let Some(waiting) = self.next() {
            metrics::line(A::CATEGORY, waiting.len());
            let Place {
                key,
                repository,
                cache,
                ..
            } = &self.place;
            let turn = Turn {
                stream: key.1.clone(),
                repository: repository.clone(),
                cache: cache.clone(),
                waiting,
            };
            // What panics takes its turn with it, and nobody else's.
            let_go(caught_async(turn.serve()).await);
        }
    }

    fn next(&mut self) -> Option<VecDeque<Box<dyn InLine<A>>>> {
        let mut waiting = lock(&self.place.line.waiting);
        let commands = std::mem::take(&mut waiting.commands);
        self.is_over = commands.is_empty();
        self.place
            .lines
            .heat
            .served(&self.place.key.1, commands.len());
        // Under the lock: whoever comes next finds it served, or serves it.
        waiting.is_served = !self.is_over;
        (!self.is_over).then_some(commands)
    }
}

impl<A: Aggregate> Drop for Serve<A> {
    /// Where the one who served has gone, with its runtime: those who wait are told so, and
    /// whoever comes next begins anew.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut waiting = lock(&self.place.line.waiting);
        waiting.is_served = false;
        let left = std::mem::take(&mut waiting.commands);
        drop(waiting);
        let_go(left);
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
