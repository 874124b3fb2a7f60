//! A request is done once under its key, and answered alike for ever.

use annalist::ExpectedVersion;
use annalist::http::Preconditions;
use annalist::http::axum::{IdempotencyKeys, RouteOptions};
use serde_json::json;

use crate::client::Client;

pub(crate) const FIVE: &str = r#"{"cents":5}"#;

async fn rich() -> Client {
    Client::rich(RouteOptions::default()).await
}

#[tokio::test]
async fn a_request_is_done_once_under_its_key() {
    let client = rich().await;
    let tag = client.get("/accounts/1").await.etag().to_owned();
    let request =
        format!("POST /accounts/1/deposit\nif-match: {tag}\nidempotency-key: \"a\"\n@ann");
    let first = client.send(&request, FIVE).await;
    assert_eq!(first.status, 200);
    // It is found before its precondition is looked at, which it has made false itself.
    assert_eq!(client.send(&request, FIVE).await.answer(), first.answer());
    let bare = request.replace("\"a\"", "a");
    assert_eq!(client.send(&bare, FIVE).await.answer(), first.answer());
    let spaced = client.send(&request, "{ \"cents\" : 5 }").await;
    assert_eq!(spaced.answer(), first.answer(), "it says the same");
    // Others have come, and the answer stays that of then.
    client.send("POST /accounts/1/deposit", FIVE).await;
    assert_eq!(client.send(&request, FIVE).await.answer(), first.answer());

    let bob = client.send(&request.replace("@ann", "@bob"), FIVE).await;
    assert_eq!(bob.status, 412, "another principal's key is another key");
    let balance = &client.get("/accounts/1").await.body["state"]["balance"];
    assert_eq!(balance, 510);

    let open = "POST /accounts/8/open\nif-none-match: *\nidempotency-key: b";
    let first = client.send(open, FIVE).await;
    assert_eq!(
        (first.status, first.header("location")),
        (201, Some("/accounts/8"))
    );
    assert_eq!(client.send(open, FIVE).await.answer(), first.answer());
}

#[tokio::test]
async fn a_key_stands_for_one_command_one_payload_and_one_resource() {
    let client = rich().await;
    let request = "POST /accounts/1/deposit\nidempotency-key: a";
    assert_eq!(client.send(request, FIVE).await.status, 200);
    let before = client.get("/accounts/1").await;
    let rows = [
        (request.to_owned(), r#"{"cents":6}"#),
        (request.replace("deposit", "withdraw"), FIVE),
        (request.replace("/1/", "/2/"), FIVE),
        (request.replace("1/deposit", "open"), FIVE),
    ];
    for (request, body) in rows {
        let other = client.send(&request, body).await;
        assert_eq!(other.code(), (422, "idempotency_key_reused"), "{request}");
    }
    assert_eq!(client.get("/accounts/1").await.etag(), before.etag());
    assert_eq!(client.get("/accounts/2").await.status, 404);
    // It is held to its request also where that was refused.
    let refused = "POST /accounts/1/withdraw\nidempotency-key: b";
    assert_eq!(client.send(refused, r#"{"cents":900}"#).await.status, 422);
    let other = client.send(refused, FIVE).await;
    assert_eq!(other.code(), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn a_request_without_the_precondition_that_it_had_is_known_by_its_key() {
    let mut options = RouteOptions::default();
    options.preconditions = Preconditions::Required;
    let client = Client::rich(options).await;
    let bare = "POST /accounts/1/deposit\nidempotency-key: a";
    let not_yet = client.send(bare, FIVE).await;
    assert_eq!(not_yet.code(), (428, "precondition_required"));
    let first = client.send(&format!("{bare}\nif-match: *"), FIVE).await;
    assert_eq!(first.status, 200);
    assert_eq!(client.send(bare, FIVE).await.answer(), first.answer());
}

/// What did nothing may be sent again under its key; what was refused stays so.
#[tokio::test]
async fn a_precondition_that_did_not_hold_is_not_the_end_of_a_key() {
    let client = rich().await;
    let request = "POST /accounts/1/deposit\nidempotency-key: a";
    let failed = client
        .send(&format!("{request}\nif-match: \"x\""), FIVE)
        .await;
    assert_eq!(failed.code(), (412, "precondition_failed"));
    let tag = failed.body["current_etag"].as_str().expect("a tag");
    let done = client
        .send(&format!("{request}\nif-match: {tag}"), FIVE)
        .await;
    assert_eq!(done.status, 200);

    let absent = "POST /accounts/9/withdraw\nidempotency-key: b";
    let failed = client.send(&format!("{absent}\nif-match: *"), FIVE).await;
    assert_eq!(failed.code(), (412, "precondition_failed"));
    client.send("POST /accounts/9/open", FIVE).await;
    assert_eq!(client.send(absent, FIVE).await.status, 200);

    let surfaced = "POST /accounts/1/withdraw?based_on=1\nidempotency-key: c";
    assert_eq!(client.send(surfaced, FIVE).await.code(), (409, "conflict"));
    let now = "POST /accounts/1/withdraw?based_on=3\nidempotency-key: c";
    assert_eq!(client.send(now, FIVE).await.status, 200);
}

/// Each kind of answer that is the end of a key, with what others do afterwards.
pub(crate) const ENDS: [(&str, &str, (u16, &str)); 6] = [
    ("POST /accounts/1/deposit", FIVE, (200, "")),
    ("POST /accounts/2/open", FIVE, (201, "")),
    (
        "POST /accounts/1/withdraw",
        r#"{"cents":900}"#,
        (422, "rejected"),
    ),
    (
        "POST /accounts/1/withdraw",
        r#"{"cents":900,"force":true}"#,
        (422, "invariant_violated"),
    ),
    ("POST /accounts/3/withdraw", FIVE, (404, "not_found")),
    ("POST /accounts/1/open", FIVE, (409, "already_exists")),
];

#[tokio::test]
async fn an_answer_keeps_nothing_that_was_removed() {
    let client = rich().await;
    let request = "POST /accounts/1/deposit\nidempotency-key: a";
    assert_eq!(client.send(request, FIVE).await.status, 200);
    let stream = "account-1".parse().expect("an id");
    let store = client.bus.store();
    store
        .delete(&stream, ExpectedVersion::Any)
        .await
        .expect("deleted");
    let again = client.send(request, FIVE).await;
    assert_eq!((again.status, &again.body["events"]), (200, &json!([])));
    assert_eq!(again.body["state"], json!({ "balance": 0 }));
    assert_eq!(again.header("etag"), None);
    assert_eq!(
        client.get("/accounts/1").await.status,
        410,
        "nothing is brought back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_under_one_key_write_once_and_are_answered_alike() {
    let client = rich().await;
    for (at, (request, body, (status, _))) in ENDS.iter().enumerate() {
        let request = format!("{request}\nidempotency-key: at-once-{at}");
        let sent = (0..20).map(|_| client.send(&request, body));
        let replies = futures_util::future::join_all(sent).await;
        for reply in &replies {
            assert_eq!(reply.status, *status, "{request}: {reply:?}");
            assert_eq!(reply.answer(), replies[0].answer(), "{request}");
        }
    }
    let balance = &client.get("/accounts/1").await.body["state"]["balance"];
    assert_eq!(balance, 505);
    let two = &client.get("/accounts/2").await.body;
    assert_eq!(
        (&two["version"], &two["state"]["balance"]),
        (&json!(1), &json!(5))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_a_key_is_given_the_same_one_by_the_same_request() {
    let client = rich().await;
    let request = "POST /accounts/open\nidempotency-key: a\n@ann";
    let sent = (0..10).map(|_| client.send(request, FIVE));
    let replies = futures_util::future::join_all(sent).await;
    for reply in &replies {
        assert_eq!((reply.status, reply.answer()), (201, replies[0].answer()));
    }
    let bob = client.send(&request.replace("@ann", "@bob"), FIVE).await;
    assert_eq!(bob.status, 201);
    assert_ne!(bob.header("location"), replies[0].header("location"));
    let other = client.send(request, r#"{"cents":6}"#).await;
    assert_eq!(other.code(), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn a_key_can_be_required_and_must_be_one() {
    let mut options = RouteOptions::default();
    options.idempotency_keys = IdempotencyKeys::Required;
    let client = Client::rich(options).await;
    for path in ["1/deposit", "open"] {
        let bare = client.send(&format!("POST /accounts/{path}"), FIVE).await;
        assert_eq!(bare.code(), (400, "idempotency_key_missing"));
        let odd = format!("POST /accounts/{path}\nidempotency-key: a,b");
        let odd = client.send(&odd, FIVE).await;
        assert_eq!(odd.code(), (400, "malformed_header"));
    }
}
