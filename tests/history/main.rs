//! Concurrent appends and reads are linearizable, calls of unknown outcome included,
//! and the judge who says so is judged first: on histories whose verdict is known,
//! and on stores with a planted fault.
//!
//! A thousand random histories in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_HISTORIES=200000 cargo test --release --features testkit --test history -- --nocapture
//! ```
//!
//! `ANNALIST_SEED` sets the seed of the first history, each further one has the next.
//! A failure names its own; with `ANNALIST_HISTORIES=1` it is run alone. In memory
//! on one thread that shows the very same history again; elsewhere the machine has a
//! hand in who comes first. Each planted fault is tried on a twentieth as many.
//!
//! Where the environment variable `ANNALIST_TEST_DATA` names the folder that holds
//! the histories recorded by Jepsen against etcd, those are judged too.

#![cfg(feature = "testkit")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong may panic"
)]

mod backend;
mod clients;
mod every_order;
mod jepsen;
mod planted;
mod random;
mod small;

use std::time::{SystemTime, UNIX_EPOCH};

const HISTORIES_VARIABLE: &str = "ANNALIST_HISTORIES";
const SEED_VARIABLE: &str = "ANNALIST_SEED";

/// Numbers that look random and are the same for the same seed: splitmix64 (Steele,
/// Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Whether something happens that happens once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Another one, for someone who draws in his own time.
    fn split(&mut self) -> Self {
        Self(self.next())
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

/// The seed of the first history, told to whoever wants to see the same again.
fn first_seed(what: &str) -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = variable(SEED_VARIABLE).unwrap_or_else(|| now().as_micros() as u64);
    println!("{what}: {SEED_VARIABLE}={seed}");
    seed
}
