//! A store whose calls take their time, and that has a fault where one is planted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use annalist::store::{
    AllPage, AllQuery, Backend, CommitRequest, StreamPage, StreamQuery, Wrapper,
};
use annalist::{
    AppendError, AppendReceipt, EventId, ExpectedVersion, Limits, Position, Receipt, Store,
    StoreError, StreamId, Version,
};
use futures_util::future::BoxFuture;
use tokio::task::yield_now;

use crate::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Every expectation is taken for `Any`, and the receipt tells what became of it.
    ChecksNothing,
    /// The same, but the receipt tells what would be if the expectation had held.
    ChecksNothingAndHidesIt,
    /// The receipt is given before the commit, which comes later.
    AnswersBeforeItWrites,
    /// The same, and now and then nothing comes.
    AnswersAndForgets,
    /// Now and then a receipt tells the position of the commit before.
    ReusesPositions,
    /// Now and then a read answers what the one before it saw.
    ReadsWhatWas,
    /// Events that are sent again are written again.
    ForgetsIds,
}

/// Gives way to others before and after each call takes effect.
pub(crate) struct Slow {
    inner: Arc<dyn Backend>,
    fault: Fault,
    random: Mutex<Random>,
    /// What was read last of each stream.
    read: Mutex<HashMap<StreamId, StreamPage>>,
    last_position: Mutex<Option<Position>>,
}

impl Slow {
    pub(crate) fn store(store: &Store, fault: Fault, random: Random) -> Store {
        let slow = Self {
            inner: store.backend(),
            fault,
            random: Mutex::new(random),
            read: Mutex::default(),
            last_position: Mutex::default(),
        };
        Store::from_backend(Arc::new(slow), Limits::default())
    }

    fn below(&self, bound: usize) -> usize {
        self.random.lock().unwrap().below(bound)
    }

    async fn give_way(&self) {
        for _ in 0..self.below(4) {
            yield_now().await;
        }
    }

    async fn write(&self, mut request: CommitRequest) -> Result<Receipt, AppendError> {
        let append = &mut request.appends[0];
        let expected = append.expected;
        match self.fault {
            Fault::ChecksNothing | Fault::ChecksNothingAndHidesIt => {
                append.expected = ExpectedVersion::Any;
            }
            Fault::ForgetsIds => {
                for event in &mut append.events {
                    let known = self.inner.find_event(&append.stream, event.id).await?;
                    if known.is_some() {
                        event.id = EventId::new();
                    }
                }
            }
            Fault::AnswersBeforeItWrites | Fault::AnswersAndForgets => {
                return self.answer_first(request).await;
            }
            Fault::None | Fault::ReusesPositions | Fault::ReadsWhatWas => {}
        }
        let mut receipt = self.hand_over(request).await?;
        if let (Fault::ChecksNothingAndHidesIt, ExpectedVersion::Exact(version)) =
            (self.fault, expected)
        {
            pretend(&mut receipt, version);
        }
        if self.fault == Fault::ReusesPositions && receipt.position.is_some() {
            let mut last = self.last_position.lock().unwrap();
            let before = last.replace(receipt.position.unwrap());
            if before.is_some() && self.below(4) == 0 {
                receipt.position = before;
            }
        }
        Ok(receipt)
    }

    /// Half of the commits go on when their caller is gone.
    async fn hand_over(&self, request: CommitRequest) -> Result<Receipt, AppendError> {
        if self.below(2) == 0 {
            return self.inner.commit(request).await;
        }
        let (inner, turns) = (Arc::clone(&self.inner), self.below(12));
        let commit = tokio::spawn(async move {
            for _ in 0..turns {
                yield_now().await;
            }
            inner.commit(request).await
        });
        commit.await.expect("a commit does not panic")
    }

    async fn answer_first(&self, request: CommitRequest) -> Result<Receipt, AppendError> {
        let append = &request.appends[0];
        let info = self.inner.stream_info(&append.stream).await?;
        let holds = match append.expected {
            ExpectedVersion::Any => true,
            ExpectedVersion::NoStream => info.version == Version::ZERO,
            ExpectedVersion::StreamExists => info.version > Version::ZERO,
            ExpectedVersion::Exact(version) => info.version == version,
        };
        let mut stored = false;
        for event in &append.events {
            let known = self.inner.find_event(&append.stream, event.id).await?;
            stored |= known.is_some();
        }
        if !holds || stored || append.events.is_empty() {
            return self.inner.commit(request).await;
        }
        let events = append.events.len() as u64;
        let receipt = Receipt {
            appends: vec![AppendReceipt {
                stream: append.stream.clone(),
                first: Some(info.version.next()),
                last: info.version.plus(events),
            }],
            position: Some(self.inner.head().await?.plus(events)),
            replayed: false,
        };
        if self.fault == Fault::AnswersAndForgets && self.below(3) == 0 {
            return Ok(receipt);
        }
        let (inner, turns) = (Arc::clone(&self.inner), 1 + self.below(24));
        tokio::spawn(async move {
            for _ in 0..turns {
                yield_now().await;
            }
            inner.commit(request).await
        });
        Ok(receipt)
    }

    async fn read(&self, query: StreamQuery) -> Result<StreamPage, StoreError> {
        let stream = query.stream.clone();
        let page = self.inner.read_stream(query).await?;
        let before = self.read.lock().unwrap().insert(stream, page.clone());
        match before {
            Some(before) if self.fault == Fault::ReadsWhatWas && self.below(2) == 0 => Ok(before),
            _ => Ok(page),
        }
    }
}

fn pretend(receipt: &mut Receipt, expected: Version) {
    if let Some(append) = receipt.appends.first_mut()
        && let Some(first) = append.first
        && !receipt.replayed
    {
        let events = append.last.get() - first.get();
        append.first = Some(expected.next());
        append.last = expected.next().plus(events);
    }
}

impl Wrapper for Slow {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(async move {
            self.give_way().await;
            let answer = self.write(request).await;
            self.give_way().await;
            answer
        })
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        Box::pin(async move {
            self.give_way().await;
            let page = self.read(query).await;
            self.give_way().await;
            page
        })
    }

    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        Box::pin(async move {
            self.give_way().await;
            let page = self.inner.read_all(query).await;
            self.give_way().await;
            page
        })
    }
}
