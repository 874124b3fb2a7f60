//! Clients that append and read at random, give up on calls, and ask again.

use std::fmt;
use std::pin::pin;

use annalist::testkit::history::{
    Client, History, Recorder, StoreAnswer, StoreCall, Streams, check, check_positions,
};
use annalist::{
    AppendError, EventId, ExpectedVersion, NewEvent, Position, Receipt, Store, StreamId, Version,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::task::yield_now;

use crate::Random;

/// How large a history is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) clients: usize,
    pub(crate) streams: usize,
    pub(crate) calls: usize,
}

impl Size {
    pub(crate) fn any(random: &mut Random) -> Self {
        Self {
            clients: 2 + random.below(4),
            streams: 1 + random.below(3),
            calls: 4 + random.below(14),
        }
    }
}

/// Who gets a turn when.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turns {
    /// All clients take turns on one thread: the same seed is the same history.
    Together,
    /// Each is a task of the runtime.
    Spawned,
}

pub(crate) type StoreHistory = History<StoreCall, StoreAnswer>;

/// Runs one history, and ends it with a read of everything.
pub(crate) async fn run(store: &Store, seed: u64, size: Size, turns: Turns) -> StoreHistory {
    let after = store.head().await.unwrap();
    let recorder = Recorder::default();
    let mut random = Random(seed);
    let streams: Vec<StreamId> = (0..size.streams)
        .map(|number| StreamId::new("random", format!("{seed}-{number}")).unwrap())
        .collect();
    let clients = (0..size.clients).map(|_| {
        let actor = Actor {
            client: recorder.client(),
            store: store.clone(),
            after,
            random: random.split(),
            seen: vec![Version::ZERO; streams.len()],
            streams: streams.clone(),
            sent: Vec::new(),
            unsure: None,
        };
        actor.act(size.calls)
    });
    match turns {
        Turns::Together => {
            join_all(clients).await;
        }
        Turns::Spawned => {
            for client in join_all(clients.map(tokio::spawn)).await {
                client.unwrap();
            }
        }
    }
    let mut last = recorder.client();
    for stream in &streams {
        last.read_stream(store, stream).await.unwrap();
    }
    last.read_all(store, after).await.unwrap();
    recorder.history()
}

/// An append as it can be sent again.
#[derive(Clone, Debug)]
struct Sent {
    stream: usize,
    expected: ExpectedVersion,
    events: Vec<NewEvent>,
}

struct Actor {
    client: Client<StoreCall, StoreAnswer>,
    store: Store,
    /// Where this history begins.
    after: Position,
    random: Random,
    streams: Vec<StreamId>,
    /// The versions last heard of.
    seen: Vec<Version>,
    sent: Vec<Sent>,
    /// What this client does not know the outcome of.
    unsure: Option<Sent>,
}

impl Actor {
    async fn act(mut self, calls: usize) {
        for _ in 0..calls {
            let stream = self.random.below(self.streams.len());
            match self.random.below(20) {
                0..14 => self.append(stream).await,
                14..19 => self.read_stream(stream).await,
                _ => {
                    let read = self.client.read_all(&self.store, self.after).await;
                    read.unwrap();
                }
            }
            if self.random.once_in(3) {
                yield_now().await;
            }
        }
    }

    async fn read_stream(&mut self, stream: usize) {
        let (store, name) = (&self.store, &self.streams[stream]);
        let polls = self.random.once_in(10).then(|| self.random.below(4));
        let slice = within(polls, self.client.read_stream(store, name)).await;
        if let Some(slice) = slice {
            self.seen[stream] = slice.unwrap().version;
        }
    }

    async fn append(&mut self, stream: usize) {
        let sent = self.next_append(stream);
        let (store, name) = (&self.store, &self.streams[sent.stream]);
        let polls = self.random.once_in(5).then(|| self.random.below(6));
        let events = sent.events.clone();
        let append = self.client.append(store, name, sent.expected, events);
        let answer = within(polls, append).await;
        match answer {
            None => self.unsure = Some(sent),
            Some(answer) => self.hear(sent, answer),
        }
    }

    fn hear(&mut self, sent: Sent, answer: Result<Receipt, AppendError>) {
        match answer {
            Ok(receipt) => {
                self.seen[sent.stream] = receipt.version();
                self.sent.push(sent);
            }
            Err(AppendError::Conflict(conflicts)) => {
                self.seen[sent.stream] = conflicts.violations()[0].actual;
            }
            Err(AppendError::DuplicateEvent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// A new append; or one sent before, its outcome known or not; or a mixture.
    fn next_append(&mut self, stream: usize) -> Sent {
        if !self.random.once_in(3)
            && let Some(unsure) = self.unsure.take()
        {
            return unsure;
        }
        let random = &mut self.random;
        let seen = self.seen[stream];
        let expected = match random.below(12) {
            0..2 => ExpectedVersion::Any,
            2 => ExpectedVersion::NoStream,
            3 => ExpectedVersion::StreamExists,
            4 => seen.next().into(),
            _ => seen.into(),
        };
        let events = match random.below(12) {
            0 => 0,
            1..9 => 1,
            more => more - 7,
        };
        let mut events: Vec<_> = (0..events).map(|_| event(random)).collect();
        if !self.sent.is_empty() && random.once_in(8) {
            let mut again = self.sent[random.below(self.sent.len())].clone();
            match random.below(4) {
                0 => again.events.append(&mut events),
                1 => again.expected = expected,
                _ => {}
            }
            return again;
        }
        Sent {
            stream,
            expected,
            events,
        }
    }
}

fn event(random: &mut Random) -> NewEvent {
    let number = random.next();
    let id = EventId::derived("random", &number.to_string());
    NewEvent::json("Noted", &number).unwrap().with_id(id)
}

/// Waits for a call; or polls it so many times and then gives up, which drops it.
async fn within<F: Future>(polls: Option<usize>, call: F) -> Option<F::Output> {
    let mut call = pin!(call);
    let Some(polls) = polls else {
        return Some(call.await);
    };
    for _ in 0..=polls {
        if let Some(output) = call.as_mut().now_or_never() {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// What is wrong with a history, if anything is.
pub(crate) fn refusal(history: &StoreHistory) -> Option<String> {
    let verdict = check(&Streams, history);
    if !verdict.is_linearizable() {
        return Some(verdict.to_string());
    }
    let misplaced = check_positions(history).err()?;
    Some(misplaced.to_string())
}

/// What happened in histories, so that a test can say that it showed something.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) histories: usize,
    pub(crate) operations: usize,
    pub(crate) appended: usize,
    pub(crate) replayed: usize,
    pub(crate) conflicts: usize,
    pub(crate) duplicates: usize,
    /// Appends of unknown outcome.
    pub(crate) unknown: usize,
    /// Those of them whose events were read afterwards.
    pub(crate) landed: usize,
    /// Pairs of neighbours in time, both under way at once.
    pub(crate) overlaps: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, history: &StoreHistory) {
        let operations = history.operations();
        let stored: Vec<EventId> = operations
            .iter()
            .filter_map(|operation| match operation.answer() {
                Some(StoreAnswer::Stream { events, .. }) => Some(events),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        self.histories += 1;
        self.operations += operations.len();
        for operation in operations {
            match (&operation.op, operation.answer()) {
                (StoreCall::Append { events, .. }, None) => {
                    self.unknown += 1;
                    let landed = events.first().is_some_and(|id| stored.contains(id));
                    self.landed += usize::from(landed);
                }
                (_, Some(StoreAnswer::Appended { .. })) => self.appended += 1,
                (_, Some(StoreAnswer::Replayed { .. })) => self.replayed += 1,
                (_, Some(StoreAnswer::Conflict { .. })) => self.conflicts += 1,
                (_, Some(StoreAnswer::Duplicate)) => self.duplicates += 1,
                _ => {}
            }
        }
        let pairs = operations.windows(2);
        self.overlaps += pairs.filter(|pair| !pair[0].precedes(&pair[1])).count();
    }

    /// Fails where something never happened that the histories are about.
    pub(crate) fn assert_full(&self) {
        for (what, count) in [
            ("append", self.appended),
            ("repeat", self.replayed),
            ("conflict", self.conflicts),
            ("duplicate", self.duplicates),
            ("unknown outcome", self.unknown),
            ("unknown outcome that landed", self.landed),
            ("overlap", self.overlaps),
        ] {
            assert!(count > 0, "no {what} in {self}");
        }
        assert!(
            self.landed < self.unknown,
            "nothing was ever lost in {self}"
        );
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            histories,
            operations,
            appended,
            replayed,
            conflicts,
            duplicates,
            unknown,
            landed,
            overlaps,
        } = self;
        write!(
            f,
            "{histories} histories, {operations} operations: {appended} appended, {replayed} replayed, \
             {conflicts} conflicts, {duplicates} duplicates, {unknown} unknown of which {landed} landed, \
             {overlaps} overlaps"
        )
    }
}
