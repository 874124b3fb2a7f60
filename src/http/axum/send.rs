//! Sending a command: its name from the path, itself from the body. What becomes of it is
//! said in `conditions`.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::extract::{FromRequest, OriginalUri, Path, Request, State};
use http::HeaderMap;
use http::Uri;
use http::header::CONTENT_TYPE;
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
    let sent = Sent {
        key,
        command: routes.decode(&name, request).await?,
        is_created: false,
        based_on,
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
    let command = routes.decode(&name, request).await?;
    conditions
        .create(&routes.bus, &routes.options, command)
        .await
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

    async fn decode(&self, name: &str, request: Request) -> Result<AnyCommand, Refused> {
        let is_json = is_json(request.headers());
        let json = self.body(request).await?;
        // A command that says nothing but its name needs no body.
        if json.is_empty() {
            return self.read(name, b"null");
        }
        if !is_json {
            let said = "send the command as JSON, with the content type application/json";
            return Err(Problem::of_code("unsupported_media_type", said).into());
        }
        self.read(name, &json)
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
        Err(Problem::of_code(code, said).into())
    }

    fn read(&self, name: &str, json: &[u8]) -> Result<AnyCommand, Refused> {
        let command = self.domain.decode(name, json);
        command.map_err(|error| failed(error.code(), &error, Problem::from(&error)).into())
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
