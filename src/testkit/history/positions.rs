//! The order over all streams: what receipts and reads tell of positions must fit
//! together, and keep to real time.
//!
//! Each answer names the places it is about, so they are compared; there is nothing
//! to search for.

use std::collections::{BTreeMap, HashMap};

use super::calls::{Placed, StoreAnswer, StoreCall};
use super::record::{History, Operation};
use crate::ids::{EventId, StreamId};
use crate::version::{Position, Version};

/// What receipts and reads of all streams tell that cannot all be true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misplaced {
    /// Two events were told to stand at one position.
    #[error("one position for two events: {one}, and {other}")]
    Reused {
        /// The event told of first.
        one: Box<Placed>,
        /// The other.
        other: Box<Placed>,
    },
    /// One event was told to stand at two places.
    #[error("one event at two places: {one}, and {other}")]
    Moved {
        /// The place told of first.
        one: Box<Placed>,
        /// The other.
        other: Box<Placed>,
    },
    /// An append was acknowledged before another began, and stands behind it.
    #[error("out of order: {earlier} was acknowledged before the append of {later} began")]
    OutOfOrder {
        /// The last event of the first append.
        earlier: Box<Placed>,
        /// The first event of the second.
        later: Box<Placed>,
    },
    /// A read went backwards, or answered what was not asked for.
    #[error("a read of client {client} answered {event}, but was at position {at} already")]
    Unsorted {
        /// Who read.
        client: usize,
        /// What was out of its place.
        event: Box<Placed>,
        /// The position of the event before, or the one to read from.
        at: Position,
    },
    /// A read passed over an event that stands before the last one it answered.
    #[error("a read of client {client} up to position {to} passed over {event}")]
    PassedOver {
        /// Who read.
        client: usize,
        /// The position of the last event that it answered.
        to: Position,
        /// What was not there, or came later.
        event: Box<Placed>,
    },
    /// A read ended before an event that was acknowledged before it began.
    #[error("a read of client {client} up to position {to} began after {event} was acknowledged")]
    Unseen {
        /// Who read.
        client: usize,
        /// The position of the last event that it answered.
        to: Position,
        /// What it did not answer.
        event: Box<Placed>,
    },
}

/// Judges the positions in a history:
///
/// - No two events share one, and no event has two.
/// - An append that began after another was acknowledged stands behind it.
/// - Every [`read_all`](super::Client::read_all) rises, answers all that was
///   acknowledged before it began, and passes over nothing that stands, now or later,
///   before its last event.
///
/// End the history with a read of everything, so that every receipt is compared with
/// what is stored.
///
/// # Errors
///
/// [`Misplaced`] tells of the first two statements found that contradict each other.
pub fn check_positions(history: &History<StoreCall, StoreAnswer>) -> Result<(), Misplaced> {
    let appends: Vec<_> = history.operations().iter().filter_map(Append::of).collect();
    let reads: Vec<_> = history.operations().iter().filter_map(Read::of).collect();
    let mut places = Places::default();
    for append in &appends {
        append
            .events
            .iter()
            .try_for_each(|event| places.add(event))?;
    }
    for read in &reads {
        read.events.iter().try_for_each(|event| places.add(event))?;
    }
    real_time(&appends)?;
    reads.iter().try_for_each(|read| {
        read.rises()?;
        read.is_whole(&places)?;
        read.is_recent(&appends)
    })
}

type StoreOperation = Operation<StoreCall, StoreAnswer>;

/// An append that was acknowledged, and at what time.
struct Append {
    invoked: u64,
    completed: u64,
    /// Whether it wrote the events, and so not before it began.
    is_first: bool,
    events: Vec<Placed>,
}

impl Append {
    fn of(operation: &StoreOperation) -> Option<Self> {
        let completed = operation.completed.as_ref()?;
        let (is_first, first, position) = match &completed.answer {
            StoreAnswer::Appended {
                first, position, ..
            } => (true, *first, *position),
            StoreAnswer::Replayed {
                first, position, ..
            } => (false, *first, *position),
            _ => return None,
        };
        let StoreCall::Append { stream, events, .. } = &operation.op else {
            return None;
        };
        let (first, last): (Version, Position) = (first?, position?);
        // The events of a commit stand next to each other.
        let before = last.get().saturating_sub(events.len() as u64);
        let placed = (0..).zip(events).map(|(count, id)| Placed {
            position: Position::new(before).plus(count).next(),
            stream: stream.clone(),
            version: first.plus(count),
            id: *id,
        });
        Some(Self {
            invoked: operation.invoked,
            completed: completed.at,
            is_first,
            events: placed.collect(),
        })
    }
}

/// Everything that was told of any event.
#[derive(Default)]
struct Places<'a> {
    by_position: BTreeMap<Position, &'a Placed>,
    by_event: HashMap<(&'a StreamId, EventId), &'a Placed>,
}

impl<'a> Places<'a> {
    fn add(&mut self, event: &'a Placed) -> Result<(), Misplaced> {
        let key = (&event.stream, event.id);
        let one = *self.by_event.entry(key).or_insert(event);
        if one != event {
            let (one, other) = (Box::new(one.clone()), Box::new(event.clone()));
            return Err(Misplaced::Moved { one, other });
        }
        let one = *self.by_position.entry(event.position).or_insert(event);
        if one != event {
            let (one, other) = (Box::new(one.clone()), Box::new(event.clone()));
            return Err(Misplaced::Reused { one, other });
        }
        Ok(())
    }
}

/// Goes through time, and keeps the last position acknowledged so far.
fn real_time(appends: &[Append]) -> Result<(), Misplaced> {
    let mut by_end: Vec<_> = appends.iter().collect();
    by_end.sort_unstable_by_key(|append| append.completed);
    let mut by_begin: Vec<_> = appends.iter().filter(|append| append.is_first).collect();
    by_begin.sort_unstable_by_key(|append| append.invoked);

    let mut ended = by_end.into_iter().peekable();
    let mut last: Option<&Placed> = None;
    for append in by_begin {
        while let Some(earlier) = ended.next_if(|earlier| earlier.completed < append.invoked) {
            let of_both = last.into_iter().chain(earlier.events.last());
            last = of_both.max_by_key(|event| event.position);
        }
        if let (Some(earlier), Some(later)) = (last, append.events.first())
            && earlier.position >= later.position
        {
            let (earlier, later) = (Box::new(earlier.clone()), Box::new(later.clone()));
            return Err(Misplaced::OutOfOrder { earlier, later });
        }
    }
    Ok(())
}

/// A read of everything behind a position.
struct Read<'a> {
    client: usize,
    invoked: u64,
    after: Position,
    events: &'a [Placed],
}

impl<'a> Read<'a> {
    fn of(operation: &'a StoreOperation) -> Option<Self> {
        let (StoreCall::ReadAll { after }, Some(StoreAnswer::All { events })) =
            (&operation.op, operation.answer())
        else {
            return None;
        };
        Some(Self {
            client: operation.client,
            invoked: operation.invoked,
            after: *after,
            events,
        })
    }

    /// The last position answered.
    fn to(&self) -> Position {
        self.events
            .last()
            .map_or(self.after, |event| event.position)
    }

    fn rises(&self) -> Result<(), Misplaced> {
        let mut at = self.after;
        for event in self.events {
            if event.position <= at {
                return Err(Misplaced::Unsorted {
                    client: self.client,
                    event: Box::new(event.clone()),
                    at,
                });
            }
            at = event.position;
        }
        Ok(())
    }

    /// Positions become visible in their order: what stands before the last event
    /// answered was there too. Holes are no fault by themselves, since not
    /// everything that takes a position is an event.
    fn is_whole(&self, places: &Places<'_>) -> Result<(), Misplaced> {
        let to = self.to();
        let known = places.by_position.range(self.after.next()..);
        let mut answered = self.events.iter();
        for (_, event) in known.take_while(|(position, _)| **position <= to) {
            if answered.next() != Some(*event) {
                return Err(Misplaced::PassedOver {
                    client: self.client,
                    to,
                    event: Box::new((*event).clone()),
                });
            }
        }
        Ok(())
    }

    fn is_recent(&self, appends: &[Append]) -> Result<(), Misplaced> {
        let before = appends
            .iter()
            .filter(|append| append.completed < self.invoked);
        let mut events = before.flat_map(|append| &append.events);
        match events.find(|event| event.position > self.to()) {
            None => Ok(()),
            Some(event) => Err(Misplaced::Unseen {
                client: self.client,
                to: self.to(),
                event: Box::new(event.clone()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::ExpectedVersion;

    type StoreHistory = History<StoreCall, StoreAnswer>;

    fn placed(position: u64, version: u64, name: &str) -> Placed {
        Placed {
            position: Position::new(position),
            stream: "a-1".parse().unwrap(),
            version: Version::new(version),
            id: EventId::derived("test", name),
        }
    }

    fn invoke(history: &mut StoreHistory, name: &str) -> super::super::Call {
        history.invoke(
            0,
            StoreCall::Append {
                stream: "a-1".parse().unwrap(),
                expected: ExpectedVersion::Any,
                events: vec![EventId::derived("test", name)],
            },
        )
    }

    fn appended(position: u64, version: u64) -> StoreAnswer {
        StoreAnswer::Appended {
            first: Some(Version::new(version)),
            last: Version::new(version),
            position: Some(Position::new(position)),
        }
    }

    fn append(history: &mut StoreHistory, name: &str, position: u64, version: u64) {
        let call = invoke(history, name);
        history.complete(call, appended(position, version));
    }

    fn read(history: &mut StoreHistory, after: u64, events: &[Placed]) {
        let after = Position::new(after);
        let call = history.invoke(1, StoreCall::ReadAll { after });
        let events = events.to_vec();
        history.complete(call, StoreAnswer::All { events });
    }

    /// The code word of what is found in a history.
    fn found(tell: impl FnOnce(&mut StoreHistory)) -> &'static str {
        let mut history = History::default();
        tell(&mut history);
        match check_positions(&history) {
            Ok(()) => "nothing",
            Err(Misplaced::Reused { .. }) => "reused",
            Err(Misplaced::Moved { .. }) => "moved",
            Err(Misplaced::OutOfOrder { .. }) => "out of order",
            Err(Misplaced::Unsorted { .. }) => "unsorted",
            Err(Misplaced::PassedOver { .. }) => "passed over",
            Err(Misplaced::Unseen { .. }) => "unseen",
        }
    }

    #[test]
    fn what_fits_together_is_accepted() {
        let (a, b, c) = (placed(1, 1, "a"), placed(2, 2, "b"), placed(3, 3, "c"));
        let told = found(|history| {
            read(history, 0, &[]);
            // Two appends at once may land in either order.
            let (first, second) = (invoke(history, "a"), invoke(history, "b"));
            read(history, 0, std::slice::from_ref(&a));
            history.complete(second, appended(2, 2));
            history.complete(first, appended(1, 1));
            append(history, "c", 3, 3);
            // A repeat tells of what was long before.
            let again = invoke(history, "a");
            history.complete(
                again,
                StoreAnswer::Replayed {
                    first: Some(a.version),
                    last: a.version,
                    position: Some(a.position),
                },
            );
            read(history, 0, &[a, b, c.clone()]);
            read(history, 2, &[c]);
            read(history, 3, &[]);
            read(history, 9, &[]);
        });
        assert_eq!(told, "nothing");
    }

    #[test]
    fn each_contradiction_is_found() {
        let (a, b) = (placed(1, 1, "a"), placed(2, 2, "b"));
        let both = [a.clone(), b.clone()];
        let reused = found(|history| {
            append(history, "a", 1, 1);
            append(history, "b", 1, 2);
        });
        assert_eq!(reused, "reused");
        let moved = found(|history| {
            append(history, "a", 2, 1);
            read(history, 0, &both);
        });
        assert_eq!(moved, "moved");
        let out_of_order = found(|history| {
            append(history, "b", 2, 2);
            append(history, "a", 1, 1);
        });
        assert_eq!(out_of_order, "out of order");
        let unsorted = found(|history| read(history, 0, &[b.clone(), a.clone()]));
        assert_eq!(unsorted, "unsorted");
        let not_asked_for = found(|history| read(history, 1, &both));
        assert_eq!(not_asked_for, "unsorted");
        let passed_over = found(|history| {
            read(history, 0, std::slice::from_ref(&b));
            read(history, 0, &both);
        });
        assert_eq!(passed_over, "passed over");
        let unseen = found(|history| {
            append(history, "a", 1, 1);
            append(history, "b", 2, 2);
            read(history, 0, std::slice::from_ref(&a));
        });
        assert_eq!(unseen, "unseen");
    }
}
