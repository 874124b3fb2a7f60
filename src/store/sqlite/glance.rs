//! A glance at where a stream stands, on the caller's own thread.
//!
//! A command that finds nothing to do on a state that is kept has only to know that nothing has
//! come since. To ask a thread takes several times as long as to look: a few pages, which are
//! in memory where the stream was in use. So a glance waits for nobody; where it would have to,
//! or finds something amiss, it tells nothing, and a reader is asked.

use std::sync::{Arc, Mutex, PoisonError};

use super::inlet::Here;
use super::reader::Reader;
use crate::ids::StreamId;
use crate::version::{Generation, Version};

/// A connection for glances, until the store is closed.
pub(super) struct Glance {
    /// With what keeps the writer from closing the file first.
    reader: Mutex<Option<(Reader, Arc<Here>)>>,
}

impl Glance {
    pub(super) fn new(reader: Reader, here: Option<Arc<Here>>) -> Self {
        Self {
            reader: Mutex::new(here.map(|here| (reader, here))),
        }
    }

    /// Whether a stream stands there, as of now.
    pub(super) fn stands_at(
        &self,
        stream: &StreamId,
        version: Version,
        generation: Generation,
    ) -> Option<bool> {
        let mut reader = self.reader.try_lock().ok()?;
        let (reader, _) = reader.as_mut()?;
        let facts = reader.facts(stream).ok()?;
        Some((facts.version, facts.generation) == (version, generation))
    }

    pub(super) fn close(&self) {
        let reader = self.reader.lock();
        drop(reader.unwrap_or_else(PoisonError::into_inner).take());
    }
}
