//! A server that is there again knows what was done under which key, and says it as before.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use annalist::http::axum::{RouteOptions, aggregate_routes};
use annalist::store::sqlite::SqliteOptions;
use annalist::{Aggregate, Command, CommandBus, Domain, Store};
use axum::Router;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::client::{Client, Reply};
use crate::keys::{ENDS, FIVE};
use crate::serve::ServeOptions;

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

/// What the disk has changed is told to nobody.
#[tokio::test]
async fn an_answer_that_is_not_what_was_kept_is_not_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bank.db");
    let store = Store::open(&file).await.expect("a store");
    let client = Client::on(CommandBus::new(store), RouteOptions::default()).await;
    let request = "POST /accounts/1/open\nidempotency-key: a";
    assert_eq!(client.send(request, FIVE).await.status, 201);
    let conn = Connection::open(&file).expect("a connection");
    let sql = "UPDATE http_answers SET held = replace(held, '\"status\":201', '\"status\":200')";
    assert_eq!(conn.execute(sql, []).expect("changed"), 1);
    let told = client.send(request, FIVE).await;
    assert_eq!(told.code(), (500, "corrupt"));
}

/// A room, and what is said when somebody knocks.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Room;

impl Aggregate for Room {
    const CATEGORY: &'static str = "room";
    type Event = RoomEvent;

    fn apply(&mut self, RoomEvent::Entered: &RoomEvent) {}
}

#[derive(Clone, Serialize, Deserialize)]
enum RoomEvent {
    Entered,
}

/// Whoever knocks is let in, unless somebody has said where the file is: then that is locked
/// by another program from this moment on, and the answer is no.
#[derive(Serialize, Deserialize)]
struct Knock;

static LOCKS: Mutex<Option<PathBuf>> = Mutex::new(None);
static LOCKED: Mutex<Option<Connection>> = Mutex::new(None);

#[derive(Debug, thiserror::Error)]
#[error("nobody is to come in")]
struct Shut;

impl Command for Knock {
    type Aggregate = Room;
    type Rejection = Shut;
    const NAME: &'static str = "knock";

    fn decide(&self, _: &Room) -> Result<Vec<RoomEvent>, Shut> {
        let Some(file) = LOCKS.lock().expect("no one panics").take() else {
            return Ok(vec![RoomEvent::Entered]);
        };
        let conn = Connection::open(file).expect("a connection");
        conn.execute_batch("BEGIN IMMEDIATE")
            .expect("the write lock");
        *LOCKED.lock().expect("no one panics") = Some(conn);
        Err(Shut)
    }
}

/// It could become a yes when it is sent again, and a client that was told no would not know.
#[tokio::test]
async fn a_no_that_could_not_be_kept_is_not_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rooms.db");
    let mut sqlite = SqliteOptions::default();
    sqlite.busy_timeout = Duration::from_millis(100);
    let store = Store::open_with(&file, sqlite).await.expect("a store");
    let bus = CommandBus::new(store);
    let domain = Domain::new().command::<Knock>();
    let routes = aggregate_routes::<Room>(bus.clone(), &domain, RouteOptions::default());
    let app = Router::new().nest("/rooms", routes);
    let client = Client::served(bus, app, ServeOptions::default()).await;
    let request = "POST /rooms/1/knock\nidempotency-key: a";
    *LOCKS.lock().expect("no one panics") = Some(file);
    let told = client.send(request, "null").await;
    assert_eq!(told.code(), (503, "busy"));
    assert_eq!(told.header("retry-after"), Some("1"));
    drop(LOCKED.lock().expect("no one panics").take());
    let told = client.send(request, "null").await;
    assert_eq!(told.status, 201, "{told:?}");
}
