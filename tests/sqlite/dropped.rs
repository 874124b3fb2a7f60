//! Calls that are dropped after any poll: what became of each is learned by asking the same
//! again, nothing is done twice, and nobody else waits for it.
//!
//! 5,000 drops in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_DROPS=50000 cargo test --release --test sqlite dropped -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use annalist::store::sqlite::{CommitThread, Durability, SqliteOptions};
use annalist::{
    AppendError, Commit, EventId, ExpectedVersion, Fingerprint, Generation, NewEvent, Receipt,
    Store, StreamId, StreamState, Version,
};
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::{Place, Random, event, number, seed, stream};

/// Long enough for any machine, and not for ever.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// More than the queue has places, so that some are dropped while they stand in line.
const CALLERS: usize = 12;
const PLACES: usize = 4;

/// What became of the dropped calls of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Answered before they could be dropped.
    answered: usize,
    /// Had landed, as asking again told.
    landed: usize,
    lost: usize,
}

/// Polls a call so many times, after so many turns of others each, and drops it; its answer
/// if it was given by then.
async fn poll_and_drop<T>(
    call: impl Future<Output = T>,
    (polls, turns): (usize, usize),
) -> Option<T> {
    let mut call = Box::pin(call);
    for _ in 0..polls {
        if let Some(answer) = (&mut call).now_or_never() {
            return Some(answer);
        }
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }
    None
}

struct Caller {
    store: Store,
    random: Random,
    name: usize,
    /// A stream of its own, and one that it deletes again and again.
    own: StreamId,
    deleted: StreamId,
    version: Version,
    generation: Generation,
    tallies: BTreeMap<&'static str, Tally>,
    /// What it has sent to the stream that all share.
    shared: Vec<EventId>,
}

impl Caller {
    fn new(store: &Store, random: Random, name: usize) -> Self {
        Self {
            store: store.clone(),
            random,
            name,
            own: stream(&format!("own-{name}")),
            deleted: stream(&format!("deleted-{name}")),
            version: Version::ZERO,
            generation: Generation::new(0),
            tallies: BTreeMap::new(),
            shared: Vec::new(),
        }
    }

    async fn run(mut self, drops: usize) -> Self {
        for turn in 0..drops {
            let turns = [1, 10, 200][self.random.below(3)];
            let polls = (self.random.below(6), turns);
            match self.random.below(8) {
                0 => self.delete(turn, polls).await,
                1 | 2 => self.append_to_shared(turn, polls).await,
                3 | 4 => self.commit_with_key(turn, polls).await,
                _ => self.append(turn, polls).await,
            }
        }
        self
    }

    fn count(&mut self, kind: &'static str, answered: bool, landed: bool) {
        let tally = self.tallies.entry(kind).or_default();
        match (answered, landed) {
            (true, _) => tally.answered += 1,
            (false, true) => tally.landed += 1,
            (false, false) => tally.lost += 1,
        }
    }

    async fn append(&mut self, turn: usize, polls: (usize, usize)) {
        let (store, own, version) = (&self.store, &self.own, self.version);
        let sent = event(turn);
        let call = || store.append(own, version, [sent.clone()]);
        let first = poll_and_drop(call(), polls).await;
        let again = call().await.expect("the same again is no conflict");
        self.landed("append", &first, &again);
    }

    async fn commit_with_key(&mut self, turn: usize, polls: (usize, usize)) {
        let (store, own, version) = (&self.store, &self.own, self.version);
        let key = format!("{}-{turn}", self.name);
        // Made anew each time, as a command that decides again does.
        let call = || {
            let commit = Commit::new()
                .append(own.clone(), version, [event(turn)])
                .key(&key, Fingerprint::of(&key));
            store.commit(commit)
        };
        let first = poll_and_drop(call(), polls).await;
        let again = match call().await {
            Err(AppendError::AlreadyCommitted { receipt, .. }) => receipt,
            fresh => fresh.expect("the same again is no conflict"),
        };
        self.landed("commit", &first, &again);
    }

    /// The next version has landed once, whether at first or now.
    fn landed(
        &mut self,
        kind: &'static str,
        first: &Option<Result<Receipt, AppendError>>,
        again: &Receipt,
    ) {
        assert_eq!(again.version(), self.version.next(), "{kind}");
        if let Some(first) = first {
            let first = first.as_ref().expect("nothing is in the way");
            assert!(again.replayed && first.version() == again.version());
        }
        self.count(kind, first.is_some(), again.replayed);
        self.version = again.version();
    }

    async fn append_to_shared(&mut self, turn: usize, polls: (usize, usize)) {
        let (store, shared) = (&self.store, stream("shared-1"));
        let sent: [NewEvent; 1] = [event(turn)];
        let id = sent[0].id;
        let call = || store.append(&shared, ExpectedVersion::Any, sent.clone());
        let first = poll_and_drop(call(), polls).await;
        let again = call().await.expect("any version will do");
        assert!(again.replayed || first.is_none());
        self.count("append to a shared stream", first.is_some(), again.replayed);
        self.shared.push(id);
    }

    async fn delete(&mut self, turn: usize, polls: (usize, usize)) {
        let (store, deleted) = (&self.store, &self.deleted);
        let filled = store.append(deleted, ExpectedVersion::Any, [event(turn)]);
        filled.await.expect("an append");
        let call = || store.delete(deleted, ExpectedVersion::Any);
        let first = poll_and_drop(call(), polls).await.is_some();
        let before = store.stream_info(deleted).await.expect("a read");
        let again = call().await.expect("a removal");
        assert_eq!(again.state, StreamState::Deleted);
        self.generation = Generation::new(self.generation.get() + 1);
        assert_eq!(again.generation, self.generation, "deleted once");
        self.count("delete", first, before.generation == self.generation);
    }

    /// Each of the events has landed, once.
    async fn check(&self) {
        let own = self.store.read_stream(&self.own).collect().await;
        let own = own.expect("a read");
        assert_eq!(own.version, self.version);
        assert_eq!(own.events.len() as u64, self.version.get());
        let info = self.store.stream_info(&self.deleted).await.expect("a read");
        assert_eq!(info.generation, self.generation);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_dropped_at_any_poll_has_one_outcome() {
    let seed = seed("a_call_dropped_at_any_poll_has_one_outcome");
    drop_calls(CommitThread::Writer, seed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_has_one_that_may_have_been_made_on_its_own_thread() {
    let seed = seed("so_has_one_that_may_have_been_made_on_its_own_thread");
    drop_calls(CommitThread::CallerIfIdle, seed).await;
}

async fn drop_calls(thread: CommitThread, seed: u64) {
    let mut random = Random(seed);
    let drops = number::<usize>("ANNALIST_DROPS", 5_000).div_ceil(CALLERS);
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.queue_commits_max = PLACES;
    options.queue_timeout = Duration::from_secs(60);
    // Nothing crashes here, and drops are what is counted.
    options.durability = Durability::Normal;
    options.commit_thread = thread;
    let store = place.open_with(options).await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|name| Caller::new(&store, Random(random.next()), name))
        .map(|caller| tokio::spawn(caller.run(drops)))
        .collect();
    let callers = tokio::time::timeout(HANGS_AFTER, join_all(callers));
    let callers: Vec<_> = callers.await.expect("nobody hangs").into_iter().collect();

    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut sent = Vec::new();
    for caller in callers {
        let caller = caller.expect("no panic");
        caller.check().await;
        sent.extend(&caller.shared);
        for (kind, tally) in &caller.tallies {
            let sum = tallies.entry(kind).or_default();
            sum.answered += tally.answered;
            sum.landed += tally.landed;
            sum.lost += tally.lost;
        }
    }
    println!("{} drops: {tallies:?}", drops * CALLERS);
    for (kind, tally) in &tallies {
        let seen = tally.landed > 0 && tally.lost > 0;
        assert!(
            seen,
            "{kind}: one of the outcomes never came about: {tally:?}"
        );
    }
    let shared = store.read_stream(&stream("shared-1")).collect().await;
    let mut found: Vec<_> = shared
        .expect("a read")
        .events
        .iter()
        .map(|e| e.id)
        .collect();
    found.sort_unstable();
    sent.sort_unstable();
    assert_eq!(found, sent, "each has landed, once");
    assert!(store.verify().await.expect("a check").is_whole());
    let closed = tokio::time::timeout(HANGS_AFTER, store.close()).await;
    closed.expect("closing hangs").expect("a clean close");
}
