//! What was called and answered, in the order of a logical clock.
//!
//! Tests record with it, the judges read it. It knows neither stores nor models.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What clients called, and what they were answered.
///
/// A [`Recorder`] makes one from calls as they happen. Where the calls are known
/// beforehand, it is written down:
///
/// ```
/// use annalist::testkit::history::History;
///
/// let mut history = History::default();
/// let write = history.invoke(0, "write 1");
/// let read = history.invoke(1, "read"); // while the write is under way
/// history.complete(write, "written");
/// history.complete(read, "1");
/// let _unknown = history.invoke(0, "write 2"); // never answered
///
/// let [write, read, unknown] = history.operations() else { panic!() };
/// assert!(!write.precedes(read) && write.precedes(unknown));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<O, A> {
    operations: Vec<Operation<O, A>>,
    now: u64,
}

/// One call of a client, from its invocation to its completion.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation<O, A> {
    /// Who called.
    pub client: usize,
    /// What was called.
    pub op: O,
    /// When, by a clock that never tells one time twice.
    pub invoked: u64,
    /// What was answered. None: the outcome is not known, and the operation may
    /// take effect at any time since, or never.
    pub completed: Option<Completed<A>>,
}

/// The end of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completed<A> {
    /// When, by the clock of the invocation.
    pub at: u64,
    /// What the client was told.
    pub answer: A,
}

impl<O, A> Operation<O, A> {
    /// What the client was told, where it was told anything.
    pub fn answer(&self) -> Option<&A> {
        self.completed.as_ref().map(|completed| &completed.answer)
    }

    /// Whether it was over before the other one began.
    pub fn precedes(&self, other: &Self) -> bool {
        let completed = self.completed.as_ref();
        completed.is_some_and(|completed| completed.at < other.invoked)
    }
}

/// A call under way. One that is never completed has an unknown outcome.
#[derive(Debug, PartialEq, Eq)]
pub struct Call(usize);

impl<O, A> History<O, A> {
    /// The operations in the order of their invocations.
    #[must_use]
    pub fn operations(&self) -> &[Operation<O, A>] {
        &self.operations
    }

    /// Writes down that a client calls now.
    pub fn invoke(&mut self, client: usize, op: O) -> Call {
        self.now += 1;
        push(&mut self.operations, client, op, self.now)
    }

    /// Writes down that a call is answered now.
    pub fn complete(&mut self, call: Call, answer: A) {
        self.now += 1;
        complete(&mut self.operations, &call, answer, self.now);
    }
}

impl<O, A> Default for History<O, A> {
    /// A history of nothing.
    fn default() -> Self {
        Self {
            operations: Vec::new(),
            now: 0,
        }
    }
}

fn push<O, A>(operations: &mut Vec<Operation<O, A>>, client: usize, op: O, at: u64) -> Call {
    operations.push(Operation {
        client,
        op,
        invoked: at,
        completed: None,
    });
    Call(operations.len() - 1)
}

fn complete<O, A>(operations: &mut [Operation<O, A>], call: &Call, answer: A, at: u64) {
    if let Some(operation) = operations.get_mut(call.0) {
        operation.completed = Some(Completed { at, answer });
    }
}

/// Records the calls of concurrent clients. Cloning it is cheap, and every clone
/// records the same history.
///
/// No lock is held while a call is under way, and clients never wait for each
/// other: they share a counter, and each writes a list of its own.
#[derive(Debug)]
pub struct Recorder<O, A> {
    shared: Arc<Shared<O, A>>,
}

#[derive(Debug)]
struct Shared<O, A> {
    clock: AtomicU64,
    lists: Mutex<Vec<List<O, A>>>,
}

/// What one client recorded. Only `history` ever contends for it.
type List<O, A> = Arc<Mutex<Vec<Operation<O, A>>>>;

impl<O, A> Shared<O, A> {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl<O, A> Recorder<O, A> {
    /// One more client.
    #[must_use]
    pub fn client(&self) -> Client<O, A> {
        let mut lists = lock(&self.shared.lists);
        let list = List::default();
        lists.push(Arc::clone(&list));
        Client {
            number: lists.len() - 1,
            shared: Arc::clone(&self.shared),
            list,
        }
    }
}

impl<O: Clone, A: Clone> Recorder<O, A> {
    /// What has been recorded so far. Calls that are under way now have an unknown
    /// outcome in it, those that begin later are not in it.
    #[must_use]
    pub fn history(&self) -> History<O, A> {
        // Clients take the time while they hold their list, so every call of before
        // `now` is found in one. What came after it is cut off: otherwise a list that
        // is read late could show the effects of a call that another one lacks.
        let now = self.shared.tick();
        let mut operations = Vec::new();
        for list in lock(&self.shared.lists).iter() {
            let list = lock(list);
            let before = list.iter().filter(|operation| operation.invoked < now);
            operations.extend(before.cloned());
        }
        for operation in &mut operations {
            operation.completed.take_if(|completed| completed.at > now);
        }
        operations.sort_unstable_by_key(|operation| operation.invoked);
        History { operations, now }
    }
}

impl<O, A> Clone for Recorder<O, A> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

impl<O, A> Default for Recorder<O, A> {
    /// A recorder without clients.
    fn default() -> Self {
        let shared = Arc::new(Shared {
            clock: AtomicU64::new(0),
            lists: Mutex::default(),
        });
        Self { shared }
    }
}

/// One who calls, and waits for each answer or gives up. What it recorded outlives
/// it.
#[derive(Debug)]
pub struct Client<O, A> {
    number: usize,
    shared: Arc<Shared<O, A>>,
    list: List<O, A>,
}

impl<O, A> Client<O, A> {
    /// Its number in the history, counted from 0.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Records that a call begins now. Say so before the call can have any effect.
    pub fn invoke(&mut self, op: O) -> Call {
        let mut list = lock(&self.list);
        push(&mut list, self.number, op, self.shared.tick())
    }

    /// Records that the call is answered now. Say so after the answer is there.
    pub fn complete(&mut self, call: Call, answer: A) {
        let mut list = lock(&self.list);
        complete(&mut list, &call, answer, self.shared.tick());
    }

    /// Makes a call and records it. `answer` says what the output tells; None where
    /// the outcome is unknown.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the operation with an unknown outcome.
    pub async fn record<F: Future>(
        &mut self,
        op: O,
        call: impl FnOnce() -> F,
        answer: impl FnOnce(&F::Output) -> Option<A>,
    ) -> F::Output {
        let under_way = self.invoke(op);
        let output = call().await;
        if let Some(answer) = answer(&output) {
            self.complete(under_way, answer);
        }
        output
    }
}

/// No user code runs under these locks, so a poisoned one holds a whole list.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_taken_midway_leaves_calls_open() {
        let recorder = Recorder::default();
        let (mut a, mut b) = (recorder.client(), recorder.client());
        let first = a.invoke("first");
        let second = b.invoke("second");
        a.complete(first, 1);
        let midway = recorder.history();
        b.complete(second, 2);
        drop(a);
        b.invoke("third");

        let seen = |history: &History<&'static str, i32>| -> Vec<_> {
            let operations = history.operations().iter();
            operations
                .map(|o| (o.client, o.op, o.answer().copied()))
                .collect()
        };
        assert_eq!(seen(&midway), [(0, "first", Some(1)), (1, "second", None)]);
        let whole = [
            (0, "first", Some(1)),
            (1, "second", Some(2)),
            (1, "third", None),
        ];
        assert_eq!(seen(&recorder.history()), whole);
    }

    #[test]
    fn a_history_taken_midway_lacks_no_cause() {
        let recorder = Recorder::default();
        let (counter, done) = (AtomicU64::new(0), AtomicU64::new(0));
        // Copying the list in the middle gives the others time.
        let [counting, mut middle, reading] = [(); 3].map(|()| recorder.client());
        for _ in 0..10_000 {
            middle.invoke(2);
        }
        let mut whole = true;
        std::thread::scope(|scope| {
            for (op, mut client) in [(0, counting), (1, reading)] {
                let (counter, done) = (&counter, &done);
                scope.spawn(move || {
                    while done.load(Ordering::SeqCst) == 0 {
                        let call = client.invoke(op);
                        let seen = match op {
                            0 => counter.fetch_add(1, Ordering::SeqCst) + 1,
                            _ => counter.load(Ordering::SeqCst),
                        };
                        client.complete(call, seen);
                        std::thread::yield_now();
                    }
                });
            }
            let mut recorded = 0;
            while whole && recorded < 15_000 {
                let history = recorder.history();
                let operations = history.operations();
                recorded = operations.len();
                let counted = operations.iter().filter(|operation| operation.op == 0);
                let seen = operations.iter().filter_map(Operation::answer).max();
                whole = seen.is_none_or(|seen| *seen <= counted.count() as u64);
            }
            // Only now may this fail: the threads wait to be told.
            done.store(1, Ordering::SeqCst);
        });
        assert!(whole, "something was seen that is not in the history");
    }

    #[tokio::test]
    async fn a_dropped_call_is_unknown() {
        use futures_util::FutureExt;

        let recorder = Recorder::<&str, ()>::default();
        let mut client = recorder.client();
        let dropped = client
            .record("never", std::future::pending::<()>, |()| Some(()))
            .now_or_never();
        assert!(dropped.is_none());
        let kept = client.record("kept", || async {}, |()| Some(()));
        kept.await;
        let history = recorder.history();
        let answers: Vec<_> = history.operations().iter().map(Operation::answer).collect();
        assert_eq!(answers, [None, Some(&())]);
    }
}
