//! How many instructions an append, a load and a dispatch take: a figure that a busy machine
//! does not blur, so that two commits are told apart where a clock cannot.
//!
//! ```text
//! cargo bench --bench instructions            # all of them, a minute
//! cargo bench --bench instructions -- load    # those whose names hold one of these
//! cargo bench --bench instructions -- --json  # a line of JSON for each
//! ```
//!
//! Valgrind counts (`apt-get install valgrind`). Where there is none, the bench says so and is
//! content; with `--required` it fails.
//!
//! Each operation runs so often and twice as often, each time in a process of its own under
//! Valgrind, and what the second process takes more is divided by what it does more: set-up
//! cancels out. All threads count, the kernel does not. What differs between two runs of one
//! binary is how threads meet: less than 1 % here.
//!
//! To compare two commits, on the same machine with the same Rust:
//!
//! ```text
//! git switch --detach OLD && cargo bench --bench instructions -- --json > /tmp/old
//! git switch --detach NEW && cargo bench --bench instructions -- --json > /tmp/new
//! diff /tmp/old /tmp/new
//! ```

use std::convert::Infallible;
use std::process::Command as Process;

use annalist::store::sqlite::{Durability, SqliteOptions};
use annalist::{
    Aggregate, Codec, Command, CommandBus, ExpectedVersion, Repository, Store, Version, stream_id,
};
use serde::{Deserialize, Serialize};

/// The variable of the environment that makes this binary the process that is counted.
const COUNTED: &str = "ANNALIST_INSTRUCTIONS";

const EVENTS_PER_STREAM: u64 = 10;

#[derive(Clone, Copy)]
enum Operation {
    /// One event of 200 bytes under the version of the receipt before.
    Append,
    /// A stream of a hundred such events, through the repository.
    Load,
    /// The same event through the bus, which knows the aggregate.
    Dispatch,
}

#[derive(Clone, Copy)]
enum On {
    Memory,
    /// A file that is never flushed: a disk is not counted.
    Sqlite,
}

struct Case {
    name: &'static str,
    operation: Operation,
    on: On,
    /// How often it is done, before it is done twice as often.
    times: u64,
}

const fn case(name: &'static str, operation: Operation, on: On, times: u64) -> Case {
    Case {
        name,
        operation,
        on,
        times,
    }
}

const CASES: [Case; 6] = [
    case("append_memory", Operation::Append, On::Memory, 2_000),
    case("append_sqlite", Operation::Append, On::Sqlite, 2_000),
    case("load_100_memory", Operation::Load, On::Memory, 200),
    case("load_100_sqlite", Operation::Load, On::Sqlite, 200),
    case("dispatch_memory", Operation::Dispatch, On::Memory, 1_000),
    case("dispatch_sqlite", Operation::Dispatch, On::Sqlite, 1_000),
];

fn main() {
    if let Ok(counted) = std::env::var(COUNTED) {
        return run(&counted);
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let is_there = Process::new("valgrind").arg("--version").output().is_ok();
    if !is_there {
        println!("skipped: there is no valgrind; apt-get install valgrind");
        std::process::exit(i32::from(has("--required")));
    }
    let names: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let is_wanted = |case: &Case| {
        names.is_empty() || names.iter().any(|name| case.name.contains(name.as_str()))
    };
    for case in CASES.into_iter().filter(is_wanted) {
        let (once, twice) = (count(&case, case.times), count(&case, 2 * case.times));
        let each = (twice - once) / case.times;
        match has("--json") {
            true => println!(
                "{}",
                serde_json::json!({ "measure": case.name, "instructions": each })
            ),
            false => println!("{:16} {each:10} instructions", case.name),
        }
    }
}

/// The instructions of a process that does it so often.
fn count(case: &Case, times: u64) -> u64 {
    let counted = Process::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("this binary"))
        .env(COUNTED, format!("{} {times}", case.name))
        .output()
        .expect("valgrind");
    let said = String::from_utf8_lossy(&counted.stderr);
    assert!(counted.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.unwrap_or_else(|| panic!("no count: {said}"));
    count.trim().parse().expect("a number")
}

/// What is counted: `counted` is the name of a case, and how often.
fn run(counted: &str) {
    let (name, times) = counted.split_once(' ').expect("a name and a number");
    let case = CASES.into_iter().find(|case| case.name == name);
    let case = case.expect("a case");
    let times = times.parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = SqliteOptions::default();
        options.durability = Durability::Off;
        // A checkpoint would fall into the one process and not into the other.
        options.checkpoint_pages = u32::MAX;
        let store = match case.on {
            On::Memory => Store::memory(),
            On::Sqlite => Store::open_with(folder.path().join("bench.db"), options)
                .await
                .expect("a store"),
        };
        match case.operation {
            Operation::Append => append(&store, times).await,
            Operation::Load => load(&store, times).await,
            Operation::Dispatch => dispatch(&store, times).await,
        }
        // Closing is left out: what it takes grows with what was written.
        folder.close().expect("no folder");
        std::process::exit(0);
    });
}

async fn append(store: &Store, times: u64) {
    let codec = Codec::<Account>::new();
    for stream in 0..times / EVENTS_PER_STREAM {
        let stream = stream_id::<Account>(stream).expect("a stream id");
        let mut version = Version::ZERO;
        for _ in 0..EVENTS_PER_STREAM {
            let event = codec.encode(&deposited()).expect("an event");
            let expected = ExpectedVersion::Exact(version);
            let receipt = store.append(&stream, expected, [event]).await;
            version = receipt.expect("an append").version();
        }
    }
}

async fn load(store: &Store, times: u64) {
    let codec = Codec::<Account>::new();
    let stream = stream_id::<Account>("long").expect("a stream id");
    let events: Vec<_> = (0..100)
        .map(|_| codec.encode(&deposited()).expect("an event"))
        .collect();
    let appended = store.append(&stream, ExpectedVersion::NoStream, events);
    appended.await.expect("an append");
    let accounts = Repository::<Account>::new(store.clone());
    for _ in 0..times {
        let loaded = accounts.load("long").await.expect("a load");
        assert_eq!(loaded.state.balance, 50_000);
    }
}

async fn dispatch(store: &Store, times: u64) {
    let bus = CommandBus::new(store.clone());
    for stream in 0..times / EVENTS_PER_STREAM {
        for version in 1..=EVENTS_PER_STREAM {
            let outcome = bus.dispatch(stream, Deposit).await.expect("an outcome");
            assert_eq!(outcome.version, Version::new(version));
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
enum AccountEvent {
    Deposited { cents: i64, note: String },
}

fn deposited() -> AccountEvent {
    let note = "x".repeat(200 - r#"{"cents":500,"note":""}"#.len());
    AccountEvent::Deposited { cents: 500, note }
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
struct Deposit;

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![deposited()])
    }
}
