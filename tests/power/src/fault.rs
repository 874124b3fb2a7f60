//! Which write or flush fails, and how.

use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};

use crate::disk::SECTOR_BYTES;

/// What may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Write,
    Sync,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// EIO of a write.
    WriteError,
    /// No space left.
    DiskFull,
    /// EIO of a flush.
    SyncError,
}

/// How long it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    Once,
    UntilHealed,
}

/// From the so many'th call on, something fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) how: How,
    pub(crate) lasting: Lasting,
    /// Of its target's calls, counted from 1 since the folder is watched.
    pub(crate) at: u64,
}

impl Fault {
    const fn target(self) -> Target {
        match self.how {
            How::WriteError | How::DiskFull => Target::Write,
            How::SyncError => Target::Sync,
        }
    }

    pub(crate) const fn answer(self) -> i32 {
        match self.how {
            How::WriteError => SQLITE_IOERR_WRITE,
            How::DiskFull => SQLITE_FULL,
            How::SyncError => SQLITE_IOERR_FSYNC,
        }
    }

    /// What the refused write puts on the disk all the same: nothing, the first sectors,
    /// or, since a write that failed may have arrived, all.
    pub(crate) fn written(self, offset: u64, bytes: &[u8]) -> &[u8] {
        let end = offset + bytes.len() as u64;
        let middle = (offset + end) / 2 / SECTOR_BYTES * SECTOR_BYTES;
        let torn = usize::try_from(middle.saturating_sub(offset)).expect("within the write");
        match (self.at % 3, self.how) {
            (0, _) => &[],
            (1, How::WriteError) => bytes,
            _ => &bytes[..torn],
        }
    }
}

/// What was asked of the disk, and what it is to refuse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    armed: Option<Fault>,
    pub(crate) writes: u64,
    pub(crate) syncs: u64,
    pub(crate) refused: u64,
}

impl Faults {
    pub(crate) fn arm(&mut self, fault: Fault) {
        self.armed = Some(fault);
    }

    pub(crate) fn heal(&mut self) {
        self.armed = None;
    }

    /// Counts a call, and answers what it fails with.
    pub(crate) fn meet(&mut self, target: Target) -> Option<Fault> {
        let count = match target {
            Target::Write => &mut self.writes,
            Target::Sync => &mut self.syncs,
        };
        *count += 1;
        let fault = self.armed.filter(|fault| fault.target() == target)?;
        let meets = match fault.lasting {
            Lasting::Once => *count == fault.at,
            Lasting::UntilHealed => *count >= fault.at,
        };
        self.refused += u64::from(meets);
        meets.then_some(fault)
    }
}
