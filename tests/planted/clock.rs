//! A fold that reads a clock, where the event should say when it happened.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use annalist::testkit::laws::proptest::prelude::*;
use annalist::testkit::laws::{Law, laws};
use annalist::{Aggregate, Command, Domain, OnConflict};
use insta::assert_snapshot;
use serde::{Deserialize, Serialize};

use crate::{broken, mended, planted};

#[derive(Clone, Serialize, Deserialize)]
enum MeterEvent {
    Read { at: u32 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Meter<const MENDED: bool> {
    last: u64,
    reads: u32,
}

impl<const MENDED: bool> Aggregate for Meter<MENDED> {
    const CATEGORY: &'static str = "meter";
    type Event = MeterEvent;

    fn apply(&mut self, MeterEvent::Read { at }: &MeterEvent) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        self.reads += 1;
        self.last = match MENDED {
            true => self.last.max(u64::from(*at)),
            false => u64::try_from(now.as_nanos()).expect("before 2554"),
        };
    }
}

#[derive(Serialize, Deserialize)]
struct Read<const MENDED: bool> {
    at: u32,
}

impl<const MENDED: bool> Command for Read<MENDED> {
    type Aggregate = Meter<MENDED>;
    type Rejection = Infallible;
    const NAME: &'static str = "read";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Meter<MENDED>) -> Result<Vec<MeterEvent>, Infallible> {
        Ok(vec![MeterEvent::Read { at: self.at }])
    }
}

/// A clock that has struck once, some time during the hunt.
static STRUCK: AtomicU32 = AtomicU32::new(0);

#[derive(Default, Clone, Serialize, Deserialize)]
struct Bell {
    struck: u32,
}

impl Aggregate for Bell {
    const CATEGORY: &'static str = "bell";
    type Event = MeterEvent;

    fn apply(&mut self, _: &MeterEvent) {
        self.struck = STRUCK.load(Ordering::Relaxed);
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Look;

impl Command for Look {
    type Aggregate = Bell;
    type Rejection = Infallible;
    const NAME: &'static str = "look";

    fn decide(&self, _: &Bell) -> Result<Vec<MeterEvent>, Infallible> {
        Ok(vec![MeterEvent::Read { at: 0 }])
    }
}

#[test]
fn a_fold_that_reads_a_slow_clock_is_found_at_the_end() {
    let made = AtomicU32::new(0);
    let looks = Just(()).prop_map(move |()| {
        // Commands are made before a case is played, never during it.
        if made.fetch_add(1, Ordering::Relaxed) == 500 {
            STRUCK.store(1, Ordering::Relaxed);
        }
        Look
    });
    let domain = Domain::new().command::<Look>();
    let found = broken(&laws(&domain).seed(1).cases(500).commands(looks));
    assert_snapshot!(found, @r##"
    apply folds the same events to different states

      events    Read {"at":0}
      folded    {"struck":0}
      but       a moment later it is {"struck":1}
      differs   /struck  folded 0, again 1
      next      apply looks at the state and the event alone: a time belongs into the event; where the JSON of equal states may differ, as that of a HashSet, say which are equal: laws(&domain).equal::<TheAggregate>(|a, b| a == b)

      found at the end, seed 1
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"apply-deterministic","given":[],"theirs":[],"mine":["look",null]}"#);
    "##);
}

fn domain<const MENDED: bool>() -> Domain {
    Domain::new().command::<Read<MENDED>>()
}

#[test]
fn planted_a_fold_that_reads_a_clock() {
    planted(&domain::<false>(), Law::ApplyDeterministic);
    mended(&domain::<true>());
}

#[test]
fn a_fold_that_reads_a_clock_is_told() {
    let story = broken(&laws(&domain::<false>()).seed(1)).to_string();
    // What the clock said is another story every time.
    let digits = |c: char| c.is_ascii_digit();
    let mut told = String::new();
    for word in story.split_inclusive(|c| !digits(c)) {
        let long = word.trim_end_matches(|c| !digits(c)).len() > 9;
        let rest = word.trim_start_matches(digits);
        told.push_str(&if long {
            format!("(now){rest}")
        } else {
            word.to_owned()
        });
    }
    assert_snapshot!(told, @r##"
    apply folds the same events to different states

      given     nothing: {"last":0,"reads":0}, version 0
      mine      read {"at":0}
                Read {"at":0}  {"last":(now),"reads":1}
      events    Read {"at":0}
      folded    {"last":(now),"reads":1}
      but       folded again, it is {"last":(now),"reads":1}
      differs   /last  folded (now), again (now)
      next      apply looks at the state and the event alone: a time belongs into the event; where the JSON of equal states may differ, as that of a HashSet, say which are equal: laws(&domain).equal::<TheAggregate>(|a, b| a == b)

      found in case 1 of 1000, seed 1; shrunk to 1 event
      keep it:  annalist::testkit::laws(&domain).replay(r#"{"law":"apply-deterministic","given":[],"theirs":[],"mine":["read",{"at":0}]}"#);
    "##);
}
