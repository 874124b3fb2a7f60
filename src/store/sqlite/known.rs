//! What the writer knows of its file from one turn at writing to the next.
//!
//! All of it holds for one connection, with which it passes from hand to hand.

use hashlink::LruCache;
use rusqlite::Connection;

use super::append::KnownTypes;
use super::bell::News;
use super::guard::Guard;
use super::hooks::Hung;
use super::names::Names;
use super::options::SqliteOptions;
use super::streams::KnownStreams;
use super::transaction::Standing;
use crate::store::error::StoreError;

/// What is known of the file, and what is not to be forgotten.
pub(super) struct Known {
    pub(super) standing: Standing,
    pub(super) streams: KnownStreams,
    pub(super) types: KnownTypes,
    pub(super) names: Names,
    pub(super) hung: Hung,
    pub(super) news: News,
    /// A COMMIT failed and may come back after a crash: nothing more is written.
    pub(super) fenced: bool,
}

impl Known {
    /// Of a file that has just been opened; sets its hooks up.
    pub(super) fn new(
        conn: &Connection,
        guard: Guard,
        options: &SqliteOptions,
        news: News,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            standing: Standing::default(),
            streams: LruCache::new(options.streams_cached_max.max(1)),
            types: KnownTypes::new(),
            names: Names::new(),
            hung: Hung::new(conn, guard, options)?,
            news,
            fenced: false,
        })
    }
}
