//! Brings a file of an older release to this one's schema, one step at a time.
//!
//! Called while a file is opened. Each step is one transaction that ends by writing
//! down the version it has reached: a crash leaves the file at one version or the next,
//! never between, and the next opening goes on from there.

use std::time::Duration;

use rusqlite::Connection;

use super::identity::make_secrets;
use super::lock::write_lock;

/// What this release reads and writes. `schema.sql` makes it in a new file.
pub(super) const SCHEMA_VERSION: u32 = 3;

/// The steps: the first leads from version 1 to 2, the next one on from there. A step
/// that was released is never changed.
const STEPS: &[&str] = &[
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
];

/// The version of the schema in a file that is a store. The first one was 1.
pub(super) fn found(conn: &Connection) -> rusqlite::Result<u32> {
    let sql = "SELECT schema_version FROM annalist_meta";
    match conn.query_row(sql, [], |row| row.get(0))? {
        0 => Err(rusqlite::Error::IntegralValueOutOfRange(0, 0)),
        found => Ok(found),
    }
}

/// Takes every step that is left. The caller has refused a newer file.
pub(super) fn migrate(conn: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    while found(conn)? < SCHEMA_VERSION {
        step(conn, timeout)?;
    }
    Ok(())
}

/// Takes the next step, unless another process just did.
fn step(conn: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    let transaction = write_lock(conn, timeout)?;
    let from = found(&transaction)?;
    let steps_taken = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
    if let Some(sql) = STEPS.get(steps_taken) {
        transaction.execute_batch(sql)?;
        if from == 1 {
            make_secrets(&transaction)?;
        }
        transaction.execute("UPDATE annalist_meta SET schema_version = ?1", [from + 1])?;
    }
    transaction.commit()
}

/// A statement without its comments, and without the layout, which migrations give another.
pub(super) fn plain(sql: &str) -> String {
    let code = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or(""));
    let words: Vec<_> = code.flat_map(str::split_whitespace).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_by(sql: &str) -> Connection {
        let conn = Connection::open_in_memory().expect("a database");
        conn.execute_batch(sql).expect("a schema");
        conn
    }

    /// What the schema holds, whatever the words and the spaces between.
    fn schema(conn: &Connection) -> Vec<(String, String)> {
        let sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut rows = conn.prepare(sql).expect("a statement");
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
        rows.expect("rows")
            .map(|row| row.expect("a row"))
            .map(|(name, sql)| (name, plain(&sql)))
            .collect()
    }

    #[test]
    fn every_step_together_makes_what_a_new_file_has() {
        assert_eq!(STEPS.len() + 1, SCHEMA_VERSION as usize);
        let older = made_by(include_str!("migrations/1.sql"));
        let insert = "INSERT INTO annalist_meta VALUES (1, 1, zeroblob(16), 7)";
        older.execute(insert, []).expect("a row");
        migrate(&older, Duration::ZERO).expect("every step");
        assert_eq!(found(&older).expect("a version"), SCHEMA_VERSION);
        let new = made_by(include_str!("../../../schema.sql"));
        assert_eq!(schema(&older), schema(&new));
        let epoch: i64 = older
            .query_row("SELECT epoch FROM annalist_meta", [], |row| row.get(0))
            .expect("the row");
        assert_eq!(epoch, 7, "what was there is kept");
    }
}
