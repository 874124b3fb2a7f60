//! Keeping states, behind the back of whoever saves and loads: nobody waits for it, and
//! nothing comes of it but that the next load is shorter.

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::{Loaded, Repository};
use crate::aggregate::Aggregate;
use crate::caught::{caught, let_go};
use crate::snapshot;
use crate::store::Snapshot;
use crate::version::Version;

impl<A: Aggregate> Repository<A> {
    /// Keeps a state after an append, if one is due.
    pub(crate) fn keep_if_due(&self, from: Version, now: &Loaded<A>) {
        if A::SNAPSHOTS.is_passed(from, now.version) {
            self.keep_later(now);
        }
    }

    /// Keeps a state, unless it is one of nothing. Where no runtime is that could do it
    /// meanwhile, it is not done.
    pub(super) fn keep_later(&self, now: &Loaded<A>) {
        let (version, generation) = (now.version, now.generation);
        let (Ok(runtime), Some(last_event), Some(place), Some(fingerprint)) = (
            Handle::try_current(),
            now.last_event,
            self.store.place_to_keep(),
            snapshot::fingerprint(&self.codec),
        ) else {
            return;
        };
        // User code, which may panic: what was appended is appended all the same.
        let Ok(state) = caught(|| now.state.clone()) else {
            return;
        };
        let (store, stream) = (self.store.clone(), now.stream.clone());
        runtime.spawn(async move {
            let writing = spawn_blocking(move || {
                let written = snapshot::write(&state);
                let_go(state);
                written
            });
            if let Ok(Some(state)) = writing.await {
                let snapshot = Snapshot {
                    fingerprint,
                    version,
                    generation,
                    last_event,
                    state,
                };
                // Also if it is too large: the events are there.
                let _ = store.keep_snapshot(stream, snapshot).await;
            }
            drop(place);
        });
    }
}
