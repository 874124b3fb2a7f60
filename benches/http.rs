//! What a conditional POST costs beside a bare dispatch of the same command, on the store in
//! memory and on the one in a SQLite file (WAL, `synchronous=FULL`).
//!
//! - `dispatch`: the command through the bus under the token of the state before.
//! - `routes`: the same as a request with `If-Match`, handed to the routes without a socket:
//!   headers, JSON, preconditions, the answer's JSON and its `ETag`.
//! - `loopback`: the same over TCP, by a client of `reqwest` that keeps its connections. Client
//!   and server share the cores, so that it is a bound from below.
//! - `with a key`: the same under an `Idempotency-Key`: it is held before, and its answer kept
//!   after, each in a durable write.
//!
//! Each caller writes to aggregates of its own and begins a new one after ten events. Rounds
//! are interleaved, figures are medians, ratios are those of neighbouring rounds. `cargo bench
//! --features axum --bench http` takes two minutes, `-- --quick` some seconds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annalist::http::axum::{RouteOptions, aggregate_routes};
use annalist::{Aggregate, Command, CommandBus, Domain, Store, VersionToken};
use axum::Router;
use axum::body::{Body, to_bytes};
use http::Request;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::ServiceExt;

const EVENTS_PER_STREAM: u64 = 10;

#[derive(Clone, Serialize, Deserialize)]
enum AccountEvent {
    Deposited { cents: i64, note: String },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent) {
        self.balance += cents;
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Deposit {
    cents: i64,
    note: String,
}

impl Command for Deposit {
    type Aggregate = Account;
    type Rejection = Infallible;
    const NAME: &'static str = "deposit";

    fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Infallible> {
        let (cents, note) = (self.cents, self.note.clone());
        Ok(vec![AccountEvent::Deposited { cents, note }])
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Dispatch,
    Routes,
    Loopback,
    WithKey,
}

const WAYS: [(Way, &str); 4] = [
    (Way::Dispatch, "dispatch"),
    (Way::Routes, "routes"),
    (Way::Loopback, "loopback"),
    (Way::WithKey, "with a key"),
];

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, length) = match quick {
        true => (3, Duration::from_millis(200)),
        false => (5, Duration::from_secs(1)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("one event of 200 bytes, {cores} cores; medians of {rounds} rounds of {length:?}\n");
    println!("store   callers  way            a second   of dispatch");
    for (durable, callers) in [(false, 1), (false, 64), (true, 1), (true, 64)] {
        let rounds: Vec<[f64; 4]> = (0..rounds)
            .map(|_| WAYS.map(|(way, _)| runtime.block_on(round(durable, callers, way, length))))
            .collect();
        for (index, (_, name)) in WAYS.into_iter().enumerate() {
            let own = rounds.iter().filter_map(|round| round.get(index).copied());
            let ratios = rounds.iter().filter_map(|round| {
                let [dispatch, ..] = round;
                Some(round.get(index)? / dispatch)
            });
            println!(
                "{:7} {callers:7}  {name:10} {:12.0} {:12.2}x",
                if durable { "sqlite" } else { "memory" },
                median(own),
                median(ratios),
            );
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<_> = figures.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many a second.
async fn round(durable: bool, callers: usize, way: Way, length: Duration) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let store = match durable {
        true => Store::open(folder.path().join("bench.db"))
            .await
            .expect("a store"),
        false => Store::memory(),
    };
    let bus = CommandBus::new(store.clone());
    let domain = Domain::new().command::<Deposit>();
    let routes = aggregate_routes::<Account>(bus.clone(), &domain, RouteOptions::default());
    let app = Router::new().nest("/accounts", routes);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = Server {
        bus,
        app: app.clone(),
        address: listener.local_addr().expect("an address"),
        http: reqwest::Client::new(),
    };
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| tokio::spawn(write(server.clone(), caller, way, begun, length)))
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.expect("a caller");
    }
    let elapsed = begun.elapsed();
    serving.abort();
    store.close().await.expect("a clean close");
    done as f64 / elapsed.as_secs_f64()
}

#[derive(Clone)]
struct Server {
    bus: CommandBus,
    app: Router,
    address: SocketAddr,
    http: reqwest::Client,
}

async fn write(server: Server, caller: usize, way: Way, begun: Instant, length: Duration) -> u64 {
    let note = "x".repeat(200 - r#"{"cents":500,"note":""}"#.len());
    let command = Deposit { cents: 500, note };
    let json = serde_json::to_string(&command).expect("JSON");
    let mut done = 0;
    // What the state before is known by.
    let mut seen = String::new();
    while begun.elapsed() < length {
        let key = format!("{caller}-{}", done / EVENTS_PER_STREAM);
        let is_new = done % EVENTS_PER_STREAM == 0;
        let (name, value) = match is_new {
            true => ("if-none-match", "*"),
            false => ("if-match", seen.as_str()),
        };
        seen = match way {
            Way::Dispatch => {
                let dispatch = server.bus.dispatch(&key, command.clone());
                let dispatch = match seen.parse::<VersionToken>() {
                    Ok(token) if !is_new => dispatch.expecting_token(token),
                    _ => dispatch.expecting(annalist::Version::ZERO),
                };
                let outcome = dispatch.await.expect("an outcome");
                let stream = annalist::stream_id::<Account>(&key).expect("a stream id");
                let info = server.bus.store().stream_info(&stream).await;
                let info = info.expect("its facts");
                assert_eq!(info.version, outcome.version);
                let token = server.bus.store().token(&info).expect("a token");
                token.to_string()
            }
            Way::Routes => {
                let request = Request::post(format!("/accounts/{key}/deposit"))
                    .header("content-type", "application/json")
                    .header(name, value)
                    .body(Body::from(json.clone()))
                    .expect("a request");
                let response = server.app.clone().oneshot(request).await;
                let (parts, body) = response.expect("an answer").into_parts();
                let body = to_bytes(body, usize::MAX).await.expect("a body");
                assert!(parts.status.is_success() && !body.is_empty());
                tag(&parts.headers)
            }
            Way::Loopback | Way::WithKey => {
                let address = server.address;
                let request = server
                    .http
                    .post(format!("http://{address}/accounts/{key}/deposit"));
                let request = request
                    .header("content-type", "application/json")
                    .header(name, value);
                let request = match way {
                    Way::WithKey => request.header("idempotency-key", format!("{caller}-{done}")),
                    _ => request,
                };
                let response = request.body(json.clone()).send().await;
                let response = response.expect("an answer");
                assert!(response.status().is_success());
                let seen = tag(response.headers());
                assert!(!response.bytes().await.expect("a body").is_empty());
                seen
            }
        };
        done += 1;
    }
    done
}

fn tag(headers: &http::HeaderMap) -> String {
    let tag = headers.get("etag").and_then(|tag| tag.to_str().ok());
    tag.expect("a tag").to_owned()
}
