//! What goes out: a value as JSON with its `ETag`, or a problem. Every handler answers this.

use std::error::Error;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::http::{EntityTag, Problem};
use crate::token::VersionToken;

/// What a request is answered.
pub(super) type Answered = Result<Answer, Refused>;

/// A problem, where it is handed up: boxed, since it is large beside what is no problem.
pub(super) type Refused = Box<Problem>;

/// An answer that is no problem.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) token: Option<VersionToken>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A value, as JSON.
    pub(super) fn json(value: &impl Serialize) -> Self {
        Self {
            status: StatusCode::OK,
            token: None,
            location: None,
            // Made of plain data, which has JSON.
            body: serde_json::to_vec(value).unwrap_or_default(),
        }
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

/// Writes down what the client is not told.
pub(super) fn failed(error: &dyn Error, problem: Problem) -> Problem {
    if problem.status.is_server_error() {
        tracing::error!(code = problem.code, %error, "a request failed");
    }
    problem
}
