//! What a client did, as the problem that it gets.

use annalist::http::{
    Checked, Expecting, IdempotencyRefusal, PreconditionField, Preconditions, Problem, Statuses,
};
use annalist::{EventId, Version};
use http::{HeaderMap, Method, StatusCode};

use crate::asked::{asked, refused, rich};

/// The answer as it goes out, without what differs from run to run.
pub(crate) fn told(problem: &Problem) -> String {
    let mut problem = problem.clone();
    if let Some(conflict) = &mut problem.conflict {
        conflict.elapsed_micros = 0;
        let id = conflict.command_id.take();
        conflict.command_id = id.map(|_| "a-command".parse().expect("an id"));
        for unseen in &mut conflict.unseen {
            unseen.id = EventId::from_uuid(annalist::uuid::Uuid::nil());
        }
    }
    let response = problem.response();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.status(), problem.status);
    let again: Problem = serde_json::from_slice(response.body()).expect("a problem");
    let retry_after = response.headers().get("retry-after");
    let after = retry_after.map(|seconds| format!("retry-after: {seconds:?}\n"));
    assert_eq!(again.response().body(), response.body());
    let json = serde_json::to_string_pretty(&problem).expect("JSON");
    format!("{}{json}", after.unwrap_or_default())
}

#[tokio::test]
async fn a_stale_client_is_told_what_it_has_not_seen_and_no_payload() {
    let bus = rich().await;
    let withdraw = asked(&bus, "1", "withdraw", r#"{"cents":50}"#).expecting(Version::new(1));
    let stale = withdraw.await.expect_err("stale");
    let info = bus
        .store()
        .stream_info(&"account-1".parse().expect("an id"))
        .await;
    let current = bus.store().token(&info.expect("an account"));
    let problem = Problem::from(&stale).with_current(current);
    let etag = problem.current_etag.clone().expect("a tag");
    assert_eq!((etag.len(), etag.starts_with('"')), (34, true));
    let problem = problem
        .with_current(None)
        .with_instance("/accounts/1/withdraw");
    insta::assert_snapshot!(told(&problem), @r#"
    {
      "type": "urn:annalist:problem:conflict",
      "title": "Somebody else was faster",
      "status": 409,
      "detail": "withdraw on stream account-1: acted on version 1, but it is at version 2; meanwhile Deposited; the caller demanded that version (1 attempt); look at what happened meanwhile, and ask again if it is still meant",
      "instance": "/accounts/1/withdraw",
      "code": "conflict",
      "retry_helps": false,
      "command": "withdraw",
      "stream": "account-1",
      "conflict": {
        "stream": "account-1",
        "command": "withdraw",
        "command_id": "a-command",
        "kind": "stale_version",
        "expected": 1,
        "actual": 2,
        "policy": "surface",
        "reason": {
          "why": "demanded"
        },
        "attempts": 1,
        "elapsed_micros": 0,
        "unseen": [
          {
            "version": 2,
            "position": 2,
            "id": "00000000-0000-0000-0000-000000000000",
            "event_type": "Deposited"
          }
        ],
        "truncated": false,
        "changed": [
          "/balance"
        ],
        "next": "look at what happened meanwhile, and ask again if it is still meant"
      }
    }
    "#);
    let token = "0".repeat(32).parse().expect("a token");
    let under = problem.clone().under(&Expecting::Token(token));
    assert_eq!(
        (under.code.as_str(), under.status.as_u16()),
        ("precondition_failed", 412)
    );
    assert_eq!(under.conflict, problem.conflict);
    assert_eq!(problem.clone().under(&Expecting::Nothing), problem);
}

#[tokio::test]
async fn payloads_and_the_state_are_told_on_request() {
    let bus = rich().await;
    let withdraw = asked(&bus, "1", "withdraw", r#"{"cents":50}"#).expecting(Version::new(1));
    let stale = withdraw.report_in_full().await.expect_err("stale");
    let problem = Problem::from(&stale).under(&Expecting::Absent);
    insta::assert_snapshot!(told(&problem), @r#"
    {
      "type": "urn:annalist:problem:precondition_failed",
      "title": "It is not as you have seen it",
      "status": 412,
      "detail": "withdraw on stream account-1: acted on version 1, but it is at version 2; meanwhile Deposited; the caller demanded that version (1 attempt); look at what happened meanwhile, and ask again if it is still meant",
      "code": "precondition_failed",
      "retry_helps": false,
      "command": "withdraw",
      "stream": "account-1",
      "conflict": {
        "stream": "account-1",
        "command": "withdraw",
        "command_id": "a-command",
        "kind": "stale_version",
        "expected": 1,
        "actual": 2,
        "policy": "surface",
        "reason": {
          "why": "demanded"
        },
        "attempts": 1,
        "elapsed_micros": 0,
        "unseen": [
          {
            "version": 2,
            "position": 2,
            "id": "00000000-0000-0000-0000-000000000000",
            "event_type": "Deposited",
            "payload": {
              "cents": 300
            }
          }
        ],
        "truncated": false,
        "changed": [
          "/balance"
        ],
        "state": {
          "balance": 500
        },
        "next": "look at what happened meanwhile, and ask again if it is still meant"
      }
    }
    "#);
}

#[tokio::test]
async fn a_rejection_has_the_status_that_is_named_for_it() {
    let bus = rich().await;
    let overdrawn = refused(&bus, "1", "withdraw", r#"{"cents":600}"#).await;
    insta::assert_snapshot!(told(&Problem::from(&overdrawn)), @r#"
    {
      "type": "urn:annalist:problem:rejected",
      "title": "It is refused",
      "status": 422,
      "detail": "only 500 cents are left\u0007",
      "code": "rejected",
      "retry_helps": false,
      "rejection": "overdrawn",
      "command": "withdraw",
      "stream": "account-1"
    }
    "#);
    let statuses = Statuses::new().rejection("overdrawn", StatusCode::PAYMENT_REQUIRED);
    assert_eq!(Problem::of_dispatch(&overdrawn, &statuses).status, 402);
    let others = Statuses::new().rejection("frozen", StatusCode::FORBIDDEN);
    assert_eq!(Problem::of_dispatch(&overdrawn, &others).status, 422);

    let forced = refused(&bus, "1", "withdraw", r#"{"cents":700,"force":true}"#).await;
    insta::assert_snapshot!(told(&Problem::from(&forced)), @r#"
    {
      "type": "urn:annalist:problem:invariant_violated",
      "title": "It would break what must always hold",
      "status": 422,
      "detail": "the balance is never below -100",
      "code": "invariant_violated",
      "retry_helps": false,
      "command": "withdraw",
      "stream": "account-1"
    }
    "#);
}

#[test]
#[should_panic(expected = "choose a status from 400 to 499")]
fn a_rejection_is_never_told_as_a_success_or_a_failure_of_the_server() {
    let _ = Statuses::new().rejection("overdrawn", StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_is_not_there_or_there_already_is_told() {
    let bus = rich().await;
    let absent = Problem::from(&refused(&bus, "2", "withdraw", r#"{"cents":1}"#).await);
    insta::assert_snapshot!(told(&absent), @r#"
    {
      "type": "urn:annalist:problem:not_found",
      "title": "It is not there",
      "status": 404,
      "detail": "stream account-2 is not there, at version 0; create it first",
      "code": "not_found",
      "retry_helps": false,
      "command": "withdraw",
      "stream": "account-2"
    }
    "#);
    let there = Problem::from(&refused(&bus, "1", "open", r#"{"cents":1}"#).await);
    insta::assert_snapshot!(told(&there), @r#"
    {
      "type": "urn:annalist:problem:already_exists",
      "title": "It is there already",
      "status": 409,
      "detail": "stream account-1 exists already, at version 2; name another one",
      "code": "already_exists",
      "retry_helps": false,
      "command": "open",
      "stream": "account-1"
    }
    "#);
    assert_eq!(there.under(&Expecting::Absent).status, 412);
    let keyless = Problem::from(&refused(&bus, "", "deposit", r#"{"cents":1}"#).await);
    insta::assert_snapshot!(told(&keyless), @r#"
    {
      "type": "urn:annalist:problem:invalid_name",
      "title": "A name cannot be one",
      "status": 400,
      "detail": "the dispatch is not valid: \"account-\" cannot be a stream id: its key, after the first `-`, is empty",
      "code": "invalid_name",
      "retry_helps": false,
      "command": "deposit"
    }
    "#);
    insta::assert_snapshot!(told(&Problem::of_code("gone", "account-1 is closed")), @r#"
    {
      "type": "urn:annalist:problem:gone",
      "title": "It is not there any more",
      "status": 410,
      "detail": "account-1 is closed",
      "code": "gone",
      "retry_helps": false
    }
    "#);
}

#[tokio::test]
async fn a_key_that_was_used_for_something_else_is_told() {
    let bus = rich().await;
    let deposit = |json| asked(&bus, "1", "deposit", json).command_id("pay-1");
    deposit(r#"{"cents":1}"#).await.expect("the first");
    let reused = deposit(r#"{"cents":2}"#).await.expect_err("another");
    insta::assert_snapshot!(told(&Problem::from(&reused)), @r#"
    {
      "type": "urn:annalist:problem:command_id_reused",
      "title": "The command id was used for something else",
      "status": 422,
      "detail": "the command id \"pay-1\" was used before on stream account-1 for something else; give each command an id of its own",
      "code": "command_id_reused",
      "retry_helps": false,
      "command": "deposit",
      "stream": "account-1"
    }
    "#);
    insta::assert_snapshot!(told(&Problem::from(&IdempotencyRefusal::OtherRequest)), @r#"
    {
      "type": "urn:annalist:problem:idempotency_key_reused",
      "title": "The Idempotency-Key was used for something else",
      "status": 422,
      "detail": "the Idempotency-Key was used for another request; give each request a key of its own",
      "code": "idempotency_key_reused",
      "retry_helps": false
    }
    "#);
    insta::assert_snapshot!(told(&Problem::from(&IdempotencyRefusal::Missing)), @r#"
    {
      "type": "urn:annalist:problem:idempotency_key_missing",
      "title": "The Idempotency-Key is missing",
      "status": 400,
      "detail": "send an Idempotency-Key, and the same one if you send the request again",
      "code": "idempotency_key_missing",
      "retry_helps": false
    }
    "#);
}

#[test]
fn a_precondition_that_does_not_hold_or_is_missing_is_told() {
    let failed = |field| {
        Problem::of_checked(&Checked::Failed {
            field,
            claimed: None,
        })
    };
    let failed = failed(PreconditionField::IfMatch).expect("a problem");
    insta::assert_snapshot!(told(&failed), @r#"
    {
      "type": "urn:annalist:problem:precondition_failed",
      "title": "It is not as you have seen it",
      "status": 412,
      "detail": "if-match does not hold; get it again, and ask again if it is still meant",
      "code": "precondition_failed",
      "retry_helps": false
    }
    "#);
    let required = Problem::of_checked(&Checked::Required).expect("a problem");
    insta::assert_snapshot!(told(&required), @r#"
    {
      "type": "urn:annalist:problem:precondition_required",
      "title": "Say which state it is meant for",
      "status": 428,
      "detail": "send the ETag that you have seen as If-Match, or If-None-Match: * to create it",
      "code": "precondition_required",
      "retry_helps": false
    }
    "#);
    assert_eq!(Problem::of_checked(&Checked::NotModified), None);

    let mut headers = HeaderMap::new();
    headers.insert("if-match", "7".parse().expect("a value"));
    let malformed = Preconditions::Optional.check(&Method::PUT, &headers, None);
    let malformed = Problem::from(&malformed.expect_err("no tag"));
    insta::assert_snapshot!(told(&malformed), @r#"
    {
      "type": "urn:annalist:problem:malformed_header",
      "title": "A header cannot be read",
      "status": 400,
      "detail": "the header if-match cannot be read, line 1, character 1: a tag stands in double quotes, as in `\"04a8\"`",
      "code": "malformed_header",
      "retry_helps": false
    }
    "#);
}
