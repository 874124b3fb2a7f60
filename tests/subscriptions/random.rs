//! Whatever is appended, removed, compacted and closed while a subscriber reads on in
//! pages of any size: what it was given is what the feed holds in the end, and what was
//! removed since was followed by its marker.

use annalist::store::sqlite::{Durability, SqliteOptions};
use annalist::store::{FeedItem, Removal, RemovalRequest};
use annalist::subscription::FeedPages;
use annalist::{Checkpoint, ExpectedVersion, NewEvent, PageBounds, Store, StreamId, Version};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{Place, feed, next};

const STREAMS: [&str; 4] = ["a-1", "a-2", "b-1", "b-%"];

#[derive(Clone, Debug)]
enum Step {
    Append(usize, u64),
    Remove(usize, Removal),
    Compact,
    /// Takes the next page, if there is one.
    Page,
    /// Begins again at the checkpoint, with pages of this size.
    Resume(u32, u32),
    Reopen,
}

fn removal() -> impl Strategy<Value = Removal> {
    prop_oneof![
        3 => Just(Removal::Delete(ExpectedVersion::Any)),
        4 => (1..12u64).prop_map(|before| Removal::TruncateBefore(Version::new(before))),
        1 => Just(Removal::Close(ExpectedVersion::Any)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..STREAMS.len();
    prop_oneof![
        8 => (stream.clone(), 1..5u64).prop_map(|(stream, events)| Step::Append(stream, events)),
        4 => (stream, removal()).prop_map(|(stream, removal)| Step::Remove(stream, removal)),
        1 => Just(Step::Compact),
        8 => Just(Step::Page),
        2 => (1..6u32, 1..8u32).prop_map(|(items, scan)| Step::Resume(items, scan)),
        1 => Just(Step::Reopen),
    ]
}

fn stream(index: usize) -> StreamId {
    let name = STREAMS.iter().cycle().nth(index).expect("a name");
    name.parse().expect("a stream id")
}

/// A store, and one that reads it.
struct Story {
    /// Where the store is, if it is in a file.
    place: Option<Place>,
    store: Store,
    bounds: PageBounds,
    pages: FeedPages,
    checkpoint: Checkpoint,
    seen: Vec<FeedItem>,
}

impl Story {
    async fn begin(place: Option<Place>) -> Self {
        let store = match &place {
            Some(place) => open(place).await,
            None => Store::memory(),
        };
        let checkpoint = Checkpoint::start(store.id());
        let bounds = PageBounds {
            events_max: 2,
            ..PageBounds::default()
        };
        Self {
            place,
            pages: store.subscribe(checkpoint).page_bounds(bounds).pages(),
            store,
            bounds,
            checkpoint,
            seen: Vec::new(),
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Append(index, events) => {
                let events = (0..*events).map(|n| NewEvent::json("Noted", &n).expect("an event"));
                // A closed stream refuses, and so be it.
                let stream = stream(*index);
                let appended = self.store.append(&stream, ExpectedVersion::Any, events);
                let _ = appended.await;
            }
            Step::Remove(index, removal) => {
                let request = RemovalRequest {
                    stream: stream(*index),
                    removal: *removal,
                };
                let _ = self.store.backend().remove(request).await;
            }
            Step::Compact => {
                self.store.compact().await.expect("a compaction");
            }
            Step::Page => {
                self.page().await;
            }
            Step::Resume(items_max, scan_max) => {
                self.bounds.events_max = *items_max;
                self.bounds.scan_max = *scan_max;
                self.resume();
            }
            Step::Reopen => {
                if let Some(place) = &self.place {
                    self.store.close().await.expect("a clean close");
                    self.store = open(place).await;
                    self.resume();
                }
            }
        }
    }

    fn resume(&mut self) {
        let resumed = self.store.subscribe(self.checkpoint);
        self.pages = resumed.page_bounds(self.bounds).pages();
    }

    /// Whether there was one.
    async fn page(&mut self) -> bool {
        if self.checkpoint.position >= self.store.head().await.expect("the head") {
            return false;
        }
        let page = next(&mut self.pages).await;
        assert!(page.checkpoint.position > self.checkpoint.position);
        self.checkpoint = page.checkpoint;
        self.seen.extend(page.items);
        true
    }
}

/// Whether what was seen is what there is, but for events whose removal was seen later.
pub(crate) fn adds_up(seen: &[FeedItem], feed: &[FeedItem]) -> Result<(), String> {
    if !seen
        .iter()
        .map(FeedItem::position)
        .is_sorted_by(|a, b| a < b)
    {
        return Err(format!("out of order: {seen:?}"));
    }
    let mut left = feed.iter().peekable();
    for (index, item) in seen.iter().enumerate() {
        if left.next_if_eq(&item).is_some() {
            continue;
        }
        let FeedItem::Event(event) = item else {
            return Err(format!("{item:?} is gone"));
        };
        let told = seen.iter().skip(index).any(|later| {
            matches!(later, FeedItem::Removed(marker)
                if marker.stream == event.stream && marker.removed_to >= event.version)
        });
        if !told {
            return Err(format!("{event:?} went in silence"));
        }
    }
    match left.next() {
        None => Ok(()),
        Some(item) => Err(format!("{item:?} was never seen")),
    }
}

async fn open(place: &Place) -> Store {
    let mut options = SqliteOptions::default();
    // Processes end here, machines do not.
    options.durability = Durability::Off;
    options.readers = 1;
    let store = Store::open_with(place.path(), options).await;
    store.expect("a store")
}

fn run(place: Option<Place>, steps: &[Step]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut story = Story::begin(place).await;
        for step in steps {
            story.step(step).await;
        }
        while story.page().await {}
        let whole = feed(&story.store).await;
        adds_up(&story.seen, &whole).map_err(TestCaseError::fail)?;
        story.store.close().await.expect("a clean close");
        Ok(())
    })
}

fn cases(fewer: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let asked = asked.and_then(|cases| cases.parse().ok()).unwrap_or(400);
    ProptestConfig {
        cases: asked / fewer,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn what_is_seen_in_memory_adds_up(steps in vec(step(), 1..60)) {
        run(None, &steps)?;
    }
}

proptest! {
    #![proptest_config(cases(5))]

    #[test]
    fn what_is_seen_of_a_file_adds_up(steps in vec(step(), 1..60)) {
        run(Some(Place::new()), &steps)?;
    }
}
