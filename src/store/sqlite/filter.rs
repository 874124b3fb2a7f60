//! What a read leaves out, in the numbers that rows hold, so that a row that is not
//! wanted is not decoded.

use rusqlite::Connection;

use super::fault::fault;
use super::names::{category_number, type_number};
use crate::ids::{EventType, StreamId};
use crate::store::backend::Filter;
use crate::store::error::StoreError;

/// A filter in the numbers that rows hold. None: everything is wanted.
pub(super) struct Wanted<'a> {
    categories: Option<Vec<i64>>,
    types: Option<Vec<i64>>,
    prefixes: &'a [String],
}

impl<'a> Wanted<'a> {
    pub(super) fn types(conn: &Connection, types: &[EventType]) -> Result<Self, StoreError> {
        Ok(Self {
            categories: None,
            types: numbered(types, |name| type_number(conn, name.as_str()))?,
            prefixes: &[],
        })
    }

    pub(super) fn filter(conn: &Connection, filter: &'a Filter) -> Result<Self, StoreError> {
        Ok(Self {
            categories: numbered(&filter.categories, |name| category_number(conn, name))?,
            prefixes: &filter.stream_prefixes,
            ..Self::types(conn, &filter.types)?
        })
    }

    pub(super) fn wants_type(&self, number: i64) -> bool {
        self.types
            .as_ref()
            .is_none_or(|types| types.contains(&number))
    }

    pub(super) fn wants_category(&self, number: i64) -> bool {
        self.categories
            .as_ref()
            .is_none_or(|categories| categories.contains(&number))
    }

    pub(super) fn wants_stream(&self, stream: &StreamId) -> bool {
        let mut prefixes = self.prefixes.iter();
        self.prefixes.is_empty() || prefixes.any(|prefix| stream.as_str().starts_with(prefix))
    }
}

/// The numbers of names; a name that was never stored has none, and no row has it.
fn numbered<T>(
    names: &[T],
    number: impl Fn(&T) -> rusqlite::Result<Option<i64>>,
) -> Result<Option<Vec<i64>>, StoreError> {
    if names.is_empty() {
        return Ok(None);
    }
    let numbers = names.iter().filter_map(|name| number(name).transpose());
    let numbers: Result<_, _> = numbers.collect();
    numbers.map(Some).map_err(|error| fault(error, "reading"))
}
