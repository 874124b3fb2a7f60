//! What went wrong, as a client is told: [RFC 9457][problem], `application/problem+json`.
//!
//! Made from the errors of the crate by their stable codes. It tells the same
//! [`ConflictReport`] that a log or a command line is told, and never more of what is stored
//! than that report does.
//!
//! [problem]: https://www.rfc-editor.org/rfc/rfc9457

use std::fmt;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::etag::EntityTag;
use crate::conflict::{ConflictReason, ConflictReport};
use crate::ids::StreamId;
use crate::token::VersionToken;

mod from;
mod kinds;
mod statuses;

pub use statuses::Statuses;

use kinds::{Detail, Kind};

/// What went wrong. As JSON it is the body that a client gets; read from JSON, what a client
/// got.
///
/// ```
/// # use annalist::{Aggregate, Command, CommandBus, Store, Version};
/// # use annalist::domain::AnyCommand;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)]
/// # enum SeatEvent { Booked }
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct Seat { taken: bool }
/// # impl Aggregate for Seat {
/// #     const CATEGORY: &'static str = "seat";
/// #     type Event = SeatEvent;
/// #     fn apply(&mut self, SeatEvent::Booked: &SeatEvent) { self.taken = true; }
/// # }
/// # #[derive(Serialize, Deserialize)]
/// # struct Book;
/// # impl Command for Book {
/// #     type Aggregate = Seat;
/// #     type Rejection = std::convert::Infallible;
/// #     const NAME: &'static str = "book";
/// #     fn decide(&self, seat: &Seat) -> Result<Vec<SeatEvent>, Self::Rejection> {
/// #         Ok(vec![SeatEvent::Booked])
/// #     }
/// # }
/// use annalist::http::{Expecting, Problem};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = CommandBus::new(Store::memory());
/// bus.dispatch_any("12a", AnyCommand::new(Book)).await?;
///
/// // A client that has seen version 0 sent `If-None-Match: *`.
/// let stale = bus.dispatch_any("12a", AnyCommand::new(Book)).expecting(Version::ZERO);
/// let error = stale.await.unwrap_err();
/// let problem = Problem::from(&error).under(&Expecting::Absent);
/// assert_eq!(problem.status, 412);
/// assert_eq!(problem.conflict.as_ref().map(|conflict| conflict.actual), Some(Version::new(1)));
///
/// let response = problem.response();
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// Which kind of problem it is, as a URI: `urn:annalist:problem:` and the
    /// [`code`](Self::code). It names, and there is nothing to fetch.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The kind in words, the same for every problem of it.
    pub title: String,
    /// The status of the answer.
    #[serde(serialize_with = "write_status", deserialize_with = "read_status")]
    pub status: StatusCode,
    /// What happened this time, and what to do next.
    pub detail: String,
    /// Where it happened, as a URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The stable name of the kind, such as `conflict`.
    pub code: String,
    /// Whether the same request may succeed later.
    pub retry_helps: bool,
    /// Why the domain says no, as [`Command::rejection_code`](crate::Command::rejection_code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<String>,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// The `ETag` of what is there now, as `If-Match` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_etag: Option<String>,
    /// Where in the request it is, where that can be told: a JSON Pointer (RFC 6901) into
    /// its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the client has not seen. It holds payloads and the state only if the dispatch was
    /// asked to [report in full](crate::AnyDispatch::report_in_full).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Box<ConflictReport>>,
    /// Seconds, for the header `Retry-After`.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// A problem by its code, and what it says where that may be told.
    fn new(code: &str, said: impl FnOnce() -> String) -> Self {
        let kind = Kind::of(code);
        let detail = match kind.detail {
            Detail::Said => said(),
            Detail::Fixed(detail) => detail.to_owned(),
        };
        let mut problem = Self {
            problem_type: String::new(),
            title: String::new(),
            status: kind.status,
            detail,
            instance: None,
            code: String::new(),
            retry_helps: kind.retry_after.is_some(),
            rejection: None,
            command: None,
            stream: None,
            current_etag: None,
            field: None,
            conflict: None,
            retry_after: kind.retry_after,
        };
        problem.become_kind(kind);
        problem
    }

    fn become_kind(&mut self, kind: &Kind) {
        self.problem_type = format!("urn:annalist:problem:{}", kind.code);
        kind.code.clone_into(&mut self.code);
        kind.title.clone_into(&mut self.title);
        self.status = kind.status;
    }

    /// Adds what happened meanwhile.
    pub(super) fn with_conflict(mut self, report: ConflictReport) -> Self {
        // Nobody asked for more than time, and that is all it takes.
        if let ConflictReason::Attempts | ConflictReason::Deadline = report.reason {
            self.retry_helps = true;
            self.retry_after = Some(1);
        }
        if report.command.is_some() {
            self.command.clone_from(&report.command);
        }
        self.stream = Some(report.stream.clone());
        self.conflict = Some(Box::new(report));
        self
    }

    /// The same for a request that stated a precondition: what would have been told as a
    /// conflict is that it did not hold, 412 and not 409. What the client stated decides, not
    /// when it was noticed. An aggregate that must be there and is not, or must not and is,
    /// is told so only where that makes the precondition false, too.
    #[must_use]
    pub fn under(mut self, expecting: &super::Expecting) -> Self {
        let is_broken = match (self.code.as_str(), expecting) {
            (_, super::Expecting::Nothing) => false,
            ("conflict" | "stream_closed", _) => true,
            // Where the precondition holds, it is the domain that says no.
            ("already_exists", super::Expecting::Absent) => true,
            ("not_found", super::Expecting::Token(_)) => true,
            _ => false,
        };
        if is_broken {
            self.become_kind(Kind::of("precondition_failed"));
            self.retry_helps = false;
            self.retry_after = None;
        }
        self
    }

    /// The same with the token of what is there now, so that the client need not ask.
    #[must_use]
    pub fn with_current(mut self, current: Option<VersionToken>) -> Self {
        self.current_etag = current.map(|token| EntityTag::from(token).to_string());
        self
    }

    /// The same with a URI of where it happened, such as the path that was asked for.
    #[must_use]
    pub fn with_instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// After how many seconds to ask again, where that helps.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// The answer: its status, its headers and its body.
    #[must_use]
    pub fn response(&self) -> Response<Vec<u8>> {
        // It is made of texts and plain data, which have JSON.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, json);
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}",
            self.status.as_u16(),
            self.title,
            self.detail
        )
    }
}

impl std::error::Error for Problem {}

// A reference is what serde hands over.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn write_status<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

fn read_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let status = u16::deserialize(deserializer)?;
    StatusCode::from_u16(status).map_err(de::Error::custom)
}
