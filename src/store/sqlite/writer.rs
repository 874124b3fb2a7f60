//! Writing: group commit, by whoever holds the pen.
//!
//! That is the one thread that writes, or now and then a caller with one commit. Callers
//! put commits into a bounded queue. The thread takes the first, begins a transaction,
//! takes what else is waiting, commits once, and only then answers everyone. It never
//! waits for a batch to fill: batches fill while the one before is being flushed, and
//! that is where the speed is.
//!
//! A refused commit fails alone, since it is decided before it writes. If SQLite
//! itself fails, the batch is rolled back and its commits run one by one, so that
//! only the one at fault fails.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::append::{Appender, Desk};
use super::bell::News;
use super::fault::{Failure, at_commit, at_rollback, fault};
use super::hooks::{Hooks, Schema};
use super::inlet::Outlet;
use super::inline::Recorded;
use super::job::{Asked, Job, ended_early};
use super::known::Known;
use super::leases;
use super::names::Names;
use super::options::SqliteOptions;
use super::remove::{Stripped, strip};
use super::snapshots;
use super::streams::Streams;
use super::transaction::{Kept, Transaction};
use crate::metrics::writer as metrics;
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::removal::Compacted;

/// One turn at writing: what is known of the file, and the statements to write with.
pub(super) struct Writer<'c> {
    conn: &'c Connection,
    transaction: Transaction<'c>,
    streams: Streams<'c>,
    appender: Appender<'c>,
    hooks: Hooks<'c>,
    names: &'c mut Names,
    news: &'c mut News,
    busy_timeout: Duration,
    disk_full_pause: Duration,
    batch_commits_max: usize,
    batch_bytes_max: usize,
    /// Compactions that were asked for; they run between batches.
    compactions: VecDeque<Asked<(), Compacted>>,
    fenced: &'c mut bool,
}

/// Waits for what comes next, or looks whether it is there.
pub(super) type Next = fn(&mut Outlet<Job>) -> Option<Job>;

impl<'c> Writer<'c> {
    /// How long the writer's thread rests after the disk was full, so that it does not spin.
    const DISK_FULL_PAUSE: Duration = Duration::from_millis(20);

    pub(super) fn new(
        conn: &'c Connection,
        known: &'c mut Known,
        options: &SqliteOptions,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            conn,
            transaction: Transaction::new(conn, &mut known.standing)?,
            streams: Streams::new(conn, &mut known.streams),
            appender: Appender::new(conn, &mut known.types)?,
            hooks: Hooks::new(conn, &mut known.hung),
            names: &mut known.names,
            news: &mut known.news,
            busy_timeout: options.busy_timeout,
            disk_full_pause: Self::DISK_FULL_PAUSE,
            batch_commits_max: options.batch_commits_max.max(1),
            batch_bytes_max: options.batch_bytes_max,
            compactions: VecDeque::new(),
            fenced: &mut known.fenced,
        })
    }

    /// Does this job, and what comes `next` until there is none.
    pub(super) fn run(&mut self, first: Job, queue: &mut Outlet<Job>, next: Next) {
        let mut coming = Some(first);
        while let Some(job) = coming {
            self.take_up(job, queue);
            while let Some(asked) = self.compactions.pop_front() {
                self.compact(asked, queue);
            }
            coming = next(queue);
        }
    }

    /// Does this job alone, if it need not wait for the write lock; else it comes back. On
    /// the thread of a caller, which has other things to do than to rest.
    pub(super) fn write_at_once(&mut self, job: Job) -> Option<Job> {
        self.disk_full_pause = Duration::ZERO;
        if *self.fenced {
            job.refuse(fenced());
            return None;
        }
        match self.begin(Duration::ZERO) {
            Ok(()) => {
                metrics::waiting(0);
                self.alone(job);
            }
            Err(error) if error.kind() == StoreErrorKind::Busy => return Some(job),
            Err(error) => job.refuse(error),
        }
        None
    }

    fn take_up(&mut self, job: Job, queue: &mut Outlet<Job>) {
        match job {
            Job::Compact(asked) => self.compactions.push_back(asked),
            job => self.batch(job, queue),
        }
    }

    /// The next job that is waiting already, if its caller still is.
    fn next(&mut self, queue: &mut Outlet<Job>) -> Option<Job> {
        loop {
            match queue.try_recv()? {
                job if job.is_abandoned() => {}
                Job::Compact(asked) => self.compactions.push_back(asked),
                job => return Some(job),
            }
        }
    }

    fn batch(&mut self, first: Job, queue: &mut Outlet<Job>) {
        if *self.fenced {
            return first.refuse(fenced());
        }
        // They wait for the write lock as long as the first one does.
        let waiting = queue.len();
        metrics::waiting(waiting);
        if let Err(error) = self.begin(self.busy_timeout) {
            return self.refuse_waiting(first, waiting, queue, &error);
        }
        let alone = self.hooks.one_at_a_time();
        let mut batch: Vec<Job> = Vec::with_capacity(waiting + 1);
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(mut job) = next {
            bytes += job.bytes();
            let done = self.apply(&mut job);
            batch.push(job);
            if let Err(error) = done {
                return self.one_by_one(batch, &error);
            }
            let full =
                alone || batch.len() >= self.batch_commits_max || bytes >= self.batch_bytes_max;
            next = if full { None } else { self.next(queue) };
        }
        self.commit(batch);
    }

    fn begin(&mut self, busy_timeout: Duration) -> Result<(), StoreError> {
        loop {
            let kept = self.transaction.begin(busy_timeout)?;
            if kept == Kept::Stale {
                self.streams.forget();
            }
            let looked = self.look(kept);
            if looked.is_err() || matches!(looked, Ok(Recorded::Behind)) {
                // The error that is told is the first one.
                let _ = self.roll_back();
            }
            match looked? {
                Recorded::Agrees => return Ok(()),
                // In transactions of its own, so that others are not kept waiting.
                Recorded::Behind => self.hooks.catch_up()?,
            }
        }
    }

    fn look(&mut self, kept: Kept) -> Result<Recorded, StoreError> {
        // A read model may have been given up by this very writer, too.
        match (self.hooks.look()?, kept) {
            (Schema::Same, Kept::Holds) => Ok(Recorded::Agrees),
            _ => self.hooks.look_inline(self.transaction.position()),
        }
    }

    /// Does one job in the open transaction; an error is SQLite's.
    fn apply(&mut self, job: &mut Job) -> Result<(), StoreError> {
        let Self {
            conn,
            transaction,
            streams,
            appender,
            hooks,
            ..
        } = self;
        let applied = match job {
            Job::Commit(asked) => asked.decide(|request, now| {
                let desk = Desk {
                    transaction,
                    streams,
                    now,
                };
                hooks.commit(desk, appender, request)
            }),
            Job::Chain(asked) => asked.decide(|requests, now| {
                let mut told = Vec::with_capacity(requests.len());
                for request in requests {
                    let desk = Desk {
                        transaction: &mut *transaction,
                        streams: &mut *streams,
                        now,
                    };
                    let done = hooks.commit(desk, appender, request);
                    told.push(match done {
                        Ok(receipt) => Ok(receipt),
                        Err(Failure::Refused(error)) => Err(error),
                        Err(failure) => return Err(failure),
                    });
                    // What comes after it was decided on what it would have left, or has to
                    // have a transaction to itself, as this one has.
                    if told.last().is_some_and(Result::is_err) || hooks.one_at_a_time() {
                        break;
                    }
                }
                Ok(told)
            }),
            Job::Remove(asked) => asked.decide(|request, now| {
                let desk = Desk {
                    transaction,
                    streams,
                    now,
                };
                hooks.remove(desk, appender, request)
            }),
            Job::Transact(asked) => asked.decide(|work, now| {
                let desk = Desk {
                    transaction,
                    streams,
                    now,
                };
                hooks.transact(desk, appender, work.as_ref())
            }),
            Job::Keep(asked) => asked.decide(|request, now| {
                let mut desk = Desk {
                    transaction,
                    streams,
                    now,
                };
                snapshots::keep(conn, &mut desk, request)
            }),
            Job::Lease(asked) => asked.decide(|request, now| leases::ask(conn, request, now)),
            // Kept apart by whoever takes jobs from the queue.
            Job::Compact(_) => Ok(()),
        };
        match applied {
            Ok(()) if !transaction.is_open() => Err(ended_early()),
            applied => applied,
        }
    }

    fn roll_back(&mut self) -> rusqlite::Result<()> {
        self.streams.forget();
        self.appender.forget();
        self.hooks.forget();
        *self.names = Names::new();
        self.transaction.roll_back()
    }

    /// Commits, and answers everyone: also who was refused has been told what the
    /// batch holds.
    fn commit(&mut self, mut batch: Vec<Job>) {
        if let Err(error) = self.hooks.seal().and_then(|()| self.transaction.seal()) {
            return self.one_by_one(batch, &fault(error, "committing"));
        }
        match metrics::commit(|| self.transaction.commit()) {
            Ok(()) => {
                metrics::written(batch.iter().map(Job::written));
                // A few followers are woken with who waits, everybody else after.
                let head = self.transaction.position();
                self.news.tell_near(head);
                batch.into_iter().for_each(Job::answer);
                self.news.tell_far(head);
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                if let ([job], Some(unresolved)) = (batch.as_mut_slice(), self.hooks.unresolved()) {
                    job.blame(unresolved);
                }
                self.one_by_one(batch, &fault(error, "committing"));
            }
            Err(error) => self.commit_failed(batch, error),
        }
    }

    /// Rolls a batch back and gives each of its jobs a transaction of its own, so that
    /// only the one at fault fails.
    fn one_by_one(&mut self, batch: Vec<Job>, error: &StoreError) {
        if let Err(error) = self.roll_back() {
            return self.fence(batch, &at_rollback(error));
        }
        // It had the transaction to itself already.
        if batch.len() == 1 {
            self.rest_if_full(error);
            return refuse_all(batch, error);
        }
        let mut batch = batch.into_iter();
        while let Some(job) = batch.next() {
            if *self.fenced {
                job.refuse(fenced());
            } else if let Err(error) = self.begin(self.busy_timeout) {
                // The rest would wait as long again, one after the other.
                job.refuse(error.again());
                return refuse_all(batch, &error);
            } else {
                self.alone(job);
            }
        }
    }

    fn alone(&mut self, mut job: Job) {
        match self.apply(&mut job) {
            Ok(()) => self.commit(vec![job]),
            Err(error) => self.one_by_one(vec![job], &error),
        }
    }

    fn commit_failed(&mut self, batch: Vec<Job>, error: rusqlite::Error) {
        let error = at_commit(error);
        if error.kind() == StoreErrorKind::Unknown {
            return self.fence(batch, &error);
        }
        if let Err(error) = self.roll_back() {
            return self.fence(batch, &at_rollback(error));
        }
        self.rest_if_full(&error);
        refuse_all(batch, &error);
    }

    /// Whether the batch will be there after a crash cannot be told: say so, and
    /// write no more, since a later commit could make it durable or overwrite it.
    fn fence(&mut self, batch: Vec<Job>, error: &StoreError) {
        *self.fenced = true;
        let _ = self.roll_back();
        refuse_all(batch, error);
    }

    /// The write lock could not be had: whoever was waiting has waited for it too.
    fn refuse_waiting(
        &mut self,
        first: Job,
        waiting: usize,
        queue: &mut Outlet<Job>,
        error: &StoreError,
    ) {
        self.rest_if_full(error);
        first.refuse(error.again());
        for _ in 0..waiting {
            let Some(job) = self.next(queue) else { break };
            job.refuse(error.again());
        }
    }

    /// Strips what was removed, in small transactions between those of others.
    fn compact(&mut self, asked: Asked<(), Compacted>, queue: &mut Outlet<Job>) {
        let mut compacted = Compacted::default();
        loop {
            let stripped = match self.strip_some(&asked) {
                Ok(stripped) => stripped,
                Err(error) => {
                    self.rest_if_full(&error);
                    return asked.tell(Err(error));
                }
            };
            compacted.events += stripped.events;
            if !stripped.more {
                // What was stripped may still stand in the log. If a reader is in the way
                // it stays there until the log is written over, or the store closes.
                let _ = self
                    .conn
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                return asked.tell(Ok(compacted));
            }
            if let Some(job) = self.next(queue) {
                self.batch(job, queue);
            }
        }
    }

    fn strip_some(&mut self, asked: &Asked<(), Compacted>) -> Result<Stripped, StoreError> {
        if *self.fenced {
            return Err(fenced());
        }
        self.begin(self.busy_timeout)?;
        let mut desk = Desk {
            transaction: &mut self.transaction,
            streams: &mut self.streams,
            now: asked.now,
        };
        let stripped = strip(self.conn, &mut desk, self.names).map_err(Failure::into_store_error);
        let sealed = stripped.and_then(|stripped| {
            let sealed = self.transaction.seal();
            sealed
                .map(|()| stripped)
                .map_err(|error| fault(error, "compacting"))
        });
        let stripped = match sealed {
            Ok(_) if !self.transaction.is_open() => Err(ended_early()),
            Ok(stripped) => self
                .transaction
                .commit()
                .map(|()| stripped)
                .map_err(at_commit),
            Err(error) => Err(error),
        };
        stripped.inspect_err(|error| {
            let rolled_back = self.roll_back();
            *self.fenced |= error.kind() == StoreErrorKind::Unknown || rolled_back.is_err();
        })
    }

    fn rest_if_full(&self, error: &StoreError) {
        if error.kind() == StoreErrorKind::DiskFull {
            thread::sleep(self.disk_full_pause);
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            give_up(self.conn, self.fenced);
        }
    }
}

/// After a panic, which only a bug can do, what was written is not known; and the write lock is
/// nobody's, so that other processes do not wait for it.
pub(super) fn give_up(conn: &Connection, fenced: &mut bool) {
    *fenced = true;
    if !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
}

fn refuse_all(jobs: impl IntoIterator<Item = Job>, error: &StoreError) {
    for job in jobs {
        job.refuse(error.again());
    }
}

fn fenced() -> StoreError {
    StoreError::new(StoreErrorKind::Fenced, "appending")
}
