//! Money moves between accounts, each of which is a stream of its own.
//!
//! ```text
//! cargo run --example transfer              # in a folder that is gone afterwards
//! cargo run --example transfer -- bank.db   # in a file; run it again to go on after Ctrl-C
//! ```
//!
//! No transaction spans two accounts. A process manager carries each transfer from step to
//! step, and back where the other side refuses. Killed anywhere and run again, it goes on:
//! `tests/transfer.rs` kills it at every step, and not a cent is lost or doubled.
//!
//! What accounts and transfers are stands in `domain.rs`, how money moves in
//! `move_money.rs`; here it does.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use annalist::reaction::ReactionRunner;
use annalist::{CommandBus, DispatchError, Repository, Store};

use crate::domain::{Account, Deposit, Freeze, Request, Transfer, domain};
use crate::move_money::MoveMoney;

mod domain;
mod move_money;

type AnyError = Box<dyn std::error::Error>;

const ACCOUNTS: [&str; 3] = ["ann", "bob", "cleo"];

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    domain().checked()?;
    let folder = tempfile::tempdir()?;
    let file = env::args_os().nth(1).map(PathBuf::from);
    let file = file.unwrap_or_else(|| folder.path().join("bank.db"));
    let store = Store::open(file).await?;
    let bus = CommandBus::new(store.clone());

    // Under ids of their own: run again, they are recognised.
    for key in ACCOUNTS {
        let deposit = bus.dispatch(key, Deposit { cents: 1_000 });
        deposit.command_id("opening").await?;
    }
    bus.dispatch("cleo", Freeze).command_id("freeze").await?;
    show(&store, "before").await?;

    let running = ReactionRunner::new(&bus).manage(MoveMoney).start()?;
    let transfers = [
        ("t1", "ann", "bob", 300, "goes through"),
        ("t2", "bob", "ann", 9_999, "is more than there is"),
        ("t3", "ann", "cleo", 200, "is refused on the other side"),
    ];
    for (key, from, to, cents, what) in transfers {
        let (from, to) = (from.to_owned(), to.to_owned());
        println!("{key}: {cents} cents from {from} to {to}, which {what}");
        match bus.dispatch(key, Request { from, to, cents }).await {
            // Requested in an earlier run.
            Ok(_) | Err(DispatchError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for (key, ..) in transfers {
        println!("{key}: {:?}", ended(&store, key).await?);
    }
    running
        .wait_for("move money", store.head().await?, Duration::from_secs(10))
        .await?;
    running.stop().await;

    let total = show(&store, "after").await?;
    assert_eq!(total, 3_000, "money moves, and none is made or lost");
    Ok(store.close().await?)
}

/// Waits until a transfer has come to its end.
async fn ended(store: &Store, key: &str) -> Result<Transfer, AnyError> {
    use futures_util::StreamExt;

    let transfers = Repository::<Transfer>::new(store.clone());
    let stream = annalist::stream_id::<Transfer>(key)?;
    let mut events = store
        .subscribe(annalist::Position::ZERO)
        .stream_prefix(stream.as_str())
        .items();
    while let Some(item) = events.next().await {
        item?;
        match transfers.load(key).await?.state {
            ended @ (Transfer::Completed | Transfer::Failed { .. }) => return Ok(ended),
            Transfer::New | Transfer::Requested => {}
        }
    }
    Err("the store was closed".into())
}

async fn show(store: &Store, when: &str) -> Result<i64, AnyError> {
    let accounts = Repository::<Account>::new(store.clone());
    let mut total = 0;
    println!("\n{when}:");
    for key in ACCOUNTS {
        let Account { balance, frozen } = accounts.load(key).await?.state;
        let frozen = if frozen { ", frozen" } else { "" };
        println!("  {key:<4} {balance:>5} cents{frozen}");
        total += balance;
    }
    println!("  all  {total:>5} cents\n");
    Ok(total)
}
