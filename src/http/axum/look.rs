//! Looking at an aggregate: as it is, as it was, and what happened to it. Changes nothing.

use axum::extract::rejection::PathRejection;
use axum::extract::{OriginalUri, Path, State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Answer, Answered, Refused, failed};
use super::conditions::Conditions;
use super::query::{Asked, Time, invalid, parts};
use super::{Shared, readable};
use crate::domain::{AnyLoaded, DomainError};
use crate::http::Problem;
use crate::ids::{EventId, EventType, StreamId};
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
    path: Result<Path<String>, PathRejection>,
    OriginalUri(uri): OriginalUri,
    conditions: Conditions,
) -> Answered {
    let stream = routes.stream(&parts(path)?)?;
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
            if let Some(answer) = conditions.known(store.token(&info))? {
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
    let one = One {
        stream: &stream,
        version,
        state,
    };
    conditions.show(token, &one)
}

/// `GET /{key}/history`
pub(super) async fn history(
    State(routes): Shared,
    path: Result<Path<(String, String)>, PathRejection>,
    OriginalUri(uri): OriginalUri,
) -> Answered {
    let (key, name) = parts(path)?;
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
    let page = page.map_err(|error| failed(error.code(), &error, Problem::from(&error)))?;
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
    Answer::json(&History {
        stream: &stream,
        version: page.version,
        events,
        next,
    })
}

fn told(error: DomainError) -> Refused {
    failed(error.code(), &error, Problem::from(&error)).into()
}
