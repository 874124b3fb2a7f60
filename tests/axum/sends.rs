//! Sending commands: preconditions, conflicts, and what is refused.

use annalist::http::Preconditions;
use annalist::http::Statuses;
use annalist::http::axum::{ConflictDetail, RouteOptions};
use http::StatusCode;
use serde_json::json;

use crate::client::Client;

async fn rich() -> Client {
    Client::rich(RouteOptions::default()).await
}

const FIVE: &str = r#"{"cents":5}"#;

#[tokio::test]
async fn what_is_created_is_201_and_what_is_changed_is_200() {
    let client = Client::new(RouteOptions::default()).await;
    let opened = client
        .send("POST /accounts/7/open\nif-none-match: *", FIVE)
        .await;
    assert_eq!(
        (opened.status, opened.header("location")),
        (201, Some("/accounts/7"))
    );
    assert_eq!(opened.body["state"], json!({ "balance": 5 }));
    let now = client.get("/accounts/7").await;
    assert_eq!(now.etag(), opened.etag());

    let request = format!("POST /accounts/7/withdraw\nif-match: {}", now.etag());
    let changed = client.send(&request, FIVE).await;
    assert_eq!((changed.status, changed.header("location")), (200, None));
    assert_eq!(client.get("/accounts/7").await.etag(), changed.etag());
    let events = json!([{ "event_type": "Withdrawn", "payload": { "cents": 5 } }]);
    assert_eq!(changed.body["events"], events);
}

#[tokio::test]
async fn a_stale_client_is_told_412_and_what_it_has_not_seen() {
    let client = rich().await;
    let seen = client.get("/accounts/1?version=1").await;
    let request = format!("POST /accounts/1/deposit\nif-match: {}", seen.etag());
    let stale = client.send(&request, FIVE).await;
    assert_eq!(stale.code(), (412, "precondition_failed"));
    let now = client.get("/accounts/1").await;
    assert_eq!(stale.body["current_etag"], now.etag());
    let conflict = &stale.body["conflict"];
    assert_eq!(
        (&conflict["expected"], &conflict["actual"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(conflict["unseen"][0]["version"], 2);
    assert_eq!(conflict["changed"], json!(["/balance"]));
    assert!(conflict.get("state").is_none() && conflict["unseen"][0].get("payload").is_none());
    assert_eq!(now.body["version"], 2, "nothing was written");

    // With the tag that it was told it goes on.
    let tag = stale.body["current_etag"].as_str().expect("a tag");
    let again = client
        .send(&format!("POST /accounts/1/deposit\nif-match: {tag}"), FIVE)
        .await;
    assert_eq!(again.status, 200);

    for header in ["if-match: \"x\"", "if-match: W/\"x\"", "if-none-match: *"] {
        let failed = client
            .send(&format!("POST /accounts/1/deposit\n{header}"), FIVE)
            .await;
        assert_eq!(failed.code(), (412, "precondition_failed"), "{header}");
        assert!(failed.body["conflict"].is_object(), "{header}");
    }
    // Also where the command would say no by itself.
    for request in [
        "POST /accounts/9/withdraw\nif-match: *",
        "POST /accounts/1/open\nif-none-match: *",
    ] {
        let failed = client.send(request, FIVE).await;
        assert_eq!(failed.code(), (412, "precondition_failed"), "{request}");
        assert_eq!(
            failed.body["conflict"]["kind"], "stale_version",
            "{request}"
        );
    }
    // A precondition that holds is not what is in the way.
    let tag = client.get("/accounts/1").await.etag().to_owned();
    let there = format!("POST /accounts/1/open\nif-match: {tag}");
    assert_eq!(
        client.send(&there, FIVE).await.code(),
        (409, "already_exists")
    );
    let absent = "POST /accounts/9/withdraw\nif-none-match: *";
    assert_eq!(client.send(absent, FIVE).await.code(), (404, "not_found"));
}

#[tokio::test]
async fn payloads_are_told_where_the_routes_say_so() {
    let mut options = RouteOptions::default();
    options.conflicts = ConflictDetail::InFull;
    let client = Client::rich(options).await;
    let stale = client
        .send("POST /accounts/1/deposit\nif-none-match: *", FIVE)
        .await;
    let conflict = &stale.body["conflict"];
    assert_eq!(conflict["unseen"][0]["payload"], json!({ "cents": 200 }));
    assert_eq!(conflict["state"], json!({ "balance": 500 }));
}

#[tokio::test]
async fn a_precondition_can_be_required() {
    let mut options = RouteOptions::default();
    options.preconditions = Preconditions::Required;
    let client = Client::rich(options).await;
    let bare = client.send("POST /accounts/1/deposit", FIVE).await;
    assert_eq!(bare.code(), (428, "precondition_required"));
    let tag = bare.body["current_etag"].as_str().expect("a tag");
    let told = client
        .send(&format!("POST /accounts/1/deposit\nif-match: {tag}"), FIVE)
        .await;
    assert_eq!(told.status, 200);
    assert_eq!(client.get("/accounts/1").await.status, 200);
}

/// Of many that have seen the same, one is done and each other is told 412.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_that_have_seen_the_same_is_done() {
    let client = rich().await;
    let tag = client.get("/accounts/1").await.etag().to_owned();
    let request = format!("POST /accounts/1/deposit\nif-match: {tag}");
    let sent = (0..20).map(|_| client.send(&request, FIVE));
    let replies = futures_util::future::join_all(sent).await;
    let count = |status| {
        replies
            .iter()
            .filter(|reply| reply.status == status)
            .count()
    };
    assert_eq!((count(200), count(412)), (1, 19), "{replies:?}");
    assert_eq!(
        client.get("/accounts/1").await.body["state"]["balance"],
        505
    );
}

#[tokio::test]
async fn a_rejection_is_422_or_as_the_routes_say() {
    let much = r#"{"cents":900}"#;
    let refused = rich().await.send("POST /accounts/1/withdraw", much).await;
    assert_eq!(refused.code(), (422, "rejected"));
    assert_eq!(refused.body["rejection"], "overdrawn");
    let mut options = RouteOptions::default();
    options.statuses = Statuses::new().rejection("overdrawn", StatusCode::PAYMENT_REQUIRED);
    let client = Client::rich(options).await;
    assert_eq!(
        client.send("POST /accounts/1/withdraw", much).await.status,
        402
    );
    let absent = client.send("POST /accounts/2/withdraw", FIVE).await;
    assert_eq!(absent.code(), (404, "not_found"));
    let there = client.send("POST /accounts/1/open", FIVE).await;
    assert_eq!(there.code(), (409, "already_exists"));
    let panicked = client
        .send("POST /accounts/1/deposit", r#"{"cents":666}"#)
        .await;
    assert_eq!(panicked.code(), (500, "panicked"));
    assert!(!panicked.body.to_string().contains("4111"));
}

#[tokio::test]
async fn a_body_that_does_not_fit_says_where() {
    let mut options = RouteOptions::default();
    options.body_bytes_max = 40;
    let client = Client::rich(options).await;
    let send = |body: &'static str| client.send("POST /accounts/1/withdraw", body);
    let odd = send(r#"{"cents":"5"}"#).await;
    assert_eq!(odd.code(), (400, "malformed_command"));
    assert_eq!(odd.body["field"], "/cents");
    assert_eq!(send("{}").await.body["field"], "/cents");
    assert_eq!(send("").await.code(), (400, "malformed_command"));
    assert_eq!(send("{").await.code(), (400, "malformed_command"));
    let long = send(r#"{"cents":5                                 }"#).await;
    assert_eq!(long.code(), (413, "body_too_large"));
    let text = "POST /accounts/1/withdraw\ncontent-type: text/plain";
    let text = client.send(text, FIVE).await;
    assert_eq!(text.code(), (415, "unsupported_media_type"));
    let unknown = client.send("POST /accounts/1/withdrow", FIVE).await;
    assert_eq!(unknown.code(), (404, "unknown_command"));
    let typed = "POST /accounts/1/withdraw\ncontent-type: application/vnd.bank+json; charset=utf-8";
    assert_eq!(client.send(typed, FIVE).await.status, 200);
}

#[tokio::test]
async fn a_command_can_have_a_demand_of_its_own() {
    let mut options = RouteOptions::default();
    options.preconditions = Preconditions::Required;
    options.command_preconditions = [("deposit", Preconditions::Optional)].into();
    let client = Client::rich(options).await;
    let deposit = client.send("POST /accounts/1/deposit", FIVE).await;
    assert_eq!(deposit.status, 200);
    let withdraw = client.send("POST /accounts/1/withdraw", FIVE).await;
    assert_eq!(withdraw.code(), (428, "precondition_required"));
}

#[tokio::test]
#[should_panic(expected = "no command of account is named \"wihdraw\"")]
async fn a_demand_of_a_command_that_is_not_there_is_refused_at_once() {
    let mut options = RouteOptions::default();
    options.command_preconditions = [("wihdraw", Preconditions::Required)].into();
    Client::new(options).await;
}

#[tokio::test]
async fn what_was_meant_for_an_older_version_is_what_the_command_declares() {
    let client = rich().await;
    let commutes = client
        .send("POST /accounts/1/deposit?based_on=1", FIVE)
        .await;
    assert_eq!(
        (commutes.status, &commutes.body["version"]),
        (200, &json!(3))
    );
    let surfaces = client
        .send("POST /accounts/1/withdraw?based_on=2", FIVE)
        .await;
    assert_eq!(surfaces.code(), (409, "conflict"));
    assert_eq!(surfaces.body["conflict"]["kind"], "stale_version");
    assert_eq!(surfaces.body["conflict"]["expected"], 2);
    let early = client
        .send("POST /accounts/1/deposit?based_on=9", FIVE)
        .await;
    assert_eq!(early.code(), (404, "version_not_reached"));
    let both = "POST /accounts/1/deposit?based_on=1\nif-match: *";
    assert_eq!(client.send(both, FIVE).await.code(), (400, "invalid_query"));
    for query in ["based_on=x", "basedon=1"] {
        let uri = format!("POST /accounts/1/deposit?{query}");
        assert_eq!(client.send(&uri, FIVE).await.code(), (400, "invalid_query"));
    }
}

#[tokio::test]
async fn what_has_no_key_yet_is_given_one() {
    let mut options = RouteOptions::default();
    // Whoever makes something overwrites nothing.
    options.preconditions = Preconditions::Required;
    let client = Client::new(options).await;
    let made = client.send("POST /accounts/open", FIVE).await;
    assert_eq!(made.status, 201, "{made:?}");
    let location = made.header("location").expect("a place").to_owned();
    let there = client.get(&location).await;
    assert_eq!((there.status, there.etag()), (200, made.etag()));
    assert_eq!(there.body["stream"], made.body["stream"]);
    let another = client.send("POST /accounts/open", FIVE).await;
    assert_ne!(another.header("location"), Some(location.as_str()));

    let none = client.send("POST /accounts/withdraw", FIVE).await;
    assert_eq!(none.code(), (404, "unknown_command"));
    let odd = client
        .send("POST /accounts/open\nif-match: \"x\"", FIVE)
        .await;
    assert_eq!(odd.code(), (412, "precondition_failed"));
    let query = client.send("POST /accounts/open?based_on=1", FIVE).await;
    assert_eq!(query.code(), (400, "invalid_query"));
}

/// An account that was deleted and is opened again is made anew, whatever its version.
#[tokio::test]
async fn what_is_made_again_is_201_too() {
    let client = rich().await;
    let stream = "account-1".parse().expect("an id");
    let store = client.bus.store();
    store
        .delete(&stream, annalist::ExpectedVersion::Any)
        .await
        .expect("deleted");
    let request = "POST /accounts/1/open\nif-none-match: *\nidempotency-key: k";
    let again = client.send(request, FIVE).await;
    assert_eq!((again.status, &again.body["version"]), (201, &json!(3)));
    client.send("POST /accounts/1/deposit", FIVE).await;
    assert_eq!(client.send(request, FIVE).await.answer(), again.answer());
}
