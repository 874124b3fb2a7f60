//! The domain: accounts, which know nothing of each other, and transfers between them.
//!
//! Nothing here knows who moves the money; that is in `move_money.rs`.

use std::convert::Infallible;

use annalist::{Aggregate, Command, Domain, OnConflict, Requires, Violation, ensure};
use serde::{Deserialize, Serialize};

/// What can happen to an account. What a transfer does says which one it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Deposited {
        cents: u32,
    },
    Withdrawn {
        cents: u32,
        transfer: String,
    },
    Credited {
        cents: u32,
        transfer: String,
    },
    Refunded {
        cents: u32,
        transfer: String,
    },
    /// It takes no more money in.
    Frozen,
}

/// What it adds up to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) balance: i64,
    pub(crate) frozen: bool,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents }
            | AccountEvent::Credited { cents, .. }
            | AccountEvent::Refunded { cents, .. } => self.balance += i64::from(*cents),
            AccountEvent::Withdrawn { cents, .. } => self.balance -= i64::from(*cents),
            AccountEvent::Frozen => self.frozen = true,
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.balance >= 0, "the balance is never negative")
    }
}

/// Why an account says no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("only {balance} cents are left")]
    Overdrawn { balance: i64 },
    #[error("the account is frozen")]
    Frozen,
}

/// Money from outside.
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
        Ok(vec![AccountEvent::Deposited { cents: self.cents }])
    }
}

/// The first half of a transfer. The amount is meant whatever the balance is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Withdraw {
    pub(crate) cents: u32,
    pub(crate) transfer: String,
}

impl Command for Withdraw {
    type Aggregate = Account;
    type Rejection = Refused;
    const NAME: &'static str = "withdraw";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Refused> {
        let balance = account.balance;
        if balance < i64::from(self.cents) {
            return Err(Refused::Overdrawn { balance });
        }
        Ok(vec![AccountEvent::Withdrawn {
            cents: self.cents,
            transfer: self.transfer.clone(),
        }])
    }
}

/// The second half. A frozen account takes nothing in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Credit {
    pub(crate) cents: u32,
    pub(crate) transfer: String,
}

impl Command for Credit {
    type Aggregate = Account;
    type Rejection = Refused;
    const NAME: &'static str = "credit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Refused> {
        match account.frozen {
            true => Err(Refused::Frozen),
            false => Ok(vec![AccountEvent::Credited {
                cents: self.cents,
                transfer: self.transfer.clone(),
            }]),
        }
    }
}

/// What was withdrawn goes back, also to an account that is frozen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) cents: u32,
    pub(crate) transfer: String,
}

impl Command for Refund {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "refund";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![AccountEvent::Refunded {
            cents: self.cents,
            transfer: self.transfer.clone(),
        }])
    }
}

/// From here on the account takes no more money in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Freeze;

impl Command for Freeze {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "freeze";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(match account.frozen {
            true => vec![],
            false => vec![AccountEvent::Frozen],
        })
    }
}

/// What can happen to a transfer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum TransferEvent {
    Requested {
        from: String,
        to: String,
        cents: u32,
    },
    Completed,
    /// No money has moved, or it has moved back.
    Failed {
        why: String,
    },
}

/// Where a transfer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Transfer {
    #[default]
    New,
    Requested,
    Completed,
    Failed {
        why: String,
    },
}

impl Aggregate for Transfer {
    const CATEGORY: &'static str = "transfer";
    type Event = TransferEvent;

    fn apply(&mut self, event: &TransferEvent) {
        *self = match event {
            TransferEvent::Requested { .. } => Self::Requested,
            TransferEvent::Completed => Self::Completed,
            TransferEvent::Failed { why } => Self::Failed { why: why.clone() },
        };
    }
}

/// Somebody asks for a transfer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cents: u32,
}

impl Command for Request {
    type Aggregate = Transfer;
    type Rejection = Infallible;
    const NAME: &'static str = "request transfer";
    const REQUIRES: Requires = Requires::New;

    fn decide(&self, _: &Transfer) -> Result<Vec<TransferEvent>, Infallible> {
        Ok(vec![TransferEvent::Requested {
            from: self.from.clone(),
            to: self.to.clone(),
            cents: self.cents,
        }])
    }
}

/// How a transfer has ended. It ends once: whoever comes second has nothing left to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct End {
    /// None where it went well.
    pub(crate) failure: Option<String>,
}

impl Command for End {
    type Aggregate = Transfer;
    type Rejection = Infallible;
    const NAME: &'static str = "end transfer";
    const REQUIRES: Requires = Requires::Existing;
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, transfer: &Transfer) -> Result<Vec<TransferEvent>, Infallible> {
        Ok(match (transfer, &self.failure) {
            (Transfer::Completed | Transfer::Failed { .. }, _) => vec![],
            (_, None) => vec![TransferEvent::Completed],
            (_, Some(why)) => vec![TransferEvent::Failed { why: why.clone() }],
        })
    }
}

/// All of it, by name.
pub(crate) fn domain() -> Domain {
    Domain::new()
        .command::<Deposit>()
        .command::<Withdraw>()
        .command::<Credit>()
        .command::<Refund>()
        .command::<Freeze>()
        .command::<Request>()
        .command::<End>()
}
