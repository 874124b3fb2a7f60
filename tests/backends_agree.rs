//! Random commits and reads are answered alike in memory and in SQLite, and leave
//! the same contents, with the file closed and opened again in between.
//!
//! A few hundred sequences in `cargo test`. The long run:
//!
//! ```text
//! PROPTEST_CASES=20000 cargo test --release --features testkit --test backends_agree
//! ```
//!
//! A failure is shrunk, printed with its seed, and kept for the next run.

#![cfg(feature = "sqlite")]
#![expect(clippy::indexing_slicing, reason = "a test that is wrong may panic")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use annalist::store::sqlite::{Durability, SqliteOptions};
use annalist::store::{
    FeedPage, FeedQuery, Filter, ListStreams, MemoryOptions, ReadAll, ReadStream, Removal,
    RemovalRequest,
};
use annalist::testkit::clock::ManualClock;
use annalist::{
    Commit, EventId, EventType, ExpectedVersion, Fingerprint, Metadata, NewEvent, PageBounds,
    Payload, Position, Store, StreamId, Version,
};
use chrono::TimeDelta;
use futures_util::TryStreamExt;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const STREAMS: [&str; 5] = ["a-1", "a-10", "a-2", "ab-1", "b-%"];
const CATEGORIES: [&str; 3] = ["a", "ab", "none"];
const TYPES: [&str; 3] = ["Noted", "Struck", "Signed"];

/// One thing to do to both stores. Names are indices, so that shrinking is quick
/// and collisions are frequent.
#[derive(Clone, Debug)]
enum Step {
    Commit(Sent),
    Remove(usize, Removal),
    Compact,
    ReadStream(Walk, usize),
    ReadAll(Walk, Vec<u8>, Vec<String>),
    Feed(Walk, Vec<u8>, Vec<String>),
    List(String, Option<usize>, u64),
    Look(usize, u8),
    MoveClock(i64),
    Reopen,
}

#[derive(Clone, Debug)]
struct Sent {
    appends: Vec<(usize, ExpectedVersion, Vec<Event>)>,
    key: Option<(u8, u8)>,
    unseen: u32,
}

#[derive(Clone, Debug)]
struct Event {
    id: u8,
    event_type: usize,
    payload: u8,
    actor: Option<u8>,
}

/// The options that all reads share.
#[derive(Clone, Debug)]
struct Walk {
    from: u64,
    to: u64,
    backwards: bool,
    limit: Option<u64>,
    types: Vec<usize>,
    bounds: PageBounds,
}

fn stream(index: usize) -> StreamId {
    STREAMS[index % STREAMS.len()].parse().expect("a stream id")
}

fn event_type(index: usize) -> EventType {
    TYPES[index % TYPES.len()].parse().expect("a type")
}

fn id(letter: u8) -> EventId {
    EventId::derived("backends-agree", &letter.to_string())
}

fn expected() -> impl Strategy<Value = ExpectedVersion> {
    prop_oneof![
        2 => Just(ExpectedVersion::Any),
        1 => Just(ExpectedVersion::NoStream),
        1 => Just(ExpectedVersion::StreamExists),
        4 => (0..8u64).prop_map(|version| Version::new(version).into()),
        1 => prop::sample::select(vec![i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX])
            .prop_map(|version| Version::new(version).into()),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    // Few ids, so that repeats and duplicates of every kind happen often.
    (0..24u8, 0..20usize, 0..20u8, prop::option::of(0..3u8)).prop_map(
        |(id, event_type, payload, actor)| Event {
            id,
            // Mostly a property of the id, so that a repeat is often a true one.
            event_type: if event_type == 0 { 1 } else { id as usize },
            payload: if payload == 0 { 1 } else { id },
            actor,
        },
    )
}

fn append() -> impl Strategy<Value = (usize, ExpectedVersion, Vec<Event>)> {
    // Neighbouring ids in a row, so that whole runs are sent again.
    let run = (0..24u8, 0..4u8).prop_map(|(first, count)| {
        let events = (first..first.saturating_add(count)).map(|id| Event {
            id,
            event_type: id as usize,
            payload: id,
            actor: None,
        });
        events.collect()
    });
    let events = prop_oneof![2 => run, 1 => vec(event(), 0..4)];
    (0..STREAMS.len(), expected(), events)
}

fn sent() -> impl Strategy<Value = Sent> {
    let appends = prop_oneof![3 => vec(append(), 1..2), 1 => vec(append(), 0..4)];
    let key = prop::option::weighted(0.2, (0..4u8, 0..2u8));
    (appends, key, 0..4u32).prop_map(|(appends, key, unseen)| Sent {
        appends,
        key,
        unseen,
    })
}

fn walk() -> impl Strategy<Value = Walk> {
    let edge = || prop_oneof![6 => 0..12u64, 1 => Just(u64::MAX), 1 => Just(i64::MAX as u64)];
    let bounds = (1..6u32, 1..40usize, 1..6u32);
    (
        edge(),
        edge(),
        any::<bool>(),
        prop::option::of(0..6u64),
        vec(0..4usize, 0..3),
        bounds,
    )
        .prop_map(
            |(from, to, backwards, limit, types, (events_max, bytes_max, scan_max))| Walk {
                from,
                to: if to < 2 { u64::MAX } else { to },
                backwards,
                limit,
                types,
                bounds: PageBounds {
                    events_max,
                    bytes_max,
                    scan_max,
                },
            },
        )
}

fn prefix() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        "a",
        "a-",
        "a-1",
        "ab-",
        "b-%",
        "b-_",
        "\u{10ffff}",
        "z",
    ])
    .prop_map(str::to_owned)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => sent().prop_map(Step::Commit),
        2 => (walk(), 0..STREAMS.len()).prop_map(|(walk, stream)| Step::ReadStream(walk, stream)),
        2 => (walk(), vec(0..3u8, 0..2), vec(prefix(), 0..3))
            .prop_map(|(walk, categories, prefixes)| Step::ReadAll(walk, categories, prefixes)),
        2 => (walk(), vec(0..3u8, 0..2), vec(prefix(), 0..3))
            .prop_map(|(walk, categories, prefixes)| Step::Feed(walk, categories, prefixes)),
        1 => (prefix(), prop::option::of(0..STREAMS.len()), 0..4u64)
            .prop_map(|(prefix, after, limit)| Step::List(prefix, after, limit)),
        1 => (0..STREAMS.len(), 0..24u8).prop_map(|(stream, id)| Step::Look(stream, id)),
        2 => (0..STREAMS.len(), removal()).prop_map(|(stream, what)| Step::Remove(stream, what)),
        1 => Just(Step::Compact),
        1 => (-5..10i64).prop_map(Step::MoveClock),
        1 => Just(Step::Reopen),
    ]
}

fn removal() -> impl Strategy<Value = Removal> {
    prop_oneof![
        4 => expected().prop_map(Removal::Delete),
        4 => (0..8u64).prop_map(|version| Removal::TruncateBefore(Version::new(version))),
        1 => expected().prop_map(Removal::Close),
    ]
}

fn commit(sent: &Sent) -> Commit {
    let mut commit = Commit::new().with_unseen(sent.unseen);
    for (index, expected, events) in &sent.appends {
        let events = events.iter().map(|event| {
            let payload = format!("{{\"n\":{}}}", event.payload);
            let payload = Payload::from_text(payload).expect("JSON");
            let actor = event.actor.map(|actor| Metadata::by(actor.to_string()));
            NewEvent::new(event_type(event.event_type), payload)
                .with_id(id(event.id))
                .with_metadata(actor.unwrap_or_default())
        });
        commit = commit.append(stream(*index), *expected, events);
    }
    match sent.key {
        Some((key, fingerprint)) => {
            commit.key(format!("key-{key}"), Fingerprint::of([fingerprint]))
        }
        None => commit,
    }
}

fn read_stream(store: &Store, walk: &Walk, index: usize) -> ReadStream {
    let mut read = store
        .read_stream(&stream(index))
        .from(Version::new(walk.from))
        .to(Version::new(walk.to))
        .page_bounds(walk.bounds);
    if walk.backwards {
        read = read.backwards();
    }
    if let Some(limit) = walk.limit {
        read = read.limit(limit);
    }
    walk.types
        .iter()
        .fold(read, |read, index| read.event_type(event_type(*index)))
}

async fn feed(store: &Store, walk: &Walk, categories: &[u8], prefixes: &[String]) -> Vec<FeedPage> {
    let categories = categories
        .iter()
        .map(|category| CATEGORIES[usize::from(*category)]);
    let mut query = FeedQuery {
        after: Position::new(walk.from),
        filter: Filter {
            categories: categories.map(str::to_owned).collect(),
            stream_prefixes: prefixes.into(),
            types: walk.types.iter().map(|index| event_type(*index)).collect(),
        },
        bounds: walk.bounds,
    };
    let mut pages = Vec::new();
    loop {
        let page = store.backend().read_feed(query.clone()).await;
        let page = page.expect("a page");
        let scanned = page.scanned;
        pages.push(page);
        match scanned {
            Some(scanned) => query.after = scanned.position,
            None => return pages,
        }
    }
}

fn read_all(store: &Store, walk: &Walk, categories: &[u8], prefixes: &[String]) -> ReadAll {
    let mut read = store
        .read_all()
        .from(Position::new(walk.from))
        .to(Position::new(walk.to))
        .page_bounds(walk.bounds);
    if walk.backwards {
        read = read.backwards();
    }
    if let Some(limit) = walk.limit {
        read = read.limit(limit);
    }
    for category in categories {
        read = read.category(CATEGORIES[usize::from(*category)]);
    }
    for prefix in prefixes {
        read = read.stream_prefix(prefix);
    }
    walk.types
        .iter()
        .fold(read, |read, index| read.event_type(event_type(*index)))
}

fn list(store: &Store, prefix: &str, after: Option<usize>, limit: u64) -> ListStreams {
    let list = store.list_streams().prefix(prefix).limit(limit);
    match after {
        Some(after) => list.after(stream(after)),
        None => list,
    }
}

struct Pair {
    memory: Store,
    sqlite: Store,
    clock: Arc<ManualClock>,
}

impl Pair {
    async fn open(path: &Path) -> Self {
        let clock = Arc::new(ManualClock::default());
        let mut options = MemoryOptions::default();
        options.clock = clock.clone();
        Self {
            memory: Store::memory_with(options),
            sqlite: open(path, &clock).await,
            clock,
        }
    }

    /// Does one step to both and compares the answers.
    async fn step(&mut self, step: &Step, path: &Path) -> Result<(), TestCaseError> {
        let Self {
            memory,
            sqlite,
            clock,
        } = self;
        match step {
            Step::Commit(sent) => {
                let memory = memory.commit(commit(sent)).await;
                let sqlite = sqlite.commit(commit(sent)).await;
                prop_assert_eq!(format!("{memory:?}"), format!("{sqlite:?}"));
            }
            Step::Remove(index, removal) => {
                let request = RemovalRequest {
                    stream: stream(*index),
                    removal: *removal,
                };
                let in_memory = memory.backend().remove(request.clone()).await;
                let in_sqlite = sqlite.backend().remove(request).await;
                prop_assert_eq!(format!("{in_memory:?}"), format!("{in_sqlite:?}"));
            }
            Step::Compact => {
                let in_memory = memory.compact().await.expect("memory");
                prop_assert_eq!(in_memory, sqlite.compact().await.expect("SQLite"));
            }
            Step::ReadStream(walk, index) => {
                let pages = read_stream(memory, walk, *index).pages();
                let memory: Vec<_> = pages.try_collect().await.expect("memory");
                let pages = read_stream(sqlite, walk, *index).pages();
                let sqlite: Vec<_> = pages.try_collect().await.expect("SQLite");
                prop_assert_eq!(memory, sqlite);
            }
            Step::ReadAll(walk, categories, prefixes) => {
                let pages = read_all(memory, walk, categories, prefixes).pages();
                let memory: Vec<_> = pages.try_collect().await.expect("memory");
                let pages = read_all(sqlite, walk, categories, prefixes).pages();
                let sqlite: Vec<_> = pages.try_collect().await.expect("SQLite");
                prop_assert_eq!(memory, sqlite);
            }
            Step::Feed(walk, categories, prefixes) => {
                let in_memory = feed(memory, walk, categories, prefixes).await;
                prop_assert_eq!(in_memory, feed(sqlite, walk, categories, prefixes).await);
            }
            Step::List(prefix, after, limit) => {
                let memory = list(memory, prefix, *after, *limit)
                    .collect()
                    .await
                    .expect("memory");
                let sqlite = list(sqlite, prefix, *after, *limit)
                    .collect()
                    .await
                    .expect("SQLite");
                prop_assert_eq!(memory, sqlite);
            }
            Step::Look(index, letter) => {
                let (stream, id) = (stream(*index), id(*letter));
                let (of_memory, of_sqlite) =
                    (memory.stream_info(&stream), sqlite.stream_info(&stream));
                prop_assert_eq!(
                    of_memory.await.expect("memory"),
                    of_sqlite.await.expect("SQLite")
                );
                let in_memory = memory.find_event(&stream, id).await.expect("memory");
                let in_sqlite = sqlite.find_event(&stream, id).await.expect("SQLite");
                prop_assert_eq!(in_memory, in_sqlite);
            }
            Step::MoveClock(seconds) => clock.advance(TimeDelta::seconds(*seconds)),
            Step::Reopen => {
                sqlite.close().await.expect("a clean close");
                *sqlite = open(path, clock).await;
            }
        }
        Ok(())
    }

    async fn hold_the_same(&self) -> Result<(), TestCaseError> {
        let memory = self.memory.read_all().collect().await.expect("memory");
        let sqlite = self.sqlite.read_all().collect().await.expect("SQLite");
        prop_assert_eq!(memory, sqlite);
        let memory = self.memory.list_streams().collect().await.expect("memory");
        let sqlite = self.sqlite.list_streams().collect().await.expect("SQLite");
        prop_assert_eq!(memory, sqlite);
        Ok(())
    }
}

async fn open(path: &Path, clock: &Arc<ManualClock>) -> Store {
    let mut options = SqliteOptions::default();
    options.clock = clock.clone();
    // Processes end here, machines do not.
    options.durability = Durability::Off;
    options.readers = 1;
    // So small that versions are forgotten and read again all the time.
    options.streams_cached_max = 2;
    Store::open_with(path, options).await.expect("a store")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn memory_and_sqlite_answer_alike(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("pair.db");
            let mut pair = Pair::open(&path).await;
            for step in &steps {
                pair.step(step, &path).await?;
            }
            pair.step(&Step::Reopen, &path).await?;
            pair.hold_the_same().await?;
            pair.sqlite.close().await.expect("a clean close");
            Ok::<(), TestCaseError>(())
        })?;
    }
}

/// A generator that only ever draws conflicts would agree on little.
#[test]
fn the_sequences_reach_every_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..200 {
        let steps = vec(step(), 1..60)
            .new_tree(&mut runner)
            .expect("steps")
            .current();
        let store = Store::memory();
        for step in steps {
            let answer = match step {
                Step::Commit(sent) => runtime.block_on(store.commit(commit(&sent))),
                Step::Remove(index, removal) => {
                    let stream = stream(index);
                    let request = RemovalRequest { stream, removal };
                    let removed = runtime.block_on(store.backend().remove(request));
                    reached.insert(match removed {
                        Ok(removed) if removed.changed => "removed",
                        Ok(_) => "removed before",
                        Err(error) => error.code(),
                    });
                    continue;
                }
                _ => continue,
            };
            reached.insert(match answer {
                Ok(receipt) if receipt.replayed => "replayed",
                Ok(receipt) if receipt.position.is_none() => "checked",
                Ok(_) => "appended",
                Err(error) => error.code(),
            });
        }
    }
    let all = [
        "already_committed",
        "appended",
        "checked",
        "conflict",
        "duplicate_event",
        "invalid_commit",
        "key_reused",
        "removed",
        "removed before",
        "replayed",
        "stream_closed",
    ];
    assert_eq!(reached, BTreeSet::from(all));
}

fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(200)
}
