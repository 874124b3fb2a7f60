//! The read models of these tests: the same code under the names of several homes, so that
//! it can be filled in several ways at once and compared.
//!
//! None of them forgives an event that comes twice or is left out.

use annalist::follow::FollowOptions;
use annalist::projection::{Documents, Projection, ProjectionResult, ProjectionRunner, Totals};
use annalist::store::sqlite::SqliteOptions;
use annalist::store::{Database, Forgotten, SqlValue, Tx};
use annalist::{RecordedEvent, StreamId, projection};
use serde::{Deserialize, Serialize};

use crate::rows;

/// How many homes there are.
pub(crate) const HOMES: usize = 4;
pub(crate) const INLINE: usize = 0;
pub(crate) const BESIDE: usize = 1;
pub(crate) const OWN_FILE: usize = 2;
pub(crate) const MEMORY: usize = 3;

const SUMS: [&str; HOMES] = ["sums_a", "sums_b", "sums_c", "sums_d"];
const ACCOUNTS: [&str; HOMES] = ["accounts_a", "accounts_b", "accounts_c", "accounts_d"];
const MOVES: [&str; HOMES] = ["moves_a", "moves_b", "moves_c", "moves_d"];

fn amount(event: &RecordedEvent) -> ProjectionResult<i64> {
    Ok(serde_json::from_str(event.payload.as_str())?)
}

/// Counts and sums by the last digit.
pub(crate) struct Sums<const HOME: usize>;

impl<const HOME: usize> Sums<HOME> {
    pub(crate) const TOTALS: Totals = Totals::new(SUMS[HOME]);
}

impl<const HOME: usize> Projection for Sums<HOME> {
    const NAME: &'static str = SUMS[HOME];

    fn tables(&self) -> Vec<String> {
        Self::TOTALS.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        Self::TOTALS.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let amount = amount(event)?;
        let group = format!("ends in {}", amount.rem_euclid(10));
        Self::TOTALS.add(&event.stream, group, amount, tx).await
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        Self::TOTALS.forget(stream, tx).await
    }
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Account {
    balance: i64,
    versions: Vec<u64>,
}

/// One document for each stream, with the versions that it was made of.
pub(crate) struct Accounts<const HOME: usize>;

impl<const HOME: usize> Accounts<HOME> {
    const DOCUMENTS: Documents<str, Account> = Documents::new(ACCOUNTS[HOME]);
}

impl<const HOME: usize> Projection for Accounts<HOME> {
    const NAME: &'static str = ACCOUNTS[HOME];

    fn tables(&self) -> Vec<String> {
        Self::DOCUMENTS.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        Self::DOCUMENTS.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let (amount, version) = (amount(event)?, event.version.get());
        let change = |account: &mut Account| {
            account.balance += amount;
            account.versions.push(version);
        };
        let documents = Self::DOCUMENTS;
        documents.update(event.stream.as_str(), change, tx).await
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        Self::DOCUMENTS.remove(stream.as_str(), tx).await?;
        Ok(Forgotten::Done)
    }
}

/// Plain SQL: every event by its position, and a table that is kept by a trigger.
pub(crate) struct Moves<const HOME: usize>;

impl<const HOME: usize> Projection for Moves<HOME> {
    const NAME: &'static str = MOVES[HOME];

    fn tables(&self) -> Vec<String> {
        vec![MOVES[HOME].to_owned(), format!("{}_count", MOVES[HOME])]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let moves = MOVES[HOME];
        for sql in [
            format!(
                "CREATE TABLE {moves} (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, \
                 version INTEGER NOT NULL, event BLOB NOT NULL, amount INTEGER NOT NULL, \
                 UNIQUE (stream, version)) STRICT"
            ),
            format!("CREATE INDEX {moves}_by_amount ON {moves} (amount, stream)"),
            format!(
                "CREATE TABLE {moves}_count (stream TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT"
            ),
            format!(
                "CREATE TRIGGER {moves}_counted AFTER INSERT ON {moves} BEGIN \
                 INSERT INTO {moves}_count (stream, count) VALUES (new.stream, 1) \
                 ON CONFLICT (stream) DO UPDATE SET count = count + 1; END"
            ),
        ] {
            tx.execute(&sql, &[]).await?;
        }
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let sql = format!("INSERT INTO {} VALUES ($1, $2, $3, $4, $5)", MOVES[HOME]);
        let params = [
            event.position.into(),
            (&event.stream).into(),
            event.version.into(),
            event.id.as_uuid().as_bytes().to_vec().into(),
            amount(event)?.into(),
        ];
        tx.execute(&sql, &params).await?;
        Ok(())
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        let moves = MOVES[HOME];
        for table in [moves, &format!("{moves}_count")] {
            let sql = format!("DELETE FROM {table} WHERE stream = $1");
            tx.execute(&sql, &[stream.into()]).await?;
        }
        Ok(Forgotten::Done)
    }
}

/// What all three are called in one home.
pub(crate) const fn names(home: usize) -> [&'static str; 3] {
    [SUMS[home], ACCOUNTS[home], MOVES[home]]
}

/// All three, in the transactions of the commits.
pub(crate) fn inline() -> SqliteOptions {
    let mut options = SqliteOptions::default();
    options.inline.extend([
        projection::inline(Sums::<INLINE>).expect("a projection"),
        projection::inline(Accounts::<INLINE>).expect("a projection"),
        projection::inline(Moves::<INLINE>).expect("a projection"),
    ]);
    options
}

/// All three, following.
pub(crate) fn follow<const HOME: usize>(
    runner: ProjectionRunner,
    options: &FollowOptions,
) -> ProjectionRunner {
    runner
        .follow_with(Sums::<HOME>, options.clone())
        .follow_with(Accounts::<HOME>, options.clone())
        .follow_with(Moves::<HOME>, options.clone())
}

/// Options with a database of their own.
pub(crate) fn within(database: &Database) -> FollowOptions {
    let mut options = FollowOptions::default();
    options.database = Some(database.clone());
    options
}

/// Everything that stands in the tables of a home, row for row.
pub(crate) async fn all_of(database: &Database, home: usize) -> Vec<Vec<Vec<SqlValue>>> {
    let (sums, accounts, moves) = (SUMS[home], ACCOUNTS[home], MOVES[home]);
    let mut all = Vec::new();
    for sql in [
        format!("SELECT * FROM {sums} ORDER BY category"),
        format!("SELECT * FROM {sums}_parts ORDER BY stream, category"),
        format!("SELECT * FROM {accounts} ORDER BY key"),
        format!("SELECT * FROM {moves} ORDER BY position"),
        format!("SELECT * FROM {moves}_count ORDER BY stream"),
    ] {
        all.push(rows(database, &sql).await);
    }
    all
}

/// One of them by name.
pub(crate) const MOVES_BESIDE: &str = MOVES[BESIDE];
pub(crate) const MOVES_OWN: &str = MOVES[OWN_FILE];
