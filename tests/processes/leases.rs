//! Processes take turns under one lease: each reads the stream's version and appends upon it,
//! with no loop on conflicts, since there are none. A process that is killed while it holds
//! the lease is followed when its time is over, and not before; one that slept past its time
//! finds its token refused.
//!
//! 4 x 15 turns in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_TURNS=1000 cargo test --release --test processes leases -- --nocapture
//! ```

use std::io::stdin;
use std::time::Duration;

use annalist::{
    AppendError, Commit, ExpectedVersion, FencingToken, Lease, LeaseError, LeaseName, NewEvent,
    Receipt, Store, StreamId, Version,
};
use serde_json::json;

use crate::child::{Figures, Held, Line, Role, Spec, Worker};
use crate::plan::{Dice, Keys, Rules};
use crate::work::say;
use crate::{Place, number};

/// Longer than any turn takes, or any queue for one.
const LONG: Duration = Duration::from_secs(50);

fn account() -> StreamId {
    "account-1".parse().expect("a stream id")
}

async fn acquire(store: &Store, duration: Duration) -> Lease {
    loop {
        let name = LeaseName::from(&account());
        let lease = store.lease(name).for_duration(duration).wait(LONG);
        match lease.acquire().await {
            Ok(lease) => return lease,
            Err(LeaseError::Store(error)) if error.is_retryable() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Appends one event that names its token. The same event again where the file was busy.
async fn append(
    store: &Store,
    lease: &Lease,
    expected: ExpectedVersion,
) -> Result<Receipt, AppendError> {
    let told = json!({ "token": lease.token() });
    let event = NewEvent::json("Turned", &told).expect("an event");
    loop {
        let commit = Commit::new()
            .append(account(), expected, [event.clone()])
            .fenced_by(lease);
        match store.commit(commit).await {
            Err(error) if error.is_retryable() => {}
            answer => return answer,
        }
    }
}

/// One turn of a worker: there is no conflict while it holds the lease.
async fn turn(store: &Store, lease: &Lease) {
    let info = store.stream_info(&account()).await.expect("a read");
    let exact = ExpectedVersion::Exact(info.version);
    let receipt = append(store, lease, exact).await;
    let version = receipt.expect("no conflict").version();
    assert_eq!(version, info.version.next());
    let token = lease.token();
    say(&Line::Turn { token, version });
}

pub(crate) async fn take_turns(
    spec: &Spec,
    store: &Store,
    turns: u32,
    rest_ms_max: u64,
) -> Figures {
    let mut dice = Dice(spec.worker.into());
    stdin().read_line(&mut String::new()).expect("its input");
    for _ in 0..turns {
        let mut lease = acquire(store, LONG).await;
        lease.renew(LONG).await.expect("its holder");
        turn(store, &lease).await;
        lease.release().await.expect("its holder");
        // So that another one comes in between.
        let rest = Duration::from_millis(dice.below(rest_ms_max.max(1)));
        tokio::time::sleep(rest).await;
    }
    Figures::default()
}

pub(crate) async fn hold(store: &Store, duration: Duration) -> Figures {
    let mut lease = acquire(store, duration).await;
    let (token, expires_at) = (lease.token(), lease.expires_at());
    say(&Line::Holds(Held { token, expires_at }));
    stdin().read_line(&mut String::new()).expect("its input");
    // Whatever the stream's version: it is the token alone that is refused.
    match append(store, &lease, ExpectedVersion::Any).await {
        Err(AppendError::LeaseLost { .. }) => say(&Line::Lost),
        other => panic!("overtaken, and answered {other:?}"),
    }
    let renewed = lease.renew(LONG).await;
    assert!(
        matches!(renewed, Err(LeaseError::Lost { .. })),
        "{renewed:?}"
    );
    let lease = acquire(store, LONG).await;
    turn(store, &lease).await;
    lease.release().await.expect("its holder");
    Figures::default()
}

fn start(place: &Place, worker: u32, role: Role) -> Worker {
    let worker = Worker::start(&Spec {
        path: place.path(),
        role,
        rules: Rules {
            seed: 1,
            streams: 1,
            keys: Keys::Own,
            padding_bytes: 0,
        },
        round: 0,
        worker,
        checkpoint_pages: 1_000,
    });
    worker.opened();
    worker
}

/// Lets workers take their turns. The tokens and versions of all, and whose they are.
fn all_turns(mut workers: Vec<Worker>) -> Vec<(FencingToken, Version, usize)> {
    workers.iter_mut().for_each(Worker::go);
    let mut turns = Vec::new();
    for (index, worker) in workers.into_iter().enumerate() {
        for line in worker.finish() {
            if let Line::Turn { token, version } = line {
                turns.push((token, version, index));
            }
        }
    }
    turns.sort_unstable();
    turns
}

/// Tokens and versions both go up by one, from these on.
fn assert_in_turn(turns: &[(FencingToken, Version, usize)], token: u64, version: u64) {
    for (due, turn) in (0..).zip(turns) {
        assert_eq!(
            (turn.0.get(), turn.1.get()),
            (token + due, version + due),
            "{turns:?}"
        );
    }
}

/// What the file holds is what was told: the tokens of all events, in order.
async fn assert_holds(place: &Place, tokens: impl Iterator<Item = u64>) {
    let store = place.open().await;
    let events = store.read_stream(&account()).collect().await;
    let events = events.expect("all events").events;
    let told: Vec<_> = tokens.map(|token| json!({ "token": token })).collect();
    let held: Vec<serde_json::Value> = events
        .iter()
        .map(|event| event.payload.decode().expect("JSON"))
        .collect();
    assert_eq!(held, told);
    assert!(store.verify().await.expect("a report").is_whole());
    store.close().await.expect("a clean close");
    place.assert_intact();
}

#[tokio::test]
async fn four_processes_under_one_lease_never_conflict() {
    let turns = number("ANNALIST_TURNS", 15u32);
    let place = Place::new();
    let rest_ms_max = 40;
    let role = Role::Turns { turns, rest_ms_max };
    let workers = (0..4).map(|worker| start(&place, worker, role)).collect();
    let taken = all_turns(workers);
    assert_eq!(taken.len() as u32, 4 * turns);
    assert_in_turn(&taken, 1, 1);
    let handed_on = taken.windows(2).filter(|pair| pair[0].2 != pair[1].2);
    let handed_on = handed_on.count();
    assert_holds(&place, 1..=taken.len() as u64).await;
    println!(
        "leases: {} turns of 4 processes, handed on {handed_on} times, no conflict",
        taken.len()
    );
    assert!(handed_on > 10, "one process after the other shows nothing");
}

/// The next line of a process that says that it holds the lease.
fn held(worker: &Worker) -> Held {
    match worker.line() {
        Some(Line::Holds(held)) => held,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_process_killed_while_it_holds_the_lease_is_followed_when_its_time_is_over() {
    let place = Place::new();
    let holder = start(&place, 0, Role::Hold { ms: 1_000 });
    let lost = held(&holder);
    assert_eq!(lost.token.get(), 1);
    let (turns, rest_ms_max) = (3, 0);
    let role = Role::Turns { turns, rest_ms_max };
    let mut others: Vec<_> = (1..4).map(|worker| start(&place, worker, role)).collect();
    holder.kill();
    let store = place.open().await;
    let next = acquire(&store, LONG).await;
    assert_eq!(next.token().get(), 2);
    let granted_at = next.expires_at() - LONG;
    assert!(granted_at >= lost.expires_at, "too early: {granted_at}");
    let waited_ms = (granted_at - lost.expires_at).num_milliseconds();
    next.release().await.expect("its holder");
    store.close().await.expect("a clean close");

    let taken = all_turns(std::mem::take(&mut others));
    assert_eq!(taken.len() as u32, 3 * turns);
    assert_in_turn(&taken, 3, 1);
    assert_holds(&place, 3..3 + taken.len() as u64).await;
    println!("leases: followed a killed process {waited_ms} ms after its time was over");
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_that_slept_past_its_time_writes_nothing_under_its_token() {
    let place = Place::new();
    let mut sleeper = start(&place, 0, Role::Hold { ms: 500 });
    assert_eq!(held(&sleeper).token.get(), 1);
    sleeper.signal("STOP");
    let store = place.open().await;
    let next = acquire(&store, LONG).await;
    assert_eq!(next.token().get(), 2, "overtaken while it slept");
    let landed = append(&store, &next, ExpectedVersion::NoStream).await;
    landed.expect("the holder's append");
    sleeper.signal("CONT");
    sleeper.go();
    assert!(matches!(sleeper.line(), Some(Line::Lost)));
    // And it goes on when it is its turn again.
    next.release().await.expect("its holder");
    match sleeper.line() {
        Some(Line::Turn { token, version }) => {
            assert_eq!((token.get(), version.get()), (3, 2));
        }
        other => panic!("{other:?}"),
    }
    sleeper.finish();
    store.close().await.expect("a clean close");
    assert_holds(&place, 2..=3).await;
    println!("leases: a process that slept was refused, and acquired the lease again");
}
