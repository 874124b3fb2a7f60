//! Every answer that the public API gives about a store, and which of them are wrong.

use annalist::{
    AppendError, Commit, Conflicts, EventId, ExpectedVersion, Fingerprint, NewEvent, Position,
    RecordedEvent, Store, StoreError, StreamId, StreamInfo, StreamSlice, StreamState, Version,
};
use serde_json::json;

use crate::stream;

/// What a whole store answers.
pub(super) struct Answers {
    streams: Vec<StreamAnswers>,
    all: Vec<RecordedEvent>,
    list: Vec<StreamInfo>,
    head: Position,
}

struct StreamAnswers {
    id: StreamId,
    slice: StreamSlice,
    info: StreamInfo,
    keys: Vec<String>,
}

/// How one answer of a damaged store stands to the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Right,
    /// An error that says what is wrong.
    Told,
    /// Wrong, and not said to be.
    Silent,
}

/// The kind of a question, and how its answer stands.
pub(super) type Judged = (&'static str, Verdict);

impl Answers {
    /// What an undamaged store answers.
    pub(super) async fn of(store: &Store) -> Self {
        let list = store.list_streams().collect().await.expect("a list");
        let ids = list.iter().map(|info| info.stream.clone());
        // Streams without an event, and one that is not there.
        let others = ["checked-1", "closed-2", "never-1", "a-1", "zz-1"].map(stream);
        let mut streams = Vec::new();
        for id in ids.chain(others) {
            let slice = store.read_stream(&id).collect().await.expect("a read");
            let info = store.stream_info(&id).await.expect("a read");
            streams.push(StreamAnswers {
                keys: keys(store, &id).await,
                id,
                slice,
                info,
            });
        }
        Self {
            all: store.read_all().collect().await.expect("a read"),
            head: store.head().await.expect("a read"),
            streams,
            list,
        }
    }

    pub(super) fn events(&self) -> usize {
        self.all.len()
    }

    /// Asks a store whose file was damaged everything.
    pub(super) async fn judge(&self, store: &Store) -> Vec<Judged> {
        let mut judged = Vec::new();
        let mut note = |kind, verdict| judged.push((kind, verdict));
        note("head", read(store.head().await, &self.head));
        let list = store.list_streams().collect().await;
        note("list_streams", read(list, &self.list));
        let all = store.read_all().collect().await;
        note("read_all", read(all, &self.all));
        let mut backwards = self.all.clone();
        backwards.reverse();
        let all = store.read_all().backwards().collect().await;
        note("read_all", read(all, &backwards));
        for of in &self.streams {
            let slice = store.read_stream(&of.id).collect().await;
            note("read_stream", read(slice, &of.slice));
            let mut backwards = of.slice.clone();
            backwards.events.reverse();
            let slice = store.read_stream(&of.id).backwards().collect().await;
            note("read_stream", read(slice, &backwards));
            let info = store.stream_info(&of.id).await;
            note("stream_info", read(info, &of.info));
            let unknown = store.find_event(&of.id, EventId::derived("flips", "none"));
            note("find_event", read(unknown.await, &None));
        }
        for event in &self.all {
            let found = store.find_event(&event.stream, event.id).await;
            note("find_event", read(found, &Some(event.clone())));
        }
        judged
    }

    /// Sends what must land nowhere, to some streams, the `turn` says which.
    pub(super) async fn judge_writes(&self, store: &Store, turn: usize) -> Vec<Judged> {
        let mut judged = Vec::new();
        for of in self.streams.iter().skip(turn % 5).step_by(5) {
            for (kind, sent, right) in of.writes() {
                let verdict = match store.commit(sent).await {
                    Err(AppendError::Store(error)) => told(&error),
                    answer if right(of, &answer) => Verdict::Right,
                    _ => Verdict::Silent,
                };
                judged.push((kind, verdict));
            }
        }
        judged
    }
}

type Answer = Result<annalist::Receipt, AppendError>;
type IsRight = fn(&StreamAnswers, &Answer) -> bool;

impl StreamAnswers {
    /// What must not be written, and whether it is answered as it must be.
    fn writes(&self) -> Vec<(&'static str, Commit, IsRight)> {
        let fresh = || NewEvent::json("Fresh", &json!(1)).expect("an event");
        let to = |expected, event| Commit::new().append(self.id.clone(), expected, [event]);
        let mut writes: Vec<(_, _, IsRight)> = Vec::new();
        let version = self.info.version;
        if let Some(before) = version.get().checked_sub(1) {
            let stale = to(ExpectedVersion::Exact(Version::new(before)), fresh());
            writes.push(("append at a smaller version", stale, |of, answer| {
                refused(answer)
                    .is_some_and(|conflicts| conflicts.violations()[0].actual == of.info.version)
            }));
        }
        if !self.slice.events.is_empty() || self.info.state == StreamState::Closed {
            let new = to(ExpectedVersion::NoStream, fresh());
            writes.push(("append under NoStream", new, |_, answer| {
                refused(answer).is_some()
            }));
        }
        if let Some(last) = self.slice.events.last() {
            let again =
                || NewEvent::new(last.event_type.clone(), last.payload.clone()).with_id(last.id);
            let before = Version::new(last.version.get() - 1);
            let exact = ExpectedVersion::Exact(before);
            for (kind, expected) in [
                ("append again under Exact", exact),
                ("append again under Any", ExpectedVersion::Any),
            ] {
                writes.push((kind, to(expected, again()), |of, answer| {
                    let version = of.slice.version;
                    matches!(answer, Ok(receipt) if receipt.replayed && receipt.version() == version)
                }));
            }
        }
        for key in &self.keys {
            let again = to(ExpectedVersion::Any, fresh()).key(key, Fingerprint::of("flips"));
            writes.push(("commit key again", again, |_, answer| {
                matches!(answer, Err(AppendError::AlreadyCommitted { .. }))
            }));
        }
        writes
    }
}

fn refused(answer: &Answer) -> Option<&Conflicts> {
    answer.as_ref().err()?.conflict()
}

/// The commit keys that a stream has, by asking with another fingerprint.
async fn keys(store: &Store, id: &StreamId) -> Vec<String> {
    let mut keys = Vec::new();
    for key in (0..100)
        .map(|n| format!("key-{n}"))
        .chain(["alone".to_owned()])
    {
        let sent = Commit::new()
            .append(id.clone(), ExpectedVersion::Exact(Version::new(9_999)), [])
            .key(&key, Fingerprint::of("other"));
        if let Err(AppendError::KeyReused { .. }) = store.commit(sent).await {
            keys.push(key);
        }
    }
    keys
}

fn read<T: PartialEq>(answer: Result<T, StoreError>, truth: &T) -> Verdict {
    match answer {
        Ok(answer) if answer == *truth => Verdict::Right,
        Ok(_) => Verdict::Silent,
        Err(error) => told(&error),
    }
}

/// Damage may be told in several ways. A handle that closed by itself is none of them.
pub(super) fn told(error: &StoreError) -> Verdict {
    match error.code() {
        "corrupt" | "not_a_store" | "newer_schema" | "io" | "no_access" => Verdict::Told,
        code => panic!("{code} says nothing of damage: {error}"),
    }
}
