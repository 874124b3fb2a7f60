//! A store on which a test says what happens between two calls, and what is answered.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use annalist::store::{Backend, CommitFound, CommitRequest, StreamPage, StreamQuery, Wrapper};
use annalist::{
    AppendError, BusOptions, CommandBus, EventId, Limits, Receipt, RecordedEvent, Store,
    StoreError, StoreErrorKind, StreamId,
};
use futures_util::future::BoxFuture;

type Act = Box<dyn FnOnce(Store) -> BoxFuture<'static, ()> + Send>;

/// What a commit is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    /// What became of it.
    Truth,
    /// That nobody knows, and it did not land.
    UnknownLost,
    /// That nobody knows, and it landed.
    UnknownLanded,
    /// That the store is busy.
    Busy,
    /// That the handle is fenced.
    Fenced,
}

/// A store behind a stage. `inner` is where the others write, unseen by the stage.
#[derive(Clone)]
pub(crate) struct Staged {
    pub(crate) store: Store,
    pub(crate) inner: Store,
    stage: Arc<Stage>,
}

struct Stage {
    inner: Arc<dyn Backend>,
    before_commits: Mutex<VecDeque<Act>>,
    before_reads: Mutex<VecDeque<Act>>,
    answers: Mutex<VecDeque<Told>>,
    busy_reads: Mutex<u32>,
    finds_fail: AtomicBool,
    sent: Mutex<Vec<CommitRequest>>,
    /// Whether each call gives way to others before and after it takes effect.
    gives_way: bool,
    /// What the next chains are answered as a whole, and whether they land.
    chains: Mutex<VecDeque<Told>>,
}

impl Staged {
    pub(crate) fn over(inner: Store) -> Self {
        Self::with(inner, false)
    }

    pub(crate) fn that_gives_way(inner: Store) -> Self {
        Self::with(inner, true)
    }

    fn with(inner: Store, gives_way: bool) -> Self {
        let stage = Arc::new(Stage {
            inner: inner.backend(),
            before_commits: Mutex::default(),
            before_reads: Mutex::default(),
            answers: Mutex::default(),
            busy_reads: Mutex::default(),
            finds_fail: AtomicBool::default(),
            sent: Mutex::default(),
            gives_way,
            chains: Mutex::default(),
        });
        let backend: Arc<dyn Backend> = stage.clone();
        Self {
            store: Store::from_backend(backend, Limits::default()),
            inner,
            stage,
        }
    }

    pub(crate) fn bus(&self) -> CommandBus {
        let mut options = BusOptions::default();
        // Each step is to be met: a state that was kept spares some.
        options.aggregates_cached_max = 0;
        CommandBus::with(self.store.clone(), options)
    }

    /// What happens just before the next commit that nothing was said of yet.
    pub(crate) fn meanwhile<F: Future<Output = ()> + Send + 'static>(
        &self,
        act: impl FnOnce(Store) -> F + Send + 'static,
    ) {
        push(&self.stage.before_commits, act);
    }

    /// The same before a page of a stream is read.
    pub(crate) fn before_read<F: Future<Output = ()> + Send + 'static>(
        &self,
        act: impl FnOnce(Store) -> F + Send + 'static,
    ) {
        push(&self.stage.before_reads, act);
    }

    /// What the next commits are answered.
    pub(crate) fn answers(&self, answers: impl IntoIterator<Item = Told>) {
        self.stage
            .answers
            .lock()
            .expect("no one panics")
            .extend(answers);
    }

    /// What the next chains of commits are answered, as by a store that gives them one fate.
    pub(crate) fn answers_chains(&self, answers: impl IntoIterator<Item = Told>) {
        self.stage
            .chains
            .lock()
            .expect("no one panics")
            .extend(answers);
    }

    /// How many of those were not sent yet.
    pub(crate) fn chains_left(&self) -> usize {
        self.stage.chains.lock().expect("no one panics").len()
    }

    /// How many reads of streams from now on find the store busy.
    pub(crate) fn busy_reads(&self, reads: u32) {
        *self.stage.busy_reads.lock().expect("no one panics") = reads;
    }

    /// From now on no event is found by its id: the store is busy.
    pub(crate) fn finds_fail(&self) {
        self.stage.finds_fail.store(true, Ordering::SeqCst);
    }

    /// What was sent.
    pub(crate) fn sent(&self) -> Vec<CommitRequest> {
        self.stage.sent.lock().expect("no one panics").clone()
    }

    /// The ids of the events of each commit that was sent.
    pub(crate) fn sent_ids(&self) -> Vec<Vec<EventId>> {
        let ids = |request: &CommitRequest| {
            let events = request.appends.iter().flat_map(|append| &append.events);
            events.map(|event| event.id).collect()
        };
        self.sent().iter().map(ids).collect()
    }
}

fn push<F: Future<Output = ()> + Send + 'static>(
    acts: &Mutex<VecDeque<Act>>,
    act: impl FnOnce(Store) -> F + Send + 'static,
) {
    let act: Act = Box::new(move |store| Box::pin(act(store)));
    acts.lock().expect("no one panics").push_back(act);
}

impl Stage {
    async fn play(&self, acts: &Mutex<VecDeque<Act>>) {
        let act = acts.lock().expect("no one panics").pop_front();
        if let Some(act) = act {
            let inner = Store::from_backend(Arc::clone(&self.inner), Limits::default());
            act(inner).await;
        }
        self.give_way().await;
    }

    async fn give_way(&self) {
        if self.gives_way {
            tokio::task::yield_now().await;
        }
    }
}

fn told(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "as the test says")
}

impl Wrapper for Stage {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(async move {
            self.sent
                .lock()
                .expect("no one panics")
                .push(request.clone());
            self.play(&self.before_commits).await;
            let answer = self.answers.lock().expect("no one panics").pop_front();
            let kind = match answer.unwrap_or(Told::Truth) {
                Told::Truth => {
                    let receipt = self.inner.commit(request).await;
                    self.give_way().await;
                    return receipt;
                }
                Told::UnknownLanded => {
                    let _ = self.inner.commit(request).await;
                    StoreErrorKind::Unknown
                }
                Told::UnknownLost => StoreErrorKind::Unknown,
                Told::Busy => StoreErrorKind::Busy,
                Told::Fenced => StoreErrorKind::Fenced,
            };
            Err(told(kind).into())
        })
    }

    fn commit_chain(
        &self,
        requests: Vec<CommitRequest>,
    ) -> BoxFuture<'_, Vec<Result<Receipt, AppendError>>> {
        Box::pin(async move {
            let answer = self.chains.lock().expect("no one panics").pop_front();
            let kind = match answer.unwrap_or(Told::Truth) {
                Told::Truth => {
                    let mut told = Vec::new();
                    for request in requests {
                        told.push(Wrapper::commit(self, request).await);
                        if told.last().is_some_and(Result::is_err) {
                            break;
                        }
                    }
                    return told;
                }
                Told::UnknownLanded => {
                    self.inner.commit_chain(requests).await;
                    StoreErrorKind::Unknown
                }
                Told::UnknownLost => StoreErrorKind::Unknown,
                Told::Busy => StoreErrorKind::Busy,
                Told::Fenced => StoreErrorKind::Fenced,
            };
            vec![Err(told(kind).into())]
        })
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        Box::pin(async move {
            self.play(&self.before_reads).await;
            {
                let mut busy = self.busy_reads.lock().expect("no one panics");
                if *busy > 0 {
                    *busy -= 1;
                    return Err(told(StoreErrorKind::Busy));
                }
            }
            let page = self.inner.read_stream(query).await;
            self.give_way().await;
            page
        })
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        match self.finds_fail.load(Ordering::SeqCst) {
            true => Box::pin(async { Err(told(StoreErrorKind::Busy)) }),
            false => self.inner.find_event(stream, id),
        }
    }

    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>> {
        Box::pin(async move {
            self.give_way().await;
            self.inner.find_commit(stream, key).await
        })
    }
}
