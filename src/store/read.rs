//! Reads as streams: bounded, paged, and only as fast as they are polled.
//!
//! A reader builds a [`ReadStream`], [`ReadAll`] or [`ListStreams`], then takes
//! pages or single items from it. The next page is fetched while one is worked on,
//! and no further, so a slow reader holds two pages and no transaction.
//!
//! A read ends where the store ended when its first page was read; what is
//! appended later is left to the next read. Dropping a read at any point is safe.

use std::any::Any;
use std::sync::Arc;

use crate::event::RecordedEvent;
use crate::ids::{EventType, StreamId};
use crate::store::backend::{AllQuery, Backend, FoldQuery, ListQuery, StreamInfo, StreamQuery};
use crate::store::commit::Fingerprint;
use crate::store::error::StoreError;
use crate::store::filter::{Filter, with};
use crate::store::fold::StreamFold;
use crate::store::scan::{self, Direction, PageBounds};
use crate::version::{Generation, Position, Version};

pub use self::pages::{Items, Paged, Pages};
use self::pages::{Read, collect, next};

mod pages;

/// A read of one stream, made by [`Store::read_stream`](crate::Store::read_stream).
///
/// ```
/// # use annalist::{ExpectedVersion, NewEvent, Store, Version};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = Store::memory();
/// let account = "account-42".parse()?;
/// # let event = NewEvent::json("Deposited", &1)?;
/// # store.append(&account, ExpectedVersion::Any, [event]).await?;
/// let last_ten = store.read_stream(&account).backwards().limit(10).collect().await?;
/// assert_eq!(last_ten.version, Version::new(1));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is read until pages, events or collect is called"]
pub struct ReadStream {
    read: Read<StreamQuery>,
}

/// A read over all streams in the order of positions, made by
/// [`Store::read_all`](crate::Store::read_all).
///
/// ```
/// # use annalist::{ExpectedVersion, NewEvent, Store};
/// # use futures_util::StreamExt;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = Store::memory();
/// # let event = NewEvent::json("Deposited", &1)?;
/// # store.append(&"account-42".parse()?, ExpectedVersion::Any, [event]).await?;
/// let mut deposits = store.read_all().category("account").event_type("Deposited".parse()?).events();
/// while let Some(event) = deposits.next().await {
///     let event = event?;
///     println!("{} {} {}", event.position, event.stream, event.payload.as_str());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is read until pages, events or collect is called"]
pub struct ReadAll {
    read: Read<AllQuery>,
}

/// The list of streams in the order of their names, made by
/// [`Store::list_streams`](crate::Store::list_streams).
#[derive(Clone, Debug)]
#[must_use = "nothing is read until pages, streams or collect is called"]
pub struct ListStreams {
    read: Read<ListQuery>,
}

/// A whole read of one stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamSlice {
    /// The events, in the direction asked for.
    pub events: Vec<RecordedEvent>,
    /// The stream's version when the read began, whatever it was asked for: what
    /// the next append expects.
    pub version: Version,
    /// The stream's generation when the read began.
    pub generation: Generation,
}

/// A whole read of one stream that was folded.
pub(crate) struct Folded<F> {
    pub(crate) fold: F,
    /// The stream's version when the read began.
    pub(crate) version: Version,
    pub(crate) generation: Generation,
}

/// The options that both reads of events have.
macro_rules! shared_options {
    ($read:ident, $query:ident, $number:ident) => {
        impl $read {
            /// Leaves out what stands before this number. In both directions.
            pub fn from(mut self, from: $number) -> Self {
                self.read.query.scan.from = from;
                self
            }

            /// Leaves out what stands after this number. In both directions.
            pub fn to(mut self, to: $number) -> Self {
                self.read.query.scan.to = to;
                self
            }

            /// Begins with the last event instead of the first.
            pub fn backwards(mut self) -> Self {
                self.read.query.scan.direction = Direction::Backwards;
                self
            }

            /// Ends after so many events.
            pub fn limit(mut self, events: u64) -> Self {
                self.read.remaining = Some(events);
                self
            }

            /// Sets how much one page may hold and cost.
            pub fn page_bounds(mut self, bounds: PageBounds) -> Self {
                self.read.query.scan.bounds = bounds;
                self
            }

            /// The read, page by page.
            pub fn pages(self) -> Pages<$query> {
                Pages::new(self.read)
            }

            /// The read, event by event.
            pub fn events(self) -> Items<$query> {
                Items::new(self.pages())
            }
        }
    };
}

shared_options!(ReadStream, StreamQuery, Version);
shared_options!(ReadAll, AllQuery, Position);

impl ReadStream {
    pub(super) fn new(backend: Arc<dyn Backend>, stream: StreamId) -> Self {
        let query = StreamQuery {
            stream,
            scan: scan::over_all(),
            generation: None,
            types: Arc::default(),
        };
        let read = Read::new(backend, query);
        Self { read }
    }

    /// Takes only events of this type; called again, of that type too.
    pub fn event_type(mut self, event_type: EventType) -> Self {
        self.read.query.types = with(&self.read.query.types, event_type);
        self
    }

    /// The whole read in memory; give it a [`limit`](Self::limit) where the
    /// stream may be long.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a page cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn collect(self) -> Result<StreamSlice, StoreError> {
        let mut pages = self.pages();
        let mut slice: Option<StreamSlice> = None;
        while let Some(page) = next(&mut pages).await? {
            match &mut slice {
                Some(slice) => slice.events.extend(page.events),
                None => {
                    slice = Some(StreamSlice {
                        events: page.events,
                        version: page.version,
                        generation: page.generation,
                    });
                }
            }
        }
        Ok(slice.unwrap_or_else(|| unreachable!("a read always has a first page")))
    }

    /// Folds the read where it is read, page by page, forwards and without a limit; from a
    /// kept state on, where one is asked for and holds.
    pub(crate) async fn fold<F: StreamFold>(
        self,
        snapshot: Option<Fingerprint>,
        fold: F,
    ) -> Result<Folded<F>, StoreError> {
        let Read { backend, query, .. } = self.read;
        let mut query = FoldQuery {
            stream: query,
            snapshot,
        };
        let mut fold: Box<dyn StreamFold> = Box::new(fold);
        let mut version = None;
        loop {
            let page = backend.fold_stream(query.clone(), fold).await?;
            let version = *version.get_or_insert(page.version);
            let going_on = |next| scan::going_on(query.stream.scan, next, page.version);
            let Some(scan) = page.next.and_then(going_on) else {
                let fold: Box<dyn Any> = page.fold;
                let Ok(fold) = fold.downcast() else {
                    unreachable!("a backend hands back what it was given");
                };
                return Ok(Folded {
                    fold: *fold,
                    version,
                    generation: page.generation,
                });
            };
            fold = page.fold;
            query.stream.scan = scan;
            query.stream.generation = Some(page.generation);
            query.snapshot = None;
        }
    }
}

impl ReadAll {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        let query = AllQuery {
            scan: scan::over_all(),
            filter: Filter::default(),
        };
        let read = Read::new(backend, query);
        Self { read }
    }

    /// Leaves out everything up to and including this position: what a reader
    /// gives that goes on from its checkpoint.
    pub fn after(self, position: Position) -> Self {
        self.from(position.next())
    }

    /// Takes only streams of this category; called again, of that one too.
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.read.query.filter.add_category(category.into());
        self
    }

    /// Takes only streams that begin so; called again, those too.
    pub fn stream_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.read.query.filter.add_stream_prefix(prefix.into());
        self
    }

    /// Takes only events of this type; called again, of that type too.
    pub fn event_type(mut self, event_type: EventType) -> Self {
        self.read.query.filter.add_type(event_type);
        self
    }

    /// The whole read in memory; give it a [`limit`](Self::limit) where the store
    /// may be large.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a page cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn collect(self) -> Result<Vec<RecordedEvent>, StoreError> {
        collect(self.pages()).await
    }
}

impl ListStreams {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        let query = ListQuery {
            prefix: String::new(),
            after: None,
            streams_max: 512,
        };
        let read = Read::new(backend, query);
        Self { read }
    }

    /// Lists only the streams of this category.
    pub fn category(self, category: &str) -> Self {
        self.prefix(format!("{category}-"))
    }

    /// Lists only the streams that begin so, in place of what was asked before.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.read.query.prefix = prefix.into();
        self
    }

    /// Begins after this stream, in the order of names.
    pub fn after(mut self, stream: StreamId) -> Self {
        self.read.query.after = Some(stream);
        self
    }

    /// Ends after so many streams.
    pub fn limit(mut self, streams: u64) -> Self {
        self.read.remaining = Some(streams);
        self
    }

    /// The list, page by page.
    pub fn pages(self) -> Pages<ListQuery> {
        Pages::new(self.read)
    }

    /// The list, stream by stream.
    pub fn streams(self) -> Items<ListQuery> {
        Items::new(self.pages())
    }

    /// The whole list in memory; give it a [`limit`](Self::limit) where there may
    /// be many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a page cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn collect(self) -> Result<Vec<StreamInfo>, StoreError> {
        collect(self.pages()).await
    }
}
