//! Where a reader of the feed goes on, and how it is told that it no longer can.
//!
//! Kept by whoever follows the store, beside what it made of the events; looked at again
//! when it comes back.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::EventId;
use crate::version::Position;

/// How far a reader has come, in which store, and what it saw there last. Keep it where
/// what was made of the events is kept, in one transaction.
///
/// A position alone would be believed by any store, also by one that was restored from a
/// backup and has other events there now. So what stands at the position is kept too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The [id](crate::Store::id) of the store.
    pub store: Uuid,
    /// The last position that was looked at; the reader goes on after it.
    pub position: Position,
    /// The event at that position, delivered or not. None where a removal stands there,
    /// and at the beginning.
    pub event: Option<EventId>,
}

impl Checkpoint {
    pub(crate) const fn new(store: Uuid, position: Position, event: Option<EventId>) -> Self {
        Self {
            store,
            position,
            event,
        }
    }

    /// Whether it was taken from this store.
    pub(crate) fn is_of(&self, store: Uuid) -> Result<(), CheckpointMismatch> {
        match self.store == store {
            true => Ok(()),
            false => Err(CheckpointMismatch::Store {
                checkpoint: self.store,
                found: store,
            }),
        }
    }

    /// Where a reader begins that has seen nothing of this store.
    #[must_use]
    pub const fn start(store: Uuid) -> Self {
        Self::new(store, Position::ZERO, None)
    }
}

/// What differs between a checkpoint and the store: it was restored from a backup, or is
/// another one. Going on would leave events out in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointMismatch {
    /// It is of another store.
    Store {
        /// The store of the checkpoint.
        checkpoint: Uuid,
        /// The store that is read.
        found: Uuid,
    },
    /// The store has not come so far.
    Ahead {
        /// The position of the checkpoint.
        checkpoint: Position,
        /// Where the store ends.
        head: Position,
    },
    /// Something else stands at its position.
    Event {
        /// The position.
        position: Position,
        /// The event that the reader saw there; none where it saw a removal.
        checkpoint: Option<EventId>,
        /// The event that stands there; none where a removal does.
        found: Option<EventId>,
    },
}

impl fmt::Display for CheckpointMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |event: &Option<EventId>| match event {
            Some(id) => format!("event {id}"),
            None => "a removal".to_owned(),
        };
        match self {
            Self::Store { checkpoint, found } => write!(
                f,
                "the checkpoint is of store {checkpoint}, this is store {found}; open the other \
                 one, or read this one from its beginning"
            ),
            Self::Ahead { checkpoint, head } => write!(
                f,
                "the checkpoint is at position {checkpoint}, but the store ends at {head}: it was \
                 restored from a backup, or lost what was not durable; undo what was made of \
                 the events, and read from the beginning"
            ),
            Self::Event {
                position,
                checkpoint,
                found,
            } => write!(
                f,
                "the checkpoint saw {} at position {position}, where {} stands now: the store \
                 was restored from a backup; undo what was made of the events, and read from \
                 the beginning",
                name(checkpoint),
                name(found)
            ),
        }
    }
}
