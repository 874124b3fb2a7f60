//! What is left of a stream of which events were removed.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;

use super::{Means, unreadable};
use crate::event::RecordedEvent;
use crate::follow::ledger::{Taken, Trouble};
use crate::follow::parked::{self, Parked};
use crate::ids::StreamId;
use crate::store::{Build, RemovalMarker, Store};
use crate::version::Position;

/// Events that are left of a stream, and are taken in again at once. If more are, the
/// build is made anew.
const LEFT_MAX: usize = 10_000;

/// Bytes of their payloads.
const LEFT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What waits of the stream, behind an event that was put aside.
pub(super) async fn waiting(
    parked: &BTreeSet<StreamId>,
    marker: &RemovalMarker,
    build: &Build,
    means: Means<'_>,
) -> Result<Vec<Parked>, Trouble> {
    if !parked.contains(&marker.stream) {
        return Ok(Vec::new());
    }
    let waiting = parked::of_stream(&means.ledger.database, build, &marker.stream);
    waiting.await.map_err(unreadable)
}

/// The removal, and what is to be taken in again: all that is left, but for what waits, as
/// its positions rise.
pub(super) async fn removed(
    marker: &RemovalMarker,
    (build, waiting, dropped): (&Build, &[Parked], &BTreeSet<Position>),
    store: &Store,
    means: Means<'_>,
) -> Result<Taken, Trouble> {
    let waits = |event: &RecordedEvent| {
        let found = waiting.binary_search_by_key(&event.position, |waits| waits.position);
        found.is_ok() || dropped.contains(&event.position)
    };
    let (mut left, mut bytes) = (Vec::new(), 0);
    // Who acts on events has acted on those that were removed, too.
    if means.before.is_none() {
        let mut events = store.read_stream(&marker.stream).events();
        while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
            let event = event?;
            if event.position > marker.position {
                break;
            }
            // It was never for this build.
            if event.position <= build.begins_after {
                continue;
            }
            bytes += event.payload.as_str().len();
            if left.len() == LEFT_MAX || bytes > LEFT_BYTES_MAX {
                return Err(Trouble::NeedsRebuild);
            }
            if !waits(&event) && means.ledger.code.wants_event(&event) {
                left.push(event);
            }
        }
    }
    Ok(Taken::Removed {
        at: marker.position,
        stream: marker.stream.clone(),
        removed_to: marker.removed_to,
        left,
    })
}
