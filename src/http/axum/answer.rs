//! What goes out: a value as JSON with its `ETag`, or a problem. Every handler answers this,
//! and so may those of a user's own.

use std::error::Error;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::answers::KeptAnswer;
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
/// let answer = Answer::json(&serde_json::json!({ "balance": 500 })).expect("JSON");
/// let response = answer.into_response();
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.headers()["content-type"], "application/json");
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    etag: Option<String>,
    location: Option<String>,
    body: String,
}

impl Answer {
    /// 200 with a value as JSON.
    ///
    /// # Errors
    ///
    /// [`Problem`], status 500, for a value that has no JSON form.
    pub fn json(value: &impl Serialize) -> Answered {
        let body = serde_json::to_string(value).map_err(|error| {
            let problem = Problem::of_code("state_without_json", "");
            failed("state_without_json", &error, problem)
        })?;
        Ok(Self {
            status: StatusCode::OK,
            etag: None,
            location: None,
            body,
        })
    }

    /// The same under another status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with the `ETag` of what it shows, if that has one.
    #[must_use]
    pub fn with_token(mut self, token: Option<VersionToken>) -> Self {
        self.etag = token.map(|token| EntityTag::from(token).to_string());
        self
    }

    /// The same with where it is to be looked at from then on.
    #[must_use]
    pub fn with_location(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// 304 has no body, and the tag that a 200 would have: RFC 9110, section 15.4.5.
    pub(super) fn not_modified(token: Option<VersionToken>) -> Self {
        let nothing = Self {
            status: StatusCode::NOT_MODIFIED,
            etag: None,
            location: None,
            body: String::new(),
        };
        nothing.with_token(token)
    }
}

/// An answer as it is kept, and told again.
impl KeptAnswer {
    pub(super) fn of(answered: &Answered) -> Self {
        match answered {
            Ok(answer) => Self {
                status: answer.status.as_u16(),
                etag: answer.etag.clone(),
                location: answer.location.clone(),
                body: answer.body.clone(),
            },
            Err(problem) => Self {
                status: problem.status.as_u16(),
                etag: None,
                location: None,
                body: serde_json::to_string(problem).unwrap_or_default(),
            },
        }
    }

    pub(super) fn told(self) -> Answered {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        if status.is_client_error()
            && let Ok(problem) = serde_json::from_str(&self.body)
        {
            return Err(problem);
        }
        Ok(Answer {
            status,
            etag: self.etag,
            location: self.location,
            body: self.body,
        })
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
        for (name, value) in [(ETAG, self.etag), (LOCATION, self.location)] {
            let value = value.map(HeaderValue::try_from);
            if let Some(Ok(value)) = value {
                headers.insert(name, value);
            }
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
