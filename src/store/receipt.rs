//! What a commit is answered when it has landed.

use serde::{Deserialize, Serialize};

use crate::ids::StreamId;
use crate::version::{Position, Version};

/// What a commit wrote. It describes the events that were sent, and stays the
/// same for ever: receipts of the same commit are equal but for `replayed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// For each stream that events were sent for, in the commit's order, what
    /// they became. A commit without any events lists the checked streams.
    pub appends: Vec<AppendReceipt>,
    /// The largest position among the events; none where no events were sent.
    pub position: Option<Position>,
    /// Whether the events were stored before, so that nothing was written now.
    pub replayed: bool,
}

/// What a commit wrote to one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendReceipt {
    /// The stream.
    pub stream: StreamId,
    /// The version of the first event sent; none where none was sent.
    pub first: Option<Version>,
    /// The version of the last event sent; the current version where none was sent.
    pub last: Version,
}

impl Receipt {
    /// The version of the last event in the first stream that events were sent for:
    /// what the next append there expects.
    #[must_use]
    pub fn version(&self) -> Version {
        self.appends
            .first()
            .map_or(Version::ZERO, |append| append.last)
    }
}
