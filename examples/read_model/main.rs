//! Two read models of one bank: one that is never behind, and one that follows and is made
//! anew while everybody goes on.
//!
//! ```text
//! cargo run --example read_model              # in a folder that is gone afterwards
//! cargo run --example read_model -- bank.db   # in a new file, to look into
//! ```
//!
//! The balances are filled in the transaction of each commit: whoever has an answer reads
//! what it has made. The leaderboard follows at its own pace: whoever wants to read what he
//! wrote waits for it. Then it is rebuilt while writers write and readers read: they see
//! the old one or the new one, never half of one. In the end everything is compared with
//! the accounts, loaded one by one.
//!
//! What an account is stands in `domain.rs`, what is read and how it is filled in `tables.rs`.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annalist::follow::Following;
use annalist::projection::{self, Projection};
use annalist::store::sqlite::SqliteOptions;
use annalist::store::{Database, OldBuild};
use annalist::{CommandBus, DispatchError, Repository, Store};

use crate::domain::{Account, Deposit, Withdraw};
use crate::tables::{BALANCES, Balance, Balances, Leaderboard, domain};

mod domain;
mod tables;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const ACCOUNTS: u32 = 40;
const BEFORE: u32 = 6_000;
const WRITERS: u32 = 4;

/// Commands under way at once, while the bank is filled.
const CALLS_MAX: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let file = match env::args_os().nth(1).map(PathBuf::from) {
        Some(file) if file.exists() => return Err("the file exists; name a new one".into()),
        Some(file) => file,
        None => folder.path().join("bank.db"),
    };
    let mut options = SqliteOptions::default();
    options.inline.push(projection::inline(Balances)?);
    let store = Store::open_with(file, options).await?;
    let bus = CommandBus::new(store.clone());
    let running = domain().checked()?.projection_runner(&store)?.start()?;
    let tables = store.database()?;

    never_behind(&bus, &tables).await?;
    behind_and_waited_for(&bus, &running, &tables).await?;
    rebuilt_under_way(&bus, &running, &tables).await?;
    all_agree(&store, &running, &tables).await?;
    running.stop().await;
    Ok(store.close().await?)
}

/// An inline projection is as far as the receipt that one holds.
async fn never_behind(bus: &CommandBus, tables: &Database) -> Result<(), AnyError> {
    println!("-- balances, inline\n");
    bus.dispatch("ann", Deposit { cents: 1_000 }).await?;
    let outcome = bus.dispatch("ann", Withdraw { cents: 300 }).await?;
    let balance = BALANCES.get("ann", tables).await?;
    let expected = Balance {
        cents: outcome.state.balance,
        movements: 2,
    };
    assert_eq!(balance, Some(expected));
    println!("ann deposits 1000 and withdraws 300; read at once: 700 after 2 movements\n");
    Ok(())
}

/// One that follows is waited for, by who wants to read what was written.
async fn behind_and_waited_for(
    bus: &CommandBus,
    running: &Following,
    tables: &Database,
) -> Result<(), AnyError> {
    println!("-- leaderboard, following\n");
    let outcome = bus.dispatch("bob", Deposit { cents: 900 }).await?;
    let position = outcome.position.ok_or("it was written")?;
    let begun = Instant::now();
    running
        .wait_for(Leaderboard::NAME, position, PATIENCE)
        .await?;
    println!(
        "bob deposits 900 at position {position}, and waits {:.1} ms for the leaderboard:",
        begun.elapsed().as_secs_f64() * 1e3
    );
    let top = top(tables).await?;
    assert_eq!(top, [("bob".to_owned(), 900), ("ann".to_owned(), 700)]);
    show(&top);
    Ok(())
}

/// It is made anew, and neither writers nor readers wait for it.
async fn rebuilt_under_way(
    bus: &CommandBus,
    running: &Following,
    tables: &Database,
) -> Result<(), AnyError> {
    println!("-- leaderboard, rebuilt while {WRITERS} writers go on\n");
    write(bus, 0..BEFORE).await?;
    let head = bus.store().head().await?;
    running.wait_for(Leaderboard::NAME, head, PATIENCE).await?;

    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(go_on(bus.clone(), writer, Arc::clone(&done))))
        .collect();
    let reader = tokio::spawn(keep_reading(tables.clone(), Arc::clone(&done)));
    let progress = tokio::spawn(print_progress(running.clone()));
    let (begun, old) = (Instant::now(), running.status(Leaderboard::NAME)?);
    running.rebuild(Leaderboard::NAME, OldBuild::Drop).await?;
    let new = running.status(Leaderboard::NAME)?;
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    progress.await??;
    let mut written = 0;
    for writer in writers {
        written += writer.await??;
    }
    let reads = reader.await??;
    println!(
        "build {} takes the place of build {} after {:.0} ms, at position {}",
        new.build,
        old.build,
        took.as_secs_f64() * 1e3,
        new.position
    );
    println!("{written} commands meanwhile, and {reads} reads, each of a whole leaderboard\n");
    Ok(())
}

/// Deposits and withdrawals, some of them refused.
async fn write(bus: &CommandBus, numbers: std::ops::Range<u32>) -> Result<(), AnyError> {
    let mut calls = tokio::task::JoinSet::new();
    for number in numbers {
        if calls.len() == CALLS_MAX {
            calls.join_next().await.transpose()?.transpose()?;
        }
        let bus = bus.clone();
        calls.spawn(async move { one(&bus, number).await });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    Ok(())
}

async fn one(bus: &CommandBus, number: u32) -> Result<(), AnyError> {
    let account = format!("a{}", number % ACCOUNTS);
    let cents = number.wrapping_mul(2_654_435_761) % 1_000;
    match number % 3 {
        0 => match bus.dispatch(account, Withdraw { cents }).await {
            Ok(_) | Err(DispatchError::Rejected(_)) => Ok(()),
            Err(error) => Err(error.into()),
        },
        _ => {
            bus.dispatch(account, Deposit { cents }).await?;
            Ok(())
        }
    }
}

async fn go_on(bus: CommandBus, writer: u32, done: Arc<AtomicBool>) -> Result<u64, AnyError> {
    let mut written = 0;
    for number in BEFORE.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        one(&bus, number * WRITERS + writer).await?;
        written += 1;
    }
    Ok(written)
}

/// Everybody was there before the rebuild began. Half a leaderboard would lack somebody.
async fn keep_reading(tables: Database, done: Arc<AtomicBool>) -> Result<u64, AnyError> {
    let mut reads = 0;
    while !done.load(Ordering::Relaxed) {
        let all = tables
            .query(Leaderboard::ALL, &[], Leaderboard::read)
            .await?;
        assert_eq!(all.len(), ACCOUNTS as usize + 2);
        assert_eq!(top(&tables).await?.len(), 3);
        reads += 1;
        tokio::task::yield_now().await;
    }
    Ok(reads)
}

/// Until the rebuild has ended.
async fn print_progress(running: Following) -> Result<(), AnyError> {
    let mut status = running.watch(Leaderboard::NAME)?;
    status.wait_for(|status| status.rebuild.is_some()).await?;
    loop {
        let status = status.borrow_and_update().clone();
        let Some(rebuild) = status.rebuild else {
            return Ok(());
        };
        println!(
            "  build {}: position {} of {}, {:.0}/s",
            rebuild.build, rebuild.position, status.head, rebuild.positions_per_second
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is read is what the accounts are.
async fn all_agree(store: &Store, running: &Following, tables: &Database) -> Result<(), AnyError> {
    println!("-- compared with the accounts\n");
    let head = store.head().await?;
    running.wait_for(Leaderboard::NAME, head, PATIENCE).await?;
    let board = tables
        .query(Leaderboard::ALL, &[], Leaderboard::read)
        .await?;
    let balances = BALANCES.all(tables).await?;
    let accounts = Repository::<Account>::new(store.clone());
    for (account, balance) in &balances {
        assert_eq!(accounts.load(account).await?.state.balance, balance.cents);
    }
    let balances = balances
        .into_iter()
        .map(|(account, balance)| (account, balance.cents));
    assert_eq!(board, Vec::from_iter(balances));
    println!(
        "{} accounts of {head} events: balances, leaderboard and accounts agree",
        board.len()
    );
    show(&top(tables).await?);
    Ok(())
}

async fn top(tables: &Database) -> Result<Vec<(String, i64)>, AnyError> {
    Ok(tables
        .query(Leaderboard::TOP, &[], Leaderboard::read)
        .await?)
}

fn show(top: &[(String, i64)]) {
    for (place, (account, cents)) in top.iter().enumerate() {
        println!("    {}. {account:<4} {cents:>9}", place + 1);
    }
    println!();
}
