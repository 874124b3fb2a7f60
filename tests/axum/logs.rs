//! What logs are told of a request: names and codes, and nothing that anybody wrote.

use annalist::http::axum::RouteOptions;
use annalist::{ExpectedVersion, NewEvent};

use crate::client::Client;
use crate::heard::heard;

const CANARY: &str = "canary-4711";

/// Everything that a client can write holds the canary, and so does what cannot be read.
async fn tell_all() {
    let client = Client::rich(RouteOptions::default()).await;
    let keyed = format!("idempotency-key: {CANARY}\nif-match: \"{CANARY}\"\n@{CANARY}");
    for body in [
        format!(r#"{{"cents":5,"note":"{CANARY}"}}"#),
        format!(r#"{{"cents":"{CANARY}"}}"#),
        CANARY.to_owned(),
    ] {
        for command in ["deposit", "withdraw", "open"] {
            let request = format!("POST /accounts/1/{command}");
            client.send(&request, &body).await;
            client.send(&format!("{request}\n{keyed}"), &body).await;
        }
    }
    client.get(&format!("/accounts/1?{CANARY}=1")).await;
    // What panics says what it was given.
    let panicked = client
        .send("POST /accounts/1/deposit", r#"{"cents":666}"#)
        .await;
    assert_eq!(panicked.status, 500);
    let event = NewEvent::json("Deposited", &CANARY).expect("an event");
    let stream = "account-1".parse().expect("an id");
    let store = client.bus.store();
    let written = store.append(&stream, ExpectedVersion::Any, [event]).await;
    written.expect("an append");
    for uri in ["/accounts/1", "/accounts/1/history"] {
        let unreadable = client.get(uri).await;
        assert_eq!(unreadable.code(), (500, "undecodable_payload"));
        assert!(!unreadable.body.to_string().contains(CANARY));
    }
    let sent = client
        .send("POST /accounts/1/withdraw", r#"{"cents":1}"#)
        .await;
    assert_eq!(sent.status, 500);
}

#[test]
fn no_log_learns_what_is_in_a_request_or_an_event() {
    let text = heard(tell_all());
    for told in [
        "a request failed",
        "undecodable_payload",
        "panicked",
        "account-1",
    ] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
    assert!(!text.contains(CANARY), "{text}");
    assert!(!text.contains("4111"), "{text}");
}
