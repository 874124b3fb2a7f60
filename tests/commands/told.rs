//! What a loser is told, and how errors print.

use annalist::command::InvalidDispatch;
use annalist::{ConflictReason, ConflictReport, DispatchError, OnConflict, Store, Version};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bank::{
    Deposit, Deposited, Freeze, Renamed, Withdraw, Withdrawn, open, opened, rename, renamed, send,
};
use crate::stage::{Staged, Told};
use crate::{KEY, conflict, write};

/// A conflict of which all but ids and times is the same every time.
async fn lost() -> annalist::Conflict<crate::bank::Account> {
    let staged = Staged::over(Store::memory());
    write(&staged.inner, &[opened("ann"), Deposited { cents: 100 }]).await;
    staged.meanwhile(async |inner| {
        write(&inner, &[Withdrawn { cents: 30 }, renamed("bob")]).await;
    });
    let sent = staged.bus().dispatch(KEY, send(10)).command_id("pay-1");
    conflict(sent.await)
}

fn json(report: &ConflictReport) -> String {
    let mut json = serde_json::to_value(report).expect("JSON");
    json["elapsed_micros"] = "..".into();
    for unseen in json["unseen"].as_array_mut().expect("a list") {
        unseen["id"] = "..".into();
    }
    serde_json::to_string_pretty(&json).expect("JSON")
}

#[tokio::test]
async fn a_report_is_plain_data() {
    let report = lost().await.report();
    insta::assert_snapshot!(json(&report), @r#"
    {
      "actual": 4,
      "attempts": 1,
      "changed": [
        "/balance",
        "/owner"
      ],
      "command": "send",
      "command_id": "pay-1",
      "elapsed_micros": "..",
      "expected": 2,
      "kind": "lost_race",
      "next": "look at what happened meanwhile, and ask again if it is still meant",
      "policy": "surface",
      "reason": {
        "why": "declared"
      },
      "stream": "account-42",
      "truncated": false,
      "unseen": [
        {
          "event_type": "Withdrawn",
          "id": "..",
          "position": 3,
          "version": 3
        },
        {
          "event_type": "Renamed",
          "id": "..",
          "position": 4,
          "version": 4
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_report_is_a_line() {
    insta::assert_snapshot!(lost().await, @"send on stream account-42: acted on version 2, but it is at version 4; meanwhile Withdrawn, Renamed; declared to surface (1 attempt); look at what happened meanwhile, and ask again if it is still meant");
}

#[tokio::test]
async fn a_report_survives_json_with_payloads_or_without() {
    let conflict = lost().await;
    for report in [conflict.report(), conflict.report_in_full()] {
        let json = serde_json::to_string(&report).expect("JSON");
        let read: ConflictReport = serde_json::from_str(&json).expect("a report");
        assert_eq!(read, report);
    }
    let reasons = [
        ConflictReason::Demanded,
        ConflictReason::Clash {
            event_type: "Frozen".parse().expect("a type"),
            version: Version::new(3),
        },
        ConflictReason::Refused {
            reason: "no".to_owned(),
        },
        ConflictReason::Attempts,
        ConflictReason::Deadline,
        ConflictReason::Deleted,
        ConflictReason::Removed,
        ConflictReason::Closed,
    ];
    for reason in reasons {
        let json = serde_json::to_value(&reason).expect("JSON");
        assert_eq!(json["why"], reason.code());
        let read: ConflictReason = serde_json::from_value(json).expect("a reason");
        assert_eq!(read, reason);
    }
}

#[tokio::test]
async fn payloads_and_state_are_told_on_request_alone() {
    let conflict = lost().await;
    let short = conflict.report();
    assert!(short.state.is_none() && short.unseen.iter().all(|event| event.payload.is_none()));
    let full = conflict.report_in_full();
    assert_eq!(full.unseen[0].payload, Some(json!({ "cents": 30 })));
    assert_eq!(
        full.state,
        Some(json!({ "owner": "bob", "balance": 70, "frozen": false }))
    );
    assert_eq!(full.changed, ["/balance", "/owner"]);
    assert!(
        !format!("{conflict:?}").contains("bob"),
        "a log must not learn it"
    );
}

#[tokio::test]
async fn a_report_of_much_is_capped_and_says_so() {
    for (events, truncated) in [(100, false), (101, true)] {
        let staged = Staged::over(Store::memory());
        staged.meanwhile(async move |inner| {
            let many: Vec<_> = (0..events).map(|_| Deposited { cents: 1 }).collect();
            write(&inner, &many).await;
        });
        let conflict = conflict(staged.bus().dispatch(KEY, Freezing).await);
        assert_eq!(
            conflict.unseen.len(),
            events,
            "the conflict itself holds all"
        );
        let report = conflict.report_in_full();
        assert_eq!((report.unseen.len(), report.truncated), (100, truncated));
        let line = report.to_string();
        assert_eq!(line.contains("Deposited, .."), truncated, "{line}");
    }
}

/// Surfaces on an account that need not exist.
#[derive(Serialize)]
struct Freezing;

impl annalist::Command for Freezing {
    type Aggregate = crate::bank::Account;
    type Rejection = std::fmt::Error;
    const NAME: &'static str = "freezing";

    fn decide(
        &self,
        _: &crate::bank::Account,
    ) -> Result<Vec<crate::AccountEvent>, std::fmt::Error> {
        Ok(vec![crate::AccountEvent::Frozen])
    }
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
struct Wide(std::collections::BTreeMap<u32, u32>);

#[derive(Clone, Serialize, Deserialize)]
enum Widened {
    By(u32),
}

impl annalist::Aggregate for Wide {
    const CATEGORY: &'static str = "wide";
    type Event = Widened;

    fn apply(&mut self, Widened::By(fields): &Widened) {
        self.0.extend((0..*fields).map(|field| (field, field)));
    }
}

#[tokio::test]
async fn changed_fields_are_capped() {
    let wide = annalist::Repository::<Wide>::new(Store::memory());
    let mine = wide.load(1).await.expect("a state");
    let theirs = wide.load(1).await.expect("a state");
    wide.save(theirs, vec![Widened::By(200)])
        .await
        .expect("saved");
    let lost = wide
        .save(mine, vec![Widened::By(1)])
        .await
        .expect_err("lost");
    let report = lost.conflict().expect("a conflict").report();
    assert_eq!(report.changed.len(), ConflictReport::CHANGED_MAX);
    assert!(report.changed.contains(&"/0".to_owned()));
}

/// An error as a log would have it: what it says, and its causes.
fn line(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[tokio::test]
async fn errors_say_what_where_and_what_to_do_next() {
    let staged = Staged::over(Store::memory());
    let bus = staged.bus();
    let mut lines = Vec::new();
    let rejected = bus
        .dispatch(KEY, Withdraw { cents: 5 })
        .await
        .expect_err("no");
    lines.push(line(&rejected));
    lines.push(line(&bus.dispatch(KEY, Freeze).await.expect_err("no")));
    lines.push(line(
        &bus.dispatch(KEY, Deposit { cents: -1 })
            .await
            .expect_err("no"),
    ));
    bus.dispatch(KEY, open("ann"))
        .command_id("k")
        .await
        .expect("an outcome");
    lines.push(line(&bus.dispatch(KEY, open("bob")).await.expect_err("no")));
    let reused = bus.dispatch(KEY, rename("bob")).command_id("k");
    lines.push(line(&reused.await.expect_err("no")));
    let early = bus.dispatch(KEY, rename("bob")).based_on(Version::new(9));
    lines.push(line(&early.await.expect_err("no")));
    let late = bus
        .dispatch(KEY, rename("bob"))
        .deadline(std::time::Duration::ZERO);
    lines.push(line(&late.await.expect_err("no")));
    staged.answers([Told::Fenced]);
    lines.push(line(
        &bus.dispatch(KEY, rename("bob")).await.expect_err("no"),
    ));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    rejected: only 0 cents are there
    stream account-42 is not there, at version 0; create it first
    the decided state of stream account-42 at version 0 breaks an invariant: the balance is never negative
    stream account-42 exists already, at version 1; name another one
    the command id "k" was used before on stream account-42 for something else; give each command an id of its own
    the dispatch is not valid: stream account-42 is only at version 1, not at 9 yet; load it as it is
    the deadline has passed; nothing was written, ask again with more time
    as the test says: an earlier commit ended with an unknown outcome, so this handle writes no more; open the store again
    "#);
}

#[tokio::test]
async fn errors_tell_their_codes_and_whether_to_try_again() {
    let staged = Staged::over(Store::memory());
    staged.meanwhile(async |inner| write(&inner, &[renamed("bob")]).await);
    let sent = staged.bus().dispatch(KEY, rename("ann"));
    let error = sent
        .on_conflict(OnConflict::Surface)
        .await
        .expect_err("lost");
    assert_eq!((error.code(), error.is_retryable()), ("conflict", false));
    let conflict = error.conflict().expect("a conflict");
    assert!(matches!(conflict.unseen[..], [Renamed { .. }]));
    let invalid = staged.bus().dispatch("", rename("ann")).await;
    let invalid = invalid.expect_err("no key");
    assert!(matches!(
        invalid,
        DispatchError::Invalid(InvalidDispatch::Name(_))
    ));
    assert_eq!(
        (invalid.code(), invalid.is_retryable()),
        ("invalid_name", false)
    );
}
