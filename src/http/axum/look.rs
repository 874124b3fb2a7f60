//! Looking at an aggregate: as it is, as it was, and what happened to it. Changes nothing.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::{OriginalUri, Path, Query, State};
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, Uri};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Answer, Answered, Refused, failed};
use super::{Shared, readable};
use crate::domain::{AnyLoaded, DomainError};
use crate::http::{Checked, Preconditions, Problem};
use crate::ids::{EventId, EventType, StreamId};
use crate::token::VersionToken;
use crate::version::{Position, StreamState, Version};

/// An aggregate.
#[derive(Serialize)]
struct One<'a> {
    stream: &'a StreamId,
    version: Version,
    state: &'a Value,
}

/// Some of what happened to one.
#[derive(Serialize)]
struct History<'a> {
    stream: &'a StreamId,
    /// Of the stream, not of the page.
    version: Version,
    events: Vec<Happened>,
    /// From where to ask for more, if there is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Version>,
}

#[derive(Serialize)]
struct Happened {
    version: Version,
    position: Position,
    id: EventId,
    recorded_at: DateTime<Utc>,
    event_type: EventType,
    payload: Value,
}

/// `GET /{key}`
pub(super) async fn one(
    State(routes): Shared,
    Path(key): Path<String>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
) -> Answered {
    let stream = routes.stream(&key)?;
    let mut query = Asked::of(&uri)?;
    let version = query.take::<u64>("version", "a number")?.map(Version::new);
    let time = query.take::<Time>("at", "a time such as 2026-11-01T12:00:00Z")?;
    query.nothing_else(&["version", "at"])?;

    let info = routes.info(&stream).await?;
    let store = routes.store();
    let domain = &routes.domain;
    let loaded = match (version, time) {
        (Some(_), Some(_)) => {
            return Err(invalid("ask for a version or for a time, not for both"));
        }
        (Some(version), None) => domain.load_at(store, &stream, version).await,
        (None, Some(Time(time))) => domain.load_as_of(store, &stream, time).await,
        (None, None) => {
            readable(&info)?;
            // Who has it already is told so without a load.
            if let Some(answer) = judged(&method, &headers, store.token(&info))? {
                return Ok(answer);
            }
            domain.load(store, &stream).await
        }
    };
    let loaded = loaded.map_err(told)?;
    if !loaded.exists() {
        let when = Problem::of_code("not_found", format!("{stream} is not there then"));
        return Err(readable(&info).err().unwrap_or_else(|| when.into()));
    }
    let AnyLoaded {
        version,
        generation,
        last_event,
        ref state,
        ..
    } = loaded;
    let token = store.token_at(&stream, version, generation, last_event);
    if let Some(answer) = judged(&method, &headers, token)? {
        return Ok(answer);
    }
    let stream = &stream;
    let one = One {
        stream,
        version,
        state,
    };
    Ok(Answer {
        token,
        ..Answer::json(&one)
    })
}

/// What the preconditions of a look come to, where it need not be taken.
fn judged(
    method: &Method,
    headers: &HeaderMap,
    current: Option<VersionToken>,
) -> Result<Option<Answer>, Refused> {
    let checked = Preconditions::Optional.check(method, headers, current);
    let checked = checked.map_err(|error| Problem::from(&error))?;
    if matches!(checked, Checked::NotModified) {
        return Ok(Some(Answer::not_modified(current)));
    }
    match Problem::of_checked(&checked) {
        Some(problem) => Err(problem.with_current(current).into()),
        None => Ok(None),
    }
}

/// `GET /{key}/history`
pub(super) async fn history(
    State(routes): Shared,
    Path((key, name)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
) -> Answered {
    if name != "history" {
        let said = "only the history can be looked at here; a command is sent by POST";
        return Err(Problem::of_code("not_found", said).into());
    }
    let stream = routes.stream(&key)?;
    let mut query = Asked::of(&uri)?;
    let from = query.take::<u64>("from", "a version")?.unwrap_or(1);
    let most = routes.options.history_events_max.max(1);
    let limit = query.take::<u64>("limit", "a number")?;
    query.nothing_else(&["from", "limit"])?;
    let limit = limit.unwrap_or(most).clamp(1, most);

    let info = routes.info(&stream).await?;
    if info.state != StreamState::Closed {
        readable(&info)?;
    }
    let page = routes.store().read_stream(&stream);
    let page = page.from(Version::new(from.max(1))).limit(limit);
    let page = page.collect().await;
    let page = page.map_err(|error| failed(&error, Problem::from(&error)))?;
    let mut events = Vec::with_capacity(page.events.len());
    for event in &page.events {
        for decoded in routes.domain.decode_event(event).map_err(told)? {
            events.push(Happened {
                version: event.version,
                position: event.position,
                id: event.id,
                recorded_at: event.recorded_at,
                event_type: decoded.event_type,
                payload: decoded.payload,
            });
        }
    }
    let last = page.events.last().map(|event| event.version);
    let next = last.filter(|last| *last < page.version).map(Version::next);
    Ok(Answer::json(&History {
        stream: &stream,
        version: page.version,
        events,
        next,
    }))
}

fn told(error: DomainError) -> Refused {
    failed(&error, Problem::from(&error)).into()
}

fn invalid(said: impl Into<String>) -> Refused {
    Problem::of_code("invalid_query", said).into()
}

/// A time as in RFC 3339. A `+` that was not escaped has become a space on its way.
struct Time(DateTime<Utc>);

impl FromStr for Time {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = DateTime::parse_from_rfc3339(text);
        let time = time.or_else(|_| DateTime::parse_from_rfc3339(&text.replace(' ', "+")))?;
        Ok(Self(time.to_utc()))
    }
}

/// What a query asks for. A name that is not known is refused: what is asked for by a name
/// that is misspelt would otherwise be left out in silence.
struct Asked(BTreeMap<String, String>);

impl Asked {
    fn of(uri: &Uri) -> Result<Self, Refused> {
        match Query::try_from_uri(uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(_) => Err(invalid("the query cannot be read")),
        }
    }

    fn take<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, Refused> {
        let read = |text: String| text.parse::<T>();
        match self.0.remove(name).map(read).transpose() {
            Ok(value) => Ok(value),
            Err(_) => Err(invalid(format!("`{name}` is not {what}"))),
        }
    }

    fn nothing_else(&self, known: &[&str]) -> Result<(), Refused> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(invalid(format!(
                "`{name}` is not known here, only {}",
                known.join(" and ")
            ))),
        }
    }
}
