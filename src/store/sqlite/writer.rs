//! The one thread that writes: group commit.
//!
//! Callers put commits into a bounded queue. The thread takes the first, begins a
//! transaction, takes what else is waiting, commits once, and only then answers
//! everyone. It never waits for a batch to fill: batches fill while the one before
//! is being flushed, and that is where the speed is.
//!
//! A refused commit fails alone, since it is decided before it writes. If SQLite
//! itself fails, the batch is rolled back and its commits run one by one, so that
//! only the one at fault fails.

use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::append::{Appender, Failure};
use super::fault::{at_commit, fault};
use super::options::SqliteOptions;
use crate::store::commit::CommitRequest;
use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::store::receipt::Receipt;

/// A commit that waits for its answer.
pub(super) struct Job {
    pub(super) request: CommitRequest,
    /// Read by the caller, so that no clock of a user's can stop this thread.
    pub(super) now: DateTime<Utc>,
    pub(super) answer: oneshot::Sender<Result<Receipt, AppendError>>,
}

/// The state of the thread that writes.
pub(super) struct Writer<'c> {
    appender: Appender<'c>,
    batch_commits_max: usize,
    batch_bytes_max: usize,
    /// A COMMIT failed and may come back after a crash: nothing more is written.
    fenced: bool,
}

/// A commit, and what it will be told once the batch is on disk.
type Decided = (Job, Result<Receipt, AppendError>);

impl<'c> Writer<'c> {
    /// How long the thread rests after the disk was full, so that it does not spin.
    const DISK_FULL_PAUSE: Duration = Duration::from_millis(20);

    pub(super) fn new(conn: &'c Connection, options: &SqliteOptions) -> rusqlite::Result<Self> {
        Ok(Self {
            appender: Appender::new(conn, options.streams_cached_max)?,
            batch_commits_max: options.batch_commits_max.max(1),
            batch_bytes_max: options.batch_bytes_max,
            fenced: false,
        })
    }

    /// Writes what comes until the queue is closed and empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.blocking_recv() {
            self.batch(job, &mut queue);
        }
    }

    fn batch(&mut self, first: Job, queue: &mut mpsc::Receiver<Job>) {
        if self.fenced {
            return refuse(first, fenced());
        }
        if let Err(error) = self.appender.begin() {
            return self.refuse_waiting(first, queue, error);
        }
        let mut batch: Vec<Decided> = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            bytes += job.request.bytes();
            match self.appender.apply(&job.request, job.now) {
                Ok(receipt) => batch.push((job, Ok(receipt))),
                Err(Failure::Refused(error)) => batch.push((job, Err(error))),
                Err(Failure::Broken(error)) => {
                    batch.push((job, Err(error.into())));
                    return self.one_by_one(batch);
                }
            }
            let full = batch.len() >= self.batch_commits_max || bytes >= self.batch_bytes_max;
            next = if full { None } else { take(queue) };
        }
        match self.appender.commit() {
            Ok(()) => answer(batch),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                self.one_by_one(batch);
            }
            Err(error) => self.commit_failed(batch, error),
        }
    }

    /// Rolls a batch back and gives each of its commits a transaction of its own.
    /// The last one is where SQLite failed, if it was not at COMMIT.
    fn one_by_one(&mut self, batch: Vec<Decided>) {
        if let Err(error) = self.appender.roll_back() {
            return self.fence(batch, at_commit(error));
        }
        let alone = batch.len() == 1;
        for (job, decided) in batch {
            match decided {
                // It had the transaction to itself already.
                Err(AppendError::Store(error)) if alone => {
                    self.rest_if_full(&error);
                    refuse(job, error);
                }
                _ => self.alone(job),
            }
        }
    }

    fn alone(&mut self, job: Job) {
        if self.fenced {
            return refuse(job, fenced());
        }
        if let Err(error) = self.appender.begin() {
            return refuse(job, fault(error, "taking the write lock"));
        }
        let decided = match self.appender.apply(&job.request, job.now) {
            Ok(receipt) => Ok(receipt),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(error)) => {
                return self.one_by_one(vec![(job, Err(error.into()))]);
            }
        };
        match self.appender.commit() {
            Ok(()) => answer(vec![(job, decided)]),
            Err(error) => self.commit_failed(vec![(job, decided)], error),
        }
    }

    fn commit_failed(&mut self, batch: Vec<Decided>, error: rusqlite::Error) {
        let error = at_commit(error);
        if error.kind() == StoreErrorKind::Unknown {
            return self.fence(batch, error);
        }
        if let Err(error) = self.appender.roll_back() {
            return self.fence(batch, at_commit(error));
        }
        self.rest_if_full(&error);
        let (kind, text) = (error.kind(), error.to_string());
        for (job, _) in batch {
            refuse(job, StoreError::new(kind, text.clone()));
        }
    }

    /// Whether the batch will be there after a crash cannot be told: say so, and
    /// write no more, since a later commit could make it durable or overwrite it.
    fn fence(&mut self, batch: Vec<Decided>, error: StoreError) {
        self.fenced = true;
        let _ = self.appender.roll_back();
        let text = error.to_string();
        for (job, _) in batch {
            refuse(job, StoreError::new(StoreErrorKind::Unknown, text.clone()));
        }
    }

    /// The write lock could not be had: whoever is waiting has waited for it too.
    fn refuse_waiting(
        &mut self,
        first: Job,
        queue: &mut mpsc::Receiver<Job>,
        error: rusqlite::Error,
    ) {
        let error = fault(error, "taking the write lock");
        self.rest_if_full(&error);
        let _ = self.appender.roll_back();
        let kind = error.kind();
        refuse(first, error);
        while let Some(job) = take(queue) {
            refuse(job, StoreError::new(kind, "taking the write lock"));
        }
    }

    fn rest_if_full(&self, error: &StoreError) {
        if error.kind() == StoreErrorKind::DiskFull {
            thread::sleep(Self::DISK_FULL_PAUSE);
        }
    }
}

/// The next commit that is waiting already, if its caller still is.
fn take(queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
    loop {
        let job = queue.try_recv().ok()?;
        if !job.answer.is_closed() {
            return Some(job);
        }
    }
}

fn answer(batch: Vec<Decided>) {
    for (job, decided) in batch {
        // A caller that is gone learns the outcome by sending the same again.
        let _ = job.answer.send(decided);
    }
}

fn refuse(job: Job, error: StoreError) {
    let _ = job.answer.send(Err(error.into()));
}

fn fenced() -> StoreError {
    StoreError::new(StoreErrorKind::Fenced, "appending")
}
