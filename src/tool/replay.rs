//! `annalist replay FILE STREAM`: the state that a domain folds of a stream, or its events
//! where the domain knows no such aggregates.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Answer, plain, pretty};
use super::event::{Shown, time};
use super::show::{find, word};
use super::{Failure, next};
use crate::domain::{AnyLoaded, Domain, DomainError};
use crate::ids::{EventId, StreamId};
use crate::repository::LoadError;
use crate::store::{Store, StreamInfo};
use crate::version::{Generation, Position, Version};

/// How far a stream is replayed.
#[derive(Clone, Copy)]
pub(super) enum Until {
    Now,
    At(Version),
    AsOf(DateTime<Utc>),
}

impl Until {
    pub(super) fn of(at: Option<u64>, as_of: Option<DateTime<Utc>>) -> Self {
        match (at, as_of) {
            (Some(version), _) => Self::At(Version::new(version)),
            (None, Some(time)) => Self::AsOf(time),
            (None, None) => Self::Now,
        }
    }
}

/// A state, and of when it is.
#[derive(Serialize)]
struct Replayed {
    stream: StreamId,
    version: Version,
    generation: Generation,
    position: Option<Position>,
    recorded_at: Option<String>,
    last_event: Option<EventId>,
    /// Where the events begin: those before were removed.
    first_version: Version,
    stream_version: Version,
    state: Value,
}

pub(super) async fn replay(
    domain: &Domain,
    store: &Store,
    stream: &str,
    until: Until,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let info = find(store, stream).await?;
    let first = first_version(&info, until)?;
    let stream = &info.stream;
    let loaded = match until {
        Until::Now => domain.load(store, stream).await,
        Until::At(version) => domain.load_at(store, stream, version).await,
        Until::AsOf(time) => domain.load_as_of(store, stream, time).await,
    };
    match loaded {
        Ok(loaded) if loaded.exists() => state(store, loaded, &info, first, answer).await,
        Ok(_) | Err(DomainError::Load(LoadError::Removed { .. })) => {
            Err(nothing(store, &info, until).await)
        }
        Err(unknown @ DomainError::UnknownCategory { .. }) => {
            events(store, &info, until, &unknown, answer).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The first version that can be read, if the version that is asked for can.
fn first_version(info: &StreamInfo, until: Until) -> Result<Version, Failure> {
    let StreamInfo {
        stream, version, ..
    } = info;
    let Some(first) = info.first_version else {
        let state = word(info.state);
        return Err(Failure::Told(format!(
            "no event of stream {stream} can be read: it is {state} at version {version}; replay a backup from before"
        )));
    };
    match until {
        Until::At(at) if at > *version => Err(Failure::Told(format!(
            "stream {stream} is only at version {version}, not at {at} yet; ask for {version} or less, or leave out --at"
        ))),
        Until::At(at) if at < first => Err(Failure::Told(format!(
            "the events of stream {stream} before version {first} were removed; ask for {first} or more, or replay a backup from before"
        ))),
        _ => Ok(first),
    }
}

async fn state(
    store: &Store,
    loaded: AnyLoaded,
    info: &StreamInfo,
    first: Version,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let last = match loaded.last_event {
        Some(last) => store.find_event(&loaded.stream, last).await?,
        None => None,
    };
    let replayed = Replayed {
        position: last.as_ref().map(|event| event.position),
        recorded_at: last.map(|event| time(event.recorded_at)),
        stream: loaded.stream,
        version: loaded.version,
        generation: loaded.generation,
        last_event: loaded.last_event,
        first_version: first,
        // It may have grown since it was looked at.
        stream_version: info.version.max(loaded.version),
        state: loaded.state,
    };
    answer.item(&replayed, text)?;
    Ok(())
}

fn text(replayed: &Replayed) -> String {
    let mut text = format!(
        "{} at version {} of {}",
        replayed.stream, replayed.version, replayed.stream_version
    );
    if let (Some(position), Some(recorded_at)) = (replayed.position, &replayed.recorded_at) {
        text += &format!(", position {position}, recorded at {recorded_at}");
    }
    let mut text = plain(&text);
    if replayed.first_version > Version::new(1) {
        let first = replayed.first_version;
        text += &format!("\nthe events before version {first} were removed");
    }
    text + "\n" + &pretty(&replayed.state)
}

async fn events(
    store: &Store,
    info: &StreamInfo,
    until: Until,
    why: &DomainError,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let mut read = store.read_stream(&info.stream);
    if let Until::At(version) = until {
        read = read.to(version);
    }
    let mut events = read.events();
    let mut last = None;
    while let Some(event) = next(&mut events).await {
        let event = event?;
        if matches!(until, Until::AsOf(time) if event.recorded_at > time) {
            break;
        }
        last = Some(event.version);
        answer.item(&Shown::from(event), Shown::in_stream)?;
    }
    let Some(last) = last else {
        return Err(nothing(store, info, until).await);
    };
    let version = info.version.max(last);
    let told = format!(
        "{} at version {last} of {version}; these are its events and not its state: {why}",
        info.stream
    );
    answer.remark(plain(&told))?;
    Ok(())
}

/// Why there is nothing to print of a stream that has events.
async fn nothing(store: &Store, info: &StreamInfo, until: Until) -> Failure {
    let stream = &info.stream;
    let first = match store.read_stream(stream).limit(1).collect().await {
        Ok(slice) => slice.events.into_iter().next(),
        Err(error) => return error.into(),
    };
    match (until, first) {
        (Until::AsOf(asked), Some(first)) => {
            let removed = match first.version > Version::new(1) {
                true => " that was not removed",
                false => "",
            };
            Failure::Told(format!(
                "stream {stream} has no event as of {}: the first{removed} is version {}, recorded at {}; ask for that time or later",
                time(asked),
                first.version,
                time(first.recorded_at)
            ))
        }
        _ => Failure::Told(format!(
            "events of stream {stream} were removed while it was read; replay it again"
        )),
    }
}
