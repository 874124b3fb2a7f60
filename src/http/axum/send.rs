//! Sending a command: its name from the path, itself from the body. What becomes of it is
//! said in `conditions`.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::extract::{FromRequest, OriginalUri, Path, Request, State};
use http::HeaderMap;
use http::Uri;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::time::timeout;

use super::answer::{Answered, Refused, failed};
use super::conditions::{Conditions, Sent};
use super::query::{Asked, parts};
use super::{Routes, Shared};
use crate::command::Requires;
use crate::domain::{AnyCommand, CommandInfo};
use crate::http::Problem;
use crate::version::Version;

/// `POST /{key}/{command}`
pub(super) async fn command(
    State(routes): Shared,
    path: Result<Path<(String, String)>, PathRejection>,
    OriginalUri(uri): OriginalUri,
    conditions: Conditions,
    request: Request,
) -> Answered {
    let (key, name) = parts(path)?;
    routes.stream(&key)?;
    routes.knows(&name, |_| true)?;
    let based_on = based_on(&uri)?;
    let (command, said) = routes.decode(&name, request).await?;
    let sent = Sent {
        key,
        command,
        said,
        is_created: false,
        based_on,
        path: Some(conditions.parent().to_owned()),
    };
    conditions.send(&routes.bus, &routes.options, sent).await
}

/// `POST /{command}`
pub(super) async fn create(
    State(routes): Shared,
    path: Result<Path<String>, PathRejection>,
    OriginalUri(uri): OriginalUri,
    conditions: Conditions,
    request: Request,
) -> Answered {
    let name = parts(path)?;
    routes.knows(&name, |command| command.requires != Requires::Existing)?;
    Asked::of(&uri)?.nothing_else(&[])?;
    let (command, said) = routes.decode(&name, request).await?;
    let key = conditions.new_key(&routes.options, &command)?;
    let sent = Sent {
        path: Some(format!("{}/{key}", conditions.parent())),
        key,
        command,
        said,
        is_created: true,
        based_on: None,
    };
    conditions.send(&routes.bus, &routes.options, sent).await
}

/// The version that a command was meant for, some time ago.
fn based_on(uri: &Uri) -> Result<Option<Version>, Refused> {
    let mut query = Asked::of(uri)?;
    let version = query.take::<u64>("based_on", "a version")?;
    query.nothing_else(&["based_on"])?;
    Ok(version.map(Version::new))
}

impl Routes {
    /// The commands of the domain that are of this kind of aggregate, and fit.
    fn knows(&self, name: &str, fits: impl Fn(&CommandInfo) -> bool) -> Result<(), Refused> {
        let mine = || self.commands().filter(|command| fits(command));
        if mine().any(|command| command.name == name) {
            return Ok(());
        }
        let names: Vec<_> = mine().map(|command| command.name).collect();
        let said = format!(
            "no command is named {name:?} here, only {}",
            names.join(", ")
        );
        Err(Problem::of_code("unknown_command", said).into())
    }

    /// The command, and what it was sent as.
    async fn decode(&self, name: &str, request: Request) -> Result<(AnyCommand, String), Refused> {
        let is_json = is_json(request.headers());
        let json = self.body(request).await?;
        // A command that says nothing but its name needs no body.
        if json.is_empty() {
            return Ok((self.read(name, b"null")?, canonical(b"null")));
        }
        if !is_json {
            let said = "send the command as JSON, with the content type application/json";
            return Err(Problem::of_code("unsupported_media_type", said).into());
        }
        Ok((self.read(name, &json)?, canonical(&json)))
    }

    /// The body, within its limits.
    async fn body(&self, request: Request) -> Result<Bytes, Refused> {
        use FailedToBufferBody::LengthLimitError;
        let (most, longest) = (self.options.body_bytes_max, self.options.body_time_max);
        let (code, said) = match timeout(longest, Bytes::from_request(request, &())).await {
            Ok(Ok(bytes)) => return Ok(bytes),
            Ok(Err(BytesRejection::FailedToBufferBody(LengthLimitError(_)))) => (
                "body_too_large",
                format!("the body has more than {most} bytes"),
            ),
            Ok(Err(_)) => (
                "body_cut_short",
                "the body was not sent to its end; send it again".to_owned(),
            ),
            Err(_) => (
                "body_too_slow",
                format!("the body was not there within {longest:?}; send it again"),
            ),
        };
        let mut problem = Problem::of_code(code, said);
        problem.retry_helps = code != "body_too_large";
        Err(problem.into())
    }

    fn read(&self, name: &str, json: &[u8]) -> Result<AnyCommand, Refused> {
        let command = self.domain.decode(name, json);
        command.map_err(|error| failed(error.code(), &error, Problem::from(&error)).into())
    }
}

/// The JSON of a body however it was written: without spaces, its names in order. Of today's
/// command nothing is in it, so that tomorrow's does not make another request of it.
fn canonical(json: &[u8]) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                out.push('{');
                for (name, value) in fields {
                    out.push_str(&Value::from(name.as_str()).to_string());
                    out.push(':');
                    write(value, out);
                    out.push(',');
                }
                out.push('}');
            }
            Value::Array(values) => {
                out.push('[');
                for value in values {
                    write(value, out);
                    out.push(',');
                }
                out.push(']');
            }
            plain => out.push_str(&plain.to_string()),
        }
    }
    let mut out = String::new();
    match serde_json::from_slice(json) {
        Ok(value) => write(&value, &mut out),
        // Too deep to be put in order.
        Err(_) => out.push_str(&String::from_utf8_lossy(json)),
    }
    out
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
