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

use std::convert::Infallible;
use std::env;
use std::path::PathBuf;

use annalist::{
    Aggregate, Command, CommandBus, ConflictReport, Decision, Metadata, OnConflict, Repository,
    SaveError, Store, Version, Violation, ensure, stream_id,
};
use serde::{Deserialize, Serialize};

type AnyError = Box<dyn std::error::Error>;

/// What can happen to an account.
#[derive(Clone, Serialize, Deserialize)]
enum AccountEvent {
    Deposited {
        cents: i64,
    },
    Withdrawn {
        cents: i64,
    },
    /// Its owner has seen the balance, and agrees.
    Confirmed {
        balance: i64,
    },
}

/// What it adds up to.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents } => self.balance += cents,
            AccountEvent::Withdrawn { cents } => self.balance -= cents,
            AccountEvent::Confirmed { .. } => {}
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.balance >= 0, "the balance is never negative")
    }
}

/// More money does not depend on what came between: it commutes.
#[derive(Serialize)]
struct Deposit {
    cents: i64,
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        let cents = self.cents;
        Ok(vec![AccountEvent::Deposited { cents }])
    }
}

/// The amount is meant whatever the balance is; whether it is there is asked again.
#[derive(Serialize)]
struct Withdraw {
    cents: i64,
}

#[derive(Debug, thiserror::Error)]
#[error("only {balance} cents are left")]
struct Overdrawn {
    balance: i64,
}

impl Command for Withdraw {
    type Aggregate = Account;
    type Rejection = Overdrawn;
    const NAME: &'static str = "withdraw";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
        let (cents, balance) = (self.cents, account.balance);
        match cents <= balance {
            true => Ok(vec![AccountEvent::Withdrawn { cents }]),
            false => Err(Overdrawn { balance }),
        }
    }
}

/// A judgement of what was seen. Nothing is declared, so its conflicts surface.
#[derive(Serialize)]
struct Confirm;

impl Command for Confirm {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "confirm";

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        let balance = account.balance;
        Ok(vec![AccountEvent::Confirmed { balance }])
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
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
