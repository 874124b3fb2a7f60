//! One article that everybody wants at once: those who reserve stand in line, who renames it
//! does not.
//!
//! ```text
//! cargo run --example hot_stock
//! ```
//!
//! A thousand customers reserve a piece each, sixty-four at a time, of the eight hundred that
//! there are, while somebody renames the article. Each reservation is decided on what the one
//! before it leaves, and many share one flush to the disk: nobody attempts anything twice but
//! where the renaming came between.
//!
//! The article stands in `domain.rs`; here are the customers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use annalist::{BusOptions, CommandBus, DispatchError, Repository, Store};

use crate::domain::{Receive, Rename, Reserve, Stock, domain};

mod domain;

type AnyError = Box<dyn std::error::Error>;

const PIECES: u32 = 800;
const CUSTOMERS: u32 = 1_000;
const AT_ONCE: usize = 64;
const NAMES: [&str; 5] = ["Cup", "Mug", "Big mug", "Blue mug", "Big blue mug"];

/// How many attempts it took, and how often.
type Attempts = BTreeMap<u32, u32>;

/// Reserves pieces until every customer had a turn, and tells how many went without.
async fn reserve(bus: CommandBus, turns: Arc<AtomicU32>) -> Result<(Attempts, u32), String> {
    let (mut attempts, mut without) = (Attempts::new(), 0);
    while turns.fetch_add(1, Ordering::Relaxed) < CUSTOMERS {
        match bus.dispatch("cup", Reserve { pieces: 1 }).await {
            Ok(outcome) => *attempts.entry(outcome.attempts).or_default() += 1,
            Err(DispatchError::Rejected(sold_out)) => {
                assert_eq!(sold_out.free, 0);
                without += 1;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok((attempts, without))
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    domain().checked()?;
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("stock.db")).await?;
    let mut options = BusOptions::default();
    // Whoever renames may meet a reservation each time that it looks.
    options.retry.attempts_max = 1_000;
    let bus = CommandBus::with(store.clone(), options);
    bus.dispatch("cup", Receive { pieces: PIECES }).await?;

    let turns = Arc::new(AtomicU32::new(0));
    let reserving = (0..AT_ONCE).map(|_| tokio::spawn(reserve(bus.clone(), Arc::clone(&turns))));
    let reserving: Vec<_> = reserving.collect();
    let mut renames = Attempts::new();
    for name in NAMES {
        let name = name.to_owned();
        let renamed = bus.dispatch("cup", Rename { name }).await?;
        *renames.entry(renamed.attempts).or_default() += 1;
    }

    let (mut reservations, mut without) = (Attempts::new(), 0);
    for task in reserving {
        let (attempts, sold_out) = task.await??;
        without += sold_out;
        for (attempts, times) in attempts {
            *reservations.entry(attempts).or_default() += times;
        }
    }
    for (what, attempts) in [("reserve", &reservations), ("rename ", &renames)] {
        for (attempts, times) in attempts {
            println!("{what}  {times:4} times in {attempts} attempts");
        }
    }
    println!("{without} customers went without");

    let stock = Repository::<Stock>::new(store.clone()).load("cup").await?;
    println!("{:?} at version {}", stock.state, stock.version);
    assert_eq!(reservations.values().sum::<u32>(), PIECES);
    assert_eq!(without, CUSTOMERS - PIECES);
    assert_eq!((stock.state.free, stock.state.name.as_str()), (0, NAMES[4]));
    assert_eq!(
        stock.version.get(),
        u64::from(1 + PIECES) + NAMES.len() as u64
    );
    Ok(store.close().await?)
}
