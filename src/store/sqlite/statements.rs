//! The statements that the application's code runs: compiled once, bound by position,
//! answered whole.

use std::borrow::Cow;
use std::sync::Arc;

use hashlink::LruCache;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Batch, Connection, ErrorCode, Rows, Statement, ToSql, params_from_iter};

use super::fault::fault;
use crate::store::database::QueryError;
use crate::store::error::StoreError;
use crate::store::tx::{Answer, Ask, Rights, SqlRow, SqlValue, Tx, TxError, Wants};

/// The statements used last. Apart from the connection's own, which would hand out those
/// of the store, compiled when nobody was watched.
pub(super) struct Statements<'c> {
    conn: &'c Connection,
    kept: LruCache<String, Prepared<'c>>,
}

/// A statement, and which of the values goes to each of its parameters.
struct Prepared<'c> {
    statement: Statement<'c>,
    /// Under which it was compiled: what they forbid was asked then.
    rights: Rights,
    places: Vec<usize>,
    columns: Arc<[String]>,
}

impl<'c> Statements<'c> {
    const KEPT_MAX: usize = 64;
    /// Text with values written into it may be of any length, and never comes again.
    const KEPT_SQL_BYTES_MAX: usize = 16 * 1024;

    pub(super) fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            kept: LruCache::new(Self::KEPT_MAX),
        }
    }

    /// Forgets what was compiled for another schema, or for other rights: its columns may
    /// be others now.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// Runs one statement. A database that fails is told whatever the code makes of it.
    pub(super) fn answer(
        &mut self,
        ask: &Ask,
        broken: &mut Option<StoreError>,
    ) -> Result<Answer, TxError> {
        // Another statement would be a transaction of its own.
        if self.conn.is_autocommit() || broken.is_some() {
            return Err(TxError::Ended);
        }
        let answer = match ask.sql.len() > Self::KEPT_SQL_BYTES_MAX {
            true => Prepared::new(self.conn, ask).and_then(|mut prepared| prepared.run(ask)),
            false => self.prepared(ask).and_then(|prepared| prepared.run(ask)),
        };
        answer.map_err(|error| match error {
            Unrun::Told(error) => error,
            Unrun::Sqlite(error) => told(ask, error, broken),
        })
    }

    fn prepared(&mut self, ask: &Ask) -> Result<&mut Prepared<'c>, Unrun> {
        let kept = self.kept.get(&ask.sql);
        if kept.is_none_or(|kept| kept.rights != ask.rights) {
            let prepared = Prepared::new(self.conn, ask)?;
            self.kept.insert(ask.sql.clone(), prepared);
        }
        // It is there: it has just been put.
        self.kept
            .get_mut(&ask.sql)
            .ok_or(Unrun::Told(TxError::Ended))
    }
}

/// Why a statement was not run: we say so, or SQLite does.
enum Unrun {
    Told(TxError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Unrun {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// An error of SQLite as the hook is told it; one that is not the hook's is kept.
fn told(ask: &Ask, error: rusqlite::Error, broken: &mut Option<StoreError>) -> TxError {
    let sql = ask.sql.clone();
    let code = error.sqlite_error_code();
    if code == Some(ErrorCode::AuthorizationForStatementDenied) {
        let why = ask.rights.told();
        return TxError::Forbidden { sql, why };
    }
    use ErrorCode::{
        DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, OutOfMemory,
        SystemIoFailure,
    };
    if matches!(
        code,
        Some(
            DatabaseBusy
                | DatabaseCorrupt
                | DatabaseLocked
                | DiskFull
                | NotADatabase
                | OutOfMemory
                | SystemIoFailure
        )
    ) {
        *broken = Some(fault(error, "running a statement"));
        return TxError::Ended;
    }
    let source = error.into();
    TxError::Sql { sql, source }
}

impl<'c> Prepared<'c> {
    fn new(conn: &'c Connection, ask: &Ask) -> Result<Self, Unrun> {
        let not_one = || {
            Unrun::Told(TxError::NotOne {
                sql: ask.sql.clone(),
            })
        };
        if ask.sql.contains('\0') {
            return Err(not_one());
        }
        let sql = match ask.rights.tables() {
            Some(tables) => tables.rewrite(&ask.sql),
            None => Cow::Borrowed(ask.sql.as_str()),
        };
        let mut statements = Batch::new(conn, &sql);
        let statement = statements.next()?.ok_or_else(not_one)?;
        if statements.next()?.is_some() {
            return Err(not_one());
        }
        let parameters = || TxError::Parameters {
            sql: ask.sql.clone(),
            given: ask.params.len(),
        };
        let place = |index| {
            let name = statement.parameter_name(index)?.strip_prefix('$')?;
            name.parse::<usize>().ok()?.checked_sub(1)
        };
        let places = (1..=statement.parameter_count()).map(place);
        let places: Option<Vec<usize>> = places.collect();
        let places = places.ok_or_else(|| Unrun::Told(parameters()))?;
        let column = |name: &str| match ask.rights.tables() {
            Some(tables) => tables.column(name).to_owned(),
            None => name.to_owned(),
        };
        let columns = statement.column_names().map(column).collect();
        Ok(Self {
            statement,
            rights: ask.rights.clone(),
            places,
            columns,
        })
    }

    fn run(&mut self, ask: &Ask) -> Result<Answer, Unrun> {
        let values: Option<Vec<&SqlValue>> = self
            .places
            .iter()
            .map(|place| ask.params.get(*place))
            .collect();
        let used = self.places.iter().max().map_or(0, |largest| largest + 1);
        let values = values.filter(|_| used == ask.params.len());
        let values = values.ok_or_else(|| {
            Unrun::Told(TxError::Parameters {
                sql: ask.sql.clone(),
                given: ask.params.len(),
            })
        })?;
        let values = params_from_iter(values);
        if ask.wants == Wants::Count {
            let changed = match self.columns.is_empty() {
                true => self.statement.execute(values)? as u64,
                false => count(&mut self.statement.query(values)?)?,
            };
            return Ok(Answer::Count(changed));
        }
        let columns = Arc::clone(&self.columns);
        let sql = || ask.sql.clone();
        match read(&mut self.statement.query(values)?, &columns)? {
            Ok(rows) => Ok(Answer::Rows(rows)),
            Err(TooMuch::Rows) => Err(Unrun::Told(TxError::TooManyRows { sql: sql() })),
            Err(TooMuch::Bytes) => Err(Unrun::Told(TxError::TooManyBytes { sql: sql() })),
        }
    }
}

/// Answers one query, whose statement is not kept.
pub(super) fn query(conn: &Connection, ask: &Ask) -> Result<Vec<SqlRow>, QueryError> {
    let answer = Prepared::new(conn, ask).and_then(|mut prepared| prepared.run(ask));
    match answer {
        Ok(Answer::Rows(rows)) => Ok(rows),
        Ok(Answer::Count(_)) => Ok(Vec::new()),
        Err(Unrun::Told(error)) => Err(error.into()),
        Err(Unrun::Sqlite(error)) => {
            let mut broken = None;
            let error = told(ask, error, &mut broken);
            Err(broken.map_or(error.into(), QueryError::Store))
        }
    }
}

fn count(rows: &mut Rows<'_>) -> rusqlite::Result<u64> {
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// What a query has more of than is answered.
enum TooMuch {
    Rows,
    Bytes,
}

/// All rows, or none if there are too many.
fn read(
    rows: &mut Rows<'_>,
    columns: &Arc<[String]>,
) -> rusqlite::Result<Result<Vec<SqlRow>, TooMuch>> {
    let (mut read, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        if read.len() == Tx::ROWS_MAX {
            return Ok(Err(TooMuch::Rows));
        }
        let mut values = Vec::with_capacity(columns.len());
        for index in 0..columns.len() {
            let found = row.get_ref(index)?;
            if let ValueRef::Text(data) | ValueRef::Blob(data) = found {
                bytes = bytes.saturating_add(data.len());
            }
            // Before it is copied.
            if bytes > Tx::BYTES_MAX {
                return Ok(Err(TooMuch::Bytes));
            }
            values.push(value(found));
        }
        read.push(SqlRow {
            columns: Arc::clone(columns),
            values,
        });
    }
    Ok(Ok(read))
}

fn value(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(value) => SqlValue::Integer(value),
        ValueRef::Real(value) => SqlValue::Real(value),
        ValueRef::Text(text) => SqlValue::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
    }
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}
