//! What the measures write: an account whose events have 200 bytes.

use std::convert::Infallible;

use annalist::{Aggregate, Command, Contention, OnConflict, Snapshots};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Deposited { cents: i64, note: String },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent) {
        self.balance += cents;
    }
}

/// The same, whose state is kept.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct KeptAccount {
    pub(crate) balance: i64,
}

impl Aggregate for KeptAccount {
    const CATEGORY: &'static str = Account::CATEGORY;
    const SNAPSHOTS: Snapshots = Snapshots::every(100);
    type Event = AccountEvent;

    fn apply(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent) {
        self.balance += cents;
    }
}

/// What is written of an event has 200 bytes.
pub(crate) fn note() -> String {
    "x".repeat(200 - r#"{"cents":500,"note":""}"#.len())
}

/// The payload of such an event.
pub(crate) fn payload() -> String {
    format!(r#"{{"cents":500,"note":"{}"}}"#, note())
}

/// Looks, and does nothing.
#[derive(Serialize)]
pub(crate) struct Look;

impl Command for Look {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "look";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(vec![])
    }
}

/// A deposit that races, and is decided again.
#[derive(Serialize)]
pub(crate) struct Deposit(pub(crate) i64);

/// A deposit that stands in line.
#[derive(Serialize)]
pub(crate) struct DepositInLine(pub(crate) i64);

/// A deposit that stands in line where many want the same account.
#[derive(Serialize)]
pub(crate) struct DepositEitherWay(pub(crate) i64);

fn deposited(cents: i64) -> Vec<AccountEvent> {
    let note = note();
    vec![AccountEvent::Deposited { cents, note }]
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(deposited(self.0))
    }
}

impl Command for DepositInLine {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit_in_line";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
    const CONTENTION: Contention = Contention::Queued;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(deposited(self.0))
    }
}

impl Command for DepositEitherWay {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit_either_way";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;
    const CONTENTION: Contention = Contention::Adaptive;

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        Ok(deposited(self.0))
    }
}
