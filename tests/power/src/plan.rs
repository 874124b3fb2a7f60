//! What a workload sends, drawn from a seed: who does what in which order, and every event
//! that there can ever be.

use std::collections::HashMap;
use std::iter::repeat_n;

use annalist::{Commit, EventId, ExpectedVersion, Fingerprint, NewEvent, StreamId};
use serde_json::json;

use crate::dice::Dice;

/// One commit as it is sent; sent again, it has the same event ids.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) number: u32,
    /// To which streams, and how many events to each.
    pub(crate) appends: Vec<(StreamId, usize)>,
    keyed: bool,
    padding_bytes: usize,
}

/// One thing that a caller does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends a commit under `Any`, or under the versions that are there when it looks.
    Commit(u32, Expecting),
    /// Sends several at once, so that they share a transaction.
    Together(Vec<u32>),
    Delete(StreamId),
    /// Leaves the last event.
    Truncate(StreamId),
    Close(StreamId),
    Compact,
    ReadAll,
    /// Begins to read and does not end: the log cannot be begun anew meanwhile.
    Hold,
    Release,
}

/// What a commit expects of its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expecting {
    Any,
    Seen,
}

/// An event that there can be.
#[derive(Clone, Debug)]
pub(crate) struct Foreseen {
    pub(crate) commit: u32,
    /// Which of the commit's events.
    pub(crate) index: usize,
    pub(crate) stream: StreamId,
    pub(crate) payload: String,
}

/// All that a workload does.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The store is opened for each phase and closed after it. In a phase, what each of
    /// the callers does.
    pub(crate) phases: Vec<Vec<Vec<Act>>>,
    pub(crate) commits: Vec<Planned>,
    pub(crate) events: HashMap<EventId, Foreseen>,
}

/// How large a workload is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) phases: u64,
    pub(crate) callers: u64,
    pub(crate) acts: u64,
    pub(crate) streams: u64,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice, size: Size) -> Self {
        let mut plan = Self::default();
        for _ in 0..size.phases {
            let mut callers = Vec::new();
            for _ in 0..size.callers {
                let acts = (0..size.acts).map(|_| plan.act(dice, size.streams));
                callers.push(acts.collect());
            }
            plan.phases.push(callers);
        }
        plan
    }

    fn act(&mut self, dice: &mut Dice, streams: u64) -> Act {
        let one = stream(dice.below(streams));
        match dice.below(100) {
            0..60 => {
                let expecting = match dice.percent(40) {
                    true => Expecting::Seen,
                    false => Expecting::Any,
                };
                Act::Commit(self.commit(dice, streams), expecting)
            }
            60..72 => {
                let count = 2 + dice.below(5);
                Act::Together((0..count).map(|_| self.commit(dice, streams)).collect())
            }
            72..76 => Act::Delete(one),
            76..80 => Act::Truncate(one),
            80..82 => Act::Close(one),
            82..86 => Act::Compact,
            86..91 => Act::ReadAll,
            91..96 => Act::Hold,
            _ => Act::Release,
        }
    }

    /// Draws a commit: one event or several, to one stream or several, large or small.
    fn commit(&mut self, dice: &mut Dice, streams: u64) -> u32 {
        let (to, events) = match dice.below(100) {
            0..55 => (1, 1),
            55..70 => (1, 2 + dice.below(6)),
            70..90 => (2 + dice.below(2), 1 + dice.below(2)),
            _ => (1, 10 + dice.below(30)),
        };
        let first = dice.below(streams);
        let to = (0..to).map(|step| stream((first + step) % streams));
        let appends = to.map(|stream| (stream, events as usize)).collect();
        // A page holds 4,096 bytes: what is larger overflows to pages of its own.
        let padding_bytes = *dice.pick(&[0, 0, 30, 30, 200, 900, 3_000, 9_000]);
        let padding_bytes = if events < 10 { padding_bytes } else { 60 };
        self.add(appends, dice.percent(20), padding_bytes)
    }

    /// Adds a commit, and answers its number.
    pub(crate) fn add(
        &mut self,
        appends: Vec<(StreamId, usize)>,
        keyed: bool,
        padding_bytes: usize,
    ) -> u32 {
        let planned = Planned {
            number: u32::try_from(self.commits.len()).expect("a few"),
            appends,
            keyed,
            padding_bytes,
        };
        for (index, stream) in planned.streams().enumerate() {
            let foreseen = Foreseen {
                commit: planned.number,
                index,
                stream: stream.clone(),
                payload: planned.payload(index),
            };
            self.events.insert(planned.event_id(index), foreseen);
        }
        let number = planned.number;
        self.commits.push(planned);
        number
    }

    pub(crate) fn planned(&self, commit: u32) -> &Planned {
        &self.commits[commit as usize]
    }
}

impl Planned {
    /// The commit, under the expectations that `expect` answers.
    pub(crate) fn commit(&self, expect: impl Fn(&StreamId) -> ExpectedVersion) -> Commit {
        let mut commit = Commit::new();
        let mut index = 0;
        for (stream, count) in &self.appends {
            let events: Vec<_> = (index..index + count).map(|at| self.event(at)).collect();
            index += count;
            commit = commit.append(stream.clone(), expect(stream), events);
        }
        match self.keyed {
            true => commit.key(
                self.number.to_string(),
                Fingerprint::of(self.number.to_string()),
            ),
            false => commit,
        }
    }

    /// The stream of each event.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &StreamId> {
        let appends = self.appends.iter();
        appends.flat_map(|(stream, count)| repeat_n(stream, *count))
    }

    fn payload(&self, index: usize) -> String {
        let padding = "x".repeat(self.padding_bytes);
        json!([self.number, index, padding]).to_string()
    }

    fn event(&self, index: usize) -> NewEvent {
        let body = json!([self.number, index, "x".repeat(self.padding_bytes)]);
        let event = NewEvent::json("Sent", &body).expect("an event");
        event.with_id(self.event_id(index))
    }

    fn event_id(&self, index: usize) -> EventId {
        EventId::derived("power", &format!("{}/{index}", self.number))
    }
}

pub(crate) fn stream(number: u64) -> StreamId {
    StreamId::new("load", number).expect("a stream id")
}
