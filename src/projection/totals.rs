//! Counts and sums by group, without SQL.

use crate::ids::StreamId;
use crate::projection::ProjectionResult;
use crate::store::{Database, Forgotten, QueryError, SqlRow, SqlValue, Tx};

/// A table of counts and sums by group, for a [`Projection`](super::Projection) to fill and
/// for anybody to read.
///
/// It keeps beside them what each stream has contributed, so that a stream of which events
/// were removed can be taken out again.
///
/// ```
/// use annalist::projection::{Projection, ProjectionResult, Totals};
/// use annalist::store::{Forgotten, Tx};
/// use annalist::{RecordedEvent, StreamId};
///
/// const FINES: Totals = Totals::new("fines_by_month");
///
/// struct FinesByMonth;
///
/// impl Projection for FinesByMonth {
///     const NAME: &'static str = "fines by month";
///
///     fn tables(&self) -> Vec<String> {
///         FINES.tables()
///     }
///
///     async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
///         FINES.set_up(tx).await
///     }
///
///     async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
///         let cents: i64 = serde_json::from_str(event.payload.as_str())?;
///         FINES.add(&event.stream, event.recorded_at.format("%Y-%m"), cents, tx).await
///     }
///
///     async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
///         FINES.forget(stream, tx).await
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    table: &'static str,
}

/// What one group amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Total {
    /// How many amounts were added.
    pub count: u64,
    /// The sum of them.
    pub sum: i64,
}

impl Totals {
    /// Totals in a table of this name, and another one behind it.
    #[must_use]
    pub const fn new(table: &'static str) -> Self {
        Self { table }
    }

    /// What the projection declares.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        vec![self.table.to_owned(), self.parts()]
    }

    /// Makes the tables.
    ///
    /// # Errors
    ///
    /// When they cannot be made.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Tx::execute`].
    pub async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let (table, parts) = (self.table, self.parts());
        let totals = format!(
            "CREATE TABLE {table} (category TEXT PRIMARY KEY, number INTEGER NOT NULL, \
             total INTEGER NOT NULL) STRICT, WITHOUT ROWID"
        );
        let parts = format!(
            "CREATE TABLE {parts} (stream TEXT, category TEXT, number INTEGER NOT NULL, \
             total INTEGER NOT NULL, PRIMARY KEY (stream, category)) STRICT, WITHOUT ROWID"
        );
        tx.execute(&totals, &[]).await?;
        tx.execute(&parts, &[]).await?;
        Ok(())
    }

    /// Adds an amount of a stream's to a group: one to its count, so much to its sum.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or the sum is beyond an `i64`.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Tx::execute`].
    pub async fn add(
        &self,
        stream: &StreamId,
        group: impl ToString,
        amount: i64,
        tx: &mut Tx<'_>,
    ) -> ProjectionResult {
        let (table, parts) = (self.table, self.parts());
        let params: [SqlValue; 3] = [group.to_string().into(), amount.into(), stream.into()];
        drop(group);
        let [group, amount, _] = &params;
        let total = format!(
            "INSERT INTO {table} (category, number, total) VALUES ($1, 1, $2) \
             ON CONFLICT (category) DO UPDATE SET number = number + 1, total = total + $2"
        );
        tx.execute(&total, &[group.clone(), amount.clone()]).await?;
        let part = format!(
            "INSERT INTO {parts} (stream, category, number, total) VALUES ($3, $1, 1, $2) \
             ON CONFLICT (stream, category) DO UPDATE SET number = number + 1, total = total + $2"
        );
        tx.execute(&part, &params).await?;
        Ok(())
    }

    /// Takes out all that a stream has contributed, for
    /// [`Projection::forget`](super::Projection::forget).
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Tx::execute`].
    pub async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        let (table, parts) = (self.table, self.parts());
        let mine = format!(
            "SELECT category, number, total FROM {parts} WHERE stream = $1 \
             ORDER BY category LIMIT {}",
            Tx::ROWS_MAX
        );
        let less = format!(
            "UPDATE {table} SET number = number - $2, total = total - $3 WHERE category = $1"
        );
        let empty = format!("DELETE FROM {table} WHERE category = $1 AND number = 0");
        let taken = format!("DELETE FROM {parts} WHERE stream = $1 AND category = $2");
        loop {
            let rows = tx.query(&mine, &[stream.into()]).await?;
            if rows.is_empty() {
                return Ok(Forgotten::Done);
            }
            for row in rows {
                let group = row.values().first().cloned().unwrap_or(SqlValue::Null);
                tx.execute(&less, row.values()).await?;
                tx.execute(&empty, std::slice::from_ref(&group)).await?;
                tx.execute(&taken, &[stream.into(), group]).await?;
            }
        }
    }

    /// What a group amounts to, as of the live build; nothing where nothing was added.
    ///
    /// # Errors
    ///
    /// As [`Database::query`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn get(
        &self,
        group: impl ToString,
        database: &Database,
    ) -> Result<Total, QueryError> {
        let sql = format!(
            "SELECT category, number, total FROM {} WHERE category = $1",
            self.table
        );
        let found = database
            .query(&sql, &[group.to_string().into()], read)
            .await?;
        Ok(found
            .into_iter()
            .next()
            .map(|(_, total)| total)
            .unwrap_or_default())
    }

    /// All groups in the order of their names, as of the live build.
    ///
    /// # Errors
    ///
    /// As [`Database::query`], which has a bound on rows.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn all(&self, database: &Database) -> Result<Vec<(String, Total)>, QueryError> {
        let sql = format!(
            "SELECT category, number, total FROM {} ORDER BY category",
            self.table
        );
        database.query(&sql, &[], read).await
    }

    fn parts(&self) -> String {
        format!("{}_parts", self.table)
    }
}

fn read(row: &SqlRow) -> (String, Total) {
    let number = |column| {
        row.get(column)
            .and_then(SqlValue::as_i64)
            .unwrap_or_default()
    };
    let group = row.get("category").and_then(SqlValue::as_str);
    let total = Total {
        count: u64::try_from(number("number")).unwrap_or_default(),
        sum: number("total"),
    };
    (group.unwrap_or_default().to_owned(), total)
}
