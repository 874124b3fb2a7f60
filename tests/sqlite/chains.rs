//! Commits of which each was decided on what the ones before it leave: in one transaction,
//! and none after the first that is refused.

use annalist::store::{AppendRequest, Backend, CommitKey, CommitRequest, EventRequest, Wrapper};
use annalist::{EventId, ExpectedVersion, Fingerprint, Payload, Store, Version};

use crate::{Place, stream};

fn commit(expected: u64, events: usize, key: &str) -> CommitRequest {
    let event = |_| EventRequest {
        id: EventId::new(),
        event_type: "Happened".parse().expect("a type"),
        schema_version: 1,
        payload: Payload::from_text("{}").expect("JSON"),
        metadata: None,
    };
    CommitRequest {
        appends: vec![AppendRequest {
            stream: stream("hot-1"),
            expected: ExpectedVersion::Exact(Version::new(expected)),
            generation: None,
            events: (0..events).map(event).collect(),
        }],
        key: Some(CommitKey {
            key: key.to_owned(),
            fingerprint: Fingerprint::of(key),
        }),
        fences: Vec::new(),
    }
}

async fn told(store: &Store, chain: Vec<CommitRequest>) -> Vec<String> {
    let told = store.backend().commit_chain(chain).await;
    let told = told.into_iter().map(|told| match told {
        Ok(receipt) => format!("{}", receipt.version()),
        Err(error) => error.code().to_owned(),
    });
    told.collect()
}

async fn version(store: &Store) -> u64 {
    let info = store.stream_info(&stream("hot-1")).await;
    info.expect("its facts").version.get()
}

/// A backend that says nothing of chains.
struct Plain(std::sync::Arc<dyn Backend>);

impl Wrapper for Plain {
    fn inner(&self) -> &dyn Backend {
        self.0.as_ref()
    }
}

async fn holds(store: Store) {
    let chain = vec![commit(0, 1, "a"), commit(1, 2, "b"), commit(3, 0, "c")];
    assert_eq!(told(&store, chain).await, ["1", "3", "3"]);
    // Somebody else was there. The second one would fit what he has left by its number, and
    // was decided on something else.
    let chain = vec![commit(2, 1, "d"), commit(3, 1, "e")];
    assert_eq!(told(&store, chain).await, ["conflict"]);
    assert_eq!(version(&store).await, 3);
    // What came before the one that is refused is written.
    let chain = vec![commit(3, 1, "f"), commit(4, 1, "a"), commit(5, 1, "g")];
    assert_eq!(told(&store, chain).await, ["4", "already_committed"]);
    assert_eq!(version(&store).await, 4);
    let chain = vec![commit(4, 1, "g"), commit(5, 1, "c")];
    assert_eq!(told(&store, chain).await, ["5", "already_committed"]);
    let known = store.find_commit(&stream("hot-1"), "g").await;
    assert!(known.expect("found").is_some());
}

#[tokio::test]
async fn a_chain_ends_with_the_first_that_is_refused() {
    holds(Store::memory()).await;
    let place = Place::new();
    holds(place.open().await).await;
    let place = Place::new();
    let plain = Plain(place.open().await.backend());
    let limits = annalist::Limits::default();
    holds(Store::from_backend(std::sync::Arc::new(plain), limits)).await;
}

/// Two handles chain onto one stream: whatever is written was decided on what is before it.
#[tokio::test(flavor = "multi_thread")]
async fn no_chain_is_torn_by_another() {
    let place = Place::new();
    let stores = [place.open().await, place.open().await];
    let writing = stores.clone().map(|store| {
        tokio::spawn(async move {
            let mut written = Vec::new();
            while written.len() < 40 {
                let at = version(&store).await;
                let chain = (0..4).map(|n| commit(at + n, 1, &EventId::new().to_string()));
                let chain: Vec<_> = chain.collect();
                match told(&store, chain).await.as_slice() {
                    [refused] => assert_eq!(refused, "conflict"),
                    all => {
                        let due: Vec<_> = (1..=4).map(|n| (at + n).to_string()).collect();
                        assert_eq!(all, due, "all of it or nothing");
                        written.push(at);
                    }
                }
            }
            written
        })
    });
    let mut begun = Vec::new();
    for written in writing {
        begun.extend(written.await.expect("no panic"));
    }
    begun.sort_unstable();
    let apart: Vec<_> = (0..80).map(|n| n * 4).collect();
    assert_eq!(begun, apart);
    assert!(stores[0].verify().await.expect("a report").is_whole());
}
