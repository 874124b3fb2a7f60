//! A server that is there again knows what was done under which key, and says it as before.

use annalist::http::axum::RouteOptions;
use annalist::{CommandBus, Store};

use crate::client::{Client, Reply};
use crate::keys::{ENDS, FIVE};

async fn all(client: &Client) -> Vec<Reply> {
    let mut replies = Vec::new();
    for (at, (request, body, _)) in ENDS.iter().enumerate() {
        let keyed = format!("{request}\nidempotency-key: end-{at}\n@ann");
        replies.push(client.send(&keyed, body).await);
    }
    replies
}

fn compare(again: &[Reply], first: &[Reply]) {
    for (again, first) in again.iter().zip(first) {
        assert_eq!(again.answer(), first.answer());
    }
}

#[tokio::test]
async fn what_was_answered_is_answered_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bank.db");
    let open = async || {
        let store = Store::open(&file).await.expect("a store");
        Client::on(CommandBus::new(store), RouteOptions::default()).await
    };
    let client = open().await;
    client
        .send("POST /accounts/1/open", r#"{"cents":500}"#)
        .await;
    let first = all(&client).await;
    for (reply, (request, _, (status, code))) in first.iter().zip(ENDS) {
        assert_eq!(reply.status, status, "{request}: {reply:?}");
        assert_eq!(reply.body["code"].as_str().unwrap_or_default(), code);
    }
    // Everything that refused is otherwise by now.
    client
        .send("POST /accounts/1/deposit", r#"{"cents":5000}"#)
        .await;
    client.send("POST /accounts/3/open", FIVE).await;
    let balances = async |client: &Client| {
        let mut balances = Vec::new();
        for account in 1..=3 {
            let one = client.get(&format!("/accounts/{account}")).await;
            balances.push(one.body["state"]["balance"].clone());
        }
        balances
    };
    let before = balances(&client).await;
    compare(&all(&client).await, &first);
    client.bus.store().close().await.expect("a clean close");
    drop(client);

    let client = open().await;
    compare(&all(&client).await, &first);
    assert_eq!(balances(&client).await, before, "and none took effect");
}
