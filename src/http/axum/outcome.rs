//! What came of a command, as an answer.

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::RouteOptions;
use super::answer::{Answer, Answered, failed};
use crate::conflict::{UnseenEvents, VersionConflict};
use crate::domain::{AnyDispatchError, AnyEvent, AnyOutcome};
use crate::http::{Expecting, Problem};
use crate::ids::StreamId;
use crate::store::{Store, StreamInfo};
use crate::version::{ExpectedVersion, Position, Version};

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

/// What is answered of an outcome; `before` is the stream as it was looked at before, `path`
/// where its aggregate is looked at.
pub(super) fn done(
    store: &Store,
    outcome: &AnyOutcome,
    before: &StreamInfo,
    path: Option<String>,
) -> Answered {
    let is_new = match outcome.first_version {
        Some(first) if first == Version::ZERO.next() => true,
        // It was deleted, and nobody else has made it again.
        Some(first) => before.first_version.is_none() && first == before.version.next(),
        None => false,
    };
    let AnyOutcome {
        stream,
        version,
        generation,
        last_event,
        ..
    } = outcome;
    let token = store.token_at(stream, *version, *generation, *last_event);
    let answer = Answer::json(&Done {
        stream,
        version: *version,
        position: outcome.position,
        events: &outcome.events,
        state: &outcome.state,
    })?;
    let answer = answer.with_token(token);
    Ok(match (is_new, path) {
        (false, _) => answer,
        (true, None) => answer.with_status(StatusCode::CREATED),
        (true, Some(path)) => answer.with_status(StatusCode::CREATED).with_location(path),
    })
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
    let info = match &error.stream {
        Some(stream) if is_stale.contains(&problem.status) => store.stream_info(stream).await.ok(),
        _ => None,
    };
    let Some(info) = info else {
        return problem;
    };
    let problem = problem.with_current(store.token(&info));
    match (problem.status, &problem.conflict) {
        (StatusCode::PRECONDITION_FAILED, None) => problem.with_conflict(unmet(&info, expecting)),
        _ => problem,
    }
}

/// The conflict of a precondition that was not met before anything was decided.
fn unmet(info: &StreamInfo, expecting: &Expecting) -> crate::conflict::ConflictReport {
    let conflict = VersionConflict {
        stream: info.stream.clone(),
        expected: match expecting {
            Expecting::Absent => ExpectedVersion::NoStream,
            Expecting::Nothing | Expecting::Token(_) => ExpectedVersion::StreamExists,
        },
        actual: info.version,
        expected_generation: None,
        generation: info.generation,
        state: info.state,
        unseen: UnseenEvents::default(),
    };
    conflict.report()
}
