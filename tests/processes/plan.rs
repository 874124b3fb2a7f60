//! What workers send: every commit follows from its name, so that whoever reads the
//! name in an event knows what the whole commit was.
//!
//! The worker's own number is no part of it: all processes work through the same list
//! of streams and collide all the way.

use std::fmt;
use std::str::FromStr;

use annalist::{Commit, EventId, ExpectedVersion, Fingerprint, NewEvent, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Which commit: the so many'th of one caller in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) round: u32,
    pub(crate) worker: u32,
    pub(crate) caller: u32,
    pub(crate) number: u32,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            round,
            worker,
            caller,
            number,
        } = self;
        write!(f, "{round}.{worker}.{caller}.{number}")
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[round, worker, caller, number]) => Ok(Self {
                round,
                worker,
                caller,
                number,
            }),
            _ => Err("not a name of four numbers"),
        }
    }
}

/// Whose commit keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Keys {
    /// Each commit's own.
    Own,
    /// Every process sends the same ones, and the first takes effect.
    Shared,
}

/// What all processes of a run agree on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub(crate) seed: u64,
    pub(crate) streams: u64,
    pub(crate) keys: Keys,
    /// What each event carries beside its name.
    pub(crate) padding_bytes: usize,
}

/// One commit as it is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) name: Name,
    /// To which streams, and how many events to each.
    pub(crate) appends: Vec<(StreamId, u32)>,
    /// Whether it is sent under exact versions, and else under `Any`.
    pub(crate) exact: bool,
    pub(crate) key: Option<String>,
    padding_bytes: usize,
}

impl Rules {
    /// What the commit of this name is.
    pub(crate) fn plan(&self, name: Name) -> Planned {
        let place = u64::from(name.round) << 40 | u64::from(name.caller) << 32;
        let mut dice = Dice(self.seed ^ Dice(place | u64::from(name.number)).roll());
        let kind = dice.below(100);
        // Single, several events, two streams, three streams, keyed.
        let (streams, events) = match kind {
            0..50 => (1, 1),
            50..62 => (1, 2 + dice.below(4)),
            62..78 => (2, 1 + dice.below(2)),
            78..85 => (3, 1 + dice.below(3)),
            _ => (1 + dice.below(2), 1 + dice.below(2)),
        };
        let first = dice.below(self.streams);
        // Steps of a seventh of the streams lead to different ones.
        let appends = (0..streams).map(|step| {
            let at = (first + step * (self.streams / 7).max(1)) % self.streams;
            let stream = StreamId::new("load", at).expect("a stream id");
            (stream, u32::try_from(events).expect("a few"))
        });
        let key = (kind >= 85).then(|| match self.keys {
            Keys::Own => name.to_string(),
            Keys::Shared => format!("{}.{}", name.caller, name.number),
        });
        Planned {
            name,
            appends: appends.collect(),
            exact: kind.is_multiple_of(2),
            key,
            padding_bytes: self.padding_bytes,
        }
    }
}

impl Planned {
    /// The commit, under the expectations that `expect` answers. Sent again, it has
    /// the same event ids.
    pub(crate) fn commit(&self, expect: impl Fn(&StreamId) -> ExpectedVersion) -> Commit {
        self.with_ids(self.name, expect)
    }

    /// The same commit with events of other ids: only its key can tell.
    pub(crate) fn with_other_ids(&self) -> Commit {
        let other = Name {
            round: u32::MAX,
            ..self.name
        };
        self.with_ids(other, |_| ExpectedVersion::Any)
    }

    fn with_ids(&self, ids: Name, expect: impl Fn(&StreamId) -> ExpectedVersion) -> Commit {
        let mut commit = Commit::new();
        let mut index = 0;
        for (stream, count) in &self.appends {
            let mut events = Vec::new();
            for _ in 0..*count {
                events.push(self.event(ids, index));
                index += 1;
            }
            commit = commit.append(stream.clone(), expect(stream), events);
        }
        match &self.key {
            Some(key) => commit.key(key, Fingerprint::of(key)),
            None => commit,
        }
    }

    fn event(&self, ids: Name, index: u32) -> NewEvent {
        let body =
            json!({ "commit": self.name.to_string(), "pad": "x".repeat(self.padding_bytes) });
        let event = NewEvent::json("Sent", &body).expect("an event");
        event.with_id(event_id(ids, index))
    }
}

/// The id of the so many'th event of a commit.
pub(crate) fn event_id(commit: Name, index: u32) -> EventId {
    EventId::derived("processes", &format!("{commit}/{index}"))
}

/// Numbers that look random and follow from a seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }
}
