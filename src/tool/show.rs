//! `annalist show FILE STREAM`

use super::answer::{Answer, plain};
use super::event::Shown;
use super::{Failure, next};
use crate::ids::StreamId;
use crate::store::{Store, StreamInfo};
use crate::version::StreamState;

pub(super) async fn show(
    store: &Store,
    stream: &str,
    backwards: bool,
    limit: Option<u64>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let info = find(store, stream).await?;
    let mut read = store.read_stream(&info.stream);
    if backwards {
        read = read.backwards();
    }
    if let Some(limit) = limit {
        read = read.limit(limit);
    }
    let mut events = read.events();
    while let Some(event) = next(&mut events).await {
        answer.item(&Shown::from(event?), Shown::in_stream)?;
    }
    answer.remark(format_args!(
        "{}: {} at version {}",
        plain(info.stream.as_str()),
        word(info.state),
        info.version
    ))?;
    Ok(())
}

/// A stream that was written, by its name.
pub(super) async fn find(store: &Store, stream: &str) -> Result<StreamInfo, Failure> {
    let stream: StreamId = stream
        .parse()
        .map_err(|error| Failure::Told(format!("{error}")))?;
    let info = store.stream_info(&stream).await?;
    match info.state {
        StreamState::NeverWritten => Err(Failure::Told(format!(
            "there is no stream {stream}; the command `streams` lists those that there are"
        ))),
        _ => Ok(info),
    }
}

/// What is told of a stream.
pub(super) fn word(state: StreamState) -> String {
    format!("{state:?}").to_lowercase()
}
