//! Looking: what is there, what was, and what is not.

use annalist::http::axum::RouteOptions;
use annalist::{ExpectedVersion, Version};
use serde_json::{Value, json};

use crate::client::Client;

async fn rich() -> Client {
    Client::rich(RouteOptions::default()).await
}

#[tokio::test]
async fn what_is_there_has_a_tag_that_is_recognised() {
    let client = rich().await;
    let reply = client.get("/accounts/1").await;
    assert_eq!(reply.status, 200);
    let one = json!({ "stream": "account-1", "version": 2, "state": { "balance": 500 } });
    assert_eq!(reply.body, one);
    let tag = reply.etag();

    for method in ["GET", "HEAD"] {
        let request = format!("{method} /accounts/1\nif-none-match: W/{tag}");
        let same = client.send(&request, "").await;
        assert_eq!((same.status, &same.body), (304, &Value::Null));
        assert_eq!(same.etag(), tag);
    }
    let other = client
        .send("GET /accounts/1\nif-none-match: \"x\"", "")
        .await;
    assert_eq!(other.status, 200);
    let head = client.send("HEAD /accounts/1", "").await;
    assert_eq!(
        (head.status, head.etag(), &head.body),
        (200, tag, &Value::Null)
    );
    let odd = client.send("GET /accounts/1\nif-none-match: x", "").await;
    assert_eq!(odd.code(), (400, "malformed_header"));
    let failed = client.send("GET /accounts/1\nif-match: \"x\"", "").await;
    assert_eq!(failed.code(), (412, "precondition_failed"));
    assert_eq!(failed.body["current_etag"], tag);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_not_there_any_more_is_410() {
    let client = rich().await;
    let absent = client.send("GET /accounts/2\nif-match: *", "").await;
    assert_eq!(absent.code(), (404, "not_found"));
    let store = client.bus.store();
    let stream = "account-1".parse().expect("an id");
    store
        .close_stream(&stream, ExpectedVersion::Any)
        .await
        .expect("closed");
    assert_eq!(client.get("/accounts/1").await.code(), (410, "gone"));
    assert_eq!(client.get("/accounts/1/history").await.status, 200);
    assert_eq!(client.get("/accounts/1?version=1").await.status, 200);

    let client = rich().await;
    let store = client.bus.store();
    store
        .delete(&stream, ExpectedVersion::Any)
        .await
        .expect("deleted");
    for uri in [
        "/accounts/1",
        "/accounts/1/history",
        "/accounts/1?version=1",
    ] {
        assert_eq!(client.get(uri).await.status, 410, "{uri}");
    }
    assert_eq!(
        client.get("/accounts/2/history").await.code(),
        (404, "not_found")
    );
    assert_eq!(
        client.get("/accounts/1/histery").await.code(),
        (404, "not_found")
    );
    assert_eq!(
        client.get("/accounts/%00").await.code(),
        (400, "invalid_name")
    );
    for uri in ["/accounts/%de", "/accounts/%de/history"] {
        assert_eq!(client.get(uri).await.code(), (400, "invalid_name"));
    }
    for path in ["/accounts/%de", "/accounts/%de/deposit"] {
        let sent = client.send(&format!("POST {path}"), "{}").await;
        assert_eq!(sent.code(), (400, "invalid_name"));
    }
    let odd = client.send("DELETE /accounts/1", "").await;
    assert_eq!(odd.code(), (405, "method_not_allowed"));
}

#[tokio::test]
async fn what_was_can_be_looked_at() {
    let client = rich().await;
    let first = client.get("/accounts/1?version=1").await;
    assert_eq!(first.body["state"], json!({ "balance": 200 }));
    assert_ne!(first.etag(), client.get("/accounts/1").await.etag());
    let stream = "account-1".parse().expect("an id");
    let read = client.bus.store().read_stream(&stream).collect().await;
    let first = read.expect("events").events.remove(0).recorded_at;
    let time = first.to_rfc3339();
    assert!(time.ends_with("+00:00"), "{time}");
    for time in [time.replace('+', "%2B"), time] {
        let then = client.get(&format!("/accounts/1?at={time}")).await;
        assert_eq!(then.status, 200, "{:?}", then.body);
    }
    let before = client.get("/accounts/1?at=2001-01-01T00:00:00Z").await;
    assert_eq!(before.code(), (404, "not_found"));
    assert_eq!(
        client.get("/accounts/1?version=9").await.code(),
        (404, "version_not_reached")
    );
    for query in [
        "version=x",
        "at=noon",
        "version=1&at=2026-01-01T00:00:00Z",
        "verison=1",
    ] {
        let reply = client.get(&format!("/accounts/1?{query}")).await;
        assert_eq!(reply.code(), (400, "invalid_query"), "{query}");
    }
}

#[tokio::test]
async fn the_history_is_read_page_by_page() {
    let mut options = RouteOptions::default();
    options.history_events_max = 2;
    let client = Client::rich(options).await;
    client
        .send("POST /accounts/1/deposit", r#"{"cents":7}"#)
        .await;
    let mut uri = "/accounts/1/history".to_owned();
    let mut cents = Vec::new();
    loop {
        let page = client.get(&uri).await;
        assert_eq!((page.status, &page.body["version"]), (200, &json!(3)));
        for event in page.body["events"].as_array().expect("events") {
            assert_eq!(event["event_type"], "Deposited");
            cents.push(event["payload"]["cents"].as_i64().expect("cents"));
        }
        match page.body.get("next") {
            Some(next) => uri = format!("/accounts/1/history?from={next}&limit=9"),
            None => break,
        }
    }
    assert_eq!(cents, [200, 300, 7]);
    let one = client.get("/accounts/1/history?from=2&limit=1").await;
    assert_eq!(one.body["events"][0]["version"], json!(Version::new(2)));
    let past = client.get("/accounts/1/history?from=9").await;
    assert_eq!((past.status, &past.body["events"]), (200, &json!([])));
}
