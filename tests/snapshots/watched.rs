//! A store that tells what was kept and read, and holds it up.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annalist::store::{Backend, FoldPage, FoldQuery, Snapshot, StreamFold, Wrapper};
use annalist::{EventRef, Limits, Store, StoreError, StreamId};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, Semaphore};

/// More than ever pass at once.
const PASSES: u32 = 1_000;

/// What becomes of a state that is to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Fate {
    #[default]
    Kept,
    Lost,
    /// Kept as JSON that is no state.
    Mangled,
}

/// A store behind a watch.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) store: Store,
    watch: Arc<Watch>,
}

struct Watch {
    inner: Arc<dyn Backend>,
    /// Events that were folded.
    events: AtomicUsize,
    fate: Mutex<Fate>,
    asked: Mutex<Vec<(StreamId, Snapshot)>>,
    /// How many were dealt with, and rung when one more was.
    done: AtomicUsize,
    rung: Notify,
    gate: Semaphore,
}

impl Watched {
    pub(crate) fn over(inner: &Store) -> Self {
        let watch = Arc::new(Watch {
            inner: inner.backend(),
            events: AtomicUsize::default(),
            fate: Mutex::default(),
            asked: Mutex::default(),
            done: AtomicUsize::default(),
            rung: Notify::new(),
            gate: Semaphore::new(PASSES as usize),
        });
        let backend: Arc<dyn Backend> = watch.clone();
        Self {
            store: Store::from_backend(backend, Limits::default()),
            watch,
        }
    }

    /// Events that were folded since it was asked last.
    pub(crate) fn events(&self) -> usize {
        self.watch.events.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn set_fate(&self, fate: Fate) {
        *self.watch.fate.lock().expect("no panic") = fate;
    }

    /// Holds up whatever is to be kept.
    pub(crate) fn hold(&self) {
        let all = self.watch.gate.try_acquire_many(PASSES);
        all.expect("nobody else holds it").forget();
    }

    pub(crate) fn let_go(&self) {
        self.watch.gate.add_permits(PASSES as usize);
    }

    /// What was to be kept so far.
    pub(crate) fn asked(&self) -> Vec<(StreamId, Snapshot)> {
        self.watch.asked.lock().expect("no panic").clone()
    }

    /// How many were dealt with.
    pub(crate) fn count(&self) -> usize {
        self.watch.done.load(Ordering::SeqCst)
    }

    /// Waits until so many were dealt with.
    pub(crate) async fn done(&self, count: usize) {
        self.until(|watch| watch.done.load(Ordering::SeqCst) >= count)
            .await;
    }

    /// Waits until so many were to be kept.
    pub(crate) async fn asked_for(&self, count: usize) {
        self.until(|watch| watch.asked.lock().expect("no panic").len() >= count)
            .await;
    }

    async fn until(&self, is_so: impl Fn(&Watch) -> bool) {
        let all = async {
            loop {
                let rung = self.watch.rung.notified();
                if is_so(&self.watch) {
                    return;
                }
                rung.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), all).await;
        waited.expect("states are kept within 30 s");
    }
}

/// Counts what passes by.
struct Counted {
    inner: Box<dyn StreamFold>,
    events: usize,
}

impl StreamFold for Counted {
    fn begin(&mut self, snapshot: &Snapshot) -> bool {
        self.inner.begin(snapshot)
    }

    fn event(&mut self, event: EventRef<'_>) -> ControlFlow<()> {
        self.events += 1;
        self.inner.event(event)
    }
}

impl Wrapper for Watch {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn fold_stream(
        &self,
        query: FoldQuery,
        fold: Box<dyn StreamFold>,
    ) -> BoxFuture<'_, Result<FoldPage, StoreError>> {
        let counted = Counted {
            inner: fold,
            events: 0,
        };
        Box::pin(async {
            let page = self.inner.fold_stream(query, Box::new(counted)).await?;
            let fold: Box<dyn Any> = page.fold;
            let counted: Box<Counted> = fold.downcast().expect("what was handed over");
            self.events.fetch_add(counted.events, Ordering::SeqCst);
            Ok(FoldPage {
                fold: counted.inner,
                ..page
            })
        })
    }

    fn keep_snapshot(
        &self,
        stream: StreamId,
        mut snapshot: Snapshot,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        let asked = (stream.clone(), snapshot.clone());
        self.asked.lock().expect("no panic").push(asked);
        self.rung.notify_waiters();
        let fate = *self.fate.lock().expect("no panic");
        Box::pin(async move {
            let _pass = self.gate.acquire().await.expect("never closed");
            if fate == Fate::Mangled {
                snapshot.state = "{\"hash\":\"none\"}".into();
            }
            let kept = match fate {
                Fate::Lost => Ok(false),
                _ => self.inner.keep_snapshot(stream, snapshot).await,
            };
            self.done.fetch_add(1, Ordering::SeqCst);
            self.rung.notify_waiters();
            kept
        })
    }
}
