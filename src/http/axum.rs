//! Routes for the aggregates of a domain, on axum.
//!
//! Whoever writes a server nests them under a path of its own and puts around them what is
//! its own: who may do what, time-outs, traces. They decide nothing: preconditions, statuses
//! and problems are those of [`http`](crate::http), commands take their way through the bus.
//!
//! | request | answer |
//! |---|---|
//! | `GET /{key}` | `{"stream", "version", "state"}` and an `ETag`; 304, 404, 410 |
//! | `GET /{key}?version=7`, `?at=2026-11-01T12:00:00Z` | the same as it was then |
//! | `GET /{key}/history?from=1&limit=100` | what happened, in today's shape, and the `next` version to ask from |
//! | `POST /{key}/{command}` | a command in JSON: 201 if its events are the stream's first, 200 otherwise, or a problem |
//!
//! `If-Match`, `If-None-Match` and `Idempotency-Key` are heard as the module above says.
//!
//! # Keys of requests
//!
//! The command id is made of the [`Principal`] and the key. So one that took effect is found
//! before its precondition is looked at, on this aggregate and for ever, and two at once are
//! written once. What was only answered, a rejection or a conflict, is not kept and decided
//! anew; and the same key on another aggregate is another request.
//!
//! ```
//! # use annalist::{Aggregate, Command, CommandBus, Domain, Store};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Serialize, Deserialize)]
//! # enum AccountEvent { Deposited { cents: i64 } }
//! # #[derive(Default, Clone, Serialize, Deserialize)]
//! # struct Account { balance: i64 }
//! # impl Aggregate for Account {
//! #     const CATEGORY: &'static str = "account";
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) { self.balance += cents; }
//! # }
//! # #[derive(Serialize, Deserialize)]
//! # struct Deposit { cents: i64 }
//! # impl Command for Deposit {
//! #     type Aggregate = Account;
//! #     type Rejection = std::convert::Infallible;
//! #     const NAME: &'static str = "deposit";
//! #     fn decide(&self, _: &Account) -> Result<Vec<AccountEvent>, Self::Rejection> {
//! #         Ok(vec![AccountEvent::Deposited { cents: self.cents }])
//! #     }
//! # }
//! use annalist::http::Preconditions;
//! use annalist::http::axum::{RouteOptions, aggregate_routes};
//! use axum::Router;
//! use axum::body::Body;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let domain = Domain::new().command::<Deposit>().checked()?;
//! let bus = CommandBus::new(Store::memory());
//! let mut options = RouteOptions::default();
//! options.preconditions = Preconditions::Required;
//! let app = Router::new().nest("/accounts", aggregate_routes::<Account>(bus, &domain, options));
//!
//! let request = Request::post("/accounts/42/deposit")
//!     .header("content-type", "application/json")
//!     .header("if-none-match", "*")
//!     .body(Body::from(r#"{ "cents": 500 }"#))?;
//! let response = app.oneshot(request).await?;
//! assert_eq!(response.status(), 201);
//! assert_eq!(response.headers()["location"], "/accounts/42");
//! assert!(response.headers().contains_key("etag"));
//! # Ok(()) }
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::Method;

use super::{Preconditions, Problem, Statuses};
use crate::aggregate::Aggregate;
use crate::command::CommandBus;
use crate::domain::Domain;
use crate::ids::StreamId;
use crate::store::{Store, StreamInfo};
use crate::version::StreamState;

mod answer;
mod look;
mod send;

use answer::{Refused, failed};

/// How the routes of one kind of aggregate answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteOptions {
    /// Whether a command must say which state it is meant for. Default: it may.
    pub preconditions: Preconditions,
    /// Whether a command must come with an `Idempotency-Key`. Default: it may.
    pub idempotency_keys: IdempotencyKeys,
    /// The statuses of rejections. Default: 422.
    pub statuses: Statuses,
    /// What a conflict tells. Default: no payloads and no state.
    pub conflicts: ConflictDetail,
    /// How many bytes the body of a command has at most. Default: 1 MiB.
    pub body_bytes_max: usize,
    /// How many events a page of the history has, unless fewer are asked for. Default: 100.
    pub history_events_max: u64,
    /// How long a command may take. Default: as long as its attempts do.
    pub deadline: Option<Duration>,
}

impl Default for RouteOptions {
    fn default() -> Self {
        Self {
            preconditions: Preconditions::default(),
            idempotency_keys: IdempotencyKeys::default(),
            statuses: Statuses::default(),
            conflicts: ConflictDetail::default(),
            body_bytes_max: 1 << 20,
            history_events_max: 100,
            deadline: None,
        }
    }
}

/// Whether a command must come with an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IdempotencyKeys {
    /// One without is a command of its own each time that it is sent.
    #[default]
    Optional,
    /// One without is answered 400.
    Required,
}

/// What a conflict tells of the events that its client has not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConflictDetail {
    /// Their types and ids, and which fields have changed.
    #[default]
    WithoutPayloads,
    /// Their payloads and the current state as well: for clients that may see all of it.
    InFull,
}

/// Who sends a request, as an extension of it: put there by whatever has found that out,
/// before the routes. Without it all clients are one, and share their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Principal(pub String);

/// The routes of one kind of aggregate, to be nested under a path. The commands are those of
/// the domain whose aggregates they are.
///
/// # Cancel safety
///
/// A request that is dropped, as when its client goes, leaves its command taken effect or not,
/// never half. Sent again under the same `Idempotency-Key` it tells.
#[must_use = "routes are nested under a path"]
pub fn aggregate_routes<A: Aggregate>(
    bus: CommandBus,
    domain: &Domain,
    options: RouteOptions,
) -> Router {
    let routes = Arc::new(Routes {
        category: A::CATEGORY,
        bus,
        domain: domain.clone(),
        options,
    });
    Router::new()
        .route("/{key}", get(look::one))
        .route("/{key}/{name}", get(look::history).post(send::command))
        .method_not_allowed_fallback(not_allowed)
        .with_state(routes)
}

/// What every request of the routes needs.
struct Routes {
    category: &'static str,
    bus: CommandBus,
    domain: Domain,
    options: RouteOptions,
}

type Shared = State<Arc<Routes>>;

impl Routes {
    const fn store(&self) -> &Store {
        self.bus.store()
    }

    fn stream(&self, key: &str) -> Result<StreamId, Refused> {
        StreamId::new(self.category, key)
            .map_err(|error| Problem::of_code(error.code(), error.to_string()).into())
    }

    async fn info(&self, stream: &StreamId) -> Result<StreamInfo, Refused> {
        let info = self.store().stream_info(stream).await;
        info.map_err(|error| failed(&error, Problem::from(&error)).into())
    }
}

/// What cannot be looked at, by the state of its stream: 404 and 410.
fn readable(info: &StreamInfo) -> Result<(), Refused> {
    let (code, why) = match info.state {
        StreamState::Live => return Ok(()),
        StreamState::NeverWritten => ("not_found", "was never written"),
        StreamState::Deleted => ("gone", "was deleted"),
        StreamState::Closed => ("gone", "is closed; its history can still be read"),
    };
    Err(Problem::of_code(code, format!("{} {why}", info.stream)).into())
}

async fn not_allowed(method: Method) -> Problem {
    Problem::of_code(
        "method_not_allowed",
        format!("{method} is not answered here: GET looks, POST sends a command"),
    )
}
