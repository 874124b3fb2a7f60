//! The store file whose bits are flipped: a little of everything that a file can hold.

use std::collections::BTreeMap;
use std::fs;

use annalist::{
    Commit, EventId, ExpectedVersion, Fingerprint, Metadata, NewEvent, Store, StreamId, Version,
};
use serde_json::json;

use super::answers::Answers;
use crate::{Place, stream};

/// A closed store file, and what it answers.
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    pub(super) truth: Answers,
    page_bytes: usize,
    /// The name of the b-tree that each page belongs to.
    trees: Vec<String>,
}

/// How much a sample holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// SQLite's own choice of 4,096 makes trees of few pages; small ones make deep trees
    /// of a few hundred events.
    pub(super) page_bytes: usize,
    pub(super) short_streams: usize,
    pub(super) long_streams: usize,
}

impl Sample {
    pub(super) async fn new(size: Size) -> Self {
        let place = Place::new();
        let store = place.open().await;
        write(&store, size).await;
        let truth = Answers::of(&store).await;
        store.close().await.expect("a clean close");

        let conn = place.connect();
        let repack = format!(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = {}; VACUUM;",
            size.page_bytes
        );
        conn.execute_batch(&repack).expect("other pages");
        let mut trees = BTreeMap::new();
        let mut pages = conn
            .prepare("SELECT pageno, name FROM dbstat")
            .expect("SQLite's own statistics");
        let mut pages = pages.query([]).expect("pages");
        while let Some(page) = pages.next().expect("a page") {
            let number: i64 = page.get(0).expect("a number");
            trees.insert(number as usize, page.get::<_, String>(1).expect("a name"));
        }
        drop(pages);
        let bytes = fs::read(place.path()).expect("the file");
        let pages = bytes.len() / size.page_bytes;
        let trees = (1..=pages)
            .map(|page| trees.remove(&page).unwrap_or_else(|| "free".to_owned()))
            .collect();
        Self {
            bytes,
            truth,
            page_bytes: size.page_bytes,
            trees,
        }
    }

    /// The b-tree that a byte of the file belongs to.
    pub(super) fn tree(&self, byte: usize) -> &str {
        &self.trees[byte / self.page_bytes]
    }

    /// The bytes of the pages of all indexes.
    pub(super) fn index_bytes(&self) -> Vec<usize> {
        let is_index = |tree: &str| {
            tree.contains("_by_") || tree.contains("autoindex") || tree == "annalist_keys"
        };
        (0..self.bytes.len())
            .filter(|byte| is_index(self.tree(*byte)))
            .collect()
    }
}

async fn write(store: &Store, size: Size) {
    let mut number = 0;
    let mut next = || {
        number += 1;
        // Ids of every kind: in the order of time, and in none.
        let event = NewEvent::json(&format!("Type{}", number % 5), &json!({ "n": number }));
        let event = event.expect("an event");
        match number % 3 {
            0 => event.with_id(EventId::derived("flips", &number.to_string())),
            1 => event.with_metadata(Metadata::by("ann")),
            _ => event,
        }
    };
    let short: Vec<_> = (0..size.short_streams)
        .map(|n| stream(&format!("short-{}-of-some-length", n * 37 % 100)))
        .collect();
    let long: Vec<_> = (0..size.long_streams)
        .map(|n| stream(&format!("long-{n}")))
        .collect();
    for round in 0..36 {
        for stream in &long {
            append(store, stream, [next()]).await;
        }
        for (n, stream) in short.iter().enumerate() {
            if round <= n % 5 {
                append(store, stream, [next()]).await;
            }
        }
    }
    for (n, stream) in short.iter().enumerate().step_by(3) {
        let keyed = Commit::new()
            .append(stream.clone(), ExpectedVersion::Any, [next(), next()])
            .key(format!("key-{n}"), Fingerprint::of("flips"));
        store.commit(keyed).await.expect("a commit");
    }
    // A key that comes with no event.
    let check = Commit::new()
        .append(stream("checked-1"), ExpectedVersion::Any, [])
        .key("alone", Fingerprint::of("flips"));
    store.commit(check).await.expect("a commit");
    // Two streams that hold what was removed, before and after compaction.
    let any = ExpectedVersion::Any;
    for (n, name) in ["gone-1", "back-1", "cut-1", "gone-2", "cut-2"]
        .into_iter()
        .enumerate()
    {
        let stream = stream(name);
        append(store, &stream, [next(), next(), next()]).await;
        match name {
            "cut-1" | "cut-2" => store.truncate_before(&stream, Version::new(3)).await,
            _ => store.delete(&stream, any).await,
        }
        .expect("a removal");
        if name == "back-1" {
            append(store, &stream, [next(), next()]).await;
        }
        if n == 2 {
            store.compact().await.expect("a compaction");
        }
    }
    let closed = stream("closed-1");
    append(store, &closed, [next(), next()]).await;
    for name in ["closed-1", "closed-2"] {
        let closed = store.close_stream(&stream(name), any).await;
        closed.expect("a removal");
    }
    append(store, &stream("last-1"), [next(), next(), next()]).await;
}

async fn append<const N: usize>(store: &Store, stream: &StreamId, events: [NewEvent; N]) {
    let appended = store.append(stream, ExpectedVersion::Any, events).await;
    appended.expect("an append");
}
