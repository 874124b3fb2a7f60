//! Loading: a stream folded page by page, on the thread that reads it.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use tracing::debug;

use super::{LoadError, Loaded, Repository};
use crate::aggregate::Aggregate;
use crate::caught::let_go;
use crate::codec::{Codec, FoldError};
use crate::event::EventRef;
use crate::ids::StreamId;
use crate::snapshot;
use crate::store::{PageBounds, Snapshot, StoreErrorKind, StreamFold};
use crate::version::Version;

/// How far a load goes.
#[derive(Clone, Copy)]
pub(super) enum Until {
    Version(Version),
    /// With the events that were recorded up to then.
    Time(DateTime<Utc>),
}

/// An aggregate while it is folded.
struct Fold<A: Aggregate> {
    codec: Codec<A>,
    stream: StreamId,
    /// None once an event could not be folded: the state is not to be believed.
    loaded: Result<Loaded<A>, FoldError>,
    until: Option<DateTime<Utc>>,
    /// The version of the kept state that it began with.
    began: Version,
    /// The first version that was read.
    first: Option<Version>,
    /// Whether an event was met that is not wanted any more.
    is_over: bool,
}

impl<A: Aggregate> StreamFold for Fold<A> {
    fn begin(&mut self, snapshot: &Snapshot) -> bool {
        let (Ok(loaded), Some(state)) = (&mut self.loaded, snapshot::read(&snapshot.state)) else {
            debug!(stream = %self.stream, version = %snapshot.version, "a kept state cannot be read");
            return false;
        };
        let_go(std::mem::replace(&mut loaded.state, state));
        loaded.version = snapshot.version;
        loaded.last_event = Some(snapshot.last_event);
        self.began = snapshot.version;
        true
    }

    fn event(&mut self, event: EventRef<'_>) -> ControlFlow<()> {
        let Ok(loaded) = &mut self.loaded else {
            return ControlFlow::Break(());
        };
        self.first = self.first.or(Some(event.version));
        if self.until.is_some_and(|until| event.recorded_at > until) {
            self.is_over = true;
            return ControlFlow::Break(());
        }
        if let Err(error) = self.codec.apply(&mut loaded.state, event) {
            let_go(std::mem::replace(&mut self.loaded, Err(error)));
            return ControlFlow::Break(());
        }
        loaded.version = event.version;
        loaded.last_event = Some(event.id);
        ControlFlow::Continue(())
    }
}

impl<A: Aggregate> Repository<A> {
    /// A removal between two pages makes a load begin again; so often at most.
    const LOADS_MAX: u32 = 5;
    /// A page is not held in memory, so it may be long: other reads wait for its thread as
    /// long as it takes to fold, a few milliseconds.
    const PAGE: PageBounds = PageBounds {
        events_max: 4_096,
        bytes_max: 4 * 1024 * 1024,
        scan_max: 4_096,
    };

    /// Folds a stream so far. Also answers the first version that was read.
    pub(super) async fn fold(
        &self,
        stream: &StreamId,
        until: Until,
    ) -> Result<(Loaded<A>, Option<Version>), LoadError> {
        for _ in 1..Self::LOADS_MAX {
            match self.fold_once(stream, until).await {
                Err(LoadError::Store(error))
                    if error.kind() == StoreErrorKind::RemovedMeanwhile => {}
                answer => return answer,
            }
        }
        self.fold_once(stream, until).await
    }

    async fn fold_once(
        &self,
        stream: &StreamId,
        until: Until,
    ) -> Result<(Loaded<A>, Option<Version>), LoadError> {
        let (to, until, snapshot) = match until {
            Until::Version(to) => (to, None, snapshot::fingerprint(&self.codec)),
            // A kept state does not say when its events were recorded.
            Until::Time(time) => (Version::MAX, Some(time), None),
        };
        let fold = Fold {
            codec: self.codec.clone(),
            stream: stream.clone(),
            loaded: Ok(Loaded::new(stream.clone())),
            until,
            began: Version::ZERO,
            first: None,
            is_over: false,
        };
        let read = self.store.read_stream(stream).to(to);
        let folded = read.page_bounds(Self::PAGE).fold(snapshot, fold).await?;
        let Fold {
            loaded,
            first,
            began,
            is_over,
            ..
        } = folded.fold;
        let mut loaded = loaded?;
        loaded.generation = folded.generation;
        if !is_over {
            // Of a deleted stream no event is read, and it is at its version all the same.
            loaded.version = folded.version.min(to);
        }
        // A state of the past is kept by nobody: there is a later one, or there will be.
        let is_of_now = !is_over && loaded.version == folded.version;
        if is_of_now && A::SNAPSHOTS.is_enough(began, loaded.version) {
            self.keep_later(&loaded);
        }
        Ok((loaded, first))
    }
}
