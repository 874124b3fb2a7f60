//! What every example declares of its commands is true, as far as it can be hunted.
//!
//! A domain of a user's own needs the one line of [`account`]; the others say more where
//! there is more to say.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use annalist::testkit::laws::proptest::prelude::*;
use annalist::testkit::race::race;
use annalist::testkit::{check, laws};
use serde_json::{Value, json};

#[path = "../examples/account/domain.rs"]
mod account_domain;
#[path = "../examples/document/domain.rs"]
mod document_domain;
#[path = "../examples/traffic_fines/fine.rs"]
mod fine;
#[path = "../examples/hot_stock/domain.rs"]
mod hot_stock_domain;
#[path = "../examples/order_lines/domain.rs"]
mod order_lines_domain;
#[path = "../examples/read_model/domain.rs"]
mod read_model_domain;
#[path = "../examples/transfer/domain.rs"]
mod transfer_domain;

#[test]
fn account() {
    check(&account_domain::domain());
}

/// Edits of the fields that there are: what serde could make would be others each time, and
/// never a document that can be published.
#[test]
fn document() {
    let fields = prop::sample::subsequence(vec!["place", "text", "title"], 1..=3);
    let edits = (fields, "[ab]{0,2}").prop_map(|(fields, text)| {
        let fields = fields
            .into_iter()
            .map(|field| (field.to_owned(), text.clone()));
        document_domain::Edit {
            fields: fields.collect(),
        }
    });
    laws(&document_domain::domain()).commands(edits).check();
}

#[test]
fn hot_stock() {
    check(&hot_stock_domain::domain());
}

#[test]
fn order_lines() {
    check(&order_lines_domain::domain());
}

#[test]
fn transfer() {
    check(&transfer_domain::domain());
}

#[test]
fn read_model() {
    check(&read_model_domain::domain());
}

/// A log of one case, of which commands bring one part or another. What serde could make
/// would be a log of its own each time, and never the same case.
fn logged() -> Vec<Value> {
    let entry = |details: Value| {
        let mut entry = details;
        entry["at"] = json!("2021-03-01T00:00:00Z");
        entry
    };
    vec![
        json!({ "Create Fine": entry(json!({ "amount_cents": 4_000, "article": 7 })) }),
        json!({ "Send Fine": entry(json!({ "expense_cents": 1_300 })) }),
        json!({ "Payment": entry(json!({ "payment_cents": 2_000, "total_paid_cents": 2_000 })) }),
        json!({ "Add penalty": entry(json!({ "amount_cents": 8_000 })) }),
        json!({ "Payment": entry(json!({ "payment_cents": 1, "total_paid_cents": 7 })) }),
        json!({ "Send for Credit Collection": entry(json!({})) }),
    ]
}

fn record(lines: usize) -> fine::Record {
    let history = &logged()[..lines];
    serde_json::from_value(json!({ "history": history })).expect("a record")
}

#[test]
fn traffic_fines() {
    let lines = logged().len();
    let records = (1..=lines).prop_map(record);
    laws(&fine::domain()).commands(records).check();
    let race = race::<fine::Fine>()
        .command(record(2))
        .command(record(lines));
    race.command(record(3)).faults_max(0).check();
}

#[test]
fn accounts_race_in_every_schedule() {
    use account_domain::{Account, AccountEvent, Confirm, Deposit, Withdraw};
    let explored = race::<Account>()
        .given([AccountEvent::Deposited { cents: 100 }])
        .command(Withdraw { cents: 80 })
        .command(Deposit { cents: 50 })
        .command(Confirm)
        .faults_max(0)
        .check();
    assert!(explored.schedules > 10_000, "{explored}");
}
