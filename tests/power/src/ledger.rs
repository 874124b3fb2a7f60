//! What callers were told, in the order of what happened on the disk.

use std::collections::{BTreeMap, BTreeSet};

use annalist::store::Removed;
use annalist::{Generation, Receipt, StreamId, StreamState, Version};

use crate::recording::Op;

/// One thing that a caller did or was told.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// A commit was handed to the store.
    Sent(u32),
    /// It was answered with a receipt.
    Landed(u32, Receipt),
    /// It was answered with an error that says that nothing was written.
    Refused(u32),
    /// A removal was handed to the store.
    Removing(StreamId),
    /// It was answered.
    Removed(StreamId, Removal),
}

/// What a removal promises from its answer on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removal {
    pub(crate) generation: Generation,
    /// No event before this one is read again.
    pub(crate) first_version_min: Version,
    pub(crate) closed: bool,
}

impl Removal {
    pub(crate) fn of_delete(removed: &Removed) -> Self {
        Self::new(removed, removed.version.next())
    }

    pub(crate) fn of_truncate(removed: &Removed, before: Version) -> Self {
        Self::new(removed, before)
    }

    pub(crate) fn of_close(removed: &Removed) -> Self {
        Self::new(removed, Version::ZERO)
    }

    fn new(removed: &Removed, first_version_min: Version) -> Self {
        Self {
            generation: removed.generation,
            first_version_min,
            closed: removed.state == StreamState::Closed,
        }
    }
}

/// What must hold at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) sent: BTreeSet<u32>,
    pub(crate) landed: BTreeMap<u32, Receipt>,
    pub(crate) refused: BTreeSet<u32>,
    /// The streams that somebody has begun to remove something from.
    pub(crate) removing: BTreeSet<StreamId>,
    pub(crate) removed: BTreeMap<StreamId, Vec<Removal>>,
    /// How many answers were given.
    pub(crate) answers: u64,
}

impl Ledger {
    /// What the notes of a log say.
    pub(crate) fn of(log: &[Op]) -> Self {
        let mut ledger = Self::default();
        for op in log {
            if let Op::Note(note) = op {
                ledger.take(note);
            }
        }
        ledger
    }

    pub(crate) fn take(&mut self, note: &Note) {
        match note {
            Note::Sent(commit) => {
                self.sent.insert(*commit);
                // Sent again: what it was told before is no promise any more.
                self.refused.remove(commit);
            }
            Note::Landed(commit, receipt) => {
                self.answers += 1;
                self.landed.insert(*commit, receipt.clone());
            }
            // A repeat that is refused takes no promise back.
            Note::Refused(commit) => {
                if !self.landed.contains_key(commit) {
                    self.refused.insert(*commit);
                }
            }
            Note::Removing(stream) => {
                self.removing.insert(stream.clone());
            }
            Note::Removed(stream, removal) => {
                self.answers += 1;
                let removals = self.removed.entry(stream.clone()).or_default();
                removals.push(*removal);
            }
        }
    }

    /// What was sent and is neither promised nor refused.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = u32> {
        let open = |commit: &&u32| !self.landed.contains_key(*commit);
        let sent = self.sent.iter().filter(open);
        sent.filter(|commit| !self.refused.contains(*commit))
            .copied()
    }
}
