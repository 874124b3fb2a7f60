//! Which numbers one page of a read goes over, and how many of them.
//!
//! Versions of one stream and positions of all of them are walked alike.

use std::ops::RangeInclusive;

use crate::version::Counter;

/// Which way a read goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From small numbers to large ones.
    #[default]
    Forwards,
    /// From large numbers to small ones.
    Backwards,
}

/// How much one page may hold and cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageBounds {
    /// Events on the page, at least 1.
    pub events_max: u32,
    /// Bytes of payload after which a page ends; its first event always fits.
    pub bytes_max: usize,
    /// Events that a filter may look at for one page, at least 1.
    pub scan_max: u32,
}

impl Default for PageBounds {
    /// 512 events, 1 MiB, 16,384 events looked at.
    fn default() -> Self {
        Self {
            events_max: 512,
            bytes_max: 1024 * 1024,
            scan_max: 16 * 1024,
        }
    }
}

/// Which numbers one page goes over, versions or positions, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan<N> {
    /// The smallest number to read.
    pub from: N,
    /// The largest number to read.
    pub to: N,
    /// Which way to go from there.
    pub direction: Direction,
    /// How much the page may hold.
    pub bounds: PageBounds,
}

// Functions and not methods: the trait behind them stays inside the crate.

/// The scan over every number there is, forwards.
pub(crate) fn over_all<N: Counter>() -> Scan<N> {
    Scan {
        from: N::ZERO,
        to: N::MAX,
        direction: Direction::default(),
        bounds: PageBounds::default(),
    }
}

/// The numbers to look at, where `last` is the largest there is.
pub(crate) fn numbers<N: Counter>(scan: &Scan<N>, last: N) -> RangeInclusive<u64> {
    scan.from.get().max(1)..=scan.to.min(last).get()
}

/// The scan for the page that begins at `next`. It ends where the store ended when
/// the first page was read, since `last` only grows.
pub(crate) fn going_on<N: Counter>(mut scan: Scan<N>, next: N, last: N) -> Option<Scan<N>> {
    match scan.direction {
        Direction::Forwards => {
            scan.from = next;
            scan.to = scan.to.min(last);
        }
        Direction::Backwards => scan.to = next,
    }
    (scan.from <= scan.to).then_some(scan)
}

/// The same for at most so many events; none leaves a scan over nothing.
pub(crate) fn capped<N: Counter>(mut scan: Scan<N>, events_max: u64) -> Scan<N> {
    let cap = u32::try_from(events_max).unwrap_or(u32::MAX);
    scan.bounds.events_max = scan.bounds.events_max.min(cap);
    if events_max == 0 {
        (scan.from, scan.to) = (N::MAX, N::ZERO);
    }
    scan
}
