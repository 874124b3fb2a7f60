//! The writer and the readers of an open file, as callers reach them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_core::future::BoxFuture;
use tokio::sync::mpsc::error::TrySendError;

use super::inlet::Inlet;
use super::job::{Asked, Job};
use super::options::{CommitThread, SqliteOptions};
use super::pen::Stand;
use super::pool::Pool;
use super::reader::Reader;
use crate::store::database::{Done, QueryError, SqlBackend, Work};
use crate::store::error::{AppendError, StoreError, StoreErrorKind};
use crate::store::tx::{SqlRow, SqlValue};

/// What stands between callers and the threads of one store.
pub(super) struct Access {
    pub(super) path: PathBuf,
    pub(super) options: SqliteOptions,
    pub(super) jobs: Inlet<Job>,
    /// Shared with the writer's thread.
    pub(super) stand: Arc<Stand>,
    /// Whether somebody has just committed on its own thread, whose other tasks were not run
    /// since: what they send meanwhile goes to the writer's thread, and together.
    pub(super) others_wait: AtomicBool,
    pub(super) readers: Pool,
}

/// Ends the waiting of the others, also where the call is dropped.
struct OthersWait<'a>(&'a AtomicBool);

impl<'a> OthersWait<'a> {
    fn begin(others_wait: &'a AtomicBool) -> Self {
        others_wait.store(true, Ordering::SeqCst);
        Self(others_wait)
    }
}

impl Drop for OthersWait<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Access {
    /// Memory that a commit takes up which a caller writes itself: with more, the other tasks
    /// of its thread would wait for longer than it takes to cross to another one.
    const ON_CALLER_BYTES_MAX: usize = 64 * 1024;

    /// Asks the writer, waiting for a place in its queue if it must, and for its answer.
    pub(super) async fn ask<Q, A>(
        &self,
        request: Q,
        job: impl FnOnce(Asked<Q, A>) -> Job,
    ) -> Result<A, AppendError> {
        let (asked, answer) = Asked::new(request, self.options.clock.now());
        let refused = |kind| {
            let writing = format!("writing to {}", self.path.display());
            StoreError::new(kind, writing)
        };
        let job = job(asked);
        let bytes = job.memory_bytes();
        let left = match self.is_for_caller(&job, bytes) {
            true => self.stand.write(job),
            false => Some(job),
        };
        let sent = match left {
            Some(job) => self.jobs.try_send(job, bytes),
            None => {
                // Nothing else has run on this thread, and nothing would if it goes on so.
                let _others_wait = OthersWait::begin(&self.others_wait);
                tokio::task::yield_now().await;
                Ok(())
            }
        };
        let job = match sent {
            Ok(()) => {
                // The thread ended in the middle, which only a bug can do.
                let answer = answer.await;
                return answer.map_err(|_| refused(StoreErrorKind::Unknown))?.told;
            }
            Err(TrySendError::Closed(_)) => {
                return Err(refused(StoreErrorKind::HandleClosed).into());
            }
            Err(TrySendError::Full(job)) => job,
        };
        let sent = self.jobs.send(job, bytes);
        let sent = tokio::time::timeout(self.options.queue_timeout, sent);
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(refused(StoreErrorKind::HandleClosed).into()),
            Err(_) => return Err(refused(StoreErrorKind::Overloaded).into()),
        }
        match self.jobs.answer_or_gone(answer).await {
            Some(answer) => answer.told,
            // What the writer has taken is answered before it goes.
            None => Err(refused(StoreErrorKind::HandleClosed).into()),
        }
    }

    /// Whether this thread may do a job itself, if nobody else is at it.
    fn is_for_caller(&self, job: &Job, bytes: usize) -> bool {
        self.options.commit_thread == CommitThread::CallerIfIdle
            && job.is_append()
            && bytes <= Self::ON_CALLER_BYTES_MAX
            && !self.others_wait.load(Ordering::SeqCst)
            && self.jobs.is_idle()
    }
}

/// The store's file as a database for read models: they are written by the writer's thread,
/// among the commits that wait, and share their flush to disk. Another connection would have
/// to catch a moment when nobody here holds the write lock.
impl SqlBackend for Access {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn transact(&self, work: Arc<dyn Work>) -> BoxFuture<'_, Result<Done, AppendError>> {
        Box::pin(self.ask(work, Job::Transact))
    }

    fn query(
        &self,
        sql: String,
        params: Vec<SqlValue>,
    ) -> BoxFuture<'_, Result<Vec<SqlRow>, QueryError>> {
        // Dropped with the future: then nobody wants to know.
        let here = Arc::new(());
        let wanted = Arc::downgrade(&here);
        let run = move |reader: &mut Reader| Ok(reader.query(sql, params, wanted));
        Box::pin(async move {
            let answer = self.readers.run(run).await;
            drop(here);
            answer?
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // It is the store's to close.
        Box::pin(async { Ok(()) })
    }
}
