//! A small bank, with a command for each policy.

use std::convert::Infallible;

use annalist::command::MergeResult;
use annalist::{Aggregate, Command, Diverged, OnConflict, Requires, Upcasters, Violation, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Opened { owner: String },
    Renamed { owner: String },
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
    Audited,
}

use AccountEvent::{Audited, Deposited, Opened, Renamed, Withdrawn};

pub(crate) fn deposited(cents: i64) -> AccountEvent {
    Deposited { cents }
}

pub(crate) fn withdrawn(cents: i64) -> AccountEvent {
    Withdrawn { cents }
}

pub(crate) fn renamed(owner: &str) -> AccountEvent {
    let owner = owner.to_owned();
    Renamed { owner }
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) owner: String,
    pub(crate) balance: i64,
    pub(crate) audits: u32,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            Opened { owner } | Renamed { owner } => self.owner.clone_from(owner),
            Deposited { cents } => self.balance += cents,
            Withdrawn { cents } => self.balance -= cents,
            Audited => self.audits += 1,
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.balance >= 0, "the balance is never negative")
    }

    /// At first, deposits were in whole euros.
    fn upcasters() -> Upcasters {
        Upcasters::new().step("Deposited", 1, |payload| {
            let euros = payload.get("euros").and_then(Value::as_i64);
            let euros = euros.ok_or("no euros")?;
            Ok(json!({ "cents": euros * 100 }))
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("only {balance} cents are left")]
pub(crate) struct Overdrawn {
    pub(crate) balance: i64,
}

#[derive(Serialize)]
pub(crate) struct Open {
    pub(crate) owner: &'static str,
}

impl Command for Open {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "open";
    const REQUIRES: Requires = Requires::New;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        let owner = self.owner.to_owned();
        Ok(vec![Opened { owner }])
    }
}

#[derive(Serialize)]
pub(crate) struct Deposit {
    pub(crate) cents: i64,
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![deposited(self.cents)])
    }
}

#[derive(Serialize)]
pub(crate) struct Withdraw {
    pub(crate) cents: i64,
}

impl Command for Withdraw {
    type Aggregate = Account;
    type Rejection = Overdrawn;
    const NAME: &'static str = "withdraw";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
        match account.balance {
            balance if balance < self.cents => Err(Overdrawn { balance }),
            _ => Ok(vec![withdrawn(self.cents)]),
        }
    }

    fn clashes_with(&self, unseen: &AccountEvent) -> bool {
        matches!(unseen, Audited)
    }
}

/// Whatever is there.
#[derive(Serialize)]
pub(crate) struct Empty;

impl Command for Empty {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "empty";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(match account.balance {
            0 => vec![],
            cents => vec![withdrawn(cents)],
        })
    }
}

/// Takes what it is told, and leaves it to the invariant.
#[derive(Serialize)]
pub(crate) struct Seize {
    pub(crate) cents: i64,
}

impl Command for Seize {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "seize";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![withdrawn(self.cents)])
    }
}

/// Adds a title; another name meanwhile gets it, too.
#[derive(Serialize)]
pub(crate) struct Honour {
    pub(crate) title: &'static str,
}

impl Command for Honour {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "honour";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Merge(Self::merge);

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        match account.owner.starts_with(self.title) {
            true => Ok(vec![]),
            false => Ok(vec![renamed(&format!("{} {}", self.title, account.owner))]),
        }
    }
}

impl Honour {
    fn merge(&self, diverged: &Diverged<'_, Account>) -> MergeResult<Self> {
        match diverged.unseen {
            [Audited, ..] => Err("not while it is audited".to_owned()),
            _ => Ok(vec![renamed(&format!(
                "{} {}",
                self.title, diverged.current.owner
            ))]),
        }
    }
}
