//! `annalist streams FILE`

use serde::Serialize;

use super::answer::{Answer, plain};
use super::{Failure, next};
use crate::ids::StreamId;
use crate::store::Store;
use crate::version::{Generation, Position, StreamState, Version};

#[derive(Serialize)]
struct Listed {
    stream: StreamId,
    version: Version,
    generation: Generation,
    state: StreamState,
    last_position: Option<Position>,
}

pub(super) async fn streams(
    store: &Store,
    prefix: &str,
    limit: Option<u64>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let mut list = store.list_streams().prefix(prefix);
    if let Some(limit) = limit {
        list = list.limit(limit);
    }
    let mut streams = list.streams();
    while let Some(info) = next(&mut streams).await {
        let info = info?;
        let listed = Listed {
            stream: info.stream,
            version: info.version,
            generation: info.generation,
            state: info.state,
            last_position: info.last_position,
        };
        answer.item(&listed, line)?;
    }
    Ok(())
}

fn line(listed: &Listed) -> String {
    let state = match listed.state {
        StreamState::Live => String::new(),
        state => format!("  {}", format!("{state:?}").to_lowercase()),
    };
    plain(&format!("{:>8}  {}{state}", listed.version, listed.stream))
}
