//! The contract, answered by whoever writes and the threads that read.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use futures_core::future::BoxFuture;
use tokio::sync::oneshot;

use super::backup::back_up;
use super::fault::{at_file, store_error};
use super::job::Job;
use super::reader::Reader;
use super::schema;
use super::snapshots::KeepRequest;
use super::verify::Verifier;
use super::{SqliteStore, no_thread, stopped};
use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::backend::{
    AllPage, AllQuery, Backend, CommitFound, FoldPage, FoldQuery, ListQuery, StoreIdentity,
    StreamInfo, StreamPage, StreamQuery,
};
use crate::store::changes::Changes;
use crate::store::commit::{CommitRequest, Fingerprint};
use crate::store::database::{Database, SqlBackend};
use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::store::feed::{FeedPage, FeedQuery};
use crate::store::fence::{LeaseAnswer, LeaseName, LeaseRequest, LeaseState};
use crate::store::fold::{Snapshot, StreamFold};
use crate::store::receipt::Receipt;
use crate::store::removal::{Compacted, RemovalRequest, Removed};
use crate::store::report::{BackedUp, VerifyReport};
use crate::version::{Generation, Position, Version};

impl Backend for SqliteStore {
    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(self.access.ask(request, Job::Commit))
    }

    /// In one transaction, so that they share its flush and its fate.
    fn commit_chain(
        &self,
        requests: Vec<CommitRequest>,
    ) -> BoxFuture<'_, Vec<Result<Receipt, AppendError>>> {
        Box::pin(async {
            let told = self.access.ask(requests, Job::Chain).await;
            told.unwrap_or_else(|error| vec![Err(error)])
        })
    }

    fn remove(&self, request: RemovalRequest) -> BoxFuture<'_, Result<Removed, AppendError>> {
        Box::pin(self.access.ask(request, Job::Remove))
    }

    fn compact(&self) -> BoxFuture<'_, Result<Compacted, StoreError>> {
        Box::pin(async {
            let compacted = self.access.ask((), Job::Compact).await;
            compacted.map_err(store_error)
        })
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.read_stream(&query)),
        )
    }

    /// On the thread that reads: events that are only folded cross to no other.
    fn fold_stream(
        &self,
        query: FoldQuery,
        fold: Box<dyn StreamFold>,
    ) -> BoxFuture<'_, Result<FoldPage, StoreError>> {
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.fold_stream(&query, fold)),
        )
    }

    fn stands_at(
        &self,
        stream: &StreamId,
        version: Version,
        generation: Generation,
    ) -> Option<bool> {
        self.glance.stands_at(stream, version, generation)
    }

    fn snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        fingerprint: Fingerprint,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, StoreError>> {
        let stream = stream.clone();
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.snapshot(&stream, fingerprint)),
        )
    }

    fn keep_snapshot(
        &self,
        stream: StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        let request = KeepRequest { stream, snapshot };
        Box::pin(async {
            let kept = self.access.ask(request, Job::Keep).await;
            kept.map_err(store_error)
        })
    }

    fn read_all(&self, query: AllQuery) -> BoxFuture<'_, Result<AllPage, StoreError>> {
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.read_all(&query)),
        )
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.read_feed(&query)),
        )
    }

    fn changes(&self) -> Result<Changes, StoreError> {
        self.listeners.changes()
    }

    fn list_streams(&self, query: ListQuery) -> BoxFuture<'_, Result<Vec<StreamInfo>, StoreError>> {
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.list_streams(&query)),
        )
    }

    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>> {
        let stream = stream.clone();
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.stream_info(&stream)),
        )
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        let stream = stream.clone();
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.find_event(&stream, id)),
        )
    }

    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>> {
        let (stream, key) = (stream.clone(), key.to_owned());
        Box::pin(
            self.access
                .readers
                .run(move |reader| reader.find_commit(&stream, &key)),
        )
    }

    fn database(&self) -> Option<Database> {
        let access: Arc<dyn SqlBackend> = Arc::clone(&self.access) as _;
        Some(Database::of(access))
    }

    fn identity(&self) -> StoreIdentity {
        self.identity.clone()
    }

    fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<LeaseAnswer, StoreError>> {
        Box::pin(async {
            let answer = self.access.ask(request, Job::Lease).await;
            answer.map_err(store_error)
        })
    }

    fn lease_holder<'a>(
        &'a self,
        name: &'a LeaseName,
    ) -> BoxFuture<'a, Result<Option<LeaseState>, StoreError>> {
        let (name, now) = (name.clone(), self.access.options.clock.now());
        Box::pin(async move {
            let find = move |reader: &mut Reader| reader.lease(&name);
            let state = self.access.readers.run(find).await?;
            Ok(state.is_held(now).then_some(state))
        })
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, StoreError>> {
        Box::pin(self.access.readers.run(Reader::head))
    }

    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, StoreError>> {
        Box::pin(async {
            let mut verifier = Verifier::new();
            loop {
                let part = move |reader: &mut Reader| reader.verify(verifier);
                match self.access.readers.run(part).await? {
                    ControlFlow::Break(report) => return Ok(report),
                    ControlFlow::Continue(rest) => verifier = rest,
                }
            }
        })
    }

    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<BackedUp, StoreError>> {
        Box::pin(async {
            let closed = || {
                at_file(
                    &self.access.path,
                    StoreErrorKind::HandleClosed,
                    "backing up",
                )
            };
            let here = self.guests.upgrade().ok_or_else(closed)?;
            let to = schema::plain_path(to)?;
            let (from, options) = (self.access.path.clone(), self.access.options.clone());
            let closing = self.access.jobs.closing();
            let (caller, answer) = oneshot::channel();
            let copying = move || {
                let is_wanted = || !caller.is_closed() && !*closing.borrow();
                let backed_up = back_up(&from, &to, &options, is_wanted);
                drop(here);
                let _ = caller.send(backed_up);
            };
            thread::Builder::new()
                .name("annalist-backup".to_owned())
                .spawn(copying)
                .map_err(|error| no_thread(error, &self.access.path))?;
            answer
                .await
                .map_err(|_| stopped("backing up", &self.access.path))?
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // Both at once and without waiting, so that a dropped future closes too.
        self.glance.close();
        self.access.readers.close();
        self.access.jobs.close();
        // Last, so that whoever is woken finds it closed.
        self.listeners.close();
        Box::pin(async move {
            let mut ended = self.ended.clone();
            let closed = ended.wait_for(|ended| *ended).await;
            closed
                .map(drop)
                .map_err(|_| stopped("closing", &self.access.path))
        })
    }
}
