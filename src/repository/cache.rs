//! The last states of aggregates, so that a command need not read what was just written.
//!
//! Nothing here is believed: what is decided upon a state from here lands only if the stream
//! is still at its version and generation, and an answer that appends nothing is given only
//! when the store has been asked. The cache is a guess that is nearly always right.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;

use super::Loaded;
use crate::aggregate::Aggregate;
use crate::ids::StreamId;

/// States of aggregates of any kind, those used last. Cloning it is cheap, and every clone
/// is the same cache.
#[derive(Clone)]
pub(crate) struct Cache {
    states: Arc<Mutex<LruCache<Key, Arc<dyn Any + Send + Sync>>>>,
}

/// Two types may fold one stream.
type Key = (TypeId, StreamId);

impl Cache {
    /// None, where none is to be kept.
    pub(crate) fn new(aggregates_max: usize) -> Option<Self> {
        (aggregates_max > 0).then(|| Self {
            states: Arc::new(Mutex::new(LruCache::new(aggregates_max))),
        })
    }

    pub(crate) fn get<A: Aggregate>(&self, stream: &StreamId) -> Option<Loaded<A>> {
        let key = (TypeId::of::<A>(), stream.clone());
        let state = self.states().get(&key).cloned()?;
        // Cloned outside of the lock: it is user code.
        state.downcast_ref::<Loaded<A>>().cloned()
    }

    /// Keeps a state, unless a later one of the stream is kept already.
    pub(crate) fn keep<A: Aggregate>(&self, loaded: Loaded<A>) {
        let key = (TypeId::of::<A>(), loaded.stream.clone());
        let at = (loaded.generation, loaded.version);
        let mut states = self.states();
        let kept = states.get(&key).and_then(|kept| {
            let kept = kept.downcast_ref::<Loaded<A>>()?;
            Some((kept.generation, kept.version))
        });
        let replaced = match kept {
            Some(kept) if kept > at => None,
            _ => states.insert(key, Arc::new(loaded)),
        };
        drop(states);
        // What it holds is user code's to drop, and nobody's to wait for.
        drop(replaced);
    }

    /// No user code runs under the lock.
    fn states(&self) -> MutexGuard<'_, LruCache<Key, Arc<dyn Any + Send + Sync>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache of {} aggregates", self.states().len())
    }
}
