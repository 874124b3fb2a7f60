//! One account, two clerks, and what becomes of their conflicts.
//!
//! ```text
//! cargo run --example account              # in a folder that is gone afterwards
//! cargo run --example account -- bank.db   # in a new file, to look into
//! ```
//!
//! First by hand: two clerks load the account, both save, and the second one is told.
//! Then by commands: each declares what a conflict means for it. One comes back to its
//! clerk, one is decided again, one stands as it is, and one is recognised as done.
//!
//! What an account is stands in `domain.rs`; here is what happens to one.

use std::env;
use std::path::PathBuf;

use annalist::{
    CommandBus, ConflictReport, Decision, Metadata, Repository, SaveError, Store, Version,
    stream_id,
};

use crate::domain::{Account, AccountEvent, Confirm, Deposit, Withdraw, domain};

mod domain;

type AnyError = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    // What cannot be a domain is told here, not by the first command that comes by name.
    domain().checked()?;
    let folder = tempfile::tempdir()?;
    let file = match env::args_os().nth(1).map(PathBuf::from) {
        Some(file) if file.exists() => return Err("the file exists; name a new one".into()),
        Some(file) => file,
        None => folder.path().join("bank.db"),
    };
    let store = Store::open(file).await?;
    by_hand(&store).await?;
    by_commands(&store).await?;
    timeline(&store).await?;
    Ok(store.close().await?)
}

/// Load, change, save: whoever saves second is told what he has not seen.
async fn by_hand(store: &Store) -> Result<(), AnyError> {
    println!("-- by hand\n");
    let accounts = Repository::<Account>::new(store.clone());
    let opening = accounts.load("42").await?;
    let deposited = vec![AccountEvent::Deposited { cents: 1_000 }];
    accounts.save(opening, deposited).await?;

    let ann = accounts.load("42").await?;
    let bob = accounts.load("42").await?;
    assert_eq!((ann.state.balance, bob.state.balance), (1_000, 1_000));
    println!("ann and bob load 1000 cents at version {}", bob.version);

    let withdrawn = vec![AccountEvent::Withdrawn { cents: 700 }];
    let ann = accounts.save(ann, withdrawn.clone()).await?;
    println!("ann withdraws 700 cents: version {}", ann.version);

    let Err(SaveError::Conflict(conflict)) = accounts.save(bob, withdrawn).await else {
        return Err("bob should have been told".into());
    };
    assert_eq!(conflict.expected, Some(Version::new(1)));
    assert_eq!(conflict.current.balance, 300);
    println!("bob wants to as well, and nothing is written:");
    show(&conflict.report_in_full());
    Ok(())
}

/// Both clerks still look at version 2 and its 300 cents, each at a screen of his own.
async fn by_commands(store: &Store) -> Result<(), AnyError> {
    println!("-- by commands, all of them based on version 2\n");
    let bus = CommandBus::new(store.clone());
    let seen = Version::new(2);

    let deposit = bus.dispatch("42", Deposit { cents: 500 });
    let deposited = deposit.command_id("pay-1").based_on(seen).await?;
    assert_eq!(deposited.decided_by, Decision::Appended);
    println!("deposit 500   appended: version {}", deposited.version);

    let withdraw = bus.dispatch("42", Withdraw { cents: 200 });
    let by_bob = withdraw.metadata(Metadata::by("bob"));
    let withdrawn = by_bob.command_id("cash-1").based_on(seen).await?;
    assert_eq!(withdrawn.decided_by, Decision::Redecided);
    assert_eq!(withdrawn.state.balance, 600);
    println!(
        "withdraw 200  decided again on what is there now: version {}",
        withdrawn.version
    );

    let deposit = bus.dispatch("42", Deposit { cents: 50 });
    let commuted = deposit.command_id("pay-2").based_on(seen).await?;
    assert_eq!(commuted.decided_by, Decision::Commuted);
    println!(
        "deposit 50    holds whatever came between: version {}",
        commuted.version
    );

    // The answer to the first deposit got lost? It is sent again.
    let deposit = bus.dispatch("42", Deposit { cents: 500 });
    let again = deposit.command_id("pay-1").await?;
    assert_eq!(again.decided_by, Decision::AlreadyApplied);
    assert_eq!(again.version, deposited.version);
    println!(
        "deposit 500   applied already, under the same command id: version {}",
        again.version
    );

    let confirm = bus.dispatch("42", Confirm).command_id("ok-1");
    let Err(refused) = confirm.based_on(seen).await else {
        return Err("what was seen is not what is there".into());
    };
    let conflict = refused.conflict().ok_or("not the conflict")?;
    assert_eq!(
        (conflict.version, conflict.unseen.len()),
        (Version::new(5), 3)
    );
    println!("confirm       is for whoever sent it to decide:");
    show(&conflict.report_in_full());
    Ok(())
}

/// A conflict as a person reads it. As JSON it is what a program reads.
fn show(report: &ConflictReport) {
    if let Some(expected) = report.expected {
        println!("    expected   version {expected}");
    }
    println!("    actual     version {}", report.actual);
    for event in &report.unseen {
        let payload = event.payload.clone().unwrap_or_default();
        println!("    meanwhile  {} {payload}", event.event_type);
    }
    println!("    changed    {}", report.changed.join(", "));
    println!("    because    {}", report.reason);
    println!("    next       {}\n", report.next);
}

/// All that ever happened to the account.
async fn timeline(store: &Store) -> Result<(), AnyError> {
    println!("-- the account\n");
    println!("version  position  type       payload         command");
    let stream = stream_id::<Account>("42")?;
    let events = store.read_stream(&stream).collect().await?.events;
    for event in &events {
        let command = event.metadata.command_id.as_ref();
        println!(
            "{:>7}  {:>8}  {:<9}  {:<14}  {}",
            event.version,
            event.position,
            event.event_type,
            event.payload.as_str(),
            command.map_or("-", |id| id.as_str()),
        );
    }
    let account = Repository::<Account>::new(store.clone()).load("42").await?;
    assert_eq!((account.state.balance, events.len()), (650, 5));
    println!("\nbalance: {} cents", account.state.balance);
    Ok(())
}
