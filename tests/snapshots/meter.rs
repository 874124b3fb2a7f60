//! An aggregate that keeps its states, and the same one that does not.

use annalist::command::EventOf;
use annalist::{Aggregate, Command, Contention, Snapshots, Upcasters};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum MeterEvent {
    Read { kwh: u64 },
}

/// Of this version, keeping a state for every so many events. Its state depends on the order
/// of all its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meter<const VERSION: u32, const EVERY: u64> {
    pub(crate) hash: u64,
    pub(crate) readings: u64,
    pub(crate) last: Option<u64>,
}

/// One that keeps a state for every third event.
pub(crate) type Kept = Meter<1, 3>;
/// One that keeps none.
pub(crate) type Plain = Meter<1, 0>;

impl<const VERSION: u32, const EVERY: u64> Aggregate for Meter<VERSION, EVERY> {
    const CATEGORY: &'static str = "meter";
    const STATE_VERSION: u32 = VERSION;
    const SNAPSHOTS: Snapshots = match EVERY {
        0 => Snapshots::NEVER,
        _ => Snapshots::every(EVERY),
    };
    type Event = MeterEvent;

    fn apply(&mut self, MeterEvent::Read { kwh }: &MeterEvent) {
        self.hash = (self.hash ^ kwh).wrapping_mul(0x100_0000_01b3);
        self.readings += 1;
        self.last = Some(*kwh);
    }

    fn upcasters() -> Upcasters {
        Upcasters::new()
    }
}

/// Reads the meter.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Read(pub(crate) u64);

impl Command for Read {
    type Aggregate = Kept;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "read";

    fn decide(&self, _: &Kept) -> Result<Vec<EventOf<Self>>, Self::Rejection> {
        Ok(vec![MeterEvent::Read { kwh: self.0 }])
    }
}

/// The same, in line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReadInLine(pub(crate) u64);

impl Command for ReadInLine {
    type Aggregate = Kept;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "read-in-line";
    const CONTENTION: Contention = Contention::Queued;

    fn decide(&self, _: &Kept) -> Result<Vec<EventOf<Self>>, Self::Rejection> {
        Ok(vec![MeterEvent::Read { kwh: self.0 }])
    }
}

pub(crate) fn readings(kwh: impl IntoIterator<Item = u64>) -> Vec<MeterEvent> {
    let read = |kwh| MeterEvent::Read { kwh };
    kwh.into_iter().map(read).collect()
}
