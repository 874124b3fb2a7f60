//! The domain: what can happen to an account, what it adds up to, and the three commands,
//! each with what a conflict means for it.
//!
//! Nothing here knows a store.

use std::convert::Infallible;

use annalist::{Aggregate, Command, Domain, OnConflict, Violation, ensure};
use serde::{Deserialize, Serialize};

/// What can happen to an account.
///
/// Amounts are `u32`: none is negative, and no account of fewer than 2^31 events can
/// overflow the `i64` balance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Deposited {
        cents: u32,
    },
    Withdrawn {
        cents: u32,
    },
    /// Its owner has seen the balance, and agrees.
    Confirmed {
        balance: i64,
    },
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
        match event {
            AccountEvent::Deposited { cents } => self.balance += i64::from(*cents),
            AccountEvent::Withdrawn { cents } => self.balance -= i64::from(*cents),
            AccountEvent::Confirmed { .. } => {}
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.balance >= 0, "the balance is never negative")
    }
}

/// More money does not depend on what came between: it commutes.
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

/// The amount is meant whatever the balance is; whether it is there is asked again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Withdraw {
    pub(crate) cents: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("only {balance} cents are left")]
pub(crate) struct Overdrawn {
    balance: i64,
}

impl Command for Withdraw {
    type Aggregate = Account;
    type Rejection = Overdrawn;
    const NAME: &'static str = "withdraw";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
        let balance = account.balance;
        match self.cents {
            0 => Ok(vec![]),
            cents if i64::from(cents) <= balance => Ok(vec![AccountEvent::Withdrawn { cents }]),
            _ => Err(Overdrawn { balance }),
        }
    }
}

/// A judgement of what was seen. Nothing is declared, so its conflicts surface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Confirm;

impl Command for Confirm {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "confirm";

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        let balance = account.balance;
        Ok(vec![AccountEvent::Confirmed { balance }])
    }
}

/// All of it, by name.
pub(crate) fn domain() -> Domain {
    Domain::new()
        .command::<Deposit>()
        .command::<Withdraw>()
        .command::<Confirm>()
}
