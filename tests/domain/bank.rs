//! A small bank, its domain, and an account with 500 cents.

use std::convert::Infallible;

use annalist::{
    Aggregate, AnyDispatchError, AnyOutcome, Command, CommandBus, Domain, OnConflict, Requires,
    Store, StreamId, Upcasters, Violation, ensure,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents } => self.balance += cents,
            AccountEvent::Withdrawn { cents } => self.balance -= cents,
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.balance >= -100, "the balance is never below -100")
    }

    /// At first, deposits were in whole euros.
    fn upcasters() -> Upcasters {
        Upcasters::new().step("Deposited", 1, |payload| {
            let euros = payload.get("euros").and_then(Value::as_i64);
            Ok(json!({ "cents": euros.ok_or("no euros")? * 100 }))
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("only {0} cents are left")]
pub(crate) struct Overdrawn(pub(crate) i64);

#[derive(Serialize, Deserialize)]
pub(crate) struct Deposit {
    pub(crate) cents: i64,
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![AccountEvent::Deposited { cents: self.cents }])
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Withdraw {
    pub(crate) cents: i64,
    #[serde(default)]
    pub(crate) force: bool,
}

impl Command for Withdraw {
    type Aggregate = Account;
    type Rejection = Overdrawn;
    const NAME: &'static str = "withdraw";
    const REQUIRES: Requires = Requires::Existing;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
        match account.balance {
            balance if balance < self.cents && !self.force => Err(Overdrawn(balance)),
            _ => Ok(vec![AccountEvent::Withdrawn { cents: self.cents }]),
        }
    }

    /// An account without a cent is named by a panic: it is told all the same.
    fn rejection_code(Overdrawn(left): &Overdrawn) -> &'static str {
        assert!(*left > 0, "no name for nothing");
        "overdrawn"
    }
}

pub(crate) fn domain() -> Domain {
    let domain = Domain::new().command::<Deposit>().command::<Withdraw>();
    domain.checked().expect("a domain")
}

pub(crate) fn stream(key: &str) -> StreamId {
    StreamId::new("account", key).expect("a stream id")
}

pub(crate) async fn sent(
    bus: &CommandBus,
    name: &str,
    json: &str,
) -> Result<AnyOutcome, AnyDispatchError> {
    let command = domain().decode(name, json).expect("a command");
    bus.dispatch_any("1", command).await
}

/// A bus with 500 cents on account 1, in two deposits.
pub(crate) async fn rich() -> CommandBus {
    let bus = CommandBus::new(Store::memory());
    for json in [r#"{"cents":200}"#, r#"{"cents":300}"#] {
        sent(&bus, "deposit", json).await.expect("a deposit");
    }
    bus
}
