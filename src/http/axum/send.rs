//! Sending a command: what the request demands, handed to the bus, and what came of it.

use axum::body::{Body, to_bytes};
use axum::extract::{Extension, OriginalUri, Path, State};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Answer, Answered, Refused, failed};
use super::{ConflictDetail, IdempotencyKeys, Principal, Routes, Shared};
use crate::domain::{AnyCommand, AnyDispatch, AnyDispatchError, AnyEvent, AnyOutcome};
use crate::http::{
    Checked, Expecting, IdempotencyKey, IdempotencyRefusal, PreconditionField, Problem,
};
use crate::ids::StreamId;
use crate::store::StreamInfo;
use crate::token::VersionToken;
use crate::version::{Position, Version};

/// What came of a command. It is the same when the command is recognised later, so it tells
/// nothing of how it came about.
#[derive(Serialize)]
struct Done<'a> {
    stream: &'a StreamId,
    version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    events: &'a [AnyEvent],
    state: &'a Value,
}

/// `POST /{key}/{command}`
pub(super) async fn command(
    State(routes): Shared,
    Path((key, name)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    principal: Option<Extension<Principal>>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let stream = routes.stream(&key)?;
    routes.knows(&name)?;
    let idempotency = IdempotencyKey::of(&headers).map_err(|error| Problem::from(&error))?;
    if idempotency.is_none() && routes.options.idempotency_keys == IdempotencyKeys::Required {
        return Err(Problem::from(&IdempotencyRefusal::Missing).into());
    }
    let info = routes.info(&stream).await?;
    let current = routes.store().token(&info);
    let checked = routes
        .options
        .preconditions
        .check(&method, &headers, current);
    let checked = checked.map_err(|error| Problem::from(&error))?;
    if matches!(checked, Checked::Required)
        && let Some(required) = Problem::of_checked(&checked)
    {
        return Err(required.with_current(current).into());
    }
    let command = routes.decode(&name, &headers, body).await?;

    let mut dispatch = routes.bus.dispatch_any(&key, command);
    if let Some(idempotency) = &idempotency {
        let principal = principal.map(|Extension(Principal(name))| name);
        dispatch = dispatch.command_id(idempotency.command_id(&principal.unwrap_or_default()));
    }
    if let Some(deadline) = routes.options.deadline {
        dispatch = dispatch.deadline(deadline);
    }
    if routes.options.conflicts == ConflictDetail::InFull {
        dispatch = dispatch.report_in_full();
    }
    let (dispatch, expecting) = demanding(dispatch, &checked, &info);
    match dispatch.await {
        Ok(outcome) => routes.done(&outcome, &uri).await,
        Err(error) => {
            let is_keyed = idempotency.is_some();
            Err(routes.refused(&error, &expecting, is_keyed).await.into())
        }
    }
}

/// Hands on what the request demands, so that the store has the last word; also where it is
/// known already not to hold. A command that took effect before is recognised first, and any
/// other is told its conflict.
fn demanding(
    dispatch: AnyDispatch,
    checked: &Checked,
    info: &StreamInfo,
) -> (AnyDispatch, Expecting) {
    match checked {
        Checked::Proceed { expecting } => match expecting {
            Expecting::Nothing => (dispatch, Expecting::Nothing),
            Expecting::Token(token) => (dispatch.expecting_token(*token), *expecting),
            Expecting::Absent => (dispatch.expecting(info.version), Expecting::Absent),
        },
        Checked::Failed {
            field: PreconditionField::IfMatch,
            claimed,
        } => {
            let token = claimed.unwrap_or(VersionToken::OF_NOTHING);
            (dispatch.expecting_token(token), Expecting::Token(token))
        }
        // It is there, so that it is not at version 0.
        Checked::Failed { .. } => (dispatch.expecting(Version::ZERO), Expecting::Absent),
        Checked::NotModified | Checked::Required => (dispatch, Expecting::Nothing),
    }
}

impl Routes {
    /// The commands of the domain that are of this kind of aggregate.
    fn knows(&self, name: &str) -> Result<(), Refused> {
        let mine = || {
            let commands = self.domain.commands();
            commands.filter(|command| command.category == self.category)
        };
        if mine().any(|command| command.name == name) {
            return Ok(());
        }
        let names: Vec<_> = mine().map(|command| command.name).collect();
        let said = format!("no command is named {name:?}, only {}", names.join(", "));
        Err(Problem::of_code("unknown_command", said).into())
    }

    async fn decode(
        &self,
        name: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<AnyCommand, Refused> {
        let most = self.options.body_bytes_max;
        let json = to_bytes(body, most).await.map_err(|_| {
            let said = format!("the body has more than {most} bytes, or was not sent to its end");
            Problem::of_code("body_too_large", said)
        })?;
        // A command that says nothing but its name needs no body.
        if json.is_empty() {
            return self.read(name, b"null");
        }
        if !is_json(headers) {
            let said = "send the command as JSON, with the content type application/json";
            return Err(Problem::of_code("unsupported_media_type", said).into());
        }
        self.read(name, &json)
    }

    fn read(&self, name: &str, json: &[u8]) -> Result<AnyCommand, Refused> {
        let command = self.domain.decode(name, json);
        command.map_err(|error| failed(&error, Problem::from(&error)).into())
    }

    async fn done(&self, outcome: &AnyOutcome, uri: &Uri) -> Answered {
        let stream = &outcome.stream;
        let is_first = outcome.version.get() == outcome.events.len() as u64;
        let is_new = is_first && !outcome.events.is_empty();
        // The tag is of what is there now: if that has moved on, what is answered has none.
        let info = self.store().stream_info(stream).await.ok();
        let info = info.filter(|info| info.version == outcome.version);
        let path = uri.path().rsplit_once('/').map(|(path, _)| path.to_owned());
        Ok(Answer {
            status: if is_new {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            },
            token: info.and_then(|info| self.store().token(&info)),
            location: path.filter(|_| is_new),
            ..Answer::json(&Done {
                stream,
                version: outcome.version,
                position: outcome.position,
                events: &outcome.events,
                state: &outcome.state,
            })
        })
    }

    async fn refused(
        &self,
        error: &AnyDispatchError,
        expecting: &Expecting,
        is_keyed: bool,
    ) -> Problem {
        if is_keyed && error.code == "command_id_reused" {
            return Problem::from(&IdempotencyRefusal::OtherRequest);
        }
        let problem = Problem::of_dispatch(error, &self.options.statuses).under(expecting);
        let problem = failed(error, problem);
        // What is there now is told where looking at it is the next thing to do.
        let is_stale = [StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];
        match &error.stream {
            Some(stream) if is_stale.contains(&problem.status) => {
                let info = self.store().stream_info(stream).await.ok();
                problem.with_current(info.and_then(|info| self.store().token(&info)))
            }
            _ => problem,
        }
    }
}

/// `application/json`, or another type that is written as JSON (RFC 6839, section 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}
