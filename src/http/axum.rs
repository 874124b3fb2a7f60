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
//! | `POST /{key}/{command}?based_on=7` | the same, meant for version 7: what came after it is a conflict that the command's declaration speaks to, such as a merge |
//! | `POST /{command}` | the same for an aggregate that is made by it, under a key that is made here: 201 and its `Location` |
//!
//! # What a command is answered
//!
//! | case | answer |
//! |---|---|
//! | its events are there, or nothing was left to do | 201 or 200, with the `ETag` after it |
//! | a precondition is required, and there is none | 428, saying how |
//! | `If-Match` is false, `If-None-Match: *` and it is there, or a race was lost under one of them | 412 with the conflict |
//! | no precondition, and the conflict surfaced or the attempts ran out | 409 with the conflict |
//! | the domain says no, or an invariant would be broken | 422, or as [`Statuses`] says |
//! | it must be there and is not, or must not and is | 404 or 409; under a precondition 412 |
//! | the `Idempotency-Key` was used for another command, payload or aggregate | 422 |
//! | a header, the query or the body cannot be read | 400, saying where: of a body, as a JSON Pointer |
//! | the headers or the body are too large, or the body too slow | 431, 413, 408 |
//! | the body is not JSON | 415 |
//! | the store is busy or overloaded | 503 with `Retry-After` |
//!
//! A conflict is told as [`ConflictReport`](crate::ConflictReport): which version the client
//! had, which there is now and its `ETag`, which events came between and which fields they
//! changed, and why it was not tried again.
//!
//! # Keys of requests
//!
//! A request under a key is held before anything of it is done, for its [`Principal`], its
//! aggregate, its command and the JSON of it, and its answer is kept before it is told: see
//! [`Answers`]. Sent again it is answered to the byte as before, also after a restart, and
//! whatever its precondition says by then; two at once are done once and answered alike. What
//! is begun under a key goes on if the client goes away.
//!
//! Kept are effects, rejections, and that nothing was left to do. A conflict, a precondition
//! that did not hold, or a store that was busy did nothing: the same request may be sent again
//! under its key, with another precondition, and is decided anew. A server that is killed
//! between what came of a command and its answer recognises it, and answers anew what it did
//! then; of one that did nothing it says that much, 409.
//!
//! # What is the server's to do
//!
//! Who may send what; how long the head of a request may take, which ends before a route
//! is known (`header_read_timeout` of hyper); TLS; and how many requests there are at once.
//! Neither payloads, states nor headers are written to a log here; answers that are kept hold
//! states.
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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::map_request_with_state;
use axum::routing::get;
use http::Method;

use super::{Preconditions, Problem, Statuses};
use crate::aggregate::Aggregate;
use crate::command::CommandBus;
use crate::domain::{CommandInfo, Domain};
use crate::ids::StreamId;
use crate::store::{Store, StreamInfo};
use crate::version::StreamState;

mod answer;
mod answers;
mod conditions;
mod look;
mod outcome;
mod query;
mod send;

pub use answer::{Answer, Answered};
pub use answers::Answers;
pub use conditions::Conditions;

use answer::{Refused, failed};

/// How the routes of one kind of aggregate answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteOptions {
    /// Whether a command must say which state it is meant for. Default: it may.
    pub preconditions: Preconditions,
    /// The commands for which that is otherwise, by their names. Default: none.
    pub command_preconditions: BTreeMap<&'static str, Preconditions>,
    /// Whether a command must come with an `Idempotency-Key`. Default: it may.
    pub idempotency_keys: IdempotencyKeys,
    /// Where the answers to requests under a key are kept. Default: beside the events, for
    /// seven days.
    pub answers: Answers,
    /// The statuses of rejections. Default: 422.
    pub statuses: Statuses,
    /// What a conflict tells. Default: no payloads and no state.
    pub conflicts: ConflictDetail,
    /// How many bytes the names and values of a request's headers have at most. Default:
    /// 16 KiB.
    pub header_bytes_max: usize,
    /// How many bytes the body of a command has at most. Default: 1 MiB.
    pub body_bytes_max: usize,
    /// How long the body of a command may take to arrive. Default: 30 s.
    pub body_time_max: Duration,
    /// How many events a page of the history has, unless fewer are asked for. Default: 100.
    pub history_events_max: u64,
    /// How long a command may take. Default: as long as its attempts do.
    pub deadline: Option<Duration>,
}

impl Default for RouteOptions {
    fn default() -> Self {
        Self {
            preconditions: Preconditions::default(),
            command_preconditions: BTreeMap::new(),
            idempotency_keys: IdempotencyKeys::default(),
            answers: Answers::default(),
            statuses: Statuses::default(),
            conflicts: ConflictDetail::default(),
            header_bytes_max: 16 << 10,
            body_bytes_max: 1 << 20,
            body_time_max: Duration::from_secs(30),
            history_events_max: 100,
            deadline: None,
        }
    }
}

impl RouteOptions {
    /// Whether this command must say which state it is meant for.
    fn preconditions_of(&self, command: &str) -> Preconditions {
        let own = self.command_preconditions.get(command).copied();
        own.unwrap_or(self.preconditions)
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
///
/// # Panics
///
/// If [`RouteOptions::command_preconditions`] names a command that is none of them: what is
/// misspelt there would not be required of anybody.
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
    for name in routes.options.command_preconditions.keys() {
        let is_known = routes.commands().any(|command| command.name == *name);
        assert!(is_known, "no command of {} is named {name:?}", A::CATEGORY);
    }
    Router::new()
        .route("/{key}", get(look::one).post(send::create))
        .route("/{key}/{name}", get(look::history).post(send::command))
        .method_not_allowed_fallback(not_allowed)
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(routes.options.body_bytes_max))
        .layer(map_request_with_state(Arc::clone(&routes), light))
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

    /// The commands of this kind of aggregate.
    fn commands(&self) -> impl Iterator<Item = CommandInfo> {
        let commands = self.domain.commands();
        commands.filter(|command| command.category == self.category)
    }

    fn stream(&self, key: &str) -> Result<StreamId, Refused> {
        StreamId::new(self.category, key)
            .map_err(|error| Problem::of_code(error.code(), error.to_string()).into())
    }

    async fn info(&self, stream: &StreamId) -> Result<StreamInfo, Refused> {
        let info = self.store().stream_info(stream).await;
        info.map_err(|error| failed(error.code(), &error, Problem::from(&error)).into())
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

/// Lets a request in whose headers are within their limit.
async fn light(State(routes): Shared, request: Request) -> Result<Request, Problem> {
    let most = routes.options.header_bytes_max;
    let lines = request.headers().iter();
    let bytes: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    match bytes <= most {
        true => Ok(request),
        false => Err(Problem::of_code(
            "headers_too_large",
            format!("the headers have {bytes} bytes, of which {most} are taken"),
        )),
    }
}

async fn nothing_here() -> Problem {
    let said = "nothing is here: look at /{key} and /{key}/history, send to /{key}/{command}";
    Problem::of_code("not_found", said)
}

async fn not_allowed(method: Method) -> Problem {
    Problem::of_code(
        "method_not_allowed",
        format!("{method} is not answered here: GET looks, POST sends a command"),
    )
}
