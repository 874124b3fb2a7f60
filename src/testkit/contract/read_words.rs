//! The words that reads are written in.

use super::case::{Case, Feed, Read, Step, StreamList};
use crate::store::Direction;

pub(super) fn read(stream: &str) -> Read {
    Read {
        stream: Some(stream.into()),
        ..Read::default()
    }
}

pub(super) fn read_all() -> Read {
    Read::default()
}

impl Read {
    pub(super) const fn from(mut self, number: u64) -> Self {
        self.from = Some(number);
        self
    }

    pub(super) const fn to(mut self, number: u64) -> Self {
        self.to = Some(number);
        self
    }

    pub(super) const fn backwards(mut self) -> Self {
        self.direction = Direction::Backwards;
        self
    }

    pub(super) const fn limit(mut self, events: u64) -> Self {
        self.limit = Some(events);
        self
    }
}

/// What is said of both: which part of the events, and the size of a page.
macro_rules! filtered {
    ($read:ident) => {
        impl $read {
            pub(super) fn of_type(mut self, event_type: &str) -> Self {
                self.types.push(event_type.into());
                self
            }

            pub(super) fn category(mut self, category: &str) -> Self {
                self.categories.push(category.into());
                self
            }

            pub(super) fn prefix(mut self, prefix: &str) -> Self {
                self.prefixes.push(prefix.into());
                self
            }

            pub(super) const fn pages_of(mut self, items_max: u32) -> Self {
                self.bounds.events_max = items_max;
                self
            }

            pub(super) const fn page_bytes(mut self, bytes_max: usize) -> Self {
                self.bounds.bytes_max = bytes_max;
                self
            }

            pub(super) const fn scanning(mut self, scan_max: u32) -> Self {
                self.bounds.scan_max = scan_max;
                self
            }
        }
    };
}

filtered!(Read);
filtered!(Feed);

pub(super) fn feed() -> Feed {
    Feed::default()
}

impl Feed {
    pub(super) const fn after(mut self, position: u64) -> Self {
        self.after = position;
        self
    }
}

impl Case {
    pub(super) fn feeds(mut self, feed: Feed, items: &[&str]) -> Self {
        let items = items.iter().copied().map(String::from).collect();
        self.steps.push(Step::Feed { feed, items });
        self
    }

    /// The step before is taken while followers wait, who must be woken for these.
    pub(super) fn followed(mut self, items: &[&str]) -> Self {
        let items = items.iter().copied().map(String::from).collect();
        if let Some(step) = self.steps.pop().map(Box::new) {
            self.steps.push(Step::Follow { step, items });
        }
        self
    }
}

pub(super) fn list() -> StreamList {
    StreamList::default()
}

impl StreamList {
    pub(super) fn category(mut self, category: &str) -> Self {
        self.category = Some(category.into());
        self
    }

    pub(super) fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    pub(super) fn after(mut self, stream: &str) -> Self {
        self.after = Some(stream.into());
        self
    }

    pub(super) const fn limit(mut self, streams: u64) -> Self {
        self.limit = Some(streams);
        self
    }
}
