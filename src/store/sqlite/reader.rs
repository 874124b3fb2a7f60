//! Reads on one connection: each answer comes from one read transaction, and each
//! event is checked before it is believed.
//!
//! Called on the threads of the pool. Rows are decoded here, where they are read.
//!
//! Some statements have a parameter as `+?1`: where SQLite could make use of its value in the
//! plan, such as beside an ORDER BY or as a LIMIT, it compiles the statement anew whenever the
//! parameter is bound, which takes several times as long as to run it. A plus keeps it from
//! that; the plan is the same. The test below finds a statement that lacks one.

use std::ops::ControlFlow;
use std::sync::Weak;

use rusqlite::{Connection, params};

use super::fault::{corrupt, fault};
use super::guard::Guard;
use super::head::Head;
use super::info::{facts, info, list, one_row};
use super::keys;
use super::leases;
use super::names::{Names, StreamRow, stream_row};
use super::positions::{read_all, read_feed};
use super::row::{position, stored, version};
use super::snapshots;
use super::statements::query;
use super::verify::Verifier;
use super::versions::{fold_stream, read_stream};
use crate::caught::let_go;
use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::backend::{
    AllPage, AllQuery, CommitFound, FoldPage, FoldQuery, ListQuery, StreamInfo, StreamPage,
    StreamQuery,
};
use crate::store::commit::Fingerprint;
use crate::store::database::QueryError;
use crate::store::error::StoreError;
use crate::store::facts::StreamFacts;
use crate::store::feed::{FeedPage, FeedQuery};
use crate::store::fence::{LeaseName, LeaseState};
use crate::store::fold::{Snapshot, StreamFold};
use crate::store::report::VerifyReport;
use crate::store::tx::{Ask, SqlRow, SqlValue};
use crate::version::{Position, Version};

/// A connection that reads, and the names that it has looked up.
pub(super) struct Reader {
    conn: Connection,
    names: Names,
    guard: Guard,
}

impl Reader {
    pub(super) fn new(mut conn: Connection) -> rusqlite::Result<Self> {
        conn.set_prepared_statement_cache_capacity(32);
        Ok(Self {
            guard: Guard::set_for_queries(&mut conn)?,
            conn,
            names: Names::new(),
        })
    }

    /// A query of the application's.
    pub(super) fn query(
        &mut self,
        sql: String,
        params: Vec<SqlValue>,
        wanted: Weak<()>,
    ) -> Result<Vec<SqlRow>, QueryError> {
        let ask = Ask::query(sql, params);
        self.guard.query(wanted, || query(&self.conn, &ask))
    }

    pub(super) fn read_stream(&mut self, query: &StreamQuery) -> Result<StreamPage, StoreError> {
        self.in_transaction(|conn, names| read_stream(conn, names, query))
    }

    pub(super) fn fold_stream(
        &mut self,
        query: &FoldQuery,
        mut fold: Box<dyn StreamFold>,
    ) -> Result<FoldPage, StoreError> {
        let folded =
            self.in_transaction(|conn, names| fold_stream(conn, names, query, fold.as_mut()));
        match folded {
            Ok(page) => Ok(FoldPage::of(fold, &page)),
            Err(error) => {
                let_go(fold);
                Err(error)
            }
        }
    }

    pub(super) fn snapshot(
        &mut self,
        stream: &StreamId,
        by: Fingerprint,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.in_transaction(|conn, _| match stream_row(conn, stream)? {
            Some(row) => snapshots::find(conn, row.number, stream, by),
            None => Ok(None),
        })
    }

    pub(super) fn read_all(&mut self, query: &AllQuery) -> Result<AllPage, StoreError> {
        self.in_transaction(|conn, names| read_all(conn, names, query))
    }

    pub(super) fn read_feed(&mut self, query: &FeedQuery) -> Result<FeedPage, StoreError> {
        self.in_transaction(|conn, names| read_feed(conn, names, query))
    }

    pub(super) fn list_streams(
        &mut self,
        query: &ListQuery,
    ) -> Result<Vec<StreamInfo>, StoreError> {
        self.in_transaction(|conn, names| list(conn, names, query))
    }

    pub(super) fn stream_info(&mut self, stream: &StreamId) -> Result<StreamInfo, StoreError> {
        self.in_transaction(|conn, names| {
            let row = stream_row(conn, stream)?;
            info(conn, names, stream.clone(), row)
        })
    }

    /// Where a stream stands.
    pub(super) fn facts(&mut self, stream: &StreamId) -> Result<StreamFacts, StoreError> {
        self.in_transaction(|conn, _| match stream_row(conn, stream)? {
            Some(row) => Ok(facts(conn, row, stream)?.0),
            None => Ok(StreamFacts::default()),
        })
    }

    pub(super) fn find_event(
        &mut self,
        stream: &StreamId,
        id: EventId,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        self.in_transaction(|conn, names| match stream_row(conn, stream)? {
            Some(row) => one_event(conn, names, stream, (row, id)),
            None => Ok(None),
        })
    }

    pub(super) fn find_commit(
        &mut self,
        stream: &StreamId,
        key: &str,
    ) -> Result<Option<CommitFound>, StoreError> {
        self.in_transaction(|conn, _| match stream_row(conn, stream)? {
            Some(row) => keys::find(conn, row.number, stream, key),
            None => Ok(None),
        })
    }

    pub(super) fn lease(&mut self, name: &LeaseName) -> Result<LeaseState, StoreError> {
        leases::find(&self.conn, name)
    }

    pub(super) fn head(&mut self) -> Result<Position, StoreError> {
        Head::read(&self.conn).map(|head| position(head.position))
    }

    /// Looks at one part of everything.
    pub(super) fn verify(
        &mut self,
        verifier: Verifier,
    ) -> Result<ControlFlow<VerifyReport, Verifier>, StoreError> {
        self.in_transaction(|conn, names| verifier.go_on(conn, names))
    }

    /// Answers from one state of the file.
    fn in_transaction<T>(
        &mut self,
        read: impl FnOnce(&Connection, &mut Names) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Self { conn, names, .. } = self;
        let transaction = ReadTransaction::begin(conn)?;
        let answer = read(conn, names)?;
        transaction.end()?;
        Ok(answer)
    }
}

/// A transaction that only reads. Beginning and ending it are compiled once, which rusqlite's
/// own are not.
struct ReadTransaction<'c>(&'c Connection);

impl<'c> ReadTransaction<'c> {
    fn begin(conn: &'c Connection) -> Result<Self, StoreError> {
        Self::run(conn, "BEGIN").map(|()| Self(conn))
    }

    fn end(self) -> Result<(), StoreError> {
        Self::run(self.0, "COMMIT")
    }

    fn run(conn: &Connection, word: &str) -> Result<(), StoreError> {
        sql(conn
            .prepare_cached(word)
            .and_then(|mut word| word.execute([]).map(drop)))
    }
}

impl Drop for ReadTransaction<'_> {
    /// Where it was not ended: with an error, or a panic.
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            let _ = Self::run(self.0, "ROLLBACK");
        }
    }
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T, StoreError> {
    result.map_err(|error| fault(error, "reading"))
}

/// An event of a stream, unless it was removed.
fn one_event(
    conn: &Connection,
    names: &mut Names,
    stream: &StreamId,
    (row, id): (StreamRow, EventId),
) -> Result<Option<RecordedEvent>, StoreError> {
    let (facts, _) = facts(conn, row, stream)?;
    let by_id = "WHERE event_id = ?1 AND stream = ?2";
    let params = params![id.as_uuid().as_bytes(), row.number];
    let found = one_row(conn, by_id, params, |fields, checksum| {
        let event_type = names.verified(conn, (&fields, checksum), stream)?;
        match version(fields.version) <= facts.removed_to {
            true => Ok(None),
            false => fields.event(stream.clone(), event_type).map(Some),
        }
    })?;
    match found {
        Some(event) => Ok(event),
        None if is_hidden(conn, row.number, facts.version, id)? => {
            let what = format!("looking up event {id} of stream {stream}, which the index hides");
            Err(corrupt(None, what))
        }
        None => Ok(None),
    }
}

/// Events of a stream that are looked through for one that the index of ids does not find.
const LOOKED_THROUGH_MAX: u64 = 10_000;

/// Whether one of the last events of a stream has an id that its index does not find.
fn is_hidden(
    conn: &Connection,
    number: i64,
    version: Version,
    id: EventId,
) -> Result<bool, StoreError> {
    let hidden = "SELECT EXISTS (SELECT 1 FROM annalist_events \
                  INDEXED BY annalist_events_by_stream \
                  WHERE stream = ?1 AND version > ?2 AND +event_id = ?3)";
    let after = version.get().saturating_sub(LOOKED_THROUGH_MAX);
    let params = params![number, stored(after), id.as_uuid().as_bytes()];
    sql(conn
        .prepare_cached(hidden)
        .and_then(|mut hidden| hidden.query_row(params, |row| row.get(0))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

    use super::super::schema::open_reader;
    use super::*;
    use crate::event::NewEvent;
    use crate::store::backend::Backend;
    use crate::store::commit::Commit;
    use crate::store::filter::Filter;
    use crate::store::removal::{Removal, RemovalRequest};
    use crate::store::scan;
    use crate::store::scan::Direction;
    use crate::store::sqlite::SqliteOptions;
    use crate::store::sqlite::SqliteStore;
    use crate::version::ExpectedVersion;

    /// Reads whatever there is to read.
    fn read(reader: &mut Reader) {
        let stream = |name: &str| name.parse::<StreamId>().expect("a stream id");
        for name in ["a-1", "a-2", "gone-1", "cut-1", "none-1"] {
            let stream = stream(name);
            for direction in [Direction::Forwards, Direction::Backwards] {
                let mut query = StreamQuery {
                    stream: stream.clone(),
                    scan: scan::over_all(),
                    generation: None,
                    types: Arc::default(),
                };
                query.scan.direction = direction;
                reader.read_stream(&query).expect("a page");
            }
            reader.stream_info(&stream).expect("its facts");
            reader.facts(&stream).expect("its facts");
            reader.find_event(&stream, EventId::new()).expect("none");
            reader.find_commit(&stream, "key-1").expect("an answer");
            let by = Fingerprint::of("any");
            reader.snapshot(&stream, by).expect("none");
        }
        let mut query = AllQuery {
            scan: scan::over_all(),
            filter: Filter::default(),
        };
        reader.read_all(&query).expect("a page");
        query.filter.add_category("a".to_owned());
        reader.read_all(&query).expect("a page");
        let query = FeedQuery {
            after: Position::ZERO,
            filter: Filter::default(),
            bounds: crate::store::scan::PageBounds::default(),
        };
        reader.read_feed(&query).expect("a page");
        reader.head().expect("the head");
    }

    #[tokio::test]
    async fn no_statement_is_compiled_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let options = SqliteOptions::default();
        let limits = options.limits.clone();
        let store = SqliteStore::open(&path, options).await.expect("a store");
        for name in ["a-1", "a-2", "gone-1", "cut-1"] {
            let stream: StreamId = name.parse().expect("a stream id");
            let events = (0..3).map(|n| NewEvent::json("Noted", &n).expect("an event"));
            let commit = Commit::new()
                .append(stream.clone(), ExpectedVersion::Any, events)
                .key("key-1", Fingerprint::of("any"));
            let commit = commit.into_request(&limits).expect("a commit");
            store.commit(commit).await.expect("a receipt");
            let removal = match name {
                "gone-1" => Removal::Delete(ExpectedVersion::Any),
                "cut-1" => Removal::TruncateBefore(Version::new(2)),
                _ => continue,
            };
            let request = RemovalRequest { stream, removal };
            store.remove(request).await.expect("a removal");
        }
        let conn = open_reader(&path, &SqliteOptions::default()).expect("a connection");
        let mut reader = Reader::new(conn).expect("a reader");
        // SQLite asks of every statement that it compiles.
        let compiled = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&compiled);
        let count = move |asked: AuthContext<'_>| {
            if matches!(
                asked.action,
                AuthAction::Select | AuthAction::Transaction { .. }
            ) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Authorization::Allow
        };
        reader.conn.authorizer(Some(count)).expect("a counter");
        read(&mut reader);
        assert!(compiled.swap(0, Ordering::SeqCst) > 10, "nothing was read");
        for _ in 0..3 {
            read(&mut reader);
        }
        assert_eq!(compiled.load(Ordering::SeqCst), 0);
    }
}
