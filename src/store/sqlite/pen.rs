//! The pen: whoever holds it writes.
//!
//! It is the one connection that writes, and what is known of its file. The writer's thread
//! holds it, for good or while there is something to write. In between it may lie where a
//! caller takes it who finds nobody writing and nobody waiting, and commits on its own
//! thread: crossing to the other one and back takes longer than a commit's own work.
//!
//! Nobody waits for the pen but the writer's thread, and a caller waits for nothing but the
//! disk: where it would have to, the thread does it in its place.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::Connection;

use super::bell::News;
use super::fault::fault;
use super::guard::Guard;
use super::inlet::Outlet;
use super::job::Job;
use super::known::Known;
use super::options::{CommitThread, SqliteOptions};
use super::writer::{Next, Writer, give_up};
use crate::store::error::StoreError;

/// The connection that writes, and what is known of its file.
pub(super) struct Pen {
    conn: Connection,
    known: Known,
    options: SqliteOptions,
}

impl Pen {
    /// Compiled statements that are kept between one turn at writing and the next.
    const STATEMENTS_MAX: usize = 64;

    /// For a file that has just been opened; sets its hooks up.
    pub(super) fn new(
        conn: Connection,
        guard: Guard,
        options: &SqliteOptions,
        news: News,
    ) -> Result<Self, StoreError> {
        conn.set_prepared_statement_cache_capacity(Self::STATEMENTS_MAX);
        // Whoever writes waits for the lock by itself.
        conn.busy_timeout(Duration::ZERO)
            .map_err(|error| fault(error, "preparing the writer"))?;
        let mut pen = Self {
            known: Known::new(&conn, guard, options, news)?,
            conn,
            options: options.clone(),
        };
        // Compiles, so that it is told here if that fails.
        pen.writer()?;
        Ok(pen)
    }

    pub(super) const fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The last connection that may write moves the log into the file and removes it. If
    /// that fails, the log stays, and is read at the next opening.
    pub(super) fn close(self) {
        let _ = self.conn.close();
    }

    /// Takes a turn at writing. It costs a few look-ups of compiled statements.
    fn writer(&mut self) -> Result<Writer<'_>, StoreError> {
        Writer::new(&self.conn, &mut self.known, &self.options)
            .map_err(|error| fault(error, "preparing the writer"))
    }

    /// Does this job, and in the same turn what comes `next` until there is none.
    fn write(&mut self, job: Job, queue: &mut Outlet<Job>, next: Next) {
        match self.writer() {
            Ok(mut writer) => writer.run(job, queue, next),
            Err(error) => job.refuse(error),
        }
    }

    /// Whether callers may have it. Code of the application's runs on one thread alone: it
    /// may take its time, and the statements that it has compiled are kept there.
    fn passes(&self) -> bool {
        self.options.commit_thread == CommitThread::CallerIfIdle && self.known.hung.is_empty()
    }
}

/// Where the pen lies while nobody writes. Empty before the writer's thread has begun, and
/// after it has ended.
#[derive(Default)]
pub(super) struct Stand(Mutex<Option<Pen>>);

impl Stand {
    /// Writes what comes until the queue is closed and empty, and gives the pen back.
    pub(super) fn serve(&self, mut pen: Pen, mut queue: Outlet<Job>) -> Option<Pen> {
        if !pen.passes() {
            while let Some(job) = queue.recv() {
                pen.write(job, &mut queue, Outlet::recv);
            }
            return Some(pen);
        }
        *self.take_up() = Some(pen);
        while let Some(job) = queue.recv() {
            if let Some(pen) = self.take_up().as_mut() {
                pen.write(job, &mut queue, Outlet::try_recv);
            }
        }
        self.take_up().take()
    }

    /// Commits on the thread of the caller. A job comes back where that would have to wait
    /// for anybody.
    pub(super) fn write(&self, job: Job) -> Option<Job> {
        // Nor is it taken after a panic: the writer's thread sees to that.
        let Ok(mut lying) = self.0.try_lock() else {
            return Some(job);
        };
        match lying.as_mut().map(Pen::writer) {
            Some(Ok(mut writer)) => writer.write_at_once(job),
            Some(Err(_)) | None => Some(job),
        }
    }

    fn take_up(&self) -> MutexGuard<'_, Option<Pen>> {
        self.0.lock().unwrap_or_else(|panicked| {
            let mut lying = panicked.into_inner();
            if let Some(Pen { conn, known, .. }) = lying.as_mut() {
                give_up(conn, &mut known.fenced);
            }
            lying
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use chrono::DateTime;
    use tokio::sync::{oneshot, watch};

    use super::super::inlet::queue;
    use super::super::job::{Answer, Asked};
    use super::super::{ear, schema};
    use super::*;
    use crate::store::commit::CommitRequest;
    use crate::store::receipt::Receipt;

    fn job() -> (Job, oneshot::Receiver<Answer<CommitRequest, Receipt>>) {
        let nothing = CommitRequest {
            appends: Vec::new(),
            key: None,
            fences: Vec::new(),
        };
        let (asked, answer) = Asked::new(nothing, DateTime::UNIX_EPOCH);
        (Job::Commit(asked), answer)
    }

    #[test]
    fn after_a_panic_with_the_pen_in_hand_nothing_more_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let options = SqliteOptions {
            commit_thread: CommitThread::CallerIfIdle,
            ..SqliteOptions::default()
        };
        let (conn, guard) = schema::open_writer(&path, &options).expect("a store");
        let news = News::of(&path, watch::Sender::default(), ear::Listener::default());
        let pen = Pen::new(conn, guard, &options, news).expect("a pen");
        let stand = Stand::default();
        *stand.take_up() = Some(pen);

        let (well, mut answer) = job();
        assert!(stand.write(well).is_none(), "nobody else has it");
        assert!(answer.try_recv().expect("an answer").told.is_ok());

        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let lying = stand.0.try_lock().expect("nobody else has it");
            let conn = &lying.as_ref().expect("a pen").conn;
            conn.execute_batch("BEGIN IMMEDIATE").expect("the lock");
            panic!("in the middle of a transaction");
        }));
        assert!(panicked.is_err());
        let (late, mut answer) = job();
        let late = stand.write(late).expect("callers leave it alone");
        let pen = stand.take_up().take().expect("a pen");
        assert!(pen.conn.is_autocommit(), "it is rolled back");

        let (inlet, outlet) = queue(1, 1024);
        assert!(inlet.try_send(late, 0).is_ok(), "a place");
        inlet.close();
        assert!(stand.serve(pen, outlet).is_some());
        let told = answer.try_recv().expect("an answer").told;
        assert_eq!(told.expect_err("it is fenced").code(), "fenced");
    }
}
