//! Streams folded where they are read, from a kept state on if there is one.
//!
//! An event that is only folded need not become a value of its own and cross to another
//! thread: that is most of what a load costs. What the events are folded to is none of the
//! store's business; it hands them to whoever asks, and keeps states as text.

use std::any::Any;
use std::fmt;
use std::ops::ControlFlow;

use crate::event::EventRef;
use crate::ids::EventId;
use crate::store::commit::Fingerprint;
use crate::store::facts::StreamFacts;
use crate::version::{Generation, Version};

/// What takes in the events of one stream, in their order. It goes to the thread that reads
/// and comes back with the page: it must not wait for anything, and must not panic.
pub trait StreamFold: Any + Send {
    /// Begins with a state that was kept; `false` if it cannot be read, and then the events
    /// come from the first one on.
    fn begin(&mut self, snapshot: &Snapshot) -> bool;

    /// Takes in the next event. After a break comes no other.
    fn event(&mut self, event: EventRef<'_>) -> ControlFlow<()>;
}

/// What a stream was folded to, kept so that the events before need not be read again: a
/// cache, which may be lost at any time and is believed as far as the generation holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What folded it, and how: another reader takes it for none.
    pub fingerprint: Fingerprint,
    /// The version of the last event that was folded.
    pub version: Version,
    /// The generation of the stream then.
    pub generation: Generation,
    /// The id of that event.
    pub last_event: EventId,
    /// The state, as JSON.
    pub state: Box<str>,
}

impl Snapshot {
    /// Whether it is to be kept of a stream that is so, in place of what is kept.
    pub(crate) fn replaces(&self, kept: Option<&Self>, facts: &StreamFacts) -> bool {
        let is_of_now = self.generation == facts.generation
            && self.version > facts.removed_to
            && self.version <= facts.version;
        let is_newer = kept.is_none_or(|kept| {
            kept.fingerprint != self.fingerprint
                || kept.generation != self.generation
                || kept.version < self.version
                // Who folds up there again could not read what is kept.
                || (kept.version == self.version && kept.state != self.state)
        });
        is_of_now && is_newer
    }
}

impl fmt::Debug for Snapshot {
    /// Never the state: a log must not learn it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, bytes) = (self.version, self.state.len());
        write!(f, "Snapshot at {version} of {bytes} bytes")
    }
}
