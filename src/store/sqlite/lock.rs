//! The write lock, waited for in short even steps.
//!
//! SQLite's own waiting grows to 100 ms a step, while a busy process lets go of the lock
//! for a moment only: it would starve whoever comes, who may only want to open the file.

use std::thread;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fault::{Deadline, is_busy};

const STEP: Duration = Duration::from_micros(500);

/// Tries until it is not told that somebody else holds what it needs, or time is up.
pub(super) fn patiently<T>(
    timeout: Duration,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let deadline = Deadline::after(timeout);
    loop {
        match attempt() {
            Err(error) if is_busy(&error) && !deadline.is_past() => thread::sleep(STEP),
            answer => return answer,
        }
    }
}

/// Begins a transaction that holds the write lock. It is rolled back when it is dropped.
pub(super) fn write_lock(
    conn: &Connection,
    timeout: Duration,
) -> rusqlite::Result<Transaction<'_>> {
    conn.busy_timeout(Duration::ZERO)?;
    let begun = patiently(timeout, || {
        Transaction::new_unchecked(conn, TransactionBehavior::Immediate)
    });
    conn.busy_timeout(timeout)?;
    begun
}
