//! What the application makes of the events, as the store runs it: code that fills tables
//! it has declared, item by item.
//!
//! Called within the transaction of a commit, or of a follower. It knows neither where the
//! items come from nor how far they have come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::future::BoxFuture;

use crate::caught::{Panicked, caught};
use crate::event::RecordedEvent;
use crate::ids::StreamId;
use crate::store::database::BoxError;
use crate::store::feed::FeedItem;
use crate::store::filter::Filter;
use crate::store::tables::{InvalidTables, Tables};
use crate::store::tx::{Rights, SqlValue, Tx};
use crate::version::Position;

/// The code of one read model.
pub(crate) trait Derived: Send + Sync + 'static {
    fn name(&self) -> &str;

    /// Raised when the code changes what it makes of the same events.
    fn version(&self) -> u32;

    /// The tables that it fills.
    fn tables(&self) -> Vec<String>;

    /// The events that it takes in.
    fn filter(&self) -> Filter;

    /// Makes its tables.
    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Takes in one event.
    fn apply<'a>(
        &'a self,
        event: &'a RecordedEvent,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Takes out all that came from one stream.
    fn forget<'a>(
        &'a self,
        stream: &'a StreamId,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, Result<Forgotten, BoxError>>;
}

/// What came of forgetting a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// Nothing of it is left in the tables. What is left of the stream is applied again.
    Done,
    /// The tables do not tell what came from where: make them anew.
    Rebuild,
}

/// A read model as the store runs it, made by
/// [`projection::inline`](crate::projection::inline).
#[derive(Clone)]
pub struct Derivation {
    pub(crate) name: Arc<str>,
    pub(crate) version: u32,
    declared: Arc<[String]>,
    filter: Filter,
    code: Arc<dyn Derived>,
}

/// Why some code cannot be a read model.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDerivation {
    /// Its name is not one.
    #[error(
        "{name:?} is no name for a projection: it is 1 to 100 bytes long and has no control characters"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Its tables cannot be.
    #[error("the projection {name} declares tables that cannot be")]
    Tables {
        /// The projection.
        name: String,
        /// Why not.
        source: InvalidTables,
    },
    /// It panicked when it was asked what it is.
    #[error("a projection panicked when it was asked what it is")]
    Panicked(#[source] Panicked),
}

impl Derivation {
    /// Asks the code what it is, once.
    pub(crate) fn new(code: Arc<dyn Derived>) -> Result<Self, InvalidDerivation> {
        let asked = caught(|| {
            let (name, tables) = (code.name().to_owned(), code.tables());
            (name, code.version(), tables, code.filter())
        });
        let (name, version, declared, filter) = asked.map_err(InvalidDerivation::Panicked)?;
        if name.is_empty() || name.len() > 100 || name.contains(char::is_control) {
            return Err(InvalidDerivation::Name { name });
        }
        if let Err(source) = Tables::new(declared.iter().cloned(), 1) {
            return Err(InvalidDerivation::Tables { name, source });
        }
        Ok(Self {
            name: name.into(),
            version,
            declared: declared.into(),
            filter,
            code,
        })
    }

    /// Its tables in one of its builds.
    pub(crate) fn tables(&self, build: u32) -> Result<Tables, InvalidTables> {
        Tables::new(self.declared.iter().cloned(), build)
    }

    /// What is told where a newer one has filled its tables.
    pub(crate) fn is_older_than(&self, newer: u32) -> String {
        format!(
            "its tables are of version {newer}, this is version {}; run the newer program",
            self.version
        )
    }

    pub(crate) fn declared(&self) -> &[String] {
        &self.declared
    }

    /// Whether these are its tables, in whatever order.
    pub(crate) fn declares(&self, tables: &[String]) -> bool {
        tables.len() == self.declared.len()
            && tables.iter().all(|table| self.declared.contains(table))
    }

    /// Whether it wants to hear of this.
    pub(crate) fn wants(&self, item: &FeedItem) -> bool {
        match item {
            FeedItem::Event(event) => self.filter.passes(&event.stream, &event.event_type),
            FeedItem::Removed(marker) => self.filter.passes_stream(&marker.stream),
        }
    }

    /// Whether it wants to hear of this event.
    pub(crate) fn wants_event(&self, event: &RecordedEvent) -> bool {
        self.filter.passes(&event.stream, &event.event_type)
    }

    /// Whether it wants to hear of anything that becomes of a stream.
    pub(crate) fn wants_stream(&self, stream: &StreamId) -> bool {
        self.filter.passes_stream(stream)
    }

    /// Makes the tables of a build.
    pub(crate) async fn set_up(&self, tables: &Tables, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        tx.act_as(Rights::SetUpTables(tables.clone()));
        let made = self.code.set_up(tx).await;
        tx.act_as(Rights::Ours);
        made?;
        for (declared, physical) in tables.pairs() {
            let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1";
            if tx.query(sql, &[physical.into()]).await?.is_empty() {
                let told = format!(
                    "set_up of the projection {} has not made the table {declared}, which it \
                     declares; make it there, or declare it no more",
                    self.name
                );
                return Err(told.into());
            }
            self.refuse_foreign_keys(tables, (declared, physical), tx)
                .await?;
        }
        Ok(())
    }

    /// A row that is referred to may not go: no key may keep the store, another one or the
    /// application from changing what is theirs, nor a build from being dropped.
    async fn refuse_foreign_keys(
        &self,
        tables: &Tables,
        (declared, physical): (&str, &str),
        tx: &mut Tx<'_>,
    ) -> Result<(), BoxError> {
        let sql = "SELECT \"table\" FROM pragma_foreign_key_list($1)";
        for key in tx.query(sql, &[physical.into()]).await? {
            let to = key
                .values()
                .first()
                .and_then(SqlValue::as_str)
                .unwrap_or_default();
            if !tables.owns(to) {
                let told = format!(
                    "set_up of the projection {} gives the table {declared} a foreign key to \
                     {to}, which it does not declare; leave the key out",
                    self.name
                );
                return Err(told.into());
            }
        }
        Ok(())
    }

    /// Takes in what comes, in its order. `at` tells which one it was at when it stopped.
    pub(crate) async fn take(
        &self,
        tables: &Tables,
        steps: &[Step<'_>],
        at: &At,
        tx: &mut Tx<'_>,
    ) -> Result<(), BoxError> {
        tx.act_as(Rights::WriteTables(tables.clone()));
        let taken = self.take_all(steps, at, tx).await;
        tx.act_as(Rights::Ours);
        taken
    }

    async fn take_all(&self, steps: &[Step<'_>], at: &At, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        for step in steps {
            match step {
                Step::Apply(event) => {
                    at.set(event.position);
                    self.code.apply(event, tx).await?;
                }
                Step::Forget(position, stream) => {
                    at.set(*position);
                    self.forget(stream, tx).await?;
                }
                Step::Again(event) => self.code.apply(event, tx).await?,
            }
        }
        Ok(())
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        match self.code.forget(stream, tx).await? {
            Forgotten::Done => Ok(()),
            Forgotten::Rebuild => Err(Box::new(NeedsRebuild)),
        }
    }
}

/// One thing to take in.
pub(crate) enum Step<'a> {
    Apply(&'a RecordedEvent),
    /// Events of this stream were removed, as is told at this position.
    Forget(Position, &'a StreamId),
    /// An event that is left of such a stream.
    Again(&'a RecordedEvent),
}

/// The tables do not tell what came from a stream of which events were removed.
#[derive(Debug, thiserror::Error)]
#[error(
    "events were removed, and the projection does not say how to forget them; implement its \
     `forget`, or let it follow, which rebuilds it, in place of filling it inline"
)]
pub(crate) struct NeedsRebuild;

/// The position that code was at, told also when it panics.
#[derive(Debug, Default)]
pub(crate) struct At(AtomicU64);

impl At {
    fn set(&self, position: Position) {
        self.0.store(position.get(), Ordering::Relaxed);
    }

    /// None if it had not begun.
    pub(crate) fn get(&self) -> Option<Position> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            position => Some(Position::new(position)),
        }
    }
}

impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derivation")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
