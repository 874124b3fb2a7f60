//! How fast every schedule of a race is covered: the commands of `examples/account`, by
//! `testkit::race`, with one crash or lost answer in a schedule at most.
//!
//! - `schedules/s`: schedules that are covered in a second, equal parts of them run once.
//! - `runs/s`: what is run in fact.
//! - `dispatches`: dispatches of the same commands, one after another on a store in memory
//!   with nobody racing, that take as long as one run.
//!
//! Rounds are interleaved, figures are medians. `cargo bench --features testkit --bench race`
//! takes some seconds, `-- --quick` two. Three commands within a second is the mark.

#[path = "../examples/account/domain.rs"]
#[expect(dead_code, reason = "no registry is needed here")]
mod account;

use std::time::{Duration, Instant};

use account::{Account, AccountEvent, Confirm, Deposit, Withdraw};
use annalist::testkit::race::{Explored, Race, race};
use annalist::{CommandBus, Store};

const MARK: Duration = Duration::from_secs(1);

fn two() -> Race<Account> {
    race::<Account>()
        .given([AccountEvent::Deposited { cents: 100 }])
        .command(Withdraw { cents: 80 })
        .command(Deposit { cents: 50 })
}

fn three() -> Race<Account> {
    two().command(Confirm)
}

fn timed(race: Race<Account>) -> (Duration, Explored) {
    let began = Instant::now();
    let explored = race.explore().expect("what the example declares is true");
    (began.elapsed(), explored)
}

/// How long the same commands take where nobody races, each.
fn alone(runtime: &tokio::runtime::Runtime) -> Duration {
    const ROUNDS: u32 = 500;
    let began = Instant::now();
    runtime.block_on(async {
        for _ in 0..ROUNDS {
            let bus = CommandBus::new(Store::memory());
            let sent = bus.dispatch("1", Deposit { cents: 100 }).command_id("0");
            sent.await.expect("nobody races");
            let sent = bus.dispatch("1", Withdraw { cents: 80 }).command_id("1");
            sent.await.expect("there are 100");
            let sent = bus.dispatch("1", Confirm).command_id("2");
            sent.await.expect("nobody races");
        }
    });
    began.elapsed() / (3 * ROUNDS)
}

fn median<T: PartialOrd + Copy>(mut of: Vec<T>) -> T {
    of.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    *of.get(of.len() / 2).expect("a round at least")
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let rounds = if quick { 3 } else { 15 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    println!("{rounds} rounds; medians");
    println!("race            time   schedules  schedules/s    runs   runs/s  dispatches");
    let mut missed = false;
    for (name, race) in [
        ("two commands", two as fn() -> _),
        ("three commands", three),
    ] {
        let mut times = Vec::new();
        let mut beside = Vec::new();
        let (_, explored) = timed(race());
        for _ in 0..rounds {
            let alone = alone(&runtime).as_secs_f64();
            let (time, again) = timed(race());
            assert_eq!(again, explored, "the same race");
            times.push(time);
            beside.push(time.as_secs_f64() / explored.runs as f64 / alone);
        }
        let time = median(times);
        let seconds = time.as_secs_f64();
        println!(
            "{name:<14} {:>5.3} s {:>11} {:>12.0} {:>7} {:>8.0} {:>11.1}",
            seconds,
            explored.schedules,
            explored.schedules as f64 / seconds,
            explored.runs,
            explored.runs as f64 / seconds,
            median(beside),
        );
        missed |= time > MARK;
    }
    let mark = if missed { "missed" } else { "met" };
    println!("the mark of {MARK:?} for each is {mark}");
}
