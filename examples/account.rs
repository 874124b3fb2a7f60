//! Two clerks load the same account, both save, and the second one is told.
//!
//! ```text
//! cargo run --example account
//! ```
//!
//! An account is a stream of events, its balance a fold over them. Each clerk
//! appends under the version that it has read, so that nobody overwrites what
//! somebody else did meanwhile. The loser learns what it expected, what is there,
//! and who wrote what; here it loads again, decides again, and saves.

use annalist::{
    AppendError, Commit, ExpectedVersion, Metadata, NewEvent, RecordedEvent, Store, StreamId,
    UnseenEvents, Version,
};
use serde::{Deserialize, Serialize};

/// What can happen to an account; the payload of every event.
#[derive(Serialize, Deserialize)]
struct Cents {
    cents: i64,
}

/// What the events add up to, and the version that this is the state of.
#[derive(Debug, Default)]
struct Account {
    balance: i64,
    version: Version,
}

impl Account {
    fn apply(&mut self, event: &RecordedEvent) -> Result<(), Box<dyn std::error::Error>> {
        let Cents { cents } = event.payload.decode()?;
        match event.event_type.as_str() {
            "Deposited" => self.balance += cents,
            "Withdrawn" => self.balance -= cents,
            other => return Err(format!("an account knows no event {other:?}").into()),
        }
        self.version = event.version;
        Ok(())
    }

    async fn load(store: &Store, stream: &StreamId) -> Result<Self, Box<dyn std::error::Error>> {
        let mut account = Self::default();
        for event in store.read_stream(stream).collect().await?.events {
            account.apply(&event)?;
        }
        Ok(account)
    }
}

fn event(what: &str, cents: i64, clerk: &str) -> Result<NewEvent, annalist::InvalidEvent> {
    Ok(NewEvent::json(what, &Cents { cents })?.with_metadata(Metadata::by(clerk)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("bank.db")).await?;
    let stream: StreamId = "account-42".parse()?;

    let opening = event("Deposited", 1_000, "opening")?;
    store
        .append(&stream, ExpectedVersion::NoStream, [opening])
        .await?;

    // Two clerks load the account independently; both see 1000 cents at version 1.
    let ann = Account::load(&store, &stream).await?;
    let bob = Account::load(&store, &stream).await?;
    println!(
        "ann and bob both see {} cents at version {}",
        ann.balance, bob.version
    );

    // Ann is first.
    let withdrawal = event("Withdrawn", 700, "ann")?;
    let receipt = store.append(&stream, ann.version, [withdrawal]).await?;
    println!("ann withdraws 700 cents: version {}\n", receipt.version());

    // Bob has not seen that. He asks to be shown what he missed, should he lose.
    let withdrawal = event("Withdrawn", 700, "bob")?;
    let commit = Commit::new()
        .append(stream.clone(), bob.version, [withdrawal])
        .with_unseen(10);
    match store.commit(commit).await {
        Err(error @ AppendError::Conflict(_)) => explain(&error),
        other => return Err(format!("expected a conflict, got {other:?}").into()),
    }

    // Nothing was written, so bob decides again on what is there now.
    let bob = Account::load(&store, &stream).await?;
    println!(
        "\nbob loads again: {} cents at version {}",
        bob.balance, bob.version
    );
    let cents = bob.balance.min(700);
    let withdrawal = event("Withdrawn", cents, "bob")?;
    let receipt = store
        .append(&stream, bob.version, [withdrawal.clone()])
        .await?;
    println!(
        "bob withdraws the {cents} cents that are left: version {}",
        receipt.version()
    );

    // The answer got lost on its way? Sending the same event again is harmless.
    let again = store.append(&stream, bob.version, [withdrawal]).await?;
    assert!(again.replayed && again.version() == receipt.version());
    println!(
        "bob sends it again: nothing is written, version {}",
        again.version()
    );

    let end = Account::load(&store, &stream).await?;
    assert_eq!((end.balance, end.version), (0, Version::new(3)));
    println!(
        "in the end: {} cents at version {}",
        end.balance, end.version
    );
    store.close().await?;
    Ok(())
}

/// What a conflict tells.
fn explain(error: &AppendError) {
    println!("bob is refused: {error}");
    for conflict in error
        .conflict()
        .iter()
        .flat_map(|conflicts| conflicts.violations())
    {
        println!("  expected {}", conflict.expected);
        println!("  actual   version {}", conflict.actual);
        if let UnseenEvents::Read { events, .. } = &conflict.unseen {
            for event in events {
                println!(
                    "  unseen   {} wrote {} {} as version {}",
                    event.metadata.actor.as_deref().unwrap_or("someone"),
                    event.event_type,
                    event.payload.as_str(),
                    event.version,
                );
            }
        }
    }
}
