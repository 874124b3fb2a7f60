//! Which aggregates are wanted by many at once: what adaptive commands go by.
//!
//! A guess that changes no answer. Whoever loses a race warms the aggregate and whoever meets
//! none cools it, so that it is hot once more than every other command loses; in line, turns
//! that serve one command alone cool it down again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;

use crate::ids::StreamId;

/// How warm the aggregates of a bus are, as far as they are not cold. Every clone is the same.
#[derive(Clone)]
pub(super) struct Heat {
    warm: Arc<Mutex<LruCache<StreamId, Warmth>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Warmth {
    /// So many more races than commands that met none.
    Races(u32),
    /// In line, where so many turns in a row served one command alone.
    Hot { alone: u32 },
}

impl Heat {
    /// So many aggregates are known not to be cold.
    const AGGREGATES_MAX: usize = 1_024;
    /// From so many races on an aggregate is hot. Two may be chance.
    const RACES_MAX: u32 = 4;
    /// After so many turns alone it is cold. To find out too late costs little: a line of one
    /// is nearly as fast as none.
    const ALONE_MAX: u32 = 64;

    pub(super) fn is_hot(&self, stream: &StreamId) -> bool {
        matches!(self.warm().get(stream), Some(Warmth::Hot { .. }))
    }

    /// A command on it that was not in line has lost a race.
    pub(super) fn raced(&self, stream: &StreamId) {
        let mut warm = self.warm();
        let races = match warm.get(stream) {
            Some(Warmth::Hot { .. }) => return,
            Some(Warmth::Races(races)) => races + 1,
            None => 1,
        };
        let warmth = match races >= Self::RACES_MAX {
            true => Warmth::Hot { alone: 0 },
            false => Warmth::Races(races),
        };
        warm.insert(stream.clone(), warmth);
    }

    /// A command on it that was not in line has met nobody.
    pub(super) fn met_nobody(&self, stream: &StreamId) {
        let mut warm = self.warm();
        match warm.get_mut(stream) {
            Some(Warmth::Races(races)) if *races > 1 => *races -= 1,
            Some(Warmth::Races(_)) => drop(warm.remove(stream)),
            Some(Warmth::Hot { .. }) | None => {}
        }
    }

    /// A turn has served so many of its line.
    pub(super) fn served(&self, stream: &StreamId, commands: usize) {
        let mut warm = self.warm();
        if let Some(Warmth::Hot { alone }) = warm.get_mut(stream) {
            *alone = match commands {
                // The end of a line says nothing more.
                0 => return,
                1 => *alone + 1,
                _ => 0,
            };
            if *alone >= Self::ALONE_MAX {
                warm.remove(stream);
            }
        }
    }

    /// No user code runs under the lock.
    fn warm(&self) -> MutexGuard<'_, LruCache<StreamId, Warmth>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Heat {
    fn default() -> Self {
        Self {
            warm: Arc::new(Mutex::new(LruCache::new(Self::AGGREGATES_MAX))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamId {
        "stock-1".parse().expect("a stream id")
    }

    #[test]
    fn an_aggregate_is_hot_once_more_commands_lose_than_do_not() {
        let heat = Heat::default();
        let stream = stream();
        for _ in 0..100 {
            heat.raced(&stream);
            heat.met_nobody(&stream);
            assert!(!heat.is_hot(&stream));
        }
        for races in 1..=Heat::RACES_MAX {
            heat.raced(&stream);
            assert_eq!(heat.is_hot(&stream), races == Heat::RACES_MAX);
        }
        // Those who were on their way say nothing more.
        heat.met_nobody(&stream);
        heat.raced(&stream);
        assert!(heat.is_hot(&stream));
    }

    #[test]
    fn it_is_cold_again_after_enough_turns_alone() {
        let heat = Heat::default();
        let stream = stream();
        (0..Heat::RACES_MAX).for_each(|_| heat.raced(&stream));
        for _ in 1..Heat::ALONE_MAX {
            heat.served(&stream, 1);
        }
        heat.served(&stream, 2);
        for alone in 1..=Heat::ALONE_MAX {
            assert!(heat.is_hot(&stream), "{alone}");
            heat.served(&stream, 1);
        }
        assert!(!heat.is_hot(&stream));
        assert!(heat.warm().is_empty());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let heat = Heat::default();
        for key in 0..Heat::AGGREGATES_MAX + 10 {
            heat.raced(&format!("stock-{key}").parse().expect("a stream id"));
        }
        assert_eq!(heat.warm().len(), Heat::AGGREGATES_MAX);
    }
}
