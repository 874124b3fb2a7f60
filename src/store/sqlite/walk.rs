//! The walk over dense numbers that fills a page, and knows which number is due.
//!
//! Numbers have no holes, so a row that does not come is damage and not silence.

use std::ops::RangeInclusive;

use rusqlite::Statement;

use super::fault::fault;
use super::row::Fields;
use crate::store::error::StoreError;
use crate::store::scan::{Direction, PageBounds};

/// A page that is being filled.
pub(super) struct Walk<T> {
    pub(super) items: Vec<T>,
    /// The last number looked at.
    pub(super) scanned_to: Option<u64>,
    /// The numbers that were not looked at yet.
    left: RangeInclusive<u64>,
    direction: Direction,
    bounds: PageBounds,
    scanned: u32,
    bytes: usize,
    /// Whether nothing more is wanted.
    ended: bool,
}

/// What becomes of a row at the number that is due.
pub(super) enum Step<T> {
    /// It is there and wanted; so many bytes.
    Take(T, usize),
    /// It is there and not wanted.
    Past,
    /// It is there, and nothing after it is wanted.
    End,
    /// It stands at a later number; at this one there is none, and rightly so. What there
    /// is instead may be wanted.
    Again(Option<T>),
}

impl<T> Walk<T> {
    pub(super) fn new(
        numbers: RangeInclusive<u64>,
        direction: Direction,
        bounds: PageBounds,
    ) -> Self {
        Self {
            items: Vec::new(),
            scanned_to: None,
            left: numbers,
            direction,
            bounds,
            scanned: 0,
            bytes: 0,
            ended: false,
        }
    }

    /// Steps through the rows until the page is full. `read` is given each row and the
    /// number that is due there.
    pub(super) fn over(
        &mut self,
        rows: &mut Statement<'_>,
        mut read: impl FnMut(Fields<'_>, u32, u64) -> Result<Step<T>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut rows = rows.raw_query();
        while !self.is_full()
            && let Some(row) = rows.next().map_err(|error| fault(error, "reading"))?
        {
            let (fields, checksum) = Fields::of(row)?;
            while !self.is_full()
                && let Some(due) = self.pass()
            {
                match read(fields, checksum, due)? {
                    Step::Again(instead) => {
                        self.items.extend(instead);
                        continue;
                    }
                    Step::Past => {}
                    Step::End => {
                        self.ended = true;
                        return Ok(());
                    }
                    Step::Take(item, bytes) => {
                        self.bytes += bytes;
                        self.items.push(item);
                    }
                }
                break;
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.bounds.events_max.max(1) as usize
            || self.bytes >= self.bounds.bytes_max.max(1)
            || self.scanned >= self.bounds.scan_max.max(1)
    }

    /// Goes on to the next number and answers it.
    pub(super) fn pass(&mut self) -> Option<u64> {
        let due = match self.direction {
            Direction::Forwards => self.left.next(),
            Direction::Backwards => self.left.next_back(),
        };
        self.scanned += 1;
        self.scanned_to = due.or(self.scanned_to);
        due
    }

    /// Where the next page goes on.
    pub(super) fn next(&self) -> Option<u64> {
        if self.ended {
            return None;
        }
        let mut left = self.left.clone();
        match self.direction {
            Direction::Forwards => left.next(),
            Direction::Backwards => left.next_back(),
        }
    }

    /// The number that should have been there when the rows ended early.
    pub(super) fn missing(&self) -> Option<u64> {
        if self.is_full() { None } else { self.next() }
    }
}
