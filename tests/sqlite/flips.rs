//! One flipped bit, anywhere in a store's file: each read answers what was written or says
//! that it cannot, and a check of everything finds what no single read can.
//!
//! 400 flips in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_FLIPS=20000 cargo test --release --test sqlite flipped -- --nocapture
//! ```
//!
//! `ANNALIST_SEED` sets which bits are flipped.

mod answers;
mod sample;

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use annalist::Store;
use annalist::store::sqlite::{Durability, SqliteOptions};

use self::answers::{Judged, Verdict, told};
use self::sample::{Sample, Size};
use crate::{Place, Random, number, seed};

const FLIPS: &str = "ANNALIST_FLIPS";

/// Long enough for any machine, and not for ever.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// What became of all flips: how many of each kind of question, by verdict.
#[derive(Debug, Default)]
struct Tally {
    flips: usize,
    refused: usize,
    /// Flips that changed an answer, and those of them that no check found.
    changed: usize,
    unverified: Vec<Flip>,
    hung: Vec<Flip>,
    answers: BTreeMap<Judged, usize>,
    /// For each kind of question the flips that it was silent about.
    silent: BTreeMap<&'static str, Vec<Flip>>,
}

#[derive(Clone, Debug)]
struct Flip {
    tree: String,
    byte: usize,
    bit: u8,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.flips += other.flips;
        self.refused += other.refused;
        self.changed += other.changed;
        self.unverified.extend(other.unverified);
        self.hung.extend(other.hung);
        for (judged, count) in other.answers {
            *self.answers.entry(judged).or_default() += count;
        }
        for (kind, flips) in other.silent {
            self.silent.entry(kind).or_default().extend(flips);
        }
    }

    fn judged(&mut self, judged: &[Judged], flip: &Flip) {
        for judged in judged {
            *self.answers.entry(*judged).or_default() += 1;
        }
        let mut silent: Vec<_> = judged
            .iter()
            .filter(|(_, verdict)| *verdict == Verdict::Silent)
            .map(|(kind, _)| *kind)
            .collect();
        silent.sort_unstable();
        silent.dedup();
        for kind in silent {
            self.silent.entry(kind).or_default().push(flip.clone());
        }
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} flips, {} refused at opening, {} changed an answer, {} of them not found by verify",
            self.flips,
            self.refused,
            self.changed,
            self.unverified.len()
        );
        for (kind, flips) in &self.silent {
            println!("  silent, {kind}: {} flips", flips.len());
            let mut trees: BTreeMap<&str, usize> = BTreeMap::new();
            for flip in flips {
                *trees.entry(&flip.tree).or_default() += 1;
            }
            println!("    {trees:?}");
        }
        for flip in self.unverified.iter().take(5) {
            println!("  not found by verify: {flip:?}");
        }
    }
}

/// Flips one bit after the other, on two threads, each in a file as it was first.
fn flip_all(sample: &Sample, mut random: Random, flips: usize, bytes: &[usize]) -> Tally {
    let draws: Vec<_> = (0..flips)
        .map(|_| (bytes[random.below(bytes.len())], random.below(8) as u8))
        .collect();
    let (first, second) = draws.split_at(flips / 2);
    let run = |draws: &[(usize, u8)]| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let place = Place::new();
        let mut tally = Tally::default();
        for (turn, (byte, bit)) in draws.iter().enumerate() {
            let flip = Flip {
                tree: sample.tree(*byte).to_owned(),
                byte: *byte,
                bit: *bit,
            };
            let one = one(sample, &place, &flip, turn);
            let bounded = async { tokio::time::timeout(HANGS_AFTER, one).await };
            match runtime.block_on(bounded) {
                Ok(one) => tally.add(one),
                Err(_) => tally.hung.push(flip),
            }
        }
        tally
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| run(first));
        let mut tally = run(second);
        tally.add(first.join().expect("no panic"));
        tally
    })
}

async fn one(sample: &Sample, place: &Place, flip: &Flip, turn: usize) -> Tally {
    let mut tally = Tally {
        flips: 1,
        ..Tally::default()
    };
    for beside in ["store.db-wal", "store.db-shm", "store.db-journal"] {
        let _ = fs::remove_file(place.0.path().join(beside));
    }
    let mut bytes = sample.bytes.clone();
    bytes[flip.byte] ^= 1 << flip.bit;
    fs::write(place.path(), &bytes).expect("a file");

    let mut options = SqliteOptions::default();
    options.durability = Durability::Off;
    options.readers = 1;
    let store = match Store::open_with(place.path(), options).await {
        Ok(store) => store,
        Err(error) => {
            assert_eq!(told(&error), Verdict::Told, "{flip:?}");
            tally.refused = 1;
            return tally;
        }
    };
    let judged = sample.truth.judge(&store).await;
    let whole = match store.verify().await {
        Ok(report) => report.is_whole(),
        Err(error) => told(&error) != Verdict::Told,
    };
    let writes = sample.truth.judge_writes(&store, turn).await;
    store.close().await.expect("a clean close");
    let changed = |judged: &[Judged]| judged.iter().any(|(_, verdict)| *verdict != Verdict::Right);
    if changed(&judged) || changed(&writes) {
        tally.changed = 1;
        tally.unverified.extend(whole.then(|| flip.clone()));
    }
    tally.judged(&judged, flip);
    tally.judged(&writes, flip);
    tally
}

fn sample(size: Size) -> Sample {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(Sample::new(size))
}

/// What a single look cannot see: neither an id nor a commit key is written anywhere but
/// in its own row and index.
const BELIEVED: [&str; 2] = ["append again under Any", "commit key again"];

impl Tally {
    fn assert_sound(&self) {
        let silent: Vec<_> = self
            .silent
            .iter()
            .filter(|(kind, _)| !BELIEVED.contains(kind))
            .collect();
        assert!(silent.is_empty(), "answered wrong: {silent:?}");
        assert!(self.unverified.is_empty(), "verify missed flips");
        assert!(self.hung.is_empty(), "hung: {:?}", self.hung);
        // Flips that change nothing show nothing. About four of ten do show.
        let told = self
            .answers
            .iter()
            .any(|(judged, _)| judged.1 == Verdict::Told);
        assert!(
            told && (self.changed + self.refused) * 20 >= self.flips,
            "hardly any flip was seen"
        );
    }
}

/// Flips half of the bits anywhere, and half in the pages of indexes.
fn flip_in(size: Size, random: &Random, flips: usize) {
    let sample = sample(size);
    let events = sample.truth.events();
    println!("{size:?}: {events} events, {} bytes", sample.bytes.len());
    let anywhere: Vec<_> = (0..sample.bytes.len()).collect();
    for (what, bytes) in [("anywhere", anywhere), ("in indexes", sample.index_bytes())] {
        let tally = flip_all(&sample, random.clone(), flips.div_ceil(2), &bytes);
        tally.print(what);
        tally.assert_sound();
    }
}

#[test]
fn a_flipped_bit_is_told_and_never_answered_from() {
    let random = Random(seed("a_flipped_bit_is_told_and_never_answered_from"));
    let flips = number(FLIPS, 400);
    let small = Size {
        page_bytes: 512,
        short_streams: 12,
        long_streams: 1,
    };
    flip_in(small, &random, flips);
}

#[test]
fn a_flipped_bit_is_told_in_pages_of_the_usual_size_too() {
    let random = Random(seed("a_flipped_bit_is_told_in_pages_of_the_usual_size_too"));
    let large = Size {
        page_bytes: 4_096,
        short_streams: 60,
        long_streams: 6,
    };
    flip_in(large, &random, number(FLIPS, 400) / 10);
}
