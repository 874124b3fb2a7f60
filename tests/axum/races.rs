//! What happens between the check of a precondition and the write. A rival writes just before
//! each of the first commits of the routes, where no check can see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use annalist::http::axum::RouteOptions;
use annalist::store::{Backend, CommitRequest, Wrapper};
use annalist::{
    AppendError, BusOptions, CommandBus, ExpectedVersion, Limits, NewEvent, Receipt, Store,
    StoreError, StoreErrorKind, StreamId,
};
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::client::Client;

/// What the rival does before a commit.
#[derive(Clone, Copy)]
enum Rival {
    /// Deposits a cent into the same account.
    Deposits,
    /// Deletes the account.
    Deletes,
    /// Keeps the store busy.
    IsInTheWay,
}

struct Rivalled {
    rival: Rival,
    inner: Store,
    backend: Arc<dyn Backend>,
    left: AtomicU32,
}

impl Rivalled {
    async fn act(&self) -> Result<(), AppendError> {
        let stream: StreamId = "account-1".parse().expect("an id");
        let cent = NewEvent::json("Deposited", &json!({ "cents": 1 })).expect("an event");
        match self.rival {
            Rival::Deposits => {
                let sent = self.inner.append(&stream, ExpectedVersion::Any, [cent]);
                sent.await.map(drop)
            }
            Rival::Deletes => {
                let deleted = self.inner.delete(&stream, ExpectedVersion::Any);
                deleted.await.map(drop)
            }
            Rival::IsInTheWay => Err(StoreError::new(StoreErrorKind::Busy, "appending").into()),
        }
    }
}

impl Wrapper for Rivalled {
    fn inner(&self) -> &dyn Backend {
        self.backend.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(async move {
            let left = self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                });
            if left.is_ok() {
                self.act().await?;
            }
            self.backend.commit(request).await
        })
    }
}

/// A client whose account 1 has 500 cents, unless it is to be new, with a rival.
async fn with(rival: Rival, times: u32, is_new: bool) -> Client {
    let inner = match is_new {
        true => Store::memory(),
        false => {
            let rich = Client::rich(RouteOptions::default()).await;
            rich.bus.store().clone()
        }
    };
    let rivalled = Rivalled {
        rival,
        backend: inner.backend(),
        inner,
        left: AtomicU32::new(times),
    };
    let store = Store::from_backend(Arc::new(rivalled), Limits::default());
    let mut options = BusOptions::default();
    options.retry.attempts_max = 3;
    Client::on(CommandBus::with(store, options), RouteOptions::default()).await
}

const FIVE: &str = r#"{"cents":5}"#;

#[tokio::test]
async fn a_race_lost_under_a_precondition_is_412_whatever_the_command_declares() {
    for if_match in ["*", "the tag", "another, the tag"] {
        let client = with(Rival::Deposits, 1, false).await;
        let tag = client.get("/accounts/1").await.etag().to_owned();
        let if_match = if_match
            .replace("the tag", &tag)
            .replace("another", "\"x\"");
        let request = format!("POST /accounts/1/deposit\nif-match: {if_match}");
        let lost = client.send(&request, FIVE).await;
        assert_eq!(lost.code(), (412, "precondition_failed"), "{if_match}");
        let conflict = &lost.body["conflict"];
        assert_eq!(conflict["kind"], "lost_race");
        assert_eq!(conflict["unseen"][0]["event_type"], "Deposited");
        let now = client.get("/accounts/1").await;
        assert_eq!(
            now.body["state"]["balance"], 501,
            "only the rival has written"
        );
        assert_eq!(lost.body["current_etag"], now.etag());
    }
    let client = with(Rival::Deposits, 1, true).await;
    let lost = client
        .send("POST /accounts/1/deposit\nif-none-match: *", FIVE)
        .await;
    assert_eq!(lost.code(), (412, "precondition_failed"));
    assert_eq!(client.get("/accounts/1").await.body["state"]["balance"], 1);
    let client = with(Rival::Deletes, 1, false).await;
    let lost = client
        .send("POST /accounts/1/deposit\nif-match: *", FIVE)
        .await;
    assert_eq!(lost.code(), (412, "precondition_failed"));
    assert_eq!(
        client.get("/accounts/1").await.status,
        410,
        "nothing is brought back"
    );
}

#[tokio::test]
async fn a_race_lost_without_one_is_what_the_command_declares() {
    let client = with(Rival::Deposits, 1, false).await;
    let commuted = client.send("POST /accounts/1/deposit", FIVE).await;
    assert_eq!(
        (commuted.status, &commuted.body["state"]),
        (200, &json!({ "balance": 506 }))
    );

    let client = with(Rival::Deposits, 1, false).await;
    let lost = client.send("POST /accounts/1/withdraw", FIVE).await;
    assert_eq!(lost.code(), (409, "conflict"));
    assert_eq!(lost.body["conflict"]["changed"], json!(["/balance"]));
    assert_eq!(
        lost.body["current_etag"],
        client.get("/accounts/1").await.etag()
    );

    // A list of states that it is not in: it cannot come to be in one of them again.
    let client = with(Rival::Deposits, 1, false).await;
    let request = "POST /accounts/1/deposit\nif-none-match: \"x\"";
    assert_eq!(client.send(request, FIVE).await.status, 200);
}

#[tokio::test]
async fn retries_that_run_out_are_409_and_may_help_later() {
    let client = with(Rival::Deposits, 9, false).await;
    let lost = client.send("POST /accounts/1/deposit", FIVE).await;
    assert_eq!(lost.code(), (409, "conflict"));
    assert_eq!(lost.body["conflict"]["reason"]["why"], "attempts");
    assert_eq!(lost.body["retry_helps"], true);
    assert_eq!(lost.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_busy_store_is_503_and_says_when_to_come_back() {
    let client = with(Rival::IsInTheWay, 9, false).await;
    let busy = client.send("POST /accounts/1/deposit", FIVE).await;
    assert_eq!(busy.code(), (503, "busy"));
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert!(busy.body.get("conflict").is_none(), "it is no conflict");
}
