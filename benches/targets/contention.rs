//! One aggregate that 64 callers want at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use annalist::{
    BusOptions, Codec, Command, CommandBus, Decision, ExpectedVersion, Store, Version, stream_id,
};

use crate::bank::{Account, AccountEvent, Deposit, DepositEitherWay, DepositInLine, note};
use crate::measure::{Bench, Better, Done, Measure};

const CALLERS: usize = 64;

pub(crate) const MEASURES: [Measure; 4] = [
    Measure {
        name: "queued",
        target: 0.8,
        better: Better::More,
        settings: "commands/s on one aggregate, 64 callers, Queued, against appends/s on 64 streams",
        round: |bench| {
            let queued = bench.run(hot(bench, DepositInLine));
            queued.rate() / bench.run(appends(bench)).rate()
        },
    },
    Measure {
        name: "optimistic",
        target: 0.25,
        better: Better::More,
        settings: "commands/s on one aggregate, 64 callers, Optimistic with Redecide, against Queued",
        round: |bench| {
            let optimistic = bench.run(hot(bench, Deposit));
            optimistic.rate() / bench.run(hot(bench, DepositInLine)).rate()
        },
    },
    Measure {
        name: "adaptive",
        target: 0.8,
        better: Better::More,
        settings: "commands/s on one aggregate, 64 callers, Adaptive, against Queued",
        round: |bench| {
            let adaptive = bench.run(hot(bench, DepositEitherWay));
            adaptive.rate() / bench.run(hot(bench, DepositInLine)).rate()
        },
    },
    Measure {
        name: "adaptive_apart",
        target: 0.95,
        better: Better::More,
        settings: "commands/s of 64 callers on an aggregate each, Adaptive, against Optimistic",
        round: |bench| {
            let adaptive = bench.run(apart(bench, DepositEitherWay));
            adaptive.rate() / bench.run(apart(bench, Deposit)).rate()
        },
    },
];

/// Appends to a stream for each caller, without reading anything.
async fn appends(bench: &Bench) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let (begun, length) = (Instant::now(), bench.length);
    let tasks = (0..CALLERS).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let codec = Codec::<Account>::new();
            let stream = stream_id::<Account>(caller).expect("a stream id");
            let mut version = Version::ZERO;
            let mut latencies = Vec::new();
            while begun.elapsed() < length {
                let asked = Instant::now();
                let (cents, note) = (5, note());
                let event = codec.encode(&AccountEvent::Deposited { cents, note });
                let event = event.expect("an event");
                let receipt = store.append(&stream, ExpectedVersion::Exact(version), [event]);
                version = receipt.await.expect("an append").version();
                latencies.push(asked.elapsed());
            }
            latencies
        })
    });
    let done = Done::by(tasks.collect(), begun).await;
    store.close().await.expect("a clean close");
    done
}

/// Sends commands to one aggregate.
async fn hot<C: Command<Aggregate = Account>>(bench: &Bench, command: fn(i64) -> C) -> Done {
    sent(bench, command, |_| "hot".to_owned()).await
}

/// Sends the commands of each caller to an aggregate of its own.
async fn apart<C: Command<Aggregate = Account>>(bench: &Bench, command: fn(i64) -> C) -> Done {
    sent(bench, command, |caller| caller.to_string()).await
}

/// Sends commands, and checks that each took effect.
async fn sent<C>(bench: &Bench, command: fn(i64) -> C, key: fn(usize) -> String) -> Done
where
    C: Command<Aggregate = Account>,
{
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let mut options = BusOptions::default();
    // Nobody gives up: what is measured is how often one has to try.
    options.retry.attempts_max = u32::MAX;
    let bus = CommandBus::with(store.clone(), options);
    let attempts = Arc::new(AtomicU64::new(0));
    let (begun, length) = (Instant::now(), bench.length);
    let tasks = (0..CALLERS).map(|caller| {
        let (bus, attempts, key) = (bus.clone(), Arc::clone(&attempts), key(caller));
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < length {
                let asked = Instant::now();
                let outcome = bus.dispatch(&key, command(5)).await;
                let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
                assert_ne!(outcome.decided_by, Decision::NothingToDo);
                attempts.fetch_add(outcome.attempts.into(), Ordering::Relaxed);
                latencies.push(asked.elapsed());
            }
            latencies
        })
    });
    let done = Done::by(tasks.collect(), begun).await;
    let head = store.head().await.expect("the head");
    assert_eq!(head.get(), done.latencies.len() as u64);
    let each = attempts.load(Ordering::Relaxed) as f64 / done.latencies.len() as f64;
    eprintln!(
        "  {}: {each:.2} attempts for each success, {:.0}/s",
        C::NAME,
        done.rate()
    );
    store.close().await.expect("a clean close");
    done
}

async fn open(folder: &tempfile::TempDir) -> Store {
    let store = Store::open(folder.path().join("bench.db")).await;
    store.expect("a store")
}
