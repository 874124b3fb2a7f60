//! The domain: what happens to a fine, and what it comes to.
//!
//! Nothing here knows a store or a file. [`FineEvent`] is decoded from what the
//! store kept, [`Fine`] is folded from it.

use annalist::{EventType, Payload};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

/// The category of the streams: case `A100` of the log is stream `fine-A100`.
pub(crate) const CATEGORY: &str = "fine";

/// One thing that happened to a fine.
pub(crate) struct FineEvent {
    pub(crate) at: DateTime<Utc>,
    pub(crate) activity: Activity,
}

/// What happened, under the name that the log gives it: that name is the type of
/// the event in the store.
///
/// A variant lists what the fold needs. Whatever else the log says stays in the
/// stored payload, for a reader who asks for it one day.
///
/// Amounts are read as `u32`, so that no log of fewer than 2^32 events can
/// overflow the `u64` sums below.
#[derive(Deserialize)]
pub(crate) enum Activity {
    #[serde(rename = "Create Fine")]
    FineCreated { amount_cents: u32 },
    #[serde(rename = "Send Fine")]
    FineSent { expense_cents: u32 },
    #[serde(rename = "Insert Fine Notification")]
    NotificationInserted {},
    #[serde(rename = "Add penalty")]
    PenaltyAdded { amount_cents: u32 },
    #[serde(rename = "Payment")]
    Paid {
        payment_cents: u32,
        /// The log's own running total, which is not always right.
        total_paid_cents: u32,
    },
    #[serde(rename = "Send for Credit Collection")]
    SentForCollection {},
    #[serde(rename = "Insert Date Appeal to Prefecture")]
    PrefectureAppealDated {},
    #[serde(rename = "Send Appeal to Prefecture")]
    PrefectureAppealSent {},
    #[serde(rename = "Receive Result Appeal from Prefecture")]
    PrefectureResultReceived {},
    #[serde(rename = "Notify Result Appeal to Offender")]
    PrefectureResultNotified {},
    #[serde(rename = "Appeal to Judge")]
    JudgeAppealed {},
}

impl FineEvent {
    /// Decodes what a store keeps of an event: its type and its payload.
    pub(crate) fn decode(
        event_type: &EventType,
        payload: &Payload,
    ) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct When {
            at: DateTime<Utc>,
        }

        // To serde an enum is `{"<variant>": <fields>}`: put the type back in front.
        let fields: Value = payload.decode()?;
        let activity = serde_json::from_value(json!({ event_type.as_str(): fields }))?;
        let When { at } = payload.decode()?;
        Ok(Self { at, activity })
    }
}

/// A fine, folded from its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fine {
    /// How many events it was folded from.
    pub(crate) events: u64,
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlawedPayment {
    pub(crate) at: DateTime<Utc>,
    /// What the log says was paid in all.
    pub(crate) logged_cents: u64,
    /// What its payments sum up to.
    pub(crate) summed_cents: u64,
}

impl Fine {
    /// Create Fine sets the amount, Send Fine adds an expense, Add penalty replaces
    /// the amount, Payment pays. The rest moves paper, not money.
    pub(crate) fn apply(&mut self, event: &FineEvent) {
        self.events += 1;
        match event.activity {
            Activity::FineCreated { amount_cents } | Activity::PenaltyAdded { amount_cents } => {
                self.amount_cents = amount_cents.into();
            }
            Activity::FineSent { expense_cents } => {
                self.expense_cents += u64::from(expense_cents);
            }
            Activity::Paid {
                payment_cents,
                total_paid_cents,
            } => self.pay(event.at, payment_cents.into(), total_paid_cents.into()),
            Activity::NotificationInserted {}
            | Activity::SentForCollection {}
            | Activity::PrefectureAppealDated {}
            | Activity::PrefectureAppealSent {}
            | Activity::PrefectureResultReceived {}
            | Activity::PrefectureResultNotified {}
            | Activity::JudgeAppealed {} => {}
        }
    }

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
