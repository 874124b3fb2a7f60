//! What goes out: a value as JSON with its `ETag`, or a problem. Every handler answers this,
//! and so may those of a user's own.

use std::error::Error;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::http::{EntityTag, Problem};
use crate::ids::StreamId;
use crate::token::VersionToken;

/// What a request is answered.
pub type Answered = Result<Answer, Box<Problem>>;

/// A problem, where it is handed up: boxed, since it is large beside what is no problem.
pub(super) type Refused = Box<Problem>;

/// An answer that is no problem: JSON, and the `ETag` of what it shows.
///
/// ```
/// use annalist::http::axum::Answer;
/// use axum::response::IntoResponse;
///
/// let response = Answer::json(&serde_json::json!({ "balance": 500 })).into_response();
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.headers()["content-type"], "application/json");
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) token: Option<VersionToken>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// 200 with a value as JSON. One that has no JSON form leaves the body empty.
    #[must_use]
    pub fn json(value: &impl Serialize) -> Self {
        Self {
            status: StatusCode::OK,
            token: None,
            location: None,
            body: serde_json::to_vec(value).unwrap_or_default(),
        }
    }

    /// The same under another status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with the `ETag` of what it shows, if that has one.
    #[must_use]
    pub const fn with_token(mut self, token: Option<VersionToken>) -> Self {
        self.token = token;
        self
    }

    /// 304 has no body, and the tag that a 200 would have: RFC 9110, section 15.4.5.
    pub(super) const fn not_modified(token: Option<VersionToken>) -> Self {
        Self {
            status: StatusCode::NOT_MODIFIED,
            token,
            location: None,
            body: Vec::new(),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let is_json = !self.body.is_empty();
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if is_json {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = self.token {
            headers.insert(ETAG, EntityTag::from(token).into());
        }
        let location = self.location.map(HeaderValue::try_from);
        if let Some(Ok(location)) = location {
            headers.insert(LOCATION, location);
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response().map(Body::from)
    }
}

impl IntoResponse for Box<Problem> {
    fn into_response(self) -> Response {
        (*self).into_response()
    }
}

/// The errors of the store itself. What they say names files and what the system said.
const OF_THE_STORE: [&str; 11] = [
    "busy",
    "corrupt",
    "disk_full",
    "fenced",
    "handle_closed",
    "io",
    "newer_schema",
    "no_access",
    "not_a_store",
    "overloaded",
    "unknown_outcome",
];

/// Writes down what the client is not told. Of an error that user code may have worded, or
/// that may quote what is stored, only the code: a log is nobody's who may see that.
pub(super) fn failed(code: &str, error: &dyn Error, problem: Problem) -> Problem {
    if problem.status.is_server_error() {
        let said = OF_THE_STORE.contains(&code).then(|| error.to_string());
        let stream = problem.stream.as_ref().map(StreamId::as_str);
        tracing::error!(
            code,
            command = problem.command,
            stream,
            said,
            "a request failed"
        );
    }
    problem
}
