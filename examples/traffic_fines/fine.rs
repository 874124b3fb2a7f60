//! The domain: what happens to a fine, what it comes to, and the one command that
//! records it.
//!
//! Nothing here knows a store or a file.

use annalist::{Aggregate, Command, Domain, OnConflict};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What happened to a fine, under the name that the log gives it: that name is the type
/// of the event in the store.
///
/// Amounts are `u32`, so that no log of fewer than 2^32 events can overflow the `u64`
/// sums below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FineEvent {
    #[serde(rename = "Create Fine")]
    Created {
        amount_cents: u32,
        #[serde(flatten)]
        entry: Entry,
    },
    #[serde(rename = "Send Fine")]
    Sent {
        expense_cents: u32,
        #[serde(flatten)]
        entry: Entry,
    },
    #[serde(rename = "Insert Fine Notification")]
    NotificationInserted(Entry),
    #[serde(rename = "Add penalty")]
    PenaltyAdded {
        amount_cents: u32,
        #[serde(flatten)]
        entry: Entry,
    },
    #[serde(rename = "Payment")]
    Paid {
        payment_cents: u32,
        /// The log's own running total, which is not always right.
        total_paid_cents: u32,
        #[serde(flatten)]
        entry: Entry,
    },
    #[serde(rename = "Send for Credit Collection")]
    SentForCollection(Entry),
    #[serde(rename = "Insert Date Appeal to Prefecture")]
    PrefectureAppealDated(Entry),
    #[serde(rename = "Send Appeal to Prefecture")]
    PrefectureAppealSent(Entry),
    #[serde(rename = "Receive Result Appeal from Prefecture")]
    PrefectureResultReceived(Entry),
    #[serde(rename = "Notify Result Appeal to Offender")]
    PrefectureResultNotified(Entry),
    #[serde(rename = "Appeal to Judge")]
    JudgeAppealed(Entry),
}

/// What every event has: when it happened, and whatever else the log says. No fold asks
/// for the rest; it is kept for a reader who does one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: DateTime<Utc>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A fine, folded from its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fine {
    /// What happened to it, in order.
    pub(crate) history: Vec<FineEvent>,
    /// What the fine amounts to, without expenses.
    pub(crate) amount_cents: u64,
    /// What sending it added.
    pub(crate) expense_cents: u64,
    /// What was paid.
    pub(crate) paid_cents: u64,
    /// Payments after which the log's running total was not the sum.
    pub(crate) flawed_payments: Vec<FlawedPayment>,
}

/// A payment whose running total in the log is not the sum of the payments so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FlawedPayment {
    pub(crate) at: DateTime<Utc>,
    /// What the log says was paid in all.
    pub(crate) logged_cents: u64,
    /// What its payments sum up to.
    pub(crate) summed_cents: u64,
}

impl Aggregate for Fine {
    /// Case `A100` of the log is stream `fine-A100`.
    const CATEGORY: &'static str = "fine";
    type Event = FineEvent;

    /// Create Fine sets the amount, Send Fine adds an expense, Add penalty replaces the
    /// amount, Payment pays. The rest moves paper, not money.
    fn apply(&mut self, event: &FineEvent) {
        self.history.push(event.clone());
        match event {
            FineEvent::Created { amount_cents, .. }
            | FineEvent::PenaltyAdded { amount_cents, .. } => {
                self.amount_cents = (*amount_cents).into();
            }
            FineEvent::Sent { expense_cents, .. } => {
                self.expense_cents += u64::from(*expense_cents);
            }
            FineEvent::Paid {
                payment_cents,
                total_paid_cents,
                entry,
            } => self.pay(
                entry.at,
                (*payment_cents).into(),
                (*total_paid_cents).into(),
            ),
            FineEvent::NotificationInserted(_)
            | FineEvent::SentForCollection(_)
            | FineEvent::PrefectureAppealDated(_)
            | FineEvent::PrefectureAppealSent(_)
            | FineEvent::PrefectureResultReceived(_)
            | FineEvent::PrefectureResultNotified(_)
            | FineEvent::JudgeAppealed(_) => {}
        }
    }
}

impl Fine {
    /// The sum counts; where the log disagrees with it, that is noted.
    fn pay(&mut self, at: DateTime<Utc>, payment_cents: u64, logged_cents: u64) {
        self.paid_cents += payment_cents;
        if logged_cents != self.paid_cents {
            self.flawed_payments.push(FlawedPayment {
                at,
                logged_cents,
                summed_cents: self.paid_cents,
            });
        }
    }
}

/// Brings a fine to where one line of the log says it is: everything that the log says
/// of it up to and with that line.
///
/// Whoever comes first records what is missing, in the order of the log. So any number of
/// workers may bring lines of one case at the same time, and in any order: who loses a
/// race decides again, and records what is still missing then, or nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) history: Vec<FineEvent>,
}

/// Why a line cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[error("event {number} of the fine is not what the log says; someone else wrote to it")]
pub(crate) struct BehindTheLog {
    number: usize,
}

impl Command for Record {
    type Aggregate = Fine;
    type Rejection = BehindTheLog;
    const NAME: &'static str = "record";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, fine: &Fine) -> Result<Vec<FineEvent>, BehindTheLog> {
        let mut both = fine.history.iter().zip(&self.history);
        match both.position(|(stored, logged)| stored != logged) {
            Some(index) => Err(BehindTheLog { number: index + 1 }),
            None => Ok(self
                .history
                .iter()
                .skip(fine.history.len())
                .cloned()
                .collect()),
        }
    }
}

/// All of it, by name.
pub(crate) fn domain() -> Domain {
    Domain::new().command::<Record>()
}
