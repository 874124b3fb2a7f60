//! Read models that the writer fills, in the transactions of the commits.
//!
//! They are recorded in the file, each with how far it has come: whoever writes without one
//! of them would leave it behind in silence, and is refused. One that is behind, or new,
//! catches up before anything is appended.

mod catch_up;

use rusqlite::{Connection, params};

use super::code::{Failed, UserCode};
use super::fault::{Failure, corrupt, fault};
use super::names::{Names, stream_row};
use super::options::SqliteOptions;
use super::removals;
use super::row::{COLUMNS, Fields, stored, version};
use super::statements::query;
use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::checkpoint::Checkpoint;
use crate::store::database::{BoxError, QueryError};
use crate::store::derived::{At, Derivation, Step};
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::followers::{Build, READ_ALL};
use crate::store::removal::Removed;
use crate::store::tables::Tables;
use crate::store::tx::{Ask, Rights, Tx};
use crate::version::{Position, Version};

/// The read models of a store that its writer fills.
pub(super) struct Inline {
    models: Vec<Model>,
    /// Whether hooks have run before them.
    after_hooks: bool,
    names: Names,
    /// What the file says must be filled and is not among them.
    missing: Option<String>,
    /// What was written last in the open transaction.
    last: Option<(Position, Option<EventId>)>,
}

struct Model {
    code: Derivation,
    /// The build that is filled, as it is written down; none before it has caught up.
    build: Option<Build>,
    tables: Tables,
    /// What stands up to here is not for that build.
    begins_after: Position,
}

/// Whether what the file records is what is filled here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Agrees,
    /// One of those that are filled here is not at the end, or not the one that is read.
    Behind,
}

impl Inline {
    pub(super) fn new(options: &SqliteOptions) -> Result<Self, StoreError> {
        let model = |code: &Derivation| {
            let tables = code
                .tables(1)
                .map_err(|error| invalid(code, error.into()))?;
            Ok(Model {
                code: code.clone(),
                build: None,
                tables,
                begins_after: Position::ZERO,
            })
        };
        for (index, code) in options.inline.iter().enumerate() {
            let others = options.inline.iter().take(index);
            if others.into_iter().any(|other| other.name == code.name) {
                let twice = "there are two of that name; rename one, or leave it out";
                return Err(invalid(code, twice.into()));
            }
        }
        Ok(Self {
            models: options
                .inline
                .iter()
                .map(model)
                .collect::<Result<_, StoreError>>()?,
            after_hooks: !options.hooks.is_empty(),
            names: Names::new(),
            missing: None,
            last: None,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// Compares what the file records with what is filled here. Asked in a transaction,
    /// after others may have written.
    pub(super) fn look(&mut self, conn: &Connection, head: i64) -> Result<Recorded, StoreError> {
        let (mut found, mut behind) = (0, false);
        self.missing = None;
        for build in recorded(conn)?.iter().filter(|build| build.inline) {
            let mine = self
                .models
                .iter()
                .find(|model| *model.code.name == *build.name);
            match mine {
                Some(mine) if mine.code.version == build.version => {
                    found += 1;
                    let filled = mine.build.as_ref().map(|mine| mine.build);
                    let position = stored(build.checkpoint.position.get());
                    behind |= filled != Some(build.build) || position < head;
                }
                _ => {
                    let Build { name, version, .. } = build;
                    self.missing = Some(format!("{name} in version {version}"));
                }
            }
        }
        // One of another version has taken the place of ours: it is told as missing.
        let lost = found < self.models.len() && self.missing.is_none();
        match behind || lost {
            true => Ok(Recorded::Behind),
            false => Ok(Recorded::Agrees),
        }
    }

    /// What they are called.
    pub(super) fn called(&self) -> impl Iterator<Item = String> {
        self.models.iter().map(|model| model.code.name.to_string())
    }

    /// Refuses to write without what the file says must be filled.
    pub(super) fn refuse_missing(&self) -> Result<(), Failure> {
        let Some(missing) = &self.missing else {
            return Ok(());
        };
        let doing = format!("appending without the inline projection {missing}");
        let missing = StoreError::new(StoreErrorKind::ProjectionMissing, doing);
        Err(Failure::Refused(missing.into()))
    }

    /// Applies the events of a commit that stands in the open transaction.
    pub(super) fn on_events(
        &mut self,
        conn: &Connection,
        events: &[RecordedEvent],
        code: &mut UserCode<'_>,
    ) -> Result<(), Failure> {
        for (index, model) in self.models.iter().enumerate() {
            self.settle(conn, index)?;
            let wanted = events.iter().filter(|event| model.code.wants_event(event));
            let steps: Vec<_> = wanted.map(Step::Apply).collect();
            if !steps.is_empty() {
                let taken = model.take(&steps, &At::default(), code);
                taken.map_err(|failed| failed.of(model.code.name.to_string()))?;
            }
        }
        if let Some(event) = events.last() {
            self.last = Some((event.position, Some(event.id)));
        }
        Ok(())
    }

    /// Forgets a stream of which a removal in the open transaction has left less.
    pub(super) fn on_removal(
        &mut self,
        conn: &Connection,
        removed: &Removed,
        code: &mut UserCode<'_>,
    ) -> Result<(), Failure> {
        let Some(position) = removed.position else {
            return Ok(());
        };
        for (index, model) in self.models.iter().enumerate() {
            self.settle(conn, index)?;
            if model.code.wants_stream(&removed.stream) {
                let stream = (position, &removed.stream);
                let at = At::default();
                let forgotten = model.forget(conn, &mut self.names, stream, (&at, code));
                forgotten.map_err(|failed| failed.of(model.code.name.to_string()))?;
            }
        }
        self.last = Some((position, None));
        Ok(())
    }

    /// Has virtual tables write what they have kept back. They do that when a savepoint is
    /// begun, which some statements do by themselves: in the next one's name it would be
    /// refused.
    fn settle(&self, conn: &Connection, index: usize) -> rusqlite::Result<()> {
        if index == 0 && !self.after_hooks {
            return Ok(());
        }
        for sql in ["SAVEPOINT annalist_next", "RELEASE annalist_next"] {
            conn.prepare_cached(sql)?.execute([])?;
        }
        Ok(())
    }

    /// Writes down how far all of them have come: to where the transaction ends.
    pub(super) fn seal(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let Some((position, event)) = self.last.take() else {
            return Ok(());
        };
        let sql = "UPDATE annalist_followers SET position = ?3, event_id = ?4, checksum = ?5 \
                   WHERE name = ?1 AND build = ?2";
        for build in self
            .models
            .iter_mut()
            .filter_map(|model| model.build.as_mut())
        {
            build.checkpoint = Checkpoint::new(build.checkpoint.store, position, event);
            let id = event.map(|id| *id.as_uuid().as_bytes());
            let mut seal = conn.prepare_cached(sql)?;
            let (at, sum) = (stored(position.get()), build.checksum());
            seal.execute(params![build.name, build.build, at, id, sum])?;
        }
        Ok(())
    }

    /// What was written last, to come [back to](Self::back_to).
    pub(super) fn mark(&self) -> Option<(Position, Option<EventId>)> {
        self.last
    }

    /// Forgets what was written since a mark.
    pub(super) fn back_to(&mut self, mark: Option<(Position, Option<EventId>)>) {
        self.last = mark;
    }

    /// The transaction is no more.
    pub(super) fn forget(&mut self) {
        self.last = None;
        self.names = Names::new();
    }
}

impl Model {
    fn take(&self, steps: &[Step<'_>], at: &At, code: &mut UserCode<'_>) -> Result<(), Failed> {
        let mut tx = Tx::new(Rights::Ours);
        code.run(&mut tx, |tx| {
            Box::pin(self.code.take(&self.tables, steps, at, tx))
        })
    }

    /// Takes a stream out, and what is left of it before this position in again, page by
    /// page.
    fn forget(
        &self,
        conn: &Connection,
        names: &mut Names,
        (before, stream): (Position, &StreamId),
        (at, code): (&At, &mut UserCode<'_>),
    ) -> Result<(), Failed> {
        self.take(&[Step::Forget(before, stream)], at, code)?;
        let Some(row) = stream_row(conn, stream).map_err(Failed::Database)? else {
            return Ok(());
        };
        let removals = removals::find(conn, (row.number, row.has_removals), stream);
        let mut after = version(removals.map_err(Failed::Database)?.removed_to);
        loop {
            let left = left_of(conn, names, (row.number, stream), (after, before));
            let left = left.map_err(Failed::Database)?;
            let Some(last) = left.last() else {
                return Ok(());
            };
            after = last.version;
            let wanted = left
                .iter()
                .filter(|event| event.position > self.begins_after && self.code.wants_event(event));
            let steps: Vec<_> = wanted.map(Step::Again).collect();
            self.take(&steps, at, code)?;
        }
    }
}

/// A page of what is left of a stream behind a version and before a position.
fn left_of(
    conn: &Connection,
    names: &mut Names,
    (number, stream): (i64, &StreamId),
    (after, before): (Version, Position),
) -> Result<Vec<RecordedEvent>, StoreError> {
    const BYTES_MAX: usize = 4 * 1024 * 1024;
    let doing = |error: rusqlite::Error| fault(error, "reading what is left of a stream");
    let sql = format!(
        "SELECT {COLUMNS} FROM annalist_events \
         WHERE stream = +?1 AND version > ?2 AND position < ?3 ORDER BY version LIMIT 1000"
    );
    let (mut left, mut bytes, mut due) = (Vec::new(), 0, after);
    let params = params![number, stored(after.get()), stored(before.get())];
    let mut statement = conn.prepare_cached(&sql).map_err(doing)?;
    let mut rows = statement.query(params).map_err(doing)?;
    while bytes < BYTES_MAX
        && let Some(row) = rows.next().map_err(doing)?
    {
        let (fields, checksum) = Fields::of(row)?;
        due = due.next();
        if version(fields.version) != due {
            let what = format!("version {due} of stream {stream} is missing");
            return Err(corrupt(None, what));
        }
        let event_type = names.verified(conn, (&fields, checksum), stream)?;
        bytes += fields.payload_bytes();
        left.push(fields.event(stream.clone(), event_type)?);
    }
    Ok(left)
}

/// Every build that the file records.
pub(super) fn recorded(conn: &Connection) -> Result<Vec<Build>, StoreError> {
    let ask = Ask::query(READ_ALL.to_owned(), Vec::new());
    let rows = query(conn, &ask).map_err(|error| match error {
        QueryError::Store(error) => error,
        refused => corrupt(None, "looking for projections").with_source(refused),
    })?;
    let builds = rows.iter().map(Build::of).collect::<Result<_, _>>();
    builds.map_err(|error| corrupt(None, "looking for projections").with_source(error))
}

fn invalid(code: &Derivation, error: BoxError) -> StoreError {
    let doing = format!("opening with the inline projection {}", code.name);
    StoreError::new(StoreErrorKind::Invalid, doing).with_source(error)
}
