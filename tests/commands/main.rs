//! What the command bus and the repository promise, on the store in memory and, where it
//! matters, on the one in a SQLite file.

#![expect(
    clippy::indexing_slicing,
    reason = "a test that indexes past the end has failed"
)]

mod adaptive;
mod bank;
mod cached;
mod dropped;
mod heard;
mod ids;
#[cfg(feature = "sqlite")]
mod letting_go;
mod loads;
mod panics;
mod policies;
mod queued;
mod removals;
mod retries;
#[cfg(feature = "sqlite")]
mod soak;
mod stage;
mod steps;
mod told;
mod traces;
mod versions;

use annalist::{
    Command, Conflict, DispatchError, ExpectedVersion, NewEvent, RecordedEvent, Store, StreamId,
    stream_id,
};

use crate::bank::{Account, AccountEvent};
use crate::stage::Staged;

/// The account that most tests are about.
const KEY: &str = "42";

fn account(key: &str) -> StreamId {
    stream_id::<Account>(key).expect("a stream id")
}

/// Runs a test on each store.
async fn on_both(test: impl AsyncFn(Staged)) {
    test(Staged::over(Store::memory())).await;
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("bank.db")).await;
        let staged = Staged::over(store.expect("a store"));
        let inner = staged.inner.clone();
        test(staged).await;
        inner.close().await.expect("a clean close");
    }
}

/// Writes events as somebody who knows nothing of commands.
async fn write(store: &Store, events: &[AccountEvent]) {
    let codec = annalist::Codec::<Account>::new();
    let events: Vec<NewEvent> = events
        .iter()
        .map(|event| codec.encode(event).expect("an event"))
        .collect();
    let written = store
        .append(&account(KEY), ExpectedVersion::Any, events)
        .await;
    written.expect("an append");
}

async fn log(store: &Store) -> Vec<RecordedEvent> {
    let read = store.read_stream(&account(KEY)).collect().await;
    read.expect("a read").events
}

/// The types of what is stored.
async fn types(store: &Store) -> Vec<String> {
    let log = log(store).await;
    log.iter()
        .map(|event| event.event_type.as_str().to_owned())
        .collect()
}

fn conflict<C: Command>(
    answer: Result<annalist::Outcome<C::Aggregate>, DispatchError<C>>,
) -> Conflict<C::Aggregate> {
    match answer {
        Err(DispatchError::Conflict(conflict)) => *conflict,
        Err(other) => panic!("{other:?}"),
        Ok(outcome) => panic!("decided by {:?}", outcome.decided_by),
    }
}
