//! What a dispatch costs beside a bare append of the same events, on the store in memory
//! and on the one in a SQLite file (WAL, `synchronous=FULL`).
//!
//! - `append`: `Store::append` under the version of the receipt before. It reads nothing.
//! - `dispatch`: the same event through the bus: load, decide, fold, append under a
//!   command id that the bus makes, which is kept as a key and in the metadata.
//! - `with id`: the same under an id of the caller's, which is looked up first.
//!
//! Each caller writes to streams of its own and begins a new one after ten events, so that
//! a load folds five events on average and no race is lost. Rounds are interleaved,
//! figures are medians, ratios are those of neighbouring rounds. `cargo bench --bench
//! dispatch` takes a minute, `-- --quick` a few seconds.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use annalist::{
    Aggregate, Codec, Command, CommandBus, ExpectedVersion, Store, StreamId, Version, stream_id,
};
use serde::{Deserialize, Serialize};

const EVENTS_PER_STREAM: u64 = 10;

#[derive(Clone, Serialize, Deserialize)]
enum AccountEvent {
    Deposited { cents: i64, note: String },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent) {
        self.balance += cents;
    }
}

#[derive(Serialize)]
struct Deposit {
    cents: i64,
    note: String,
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![deposited(self.cents, &self.note)])
    }
}

fn deposited(cents: i64, note: &str) -> AccountEvent {
    let note = note.to_owned();
    AccountEvent::Deposited { cents, note }
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Append,
    Dispatch,
    WithId,
}

const WAYS: [(Way, &str); 3] = [
    (Way::Append, "append"),
    (Way::Dispatch, "dispatch"),
    (Way::WithId, "with id"),
];

#[derive(Clone, Copy)]
struct Figures {
    rate: f64,
    p50: f64,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, length) = match quick {
        true => (3, Duration::from_millis(200)),
        false => (5, Duration::from_secs(1)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("one event of 200 bytes, {cores} cores; medians of {rounds} rounds of {length:?}\n");
    println!("store   callers  way           a second     p50 us   time against append");
    for (durable, callers) in [(false, 1), (true, 1), (true, 64)] {
        let rounds: Vec<[Figures; 3]> = (0..rounds)
            .map(|_| WAYS.map(|(way, _)| runtime.block_on(round(durable, callers, way, length))))
            .collect();
        for (index, (_, name)) in WAYS.into_iter().enumerate() {
            let own = |of: fn(&Figures) -> f64| {
                median(rounds.iter().filter_map(|round| round.get(index).map(of)))
            };
            let ratios = rounds.iter().filter_map(|round| {
                let [append, ..] = round;
                Some(append.rate / round.get(index)?.rate)
            });
            println!(
                "{:7} {callers:7}  {name:9} {:12.0} {:10.1} {:20.2}x",
                if durable { "sqlite" } else { "memory" },
                own(|figures| figures.rate),
                own(|figures| figures.p50),
                median(ratios),
            );
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<_> = figures.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

async fn round(durable: bool, callers: usize, way: Way, length: Duration) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let store = match durable {
        true => Store::open(folder.path().join("bench.db"))
            .await
            .expect("a store"),
        false => Store::memory(),
    };
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| tokio::spawn(write(store.clone(), caller, way, begun, length)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("a caller"));
    }
    let elapsed = begun.elapsed();
    store.close().await.expect("a clean close");
    latencies.sort_unstable();
    let middle = latencies.get(latencies.len() / 2);
    Figures {
        rate: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50: middle.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6),
    }
}

async fn write(
    store: Store,
    caller: usize,
    way: Way,
    begun: Instant,
    length: Duration,
) -> Vec<Duration> {
    let bus = CommandBus::new(store.clone());
    let codec = Codec::<Account>::new();
    let note = "x".repeat(200 - r#"{"cents":500,"note":""}"#.len());
    let mut latencies = Vec::new();
    let mut key = String::new();
    let mut stream: Option<StreamId> = None;
    let mut version = Version::ZERO;
    while begun.elapsed() < length {
        if stream.is_none() || version.get() == EVENTS_PER_STREAM {
            key = format!("{caller}-{}", latencies.len());
            stream = Some(stream_id::<Account>(&key).expect("a stream id"));
            version = Version::ZERO;
        }
        let asked = Instant::now();
        let command = |note: &str| {
            let (cents, note) = (500, note.to_owned());
            bus.dispatch(&key, Deposit { cents, note })
        };
        version = match (way, &stream) {
            (Way::Append, Some(stream)) => {
                let event = codec.encode(&deposited(500, &note)).expect("an event");
                let expected = ExpectedVersion::Exact(version);
                let receipt = store.append(stream, expected, [event]).await;
                receipt.expect("an append").version()
            }
            (Way::WithId, _) => {
                let id = format!("{key}-{version}");
                let outcome = command(&note).command_id(id).await;
                outcome.expect("an outcome").version
            }
            _ => command(&note).await.expect("an outcome").version,
        };
        latencies.push(asked.elapsed());
    }
    latencies
}
