//! The domain: what can happen to an account, what it adds up to, and its two commands.
//!
//! Nothing here knows a store, nor who reads what.

use std::convert::Infallible;

use annalist::{Aggregate, Command, Domain, OnConflict, Violation, ensure};
use serde::{Deserialize, Serialize};

/// What can happen to an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Deposited { cents: u32 },
    Withdrawn { cents: u32 },
}

impl AccountEvent {
    /// What it adds to the balance.
    pub(crate) fn cents(&self) -> i64 {
        match self {
            Self::Deposited { cents } => i64::from(*cents),
            Self::Withdrawn { cents } => -i64::from(*cents),
        }
    }
}

/// What it adds up to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        self.balance += event.cents();
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.balance >= 0, "the balance is never negative")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deposit {
    pub(crate) cents: u32,
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        match self.cents {
            0 => Ok(vec![]),
            cents => Ok(vec![AccountEvent::Deposited { cents }]),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Withdraw {
    pub(crate) cents: u32,
}

impl Command for Withdraw {
    type Aggregate = Account;
    type Rejection = Violation;
    const NAME: &'static str = "withdraw";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Violation> {
        match self.cents {
            0 => Ok(vec![]),
            cents => {
                ensure(account.balance >= i64::from(cents), "so much is not left")?;
                Ok(vec![AccountEvent::Withdrawn { cents }])
            }
        }
    }
}

/// All of it, by name.
pub(crate) fn domain() -> Domain {
    Domain::new().command::<Deposit>().command::<Withdraw>()
}
