//! JSON by key: the read model that needs no SQL.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ProjectionResult;
use crate::store::{Database, QueryError, SqlRow, SqlValue, Tx, TxError};

/// A table of JSON documents by key, for a [`Projection`](super::Projection) to fill and
/// for anybody to read.
///
/// Keys are text, or anything that [`ToString`] makes distinct text of. A document is
/// whatever serde reads and writes.
///
/// ```
/// # use annalist::projection::Documents;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Default, Serialize, Deserialize)]
/// struct Balance {
///     cents: i64,
/// }
///
/// const BALANCES: Documents<str, Balance> = Documents::new("balances");
/// assert_eq!(BALANCES.tables(), ["balances"]);
/// ```
pub struct Documents<K: ?Sized, V> {
    table: &'static str,
    types: PhantomData<fn(&K) -> V>,
}

impl<K: ToString + ?Sized, V: Serialize + DeserializeOwned> Documents<K, V> {
    /// Documents in a table of this name.
    #[must_use]
    pub const fn new(table: &'static str) -> Self {
        Self {
            table,
            types: PhantomData,
        }
    }

    /// What the projection declares.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        vec![self.table.to_owned()]
    }

    /// Makes the table.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Tx::execute`].
    pub async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let sql = format!(
            "CREATE TABLE {} (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
            self.table
        );
        tx.execute(&sql, &[]).await?;
        Ok(())
    }

    /// The document under a key, in the transaction that is under way.
    ///
    /// # Errors
    ///
    /// When it cannot be read as what it is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn find(&self, key: impl Borrow<K>, tx: &mut Tx<'_>) -> ProjectionResult<Option<V>> {
        self.find_at(self.key(key.borrow()), tx).await
    }

    /// Puts a document under a key, in the place of one that is there.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Tx::execute`].
    pub async fn put(
        &self,
        key: impl Borrow<K>,
        document: &V,
        tx: &mut Tx<'_>,
    ) -> ProjectionResult {
        self.put_at(self.key(key.borrow()), document, tx).await
    }

    /// Changes the document under a key, or the default one where there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Tx::execute`].
    pub async fn update(
        &self,
        key: impl Borrow<K>,
        change: impl FnOnce(&mut V),
        tx: &mut Tx<'_>,
    ) -> ProjectionResult
    where
        V: Default,
    {
        let key = self.key(key.borrow());
        let mut document = self.find_at(key.clone(), tx).await?.unwrap_or_default();
        change(&mut document);
        self.put_at(key, &document, tx).await
    }

    /// Removes the document under a key, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Tx::execute`].
    pub async fn remove(&self, key: impl Borrow<K>, tx: &mut Tx<'_>) -> ProjectionResult {
        let sql = format!("DELETE FROM {} WHERE key = $1", self.table);
        tx.execute(&sql, &[self.key(key.borrow())]).await?;
        Ok(())
    }

    /// The document under a key, as of the live build; none where there is none.
    ///
    /// # Errors
    ///
    /// As [`Database::query`], and when it cannot be read as what it is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn get(
        &self,
        key: impl Borrow<K>,
        database: &Database,
    ) -> Result<Option<V>, QueryError> {
        let key = self.key(key.borrow());
        let mut found = database
            .query(&self.select(), &[key], |row| self.read(row))
            .await?;
        Ok(found.pop().transpose()?)
    }

    /// All documents with their keys, in the order of the keys, as of the live build.
    ///
    /// # Errors
    ///
    /// As [`Database::query`], which has a bound on rows, and when one cannot be read as
    /// what it is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn all(&self, database: &Database) -> Result<Vec<(String, V)>, QueryError> {
        let sql = format!("SELECT key, document FROM {} ORDER BY key", self.table);
        let read = |row: &SqlRow| {
            let key = row.get("key").and_then(SqlValue::as_str);
            Ok((key.unwrap_or_default().to_owned(), self.read(row)?))
        };
        let all: Result<Vec<_>, TxError> =
            database.query(&sql, &[], read).await?.into_iter().collect();
        Ok(all?)
    }

    async fn find_at(&self, key: SqlValue, tx: &mut Tx<'_>) -> ProjectionResult<Option<V>> {
        let rows = tx.query(&self.select(), &[key]).await?;
        Ok(rows.first().map(|row| self.read(row)).transpose()?)
    }

    async fn put_at(&self, key: SqlValue, document: &V, tx: &mut Tx<'_>) -> ProjectionResult {
        let sql = format!(
            "INSERT INTO {} (key, document) VALUES ($1, $2) \
             ON CONFLICT (key) DO UPDATE SET document = $2",
            self.table
        );
        let document = serde_json::to_string(document)?;
        tx.execute(&sql, &[key, document.into()]).await?;
        Ok(())
    }

    fn key(&self, key: &K) -> SqlValue {
        key.to_string().into()
    }

    fn select(&self) -> String {
        format!("SELECT key, document FROM {} WHERE key = $1", self.table)
    }

    fn read(&self, row: &SqlRow) -> Result<V, TxError> {
        let document = row.get("document").and_then(SqlValue::as_str);
        serde_json::from_str(document.unwrap_or_default()).map_err(|source| TxError::Unreadable {
            what: format!("a document of {}", self.table),
            source: source.into(),
        })
    }
}

impl<K: ?Sized, V> fmt::Debug for Documents<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Documents").field(&self.table).finish()
    }
}
