//! The parent's account of the file: reads what was added since it looked last, and
//! checks all that can be told from the file alone.

use std::collections::HashMap;

use annalist::{Position, Receipt, RecordedEvent, Store, StreamId, Version};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde_json::Value;

use crate::plan::{Name, Rules, event_id};

/// Where an event of a commit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    stream: StreamId,
    version: Version,
    position: Position,
}

/// What the file was found to hold.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    head: Position,
    recorded_at: DateTime<Utc>,
    versions: HashMap<StreamId, Version>,
    /// The commits found since [`forget`](Self::forget).
    commits: HashMap<Name, Vec<Place>>,
    names_checked: u64,
}

impl Ledger {
    /// Reads on to the end of the file. Positions and versions have no holes, times do
    /// not go back, and every commit is there once and whole.
    pub(crate) async fn read_on(&mut self, store: &Store, rules: &Rules) {
        let mut found: Vec<(Name, Vec<Place>)> = Vec::new();
        let mut events = store.read_all().after(self.head).events();
        while let Some(event) = events.next().await {
            let event = event.unwrap_or_else(|error| panic!("{error}"));
            self.count(&event);
            let name = name_of(&event);
            let place = Place {
                stream: event.stream.clone(),
                version: event.version,
                position: event.position,
            };
            // The events of a commit stand next to each other.
            match found.last_mut() {
                Some((last, places)) if *last == name => places.push(place),
                _ => found.push((name, vec![place])),
            }
            let (_, places) = found.last().expect("one was just added");
            let index = u32::try_from(places.len() - 1).expect("a few");
            assert_eq!(event.id, event_id(name, index), "commit {name}: an id");
        }
        for (name, places) in found {
            assert_whole(rules, name, &places);
            self.names_checked += 1;
            let twice = self.commits.insert(name, places);
            assert!(twice.is_none(), "commit {name} stands twice: {twice:?}");
        }
    }

    fn count(&mut self, event: &RecordedEvent) {
        let RecordedEvent {
            stream, version, ..
        } = event;
        assert_eq!(event.position, self.head.next(), "a hole");
        self.head = event.position;
        assert!(event.recorded_at >= self.recorded_at, "time went back");
        self.recorded_at = event.recorded_at;
        let last = self.versions.entry(stream.clone()).or_default();
        assert_eq!(*version, last.next(), "stream {stream}: a hole");
        *last = *version;
    }

    /// Forgets the commits found so far, but not how far it has read.
    pub(crate) fn forget(&mut self) {
        self.commits.clear();
    }

    pub(crate) fn holds(&self, name: Name) -> bool {
        self.commits.contains_key(&name)
    }

    /// The names of the commits found.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> {
        self.commits.keys().copied()
    }

    /// Whether the commit stands where its receipt says.
    pub(crate) fn assert_stands(&self, name: Name, receipt: &Receipt) {
        let Some(places) = self.commits.get(&name) else {
            panic!("commit {name} was acknowledged and is lost: {receipt:?}");
        };
        let mut standing = places.iter();
        for append in &receipt.appends {
            let first = append.first.expect("it had events");
            for version in first.get()..=append.last.get() {
                let place = standing.next().expect("as many events as it says");
                let at = (&place.stream, place.version);
                assert_eq!(at, (&append.stream, Version::new(version)), "commit {name}");
            }
        }
        assert_eq!(standing.next(), None, "commit {name}: more than it says");
        let last = places.last().map(|place| place.position);
        assert_eq!(receipt.position, last, "commit {name}");
    }

    /// Reads every stream by itself: it ends where the log says.
    pub(crate) async fn assert_streams(&self, store: &Store) {
        for (stream, version) in &self.versions {
            let read = store.read_stream(stream).collect().await;
            let read = read.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.version, *version, "stream {stream}");
            let versions = read.events.iter().map(|event| event.version.get());
            assert!(versions.eq(1..=version.get()), "stream {stream}: a hole");
        }
    }

    /// How many events and commits it has read.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.head.get(), self.names_checked)
    }
}

/// Whether these are all the events of a commit, in their order, side by side.
fn assert_whole(rules: &Rules, name: Name, places: &[Place]) {
    let planned = rules.plan(name).appends;
    let planned = planned
        .iter()
        .flat_map(|(stream, count)| (0..*count).map(move |_| stream));
    let standing = places.iter().map(|place| &place.stream);
    assert!(standing.eq(planned), "commit {name} is torn: {places:?}");
}

fn name_of(event: &RecordedEvent) -> Name {
    let payload: Value = serde_json::from_str(event.payload.as_str()).expect("JSON");
    let name = payload.get("commit").and_then(Value::as_str);
    name.expect("the commit's name").parse().expect("a name")
}
