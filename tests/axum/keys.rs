//! A request is done once under its key, and answered alike for ever.

use std::time::{Duration, Instant};

use annalist::http::axum::{Answers, IdempotencyKeys, RouteOptions};
use annalist::http::{IdempotencyKey, Preconditions};
use annalist::{ExpectedVersion, Version};
use http::HeaderMap;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bank::domain;
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
    // What a later release would make of it does not matter, only what is sent.
    let more = client.send(&request, r#"{"cents":5,"note":null}"#).await;
    assert_eq!(more.code(), (422, "idempotency_key_reused"));
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

/// Whatever has become of the aggregate since: the answer is what was answered, and what is
/// in it can be forgotten.
#[tokio::test]
async fn an_answer_stays_until_it_is_forgotten() {
    let answers = Answers::default();
    let mut options = RouteOptions::default();
    options.answers = answers.clone();
    let client = Client::rich(options).await;
    let store = client.bus.store();
    let stream = "account-1".parse().expect("an id");
    let rows = [
        ("deposit", FIVE, 200),
        ("withdraw", r#"{"cents":900}"#, 422),
        ("open", FIVE, 409),
    ];
    let send = async |row: &(&str, &'static str, u16)| {
        let request = format!("POST /accounts/1/{0}\nidempotency-key: {0}", row.0);
        client.send(&request, row.1).await
    };
    let mut first = Vec::new();
    for row in &rows {
        let reply = send(row).await;
        assert_eq!(reply.status, row.2, "{reply:?}");
        first.push(reply);
    }
    let truncated = store.truncate_before(&stream, Version::new(3)).await;
    truncated.expect("truncated");
    for (row, first) in rows.iter().zip(&first) {
        assert_eq!(send(row).await.answer(), first.answer());
    }
    let deleted = store.delete(&stream, ExpectedVersion::Any).await;
    deleted.expect("deleted");
    for (row, first) in rows.iter().zip(&first) {
        assert_eq!(send(row).await.answer(), first.answer());
    }
    let forgotten = answers.forget(store, &stream).await;
    assert_eq!(forgotten.expect("forgotten"), 3);
    // What took effect is still known, and told as far as it can be read.
    let again = send(&rows[0]).await;
    assert_eq!((again.status, &again.body["events"]), (200, &json!([])));
    assert_eq!(send(&rows[1]).await.code(), (409, "answer_lost"));
    assert_eq!(
        client.get("/accounts/1").await.status,
        410,
        "nothing is brought back"
    );
}

/// Refused on what was seen long ago, or where others came between: the answer is no other
/// one when it is sent again.
#[tokio::test]
async fn what_was_refused_stays_refused_whatever_it_was_based_on() {
    let client = rich().await;
    let rows = [
        ("withdraw?based_on=0", FIVE, (404, "not_found")),
        (
            "withdraw?based_on=1",
            r#"{"cents":400,"force":true}"#,
            (422, "invariant_violated"),
        ),
        (
            "deposit?based_on=1",
            r#"{"cents":-350}"#,
            (422, "invariant_violated"),
        ),
        ("open?based_on=1", FIVE, (409, "already_exists")),
    ];
    for (at, (command, body, refused)) in rows.iter().enumerate() {
        let request = format!("POST /accounts/1/{command}\nidempotency-key: {at}");
        let first = client.send(&request, body).await;
        assert_eq!(first.code(), *refused, "{command}");
        assert_eq!(
            client.send(&request, body).await.answer(),
            first.answer(),
            "{command}"
        );
        let now = request
            .replace("based_on=0", "based_on=2")
            .replace("based_on=1", "based_on=2");
        assert_eq!(
            client.send(&now, body).await.answer(),
            first.answer(),
            "{command}"
        );
    }
    assert_eq!(client.get("/accounts/1").await.body["version"], 2);
}

/// The server was killed after the effect and before the answer: the command is recognised.
#[tokio::test]
async fn an_effect_without_an_answer_is_answered_as_it_was() {
    let client = rich().await;
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", "a".parse().expect("a value"));
    let key = IdempotencyKey::of(&headers).expect("a key").expect("a key");
    let command = domain().decode("open", FIVE).expect("a command");
    let sent = client
        .bus
        .dispatch_any("7", command)
        .command_id(key.command_id("ann"));
    let outcome = sent.await.expect("an outcome");
    client.send("POST /accounts/7/deposit", FIVE).await;
    let request = "POST /accounts/7/open\nif-none-match: *\nidempotency-key: a\n@ann";
    let told = client.send(request, FIVE).await;
    assert_eq!(
        (told.status, told.header("location")),
        (201, Some("/accounts/7"))
    );
    assert_eq!(
        (&told.body["version"], &told.body["state"]["balance"]),
        (&json!(1), &json!(5))
    );
    assert_eq!(told.body["position"], json!(outcome.position));
    let then = client.get("/accounts/7?version=1").await;
    assert_eq!(told.etag(), then.etag());
    assert_eq!(client.send(request, FIVE).await.answer(), told.answer());
}

/// The server was killed after it had decided to do nothing: why is not known, but that.
#[tokio::test]
async fn a_refusal_without_an_answer_is_told_as_what_is_known_of_it() {
    let client = rich().await;
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", "a".parse().expect("a value"));
    let key = IdempotencyKey::of(&headers).expect("a key").expect("a key");
    let much = r#"{"cents":900}"#;
    let command = domain().decode("withdraw", much).expect("a command");
    let sent = client.bus.dispatch_any("1", command);
    let sent = sent.command_id(key.command_id("ann")).record_outcome();
    sent.await.expect_err("a rejection");
    client.send("POST /accounts/1/deposit", much).await;
    let request = "POST /accounts/1/withdraw\nidempotency-key: a\n@ann";
    let told = client.send(request, much).await;
    assert_eq!(told.code(), (409, "answer_lost"));
    assert_eq!(client.send(request, much).await.answer(), told.answer());
    assert_eq!(client.get("/accounts/1").await.body["version"], 3);
}

/// What is begun under a key comes to its end, also if nobody hears of it.
#[tokio::test]
async fn a_client_that_goes_away_is_answered_when_it_comes_back() {
    let client = rich().await;
    let request = "POST /accounts/1/deposit HTTP/1.1\r\nhost: x\r\nidempotency-key: a\r\n\
                   content-type: application/json\r\ncontent-length: 11\r\n\r\n{\"cents\":5}";
    let mut stream = TcpStream::connect(client.address)
        .await
        .expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("written");
    drop(stream);
    let began = Instant::now();
    let again = client
        .send("POST /accounts/1/deposit\nidempotency-key: a", FIVE)
        .await;
    assert_eq!((again.status, &again.body["version"]), (200, &json!(3)));
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "it is waited for an answer, not for a claim"
    );
    assert_eq!(client.get("/accounts/1").await.body["version"], 3);
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
