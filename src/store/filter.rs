//! Which of all events a read over every stream answers. Every backend asks here, so
//! that all of them leave out the same.

use std::sync::Arc;

use crate::ids::{EventType, StreamId};

/// Which events a read over all streams answers: those that are of any of the
/// categories, and in any of the streams that begin with a prefix, and of any of
/// the types. An empty list leaves its condition out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Categories of streams.
    pub categories: Arc<[String]>,
    /// Beginnings of stream ids.
    pub stream_prefixes: Arc<[String]>,
    /// Event types.
    pub types: Arc<[EventType]>,
}

impl Filter {
    /// Streams of one category.
    #[must_use]
    pub fn category(category: impl Into<String>) -> Self {
        Self::default().or_category(category)
    }

    /// Takes streams of this category, too.
    #[must_use]
    pub fn or_category(mut self, category: impl Into<String>) -> Self {
        self.add_category(category.into());
        self
    }

    /// Takes streams that begin so, too.
    #[must_use]
    pub fn or_stream_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.add_stream_prefix(prefix.into());
        self
    }

    /// Takes events of this type, too; before it is first called, of every type.
    #[must_use]
    pub fn of_type(mut self, event_type: EventType) -> Self {
        self.add_type(event_type);
        self
    }

    /// Whether it lets everything through.
    #[cfg(feature = "sqlite")]
    pub(crate) fn is_empty(&self) -> bool {
        self.categories.is_empty() && self.stream_prefixes.is_empty() && self.types.is_empty()
    }

    /// Whether it lets an event of this stream and type through.
    pub(crate) fn passes(&self, stream: &StreamId, event_type: &EventType) -> bool {
        self.passes_stream(stream) && is_wanted(&self.types, event_type)
    }

    /// Whether it lets something of this stream through, such as a removal, which is of
    /// no type.
    pub(crate) fn passes_stream(&self, stream: &StreamId) -> bool {
        let is_any = |list: &[String], is: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|item| is(item))
        };
        is_any(&self.categories, &|category| category == stream.category())
            && is_any(&self.stream_prefixes, &|prefix| {
                stream.as_str().starts_with(prefix)
            })
    }

    /// Takes streams of this category, too.
    pub(crate) fn add_category(&mut self, category: String) {
        self.categories = with(&self.categories, category);
    }

    /// Takes streams that begin so, too.
    pub(crate) fn add_stream_prefix(&mut self, prefix: String) {
        self.stream_prefixes = with(&self.stream_prefixes, prefix);
    }

    /// Takes events of this type, too.
    pub(crate) fn add_type(&mut self, event_type: EventType) {
        self.types = with(&self.types, event_type);
    }
}

/// Whether a type is among those asked for; none asked for is all.
pub(crate) fn is_wanted(types: &[EventType], event_type: &EventType) -> bool {
    types.is_empty() || types.contains(event_type)
}

/// A list, and one more.
pub(crate) fn with<T: Clone>(list: &[T], one: T) -> Arc<[T]> {
    list.iter().cloned().chain([one]).collect()
}
