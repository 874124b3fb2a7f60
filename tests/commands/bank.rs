//! The domain of these tests: accounts, and a command for each policy.

use annalist::{
    Aggregate, Command, Diverged, OnConflict, Requires, Upcasters, Violation, command::MergeResult,
    ensure,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: i64 },
    Withdrawn { cents: i64 },
    Sent { cents: i64, to: String },
    Renamed { owner: String },
    Frozen,
}

pub(crate) use AccountEvent::{Deposited, Frozen, Opened, Renamed, Sent, Withdrawn};

pub(crate) fn opened(owner: &str) -> AccountEvent {
    let owner = owner.to_owned();
    Opened { owner }
}

pub(crate) fn renamed(owner: &str) -> AccountEvent {
    let owner = owner.to_owned();
    Renamed { owner }
}

#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) owner: String,
    pub(crate) balance: i64,
    pub(crate) frozen: bool,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            Opened { owner } | Renamed { owner } => self.owner.clone_from(owner),
            Deposited { cents } => self.balance += cents,
            Withdrawn { cents } | Sent { cents, .. } => self.balance -= cents,
            Frozen => self.frozen = true,
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        ensure(self.balance >= 0, "the balance is never negative")
    }

    fn upcasters() -> Upcasters {
        Upcasters::new().step("Splintered", 1, |_| panic!("the upcaster fell"))
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("only {balance} cents are there")]
pub(crate) struct Overdrawn {
    pub(crate) balance: i64,
}

#[derive(Clone, Serialize)]
pub(crate) struct Deposit {
    pub(crate) cents: i64,
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "deposit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Commute;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
        Ok(vec![Deposited { cents: self.cents }])
    }

    fn clashes_with(&self, unseen: &AccountEvent) -> bool {
        matches!(unseen, Frozen)
    }
}

#[derive(Clone, Serialize)]
pub(crate) struct Withdraw {
    pub(crate) cents: i64,
}

impl Command for Withdraw {
    type Aggregate = Account;
    type Rejection = Overdrawn;
    const NAME: &'static str = "withdraw";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
        let balance = account.balance;
        match balance >= self.cents {
            true => Ok(vec![Withdrawn { cents: self.cents }]),
            false => Err(Overdrawn { balance }),
        }
    }

    fn clashes_with(&self, unseen: &AccountEvent) -> bool {
        matches!(unseen, Frozen)
    }
}

/// Declares nothing.
#[derive(Clone, Serialize)]
pub(crate) struct Send {
    pub(crate) cents: i64,
    pub(crate) to: String,
}

impl Command for Send {
    type Aggregate = Account;
    type Rejection = Overdrawn;
    const NAME: &'static str = "send";

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Overdrawn> {
        let Self { cents, to } = self.clone();
        let balance = account.balance;
        match balance >= cents {
            true => Ok(vec![Sent { cents, to }]),
            false => Err(Overdrawn { balance }),
        }
    }
}

pub(crate) fn send(cents: i64) -> Send {
    let to = "7".to_owned();
    Send { cents, to }
}

#[derive(Clone, Serialize)]
pub(crate) struct Rename {
    pub(crate) owner: String,
}

impl Rename {
    fn merge(&self, diverged: &Diverged<'_, Account>) -> MergeResult<Self> {
        let theirs = |event: &AccountEvent| matches!(event, Renamed { .. });
        match diverged.unseen.iter().any(theirs) {
            true if diverged.current.owner == self.owner => Ok(Vec::new()),
            true => Err(format!("{} was chosen meanwhile", diverged.current.owner)),
            false => Ok(diverged.proposed.to_vec()),
        }
    }
}

impl Command for Rename {
    type Aggregate = Account;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "rename";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Merge(Self::merge);

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
        Ok(vec![renamed(&self.owner)])
    }
}

pub(crate) fn rename(owner: &str) -> Rename {
    let owner = owner.to_owned();
    Rename { owner }
}

#[derive(Clone, Serialize)]
pub(crate) struct Open {
    pub(crate) owner: String,
}

impl Command for Open {
    type Aggregate = Account;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "open";
    const REQUIRES: Requires = Requires::New;
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
        Ok(vec![opened(&self.owner)])
    }
}

pub(crate) fn open(owner: &str) -> Open {
    let owner = owner.to_owned();
    Open { owner }
}

/// Leaves nothing to do where it is done.
#[derive(Clone, Serialize)]
pub(crate) struct Freeze;

impl Command for Freeze {
    type Aggregate = Account;
    type Rejection = std::convert::Infallible;
    const NAME: &'static str = "freeze";
    const REQUIRES: Requires = Requires::Existing;

    fn decide(&self, account: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
        Ok(match account.frozen {
            true => Vec::new(),
            false => vec![Frozen],
        })
    }
}
