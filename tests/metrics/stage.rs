//! A store on which a test says what happens before a commit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annalist::store::{Backend, CommitRequest, Wrapper};
use annalist::{
    AppendError, BusOptions, Codec, CommandBus, ExpectedVersion, Limits, Receipt, Store,
    StoreError, StoreErrorKind,
};
use futures_util::future::BoxFuture;

use crate::shelf::{Shelf, ShelfEvent};

/// What happens before a commit.
#[derive(Clone, Copy)]
pub(crate) enum Before {
    /// Somebody else puts a piece on the same shelf.
    Rival,
    /// The store says that it is busy.
    Busy,
    Nothing,
}

pub(crate) use Before::{Busy, Nothing, Rival};

struct Stage {
    inner: Arc<dyn Backend>,
    before: Mutex<VecDeque<Before>>,
}

/// A bus on a store in memory, with ten pieces on the shelf `cups`. It makes three attempts at
/// most, and does not wait in between.
pub(crate) async fn bus(before: &[Before]) -> CommandBus {
    let inner = Store::memory();
    let cups = "shelf-cups".parse().expect("an id");
    let stocked = Codec::<Shelf>::new().encode(&ShelfEvent::Stocked { pieces: 10 });
    let stocked = [stocked.expect("an event")];
    let appended = inner.append(&cups, ExpectedVersion::NoStream, stocked);
    appended.await.expect("a receipt");
    let stage = Stage {
        inner: inner.backend(),
        before: Mutex::new(before.iter().copied().collect()),
    };
    let mut options = BusOptions::default();
    options.retry.attempts_max = 3;
    options.retry.delay_base = Duration::ZERO;
    CommandBus::with(
        Store::from_backend(Arc::new(stage), Limits::default()),
        options,
    )
}

impl Wrapper for Stage {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        let before = self.before.lock().expect("no one panics").pop_front();
        Box::pin(async move {
            match before {
                Some(Busy) => {
                    let busy = StoreError::new(StoreErrorKind::Busy, "appending");
                    return Err(busy.into());
                }
                Some(Rival) => {
                    let store = Store::from_backend(Arc::clone(&self.inner), Limits::default());
                    let stocked = Codec::<Shelf>::new().encode(&ShelfEvent::Stocked { pieces: 1 });
                    let stocked = stocked.expect("an event");
                    for append in &request.appends {
                        let stocked = [stocked.clone()];
                        let appended = store.append(&append.stream, ExpectedVersion::Any, stocked);
                        appended.await.expect("a receipt");
                    }
                }
                Some(Nothing) | None => {}
            }
            self.inner.commit(request).await
        })
    }
}
