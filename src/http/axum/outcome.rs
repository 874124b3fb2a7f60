//! What came of a command, as an answer: of what took effect the same for ever, so that
//! nothing is told here but what can be found again.

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::RouteOptions;
use super::answer::{Answer, failed};
use crate::domain::{AnyDispatchError, AnyEvent, AnyOutcome};
use crate::http::{Expecting, Problem};
use crate::ids::StreamId;
use crate::store::{Store, StreamInfo};
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

/// What is answered of an outcome; `path` is where its aggregate is looked at.
pub(super) async fn done(store: &Store, outcome: &AnyOutcome, path: Option<String>) -> Answer {
    let AnyOutcome {
        stream,
        version,
        events,
        ..
    } = outcome;
    let info = store.stream_info(stream).await.ok();
    let first = Version::new(version.get() + 1 - events.len() as u64);
    let begins = info.as_ref().and_then(|info| info.first_version) == Some(first);
    let is_new = !events.is_empty() && (begins || first == Version::new(1));
    let answer = Answer::json(&Done {
        stream,
        version: *version,
        position: outcome.position,
        events,
        state: &outcome.state,
    });
    Answer {
        status: match is_new {
            true => StatusCode::CREATED,
            false => StatusCode::OK,
        },
        location: path.filter(|_| is_new),
        token: match info {
            Some(info) => token_then(store, &info, *version).await,
            None => None,
        },
        ..answer
    }
}

/// The token of a stream at a version, as far as it can still be told.
async fn token_then(store: &Store, info: &StreamInfo, then: Version) -> Option<VersionToken> {
    if info.version == then {
        return store.token(info);
    }
    let read = store.read_stream(&info.stream).from(then).limit(1);
    let read = read.collect().await.ok()?;
    let last = read.events.first().filter(|event| event.version == then)?;
    store.token_at(&info.stream, then, read.generation, Some(last.id))
}

/// What is answered where there is none.
pub(super) async fn refused(
    store: &Store,
    options: &RouteOptions,
    error: &AnyDispatchError,
    expecting: &Expecting,
) -> Problem {
    let problem = Problem::of_dispatch(error, &options.statuses).under(expecting);
    let problem = failed(&error.code, error, problem);
    // What is there now is told where looking at it is the next thing to do.
    let is_stale = [StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED];
    match &error.stream {
        Some(stream) if is_stale.contains(&problem.status) => {
            let info = store.stream_info(stream).await.ok();
            problem.with_current(info.and_then(|info| store.token(&info)))
        }
        _ => problem,
    }
}
