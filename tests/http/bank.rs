//! A small bank, for the problems and the routes.

use annalist::{Aggregate, Command, Domain, OnConflict, Requires, Violation, ensure};
use serde::{Deserialize, Serialize};

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
}

#[derive(Debug, thiserror::Error)]
#[error("only {0} cents are left\u{7}")]
pub(crate) struct Overdrawn(i64);

#[derive(Serialize, Deserialize)]
pub(crate) struct Deposit {
    pub(crate) cents: i64,
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "deposit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
        match self.cents {
            666 => panic!("4111 1111 1111 1111 is a card number"),
            cents => Ok(vec![AccountEvent::Deposited { cents }]),
        }
    }
}

/// Opens an account that is not there.
#[derive(Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) cents: i64,
}

impl Command for Open {
    type Aggregate = Account;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "open";
    const REQUIRES: Requires = Requires::New;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
        Ok(vec![AccountEvent::Deposited { cents: self.cents }])
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

    fn rejection_code(_: &Overdrawn) -> &'static str {
        "overdrawn"
    }
}

pub(crate) fn domain() -> Domain {
    let domain = Domain::new().command::<Deposit>().command::<Withdraw>();
    domain.command::<Open>().checked().expect("a domain")
}
