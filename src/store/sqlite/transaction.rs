//! The transaction that the writer holds open, and how far the store has come in it.

use std::time::Duration;

use rusqlite::{CachedStatement, Connection};

use super::fault::{Failure, corrupt, fault};
use super::head::{self, Edge, Head};
use super::lock::patiently;
use crate::store::error::StoreError;
use crate::version::Position;

/// The write lock, and the row of `annalist_head` while it is held.
pub(super) struct Transaction<'c> {
    conn: &'c Connection,
    begin: CachedStatement<'c>,
    data_version: CachedStatement<'c>,
    move_head: CachedStatement<'c>,
    commit: CachedStatement<'c>,
    /// As of the open transaction; written back when it commits.
    head: &'c mut Head,
    /// Whether the open transaction has moved the head.
    moved: bool,
    seen: &'c mut Option<i64>,
}

/// Where the store stood at the end of the last transaction.
#[derive(Default)]
pub(super) struct Standing {
    head: Head,
    /// SQLite's counter of what other connections committed. As long as it stands
    /// still, what the writer keeps is what the file holds. None: nothing is known.
    seen: Option<i64>,
}

/// How far the store had come at some point of a transaction.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    head: Head,
    moved: bool,
}

/// Whether what the writer has kept of the streams still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Holds,
    /// It does, but others have committed something that concerns no stream.
    HoldsStill,
    Stale,
}

impl<'c> Transaction<'c> {
    /// The connection itself waits for no lock.
    pub(super) fn new(conn: &'c Connection, standing: &'c mut Standing) -> rusqlite::Result<Self> {
        let Standing { head, seen } = standing;
        Ok(Self {
            conn,
            begin: conn.prepare_cached("BEGIN IMMEDIATE")?,
            data_version: conn.prepare_cached("PRAGMA data_version")?,
            move_head: conn.prepare_cached(head::WRITE)?,
            commit: conn.prepare_cached("COMMIT")?,
            head,
            moved: false,
            seen,
        })
    }

    /// Takes the write lock, waiting for it so long at most, and tells whether another
    /// connection has changed streams. On an error the lock is not held.
    pub(super) fn begin(&mut self, busy_timeout: Duration) -> Result<Kept, StoreError> {
        let sql = |error| fault(error, "taking the write lock");
        patiently(busy_timeout, || self.begin.execute([])).map_err(sql)?;
        self.look().inspect_err(|_| {
            // The error that is told is the first one.
            let _ = self.roll_back();
        })
    }

    fn look(&mut self) -> Result<Kept, StoreError> {
        let seen = self.data_version.query_row([], |row| row.get(0));
        let seen = seen.map_err(|error| fault(error, "taking the write lock"))?;
        if *self.seen == Some(seen) {
            return Ok(Kept::Holds);
        }
        let head = Head::read(self.conn)?;
        // Someone may have committed what concerns no stream, such as a read model.
        let kept = match self.seen.is_some() && *self.head == head {
            true => Kept::HoldsStill,
            false => Kept::Stale,
        };
        *self.head = head;
        *self.seen = Some(seen);
        Ok(kept)
    }

    /// Writes down how far the store has come: the last step before the commit, and one
    /// after whose failure nothing is durable yet.
    pub(super) fn seal(&mut self) -> rusqlite::Result<()> {
        if self.moved {
            self.move_head.execute(self.head.columns())?;
            self.moved = false;
        }
        Ok(())
    }

    /// Makes durable what the open transaction holds. What an error leaves behind is not
    /// known, but for the few that [`at_commit`](super::fault::at_commit) knows.
    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.execute([]).map(drop)
    }

    /// Whether the transaction is still open. SQLite ends it by itself on some errors of
    /// reading and writing; going on would commit each further row on its own.
    pub(super) fn is_open(&self) -> bool {
        !self.conn.is_autocommit()
    }

    /// Drops what the open transaction holds, if one is open.
    pub(super) fn roll_back(&mut self) -> rusqlite::Result<()> {
        self.moved = false;
        *self.seen = None;
        match self.conn.is_autocommit() {
            true => Ok(()),
            false => self.conn.execute_batch("ROLLBACK"),
        }
    }

    /// Refuses what needs more positions than are left, before anything is written.
    pub(super) fn has_room_for(&self, entries: usize) -> Result<(), Failure> {
        if self.head.position.checked_add(entries as i64).is_some() {
            return Ok(());
        }
        let last = Some(Position::new(i64::MAX as u64));
        let used_up: StoreError = corrupt(last, "numbering an event after the largest number");
        Err(Failure::Refused(used_up.into()))
    }

    /// The next position. The caller has asked for room before.
    pub(super) fn next_position(&mut self) -> i64 {
        self.moved = true;
        self.head.position += 1;
        self.head.position
    }

    /// How far the store has come now, to come [back to](Self::back_to).
    pub(super) fn mark(&self) -> Mark {
        Mark {
            head: *self.head,
            moved: self.moved,
        }
    }

    /// Forgets what was written since a mark; the caller has undone it.
    pub(super) fn back_to(&mut self, mark: Mark) {
        *self.head = mark.head;
        self.moved = mark.moved;
    }

    /// The largest position so far.
    pub(super) fn position(&self) -> i64 {
        self.head.position
    }

    /// The time to record now: the caller's, or the last one if that was later.
    pub(super) fn record_at(&mut self, now: i64) -> i64 {
        self.moved = true;
        self.head.recorded_at = self.head.recorded_at.max(now);
        self.head.recorded_at
    }

    /// The time that was recorded last.
    pub(super) fn recorded_at(&self) -> i64 {
        self.head.recorded_at
    }

    /// How far the store has come in this transaction.
    pub(super) fn head(&self) -> &Head {
        self.head
    }

    /// Takes note of where a stream ends now.
    pub(super) fn note_end(&mut self, stream: i64, version: i64) {
        if stream >= self.head.edge.stream {
            self.head.edge = Edge { stream, version };
        }
    }

    /// Counts a change to what is removed, so that other connections notice.
    pub(super) fn count_removal(&mut self) {
        self.moved = true;
        self.head.removals += 1;
    }
}
