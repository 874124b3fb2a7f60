//! Many tasks, few accounts, every policy: what is answered must be what is stored.
//!
//! 64 tasks share 8 accounts in a SQLite file. They deposit (`Commute`), withdraw
//! (`Redecide`), send (`Surface`) and rename (`Merge`), some under ids that are repeated.
//! After 32 commands a task goes on with the next 8 accounts, so that their logs stay short.
//! Afterwards the log explains each answer, and the answers explain the whole log.
//!
//! `cargo test` sends 20,000 commands. For longer:
//!
//! ```text
//! ANNALIST_COMMANDS=200000 cargo test --release --test commands soak -- --nocapture
//! ```
//!
//! The seed is printed; `ANNALIST_SEED` repeats what is sent, though not its timing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Instant;

use annalist::{
    BusOptions, Command, CommandBus, ConflictReason, Decision, DispatchError, Outcome, Policy,
    RecordedEvent, Store,
};

use crate::account;
use crate::bank::{
    Account, AccountEvent, Deposit, Opened, Overdrawn, Withdraw, opened, rename, send,
};

const TASKS: u64 = 64;
const ACCOUNTS: u64 = 8;
const COMMANDS_PER_ROUND: u64 = 32;

/// The accounts that a task writes to in a round.
fn keys(round: u64) -> Vec<String> {
    (0..ACCOUNTS)
        .map(|number| format!("{round}-{number}"))
        .collect()
}

/// All of them.
fn all_keys(commands: u64) -> Vec<String> {
    let rounds = commands.div_ceil(TASKS).div_ceil(COMMANDS_PER_ROUND);
    (0..rounds).flat_map(keys).collect()
}

/// What a task sends.
#[derive(Clone, Debug)]
enum Sent {
    Deposit(i64),
    Withdraw(i64),
    Send(i64),
    Rename(String),
}

/// One dispatch and its answer.
#[derive(Debug)]
struct Answered {
    key: String,
    id: String,
    policy: Policy,
    answer: Told,
}

#[derive(Debug)]
enum Told {
    Landed {
        first: u64,
        last: u64,
        events: Vec<AccountEvent>,
        state: Account,
        attempts: u32,
        unseen: Vec<u64>,
        decided_by: Decision,
    },
    /// A merge that left nothing.
    Nothing,
    Rejected,
    Conflict {
        attempts: u32,
        expected: u64,
        unseen: Vec<u64>,
        actual: u64,
        reason: ConflictReason,
    },
}

fn from_environment<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_every_answer_is_explained_by_the_log() {
    let seed = from_environment("ANNALIST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let commands: u64 = from_environment("ANNALIST_COMMANDS").unwrap_or(20_000);
    println!("{commands} commands with ANNALIST_SEED={seed}");
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("bank.db")).await;
    let store = store.expect("a store");
    let bus = bus(&store, seed);
    for key in all_keys(commands) {
        let opening = bus.decide(key, "open", |_: &Account| {
            let deposited = AccountEvent::Deposited { cents: 500 };
            Ok::<_, Overdrawn>(vec![opened("nobody"), deposited])
        });
        opening.await.expect("an account");
    }
    let began = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let share = commands / TASKS + u64::from(task < commands % TASKS);
        tokio::spawn(send_all(bus.clone(), seed, task, share))
    });
    let tasks: Vec<_> = tasks.collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.expect("a task"));
    }
    let elapsed = began.elapsed();
    let dispatches = answers.len();
    let counts = explain(&store, all_keys(commands), answers).await;
    println!("{dispatches} dispatches in {elapsed:?}: {counts:?}");
    for must in [
        "appended",
        "commuted",
        "redecided",
        "merged",
        "already applied",
        "rejected",
        "surfaced",
    ] {
        assert!(counts.contains_key(must), "nothing was {must}: {counts:?}");
    }
    store.close().await.expect("a clean close");
}

fn bus(store: &Store, seed: u64) -> CommandBus {
    let mut options = BusOptions::default();
    options.seed = Some(seed);
    CommandBus::with(store.clone(), options)
}

/// What one task does. Every tenth command is one of its earlier ones once more, under the
/// same id; every tenth of the others is sent twice at a time.
async fn send_all(bus: CommandBus, seed: u64, task: u64, commands: u64) -> Vec<Answered> {
    let mut random = fastrand::Rng::with_seed(seed ^ task.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut answers = Vec::new();
    let mut before: Vec<(String, String, Sent)> = Vec::new();
    for number in 0..commands {
        if !before.is_empty() && random.u32(0..10) == 0 {
            let (key, id, sent) = before[random.usize(0..before.len())].clone();
            answers.push(dispatch(&bus, key, id, sent).await);
            continue;
        }
        let keys = keys(number / COMMANDS_PER_ROUND);
        let key = keys[random.usize(0..keys.len())].clone();
        let id = format!("{task}-{number}");
        let sent = match random.u32(0..10) {
            0..3 => Sent::Deposit(random.i64(1..60)),
            3..6 => Sent::Withdraw(random.i64(1..100)),
            6..8 => Sent::Send(random.i64(1..20)),
            _ => Sent::Rename(format!("owner {}", random.u32(0..3))),
        };
        before.push((key.clone(), id.clone(), sent.clone()));
        if random.u32(0..10) == 0 {
            let twin = dispatch(&bus, key.clone(), id.clone(), sent.clone());
            let (one, two) = futures_util::future::join(twin, dispatch(&bus, key, id, sent)).await;
            answers.extend([one, two]);
        } else {
            answers.push(dispatch(&bus, key, id, sent).await);
        }
    }
    answers
}

async fn dispatch(bus: &CommandBus, key: String, id: String, sent: Sent) -> Answered {
    match sent {
        Sent::Deposit(cents) => ask(bus, key, id, Deposit { cents }).await,
        Sent::Withdraw(cents) => ask(bus, key, id, Withdraw { cents }).await,
        Sent::Send(cents) => ask(bus, key, id, send(cents)).await,
        Sent::Rename(owner) => ask(bus, key, id, rename(&owner)).await,
    }
}

async fn ask<C>(bus: &CommandBus, key: String, id: String, command: C) -> Answered
where
    C: Command<Aggregate = Account>,
{
    let dispatched = bus.dispatch(&key, command).command_id(&id).await;
    let answer = match dispatched {
        Ok(outcome) => landed(outcome),
        Err(DispatchError::Rejected(_)) => Told::Rejected,
        Err(DispatchError::Conflict(conflict)) => Told::Conflict {
            attempts: conflict.attempts,
            expected: conflict.expected.expect("a version").get(),
            unseen: versions(&conflict.unseen_recorded),
            actual: conflict.version.get(),
            reason: conflict.reason,
        },
        Err(other) => panic!("{other:?}"),
    };
    let policy = C::ON_CONFLICT.policy();
    Answered {
        key,
        id,
        policy,
        answer,
    }
}

fn versions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.version.get()).collect()
}

fn landed(outcome: Outcome<Account>) -> Told {
    let last = outcome.version.get();
    if outcome.decided_by == Decision::NothingToDo {
        return Told::Nothing;
    }
    Told::Landed {
        first: last + 1 - outcome.events.len() as u64,
        last,
        events: outcome.events,
        state: outcome.state,
        attempts: outcome.attempts,
        unseen: versions(&outcome.unseen),
        decided_by: outcome.decided_by,
    }
}

/// What is stored of one account: each event, whose it is, and the state after it.
struct Stored {
    events: Vec<(AccountEvent, String)>,
    states: Vec<Account>,
}

async fn stored(store: &Store, key: &str) -> Stored {
    let log = store.read_stream(&account(key)).collect().await;
    let mut events = Vec::new();
    let mut states = vec![Account::default()];
    for recorded in log.expect("a log").events {
        let id = recorded.metadata.command_id.clone().expect("an id");
        let event = recorded.decode::<Account>().expect("an event").next();
        let event = event.expect("one event");
        let before = states.last().expect("a state").clone();
        let after = annalist::fold(before, [&event]).expect("a fold");
        assert!(after.balance >= 0, "{key} is at {}", after.balance);
        states.push(after);
        events.push((event, id.to_string()));
    }
    Stored { events, states }
}

/// Holds every answer against the log, and the log against the answers.
async fn explain(
    store: &Store,
    keys: Vec<String>,
    answers: Vec<Answered>,
) -> BTreeMap<&'static str, u32> {
    let mut logs = HashMap::new();
    for key in keys {
        let stored = stored(store, &key).await;
        logs.insert(key, stored);
    }
    let mut counts = BTreeMap::new();
    let mut explained = HashSet::new();
    let mut by_id: HashMap<(String, String), Vec<Answered>> = HashMap::new();
    for answered in answers {
        let log = &logs[&answered.key];
        *counts.entry(explain_one(&answered, log)).or_default() += 1;
        let id = (answered.key.clone(), answered.id.clone());
        by_id.entry(id).or_default().push(answered);
    }
    for ((key, id), answers) in by_id {
        let own = |(_, of): &&(AccountEvent, String)| *of == id;
        let wrote = logs[&key].events.iter().filter(own).count();
        let firsts = answers
            .iter()
            .filter(|answered| is_first(&answered.answer))
            .count();
        assert!(wrote <= 1, "{id} took effect {wrote} times on {key}");
        assert_eq!(wrote, firsts, "{id} on {key}: {answers:?}");
        explained.extend((wrote > 0).then_some((key, id)));
    }
    let mut total = 0;
    for (key, log) in &logs {
        // The two of the opening are nobody's answer.
        assert!(matches!(log.events[0].0, Opened { .. }));
        for (_, id) in &log.events[2..] {
            assert!(
                explained.contains(&(key.clone(), id.clone())),
                "{id} on {key}"
            );
            total += 1;
        }
    }
    assert_eq!(total, explained.len());
    counts
}

const fn is_first(answer: &Told) -> bool {
    matches!(answer, Told::Landed { decided_by, .. } if !matches!(decided_by, Decision::AlreadyApplied))
}

/// Holds one answer against the log of its account; says what it is.
fn explain_one(answered: &Answered, log: &Stored) -> &'static str {
    let Answered {
        id, policy, answer, ..
    } = answered;
    match answer {
        Told::Landed {
            first,
            last,
            events,
            state,
            attempts,
            unseen,
            decided_by,
        } => {
            assert_eq!(events.len(), 1, "{answered:?}");
            let at = usize::try_from(*first).expect("a version") - 1;
            assert_eq!(log.events[at], (events[0].clone(), id.clone()));
            assert_eq!(
                log.states[usize::try_from(*last).expect("a version")],
                *state
            );
            match (policy, decided_by) {
                (_, Decision::AlreadyApplied) => return "already applied",
                (_, Decision::Appended) => assert_eq!(*attempts, 1, "{answered:?}"),
                (Policy::Commute, Decision::Commuted)
                | (Policy::Redecide, Decision::Redecided)
                | (Policy::Merge, Decision::Merged) => {
                    assert!(*attempts > 1, "{answered:?}");
                    // All that was not seen stands right before it.
                    let from = first - unseen.len() as u64;
                    assert_eq!(*unseen, (from..*first).collect::<Vec<_>>());
                }
                _ => panic!("{answered:?}"),
            }
            match decided_by {
                Decision::Appended => "appended",
                Decision::Commuted => "commuted",
                Decision::Redecided => "redecided",
                _ => "merged",
            }
        }
        Told::Nothing => {
            assert_eq!(*policy, Policy::Merge, "{answered:?}");
            "nothing to do"
        }
        Told::Rejected => {
            assert!(
                matches!(policy, Policy::Redecide | Policy::Surface),
                "{answered:?}"
            );
            "rejected"
        }
        Told::Conflict {
            attempts,
            expected,
            unseen,
            actual,
            reason,
        } => {
            assert_eq!(*unseen, (expected + 1..=*actual).collect::<Vec<_>>());
            assert!(!unseen.is_empty());
            match (policy, reason) {
                (Policy::Surface, ConflictReason::Declared) => {
                    assert_eq!(*attempts, 1, "{answered:?}");
                    "surfaced"
                }
                (Policy::Merge, ConflictReason::Refused { .. }) => "not merged",
                (Policy::Surface, _) => panic!("{answered:?}"),
                (_, ConflictReason::Attempts) => "out of attempts",
                _ => panic!("{answered:?}"),
            }
        }
    }
}
