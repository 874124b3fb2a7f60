//! `annalist stats FILE`

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::answer::Answer;
use super::{Failure, next};
use crate::store::Store;
use crate::version::{Position, StreamState};

/// How much a store holds.
#[derive(Default, Serialize)]
struct Stats {
    head: Position,
    streams: u64,
    streams_deleted: u64,
    streams_closed: u64,
    events_appended: u64,
    longest_stream: u64,
    file_bytes: u64,
}

pub(super) async fn stats(
    store: &Store,
    file: &Path,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let mut stats = Stats {
        head: store.head().await?,
        file_bytes: fs::metadata(file)?.len(),
        ..Stats::default()
    };
    let mut streams = store.list_streams().streams();
    while let Some(info) = next(&mut streams).await {
        let info = info?;
        let version = info.version.get();
        stats.streams += 1;
        stats.events_appended += version;
        stats.longest_stream = stats.longest_stream.max(version);
        match info.state {
            StreamState::Deleted => stats.streams_deleted += 1,
            StreamState::Closed => stats.streams_closed += 1,
            StreamState::Live | StreamState::NeverWritten => {}
        }
    }
    answer.item(&stats, |stats| {
        format!(
            "events appended  {}\nhead             {}\nstreams          {} ({} deleted, {} closed)\nlongest stream   {}\nfile             {} bytes",
            stats.events_appended,
            stats.head,
            stats.streams,
            stats.streams_deleted,
            stats.streams_closed,
            stats.longest_stream,
            stats.file_bytes
        )
    })?;
    Ok(())
}
