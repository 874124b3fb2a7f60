//! The shortest correct reading of the contract, in memory.
//!
//! Tests run on it, and the durable backends are compared with it: where they
//! answer differently, one of them is wrong. One mutex, no cleverness.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use tokio::sync::watch;
use uuid::Uuid;

use self::log::Log;
use crate::clock::{Clock, SystemClock};
use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::backend::{
    AllPage, AllQuery, Backend, CommitFound, ListQuery, StoreIdentity, StreamInfo, StreamPage,
    StreamQuery,
};
use crate::store::changes::{Changes, ring, ring_out};
use crate::store::commit::{CommitRequest, Fingerprint};
use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::store::feed::{FeedPage, FeedQuery};
use crate::store::fence::{LeaseAnswer, LeaseName, LeaseRequest, LeaseState};
use crate::store::fold::Snapshot;
use crate::store::limits::Limits;
use crate::store::receipt::Receipt;
use crate::store::removal::{Compacted, RemovalRequest, Removed};
use crate::store::report::VerifyReport;
use crate::token::{TokenKey, draw_key};
use crate::version::{Generation, Position, Version};

mod log;

/// How a store in memory is set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryOptions {
    /// What the store takes at most.
    pub limits: Limits,
    /// Where `recorded_at` comes from. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The store in memory.
pub(super) struct MemoryStore {
    clock: Arc<dyn Clock>,
    identity: StoreIdentity,
    log: Mutex<Log>,
    /// The head after each commit.
    heads: watch::Sender<Position>,
}

impl MemoryStore {
    pub(super) fn new(options: MemoryOptions) -> Self {
        Self {
            clock: options.clock,
            identity: StoreIdentity {
                id: Uuid::now_v7(),
                token_key: TokenKey::from_bytes(draw_key()),
            },
            log: Mutex::default(),
            heads: watch::Sender::default(),
        }
    }

    /// No user code runs under the lock, so a poisoned one holds a whole log.
    fn log(&self) -> Result<MutexGuard<'_, Log>, StoreError> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        match log.closed {
            true => Err(StoreError::new(
                StoreErrorKind::HandleClosed,
                "the store in memory",
            )),
            false => Ok(log),
        }
    }

    /// Changes the log, then tells who follows it.
    fn write<T>(
        &self,
        write: impl FnOnce(&mut Log) -> Result<T, AppendError>,
    ) -> Result<T, AppendError> {
        let (answer, head) = {
            let mut log = self.log()?;
            (write(&mut log), log.head())
        };
        ring(&self.heads, head);
        answer
    }

    fn read<T>(&self, read: impl FnOnce(&Log) -> T) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        let answer = self.log().map(|log| read(&log));
        Box::pin(async { answer })
    }
}

impl Backend for MemoryStore {
    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(async move {
            let now = self.clock.now();
            self.write(|log| log.commit(request, now))
        })
    }

    fn remove(&self, request: RemovalRequest) -> BoxFuture<'_, Result<Removed, AppendError>> {
        Box::pin(async move {
            let now = self.clock.now();
            self.write(|log| log.remove(&request, now))
        })
    }

    fn compact(&self) -> BoxFuture<'_, Result<Compacted, StoreError>> {
        let answer = self.log().map(|mut log| log.compact());
        Box::pin(async { answer })
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        let page = self.log().and_then(|log| log.read_stream(&query));
        Box::pin(async { page })
    }

    fn stands_at(
        &self,
        stream: &StreamId,
        version: Version,
        generation: Generation,
    ) -> Option<bool> {
        let facts = self.log().ok()?.facts(stream);
        Some((facts.version, facts.generation) == (version, generation))
    }

    fn snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fingerprint: Fingerprint,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, StoreError>> {
        self.read(|log| log.snapshot(stream, fingerprint))
    }

    fn keep_snapshot(
        &self,
        stream: StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.log()?.keep_snapshot(&stream, snapshot)) })
    }

    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        self.read(|log| log.read_all(&query))
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        self.read(|log| log.read_feed(&query))
    }

    fn changes(&self) -> Result<Changes, StoreError> {
        drop(self.log()?);
        Ok(Changes::new(self.heads.subscribe()))
    }

    fn list_streams(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<StreamInfo>, StoreError>> {
        self.read(|log| log.list_streams(&query))
    }

    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>> {
        self.read(|log| log.info(stream))
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        self.read(|log| log.find(stream, id))
    }

    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>> {
        self.read(|log| log.find_commit(stream, key))
    }

    fn identity(&self) -> StoreIdentity {
        self.identity.clone()
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<LeaseAnswer, StoreError>> {
        Box::pin(async move {
            let now = self.clock.now();
            Ok(self.log()?.lease(&request, now))
        })
    }

    fn lease_holder<'a>(
        &'a self,
        name: &'a LeaseName,
    ) -> BoxFuture<'a, Result<Option<LeaseState>, StoreError>> {
        Box::pin(async move {
            let now = self.clock.now();
            let state = self.log()?.lease_state(name);
            Ok(state.is_held(now).then_some(state))
        })
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, StoreError>> {
        self.read(Log::head)
    }

    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, StoreError>> {
        self.read(Log::verify)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            *log = Log::default();
            log.closed = true;
        }
        ring_out(&self.heads);
        Box::pin(async { Ok(()) })
    }
}
