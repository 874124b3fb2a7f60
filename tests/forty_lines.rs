//! An aggregate with two commands takes forty lines, imports and empty lines aside: what
//! stands between the two marks below is counted, and does what it says.

use std::convert::Infallible;

use annalist::{
    Aggregate, Command, CommandBus, Decision, DispatchError, OnConflict, Store, Version, Violation,
    ensure,
};
use serde::{Deserialize, Serialize};

// from here
#[derive(Clone, Serialize, Deserialize)]
enum AccountEvent {
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
}
#[derive(Default, Clone, Serialize, Deserialize)]
struct Account(i64);

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents } => self.0 += cents,
            AccountEvent::Withdrawn { cents } => self.0 -= cents,
        }
    }
}

#[derive(Serialize)]
struct Deposit(i64);

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![AccountEvent::Deposited { cents: self.0 }])
    }
}

#[derive(Serialize)]
struct Withdraw(i64);

impl Command for Withdraw {
    type Aggregate = Account;
    type Rejection = Violation;
    const NAME: &'static str = "withdraw";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Violation> {
        ensure(account.0 >= self.0, "there is not so much left")?;
        Ok(vec![AccountEvent::Withdrawn { cents: self.0 }])
    }
}
// to here

#[test]
fn an_aggregate_with_two_commands_takes_forty_lines() {
    let source = include_str!("forty_lines.rs");
    let (_, rest) = source.split_once("\n// from here\n").unwrap();
    let (counted, _) = rest.split_once("\n// to here\n").unwrap();
    assert!(counted.contains("impl Aggregate"));
    assert_eq!(counted.matches("impl Command").count(), 2);
    let lines = counted.lines().filter(|line| !line.trim().is_empty());
    assert!(lines.count() <= 40);
}

#[tokio::test]
async fn both_commands_do_what_they_declare() {
    let bus = CommandBus::new(Store::memory());
    let seen = bus.dispatch("42", Deposit(500)).await.unwrap().version;
    bus.dispatch("42", Deposit(100)).await.unwrap();

    let deposit = bus.dispatch("42", Deposit(50)).based_on(seen);
    assert_eq!(deposit.await.unwrap().decided_by, Decision::Commuted);
    let withdraw = bus.dispatch("42", Withdraw(400)).based_on(seen);
    let withdrawn = withdraw.await.unwrap();
    assert_eq!(withdrawn.decided_by, Decision::Redecided);
    assert_eq!(
        (withdrawn.state.0, withdrawn.version),
        (250, Version::new(4))
    );

    // On what was seen there was enough for this one, too.
    let refused = bus.dispatch("42", Withdraw(400)).based_on(seen).await;
    assert!(matches!(refused, Err(DispatchError::Rejected(_))));
}
