//! Commands, aggregates and events without their types.

use annalist::{
    AnyCommand, AnyDispatchError, AnyOutcome, ConflictReason, Decision, ExpectedVersion, NewEvent,
    Store, Version,
};
use chrono::Utc;
use serde_json::json;

use crate::bank::{Deposit, Withdraw, domain, rich, sent, stream};

#[tokio::test]
async fn a_command_without_its_type_ends_as_with_it() {
    let bus = rich().await;
    let outcome = sent(&bus, "withdraw", r#"{"cents":50}"#)
        .await
        .expect("an outcome");
    assert_eq!(outcome.stream, stream("1"));
    assert_eq!((outcome.version, outcome.attempts), (Version::new(3), 1));
    assert_eq!(outcome.decided_by, Decision::Appended);
    assert_eq!(outcome.state, json!({ "balance": 450 }));
    let [event] = outcome.events.as_slice() else {
        panic!("{outcome:?}")
    };
    assert_eq!(event.event_type.as_str(), "Withdrawn");
    assert_eq!(event.payload, json!({ "cents": 50 }));

    let text = serde_json::to_string(&outcome).expect("JSON");
    assert_eq!(
        serde_json::from_str::<AnyOutcome>(&text).expect("an outcome"),
        outcome
    );
}

#[tokio::test]
async fn a_command_is_recognised_with_its_type_and_without() {
    let bus = rich().await;
    let typed = bus
        .dispatch("1", Deposit { cents: 7 })
        .command_id("pay-1")
        .await;
    let typed = typed.expect("an outcome");
    let command = domain()
        .decode("deposit", r#"{ "cents": 7 }"#)
        .expect("a command");
    let again = bus
        .dispatch_any("1", command)
        .command_id("pay-1")
        .await
        .expect("the same");
    assert_eq!(again.decided_by, Decision::AlreadyApplied);
    assert_eq!(
        (again.version, again.position),
        (typed.version, typed.position)
    );
    assert_eq!(again.events.len(), 1);

    let kept = AnyCommand::new(Deposit { cents: 7 });
    for _ in 0..2 {
        let sent = bus.dispatch_any("1", kept.clone()).command_id("pay-1");
        let same = sent.await.expect("the same, as often as it is sent");
        assert_eq!(same.decided_by, Decision::AlreadyApplied);
    }

    let other = AnyCommand::new(Deposit { cents: 8 });
    let other = bus.dispatch_any("1", other).command_id("pay-1").await;
    assert_eq!(
        other.expect_err("another payload").code,
        "command_id_reused"
    );
}

#[tokio::test]
async fn every_refusal_is_plain_data() {
    let bus = rich().await;
    let overdrawn = sent(&bus, "withdraw", r#"{"cents":600}"#)
        .await
        .expect_err("rejected");
    assert_eq!(
        (overdrawn.code.as_str(), overdrawn.is_retryable),
        ("rejected", false)
    );
    assert_eq!(
        overdrawn.rejection.as_deref(),
        Some("only 500 cents are left")
    );
    assert_eq!(overdrawn.to_string(), "rejected: only 500 cents are left");
    assert_eq!(overdrawn.command, "withdraw");
    assert_eq!(overdrawn.rejection_code.as_deref(), Some("overdrawn"));
    let all = r#"{"cents":500}"#;
    sent(&bus, "withdraw", all).await.expect("an outcome");
    let empty = sent(&bus, "withdraw", all).await.expect_err("rejected");
    assert_eq!(empty.rejection_code.as_deref(), Some("rejected"));
    let bus = rich().await;

    let forced = r#"{"cents":700,"force":true}"#;
    let broken = sent(&bus, "withdraw", forced).await.expect_err("broken");
    assert_eq!(broken.code, "invariant_violated");
    assert_eq!(
        broken.violation.as_deref(),
        Some("the balance is never below -100")
    );

    let withdraw = || {
        AnyCommand::new(Withdraw {
            cents: 1,
            force: false,
        })
    };
    let absent = bus
        .dispatch_any("2", withdraw())
        .await
        .expect_err("not there");
    assert_eq!(
        (absent.code.as_str(), absent.stream),
        ("not_found", Some(stream("2")))
    );
    let keyless = bus.dispatch_any("", withdraw()).await.expect_err("no key");
    assert_eq!(
        (keyless.code.as_str(), keyless.stream),
        ("invalid_name", None)
    );
    let late = bus
        .dispatch_any("1", withdraw())
        .deadline(std::time::Duration::ZERO);
    let late = late.await.expect_err("no time");
    assert_eq!(
        (late.code.as_str(), late.is_retryable),
        ("deadline_exceeded", true)
    );
}

#[tokio::test]
async fn a_conflict_is_plain_data_with_payloads_only_on_request() {
    let bus = rich().await;
    let stale = || {
        let command = AnyCommand::new(Deposit { cents: 1 });
        bus.dispatch_any("1", command)
            .expecting(Version::new(1))
            .command_id("pay-1")
    };
    let short = stale().await.expect_err("a conflict");
    let report = short.conflict.as_ref().expect("a report");
    assert_eq!(
        (short.code.as_str(), &report.reason),
        ("conflict", &ConflictReason::Demanded)
    );
    assert_eq!(
        (report.expected, report.actual),
        (Some(Version::new(1)), Version::new(2))
    );
    assert_eq!(report.changed, ["/balance"]);
    assert!(report.state.is_none() && report.unseen.iter().all(|event| event.payload.is_none()));
    let text = serde_json::to_string(&short).expect("JSON");
    assert_eq!(
        serde_json::from_str::<AnyDispatchError>(&text).expect("an error"),
        short
    );

    let full = stale().report_in_full().await.expect_err("a conflict");
    let report = full.conflict.expect("a report");
    assert_eq!(report.state, Some(json!({ "balance": 500 })));
    assert_eq!(report.unseen[0].payload, Some(json!({ "cents": 300 })));
}

#[tokio::test]
async fn what_is_said_about_a_command_reaches_its_dispatch() {
    let bus = rich().await;
    let store = bus.store().clone();
    let deposit = || AnyCommand::new(Deposit { cents: 1 });
    let info = store.stream_info(&stream("1")).await.expect("the stream");
    let token = store.token(&info).expect("a token");

    let by = annalist::Metadata::by("teller-7");
    let sent = bus
        .dispatch_any("1", deposit())
        .expecting_token(token)
        .metadata(by);
    sent.await.expect("the token holds");
    let again = bus
        .dispatch_any("1", deposit())
        .expecting_token(token)
        .await;
    assert_eq!(again.expect_err("it does not any more").code, "conflict");
    let offline = bus
        .dispatch_any("1", deposit())
        .based_on(Version::new(1))
        .await;
    let offline = offline.expect("it commutes");
    assert_eq!(
        (offline.decided_by, offline.unseen.len()),
        (Decision::Commuted, 2)
    );

    let recorded = store
        .read_stream(&stream("1"))
        .from(Version::new(3))
        .collect()
        .await;
    let recorded = recorded.expect("the events").events;
    assert_eq!(recorded[0].metadata.actor.as_deref(), Some("teller-7"));

    let much = || {
        AnyCommand::new(Withdraw {
            cents: 9_999,
            force: false,
        })
    };
    let once = bus
        .dispatch_any("1", much())
        .command_id("out-1")
        .record_outcome();
    assert_eq!(once.await.expect_err("rejected").code, "rejected");
    let twice = bus
        .dispatch_any("1", much())
        .command_id("out-1")
        .await
        .expect("recorded");
    assert_eq!(
        (twice.decided_by, twice.events.len()),
        (Decision::AlreadyApplied, 0)
    );

    let debt = NewEvent::json("Withdrawn", &json!({ "cents": 9_999 })).expect("an event");
    store
        .append(&stream("1"), ExpectedVersion::Any, [debt])
        .await
        .expect("an event");
    let broken = bus.dispatch_any("1", deposit()).await;
    assert_eq!(
        broken.expect_err("a broken state").code,
        "invariant_violated"
    );
    let repaid = AnyCommand::new(Deposit { cents: 99_999 });
    bus.dispatch_any("1", repaid)
        .repairing()
        .await
        .expect("it is repaired");
}

#[tokio::test]
async fn an_aggregate_is_loaded_as_json_now_and_then() {
    let (domain, bus) = (domain(), rich().await);
    let store = bus.store();
    let now = domain.load(store, &stream("1")).await.expect("the account");
    assert_eq!(
        (now.version, &now.state),
        (Version::new(2), &json!({ "balance": 500 }))
    );
    assert!(now.exists());
    let then = domain
        .load_at(store, &stream("1"), Version::new(1))
        .await
        .expect("the account");
    assert_eq!(then.state, json!({ "balance": 200 }));
    let as_of = domain
        .load_as_of(store, &stream("1"), Utc::now())
        .await
        .expect("the account");
    assert_eq!(as_of, now);
    let never = domain.load(store, &stream("2")).await.expect("an account");
    assert!(!never.exists() && never.version == Version::ZERO);

    let ahead = domain.load_at(store, &stream("1"), Version::new(9)).await;
    assert_eq!(
        ahead.expect_err("not reached").code(),
        "version_not_reached"
    );
    let other = "seat-12a".parse().expect("a stream id");
    let other = domain
        .load(store, &other)
        .await
        .expect_err("no such category");
    assert_eq!(
        other.to_string(),
        "no aggregate has the category \"seat\", only account"
    );
}

#[tokio::test]
async fn a_recorded_event_is_read_in_todays_shape() {
    let store = Store::memory();
    let old = NewEvent::json("Deposited", &json!({ "euros": 5 })).expect("an event");
    let alien = NewEvent::json("Exploded", &()).expect("an event");
    let both = [old, alien];
    store
        .append(&stream("1"), ExpectedVersion::Any, both)
        .await
        .expect("two events");
    let recorded = store
        .read_stream(&stream("1"))
        .collect()
        .await
        .expect("two events")
        .events;
    let read = domain().decode_event(&recorded[0]).expect("an event");
    assert_eq!(
        (read.len(), &read[0].payload),
        (1, &json!({ "cents": 500 }))
    );
    let error = domain().decode_event(&recorded[1]).expect_err("no event");
    assert_eq!(error.code(), "unknown_event_type");
}
