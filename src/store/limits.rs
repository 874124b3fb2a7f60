//! How large the parts of a commit may be.
//!
//! The handle checks every commit against these before a backend sees it.

use crate::ids::StreamId;

/// What a store takes at most. Sizes are in bytes of UTF-8.
///
/// ```
/// let mut limits = annalist::Limits::default();
/// limits.payload_bytes_max = 64 * 1024;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a stream id. Default 512.
    pub stream_id_bytes_max: usize,
    /// Bytes of an event type. Default 256.
    pub event_type_bytes_max: usize,
    /// Bytes of one event's payload. Default 1 MiB.
    pub payload_bytes_max: usize,
    /// Bytes of one event's metadata, as JSON. Default 64 KiB.
    pub metadata_bytes_max: usize,
    /// Events of one commit, over all its streams. Default 10,000.
    pub commit_events_max: usize,
    /// Bytes of one commit's payloads and metadata together. Default 16 MiB.
    pub commit_bytes_max: usize,
    /// Streams that one commit appends to or checks. Default 10,000.
    pub commit_streams_max: usize,
}

impl Limits {
    /// Bytes of a commit key. Not an option: a command is recognised by its key
    /// for ever, also by a store that is opened with other limits.
    pub const COMMIT_KEY_BYTES_MAX: usize = 255;

    /// Leases that one commit is fenced by.
    pub const COMMIT_FENCES_MAX: usize = 100;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stream_id_bytes_max: 512,
            event_type_bytes_max: 256,
            payload_bytes_max: 1024 * 1024,
            metadata_bytes_max: 64 * 1024,
            commit_events_max: 10_000,
            commit_bytes_max: 16 * 1024 * 1024,
            commit_streams_max: 10_000,
        }
    }
}

/// A part of a commit that is larger than the store takes. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {value} is more than the limit {limit} of {max}")]
#[non_exhaustive]
pub struct LimitExceeded {
    /// The limit's name, as in [`Limits`].
    pub limit: &'static str,
    /// What it allows.
    pub max: usize,
    /// What was sent.
    pub value: usize,
    /// Where in the commit.
    pub place: String,
}

/// Refuses a value beyond its limit.
pub(super) fn check(
    limit: &'static str,
    max: usize,
    value: usize,
    place: impl FnOnce() -> String,
) -> Result<(), LimitExceeded> {
    if value <= max {
        return Ok(());
    }
    Err(LimitExceeded {
        limit,
        max,
        value,
        place: place(),
    })
}

/// Refuses a stream id beyond its limit.
pub(super) fn check_stream(stream: &StreamId, limits: &Limits) -> Result<(), LimitExceeded> {
    let bytes = stream.as_str().len();
    check(
        "stream_id_bytes_max",
        limits.stream_id_bytes_max,
        bytes,
        || {
            let shown: String = stream.as_str().chars().take(40).collect();
            format!("bytes of the stream id that begins {shown:?}")
        },
    )
}
