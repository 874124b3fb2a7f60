//! Declarations that are not true, planted one by one: each is found with the default
//! settings, whatever the seed, made small, and told. Each stands beside the same domain
//! mended, in which nothing is found.
//!
//! Some seeds are hunted with each time. More of them, in a release build, as it is slow:
//!
//! ```sh
//! ANNALIST_PLANTED_SEEDS=100 cargo test --release --features testkit --test planted -- --nocapture
//! ```

mod account;
mod clock;
mod contact;
mod counter;
mod files;
mod good;
mod label;
mod other_laws;
mod places;
mod seats;
mod shares;
mod upcaster;

use std::panic::{AssertUnwindSafe, catch_unwind};

use annalist::Domain;
use annalist::testkit::laws::{CounterExample, HuntError, Law, Laws, laws};

/// How many seeds are hunted with, unless the environment says.
const SEEDS: u64 = 10;
/// Where nothing is found, a hunt takes its whole time, so that these are so many times fewer.
const MENDED_EVERY: u64 = 5;

fn seeds() -> u64 {
    let said = std::env::var("ANNALIST_PLANTED_SEEDS").ok();
    said.map_or(SEEDS, |said| {
        said.parse().expect("ANNALIST_PLANTED_SEEDS: a number")
    })
}

/// The counter-example of a hunt that finds one.
fn broken(hunt: &Laws) -> CounterExample {
    match hunt.hunt() {
        Err(HuntError::Broken(found)) => *found,
        Err(other) => panic!("{other}"),
        Ok(checked) => panic!("nothing found: {checked}"),
    }
}

/// Every seed finds that this law is broken, with a few events.
#[track_caller]
fn planted(domain: &Domain, law: Law) {
    let seeds = seeds();
    println!("{law:?} is broken, seeds 0..{seeds}");
    for seed in 0..seeds {
        let found = broken(&laws(domain).seed(seed));
        assert_eq!(found.law, law, "seed {seed}: {found}");
        assert!(found.events <= 4, "seed {seed}: {found}");
        assert!(found.events > 0, "seed {seed}: {found}");
    }
}

/// No seed finds anything.
#[track_caller]
fn mended(domain: &Domain) {
    let seeds = seeds().div_ceil(MENDED_EVERY);
    println!("mended, seeds 0..{seeds}");
    for seed in 0..seeds {
        if let Err(error) = laws(domain).seed(seed).hunt() {
            panic!("seed {seed}: {error}");
        }
    }
}

/// The story of a breach, as one seed finds it.
fn story(domain: &Domain) -> String {
    broken(&laws(domain).seed(1)).to_string()
}

/// What a check says when it fails.
fn said(check: impl FnOnce()) -> String {
    let panicked = catch_unwind(AssertUnwindSafe(check)).expect_err("it did not fail");
    *panicked.downcast::<String>().expect("a text")
}
