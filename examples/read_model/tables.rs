//! Two read models of all accounts: what each is made of the events, and how it is read.

use annalist::projection::{Documents, Projection, ProjectionResult};
use annalist::store::{Filter, Forgotten, SqlRow, SqlValue, Tx};
use annalist::{Aggregate, Domain, RecordedEvent, StreamId};
use serde::{Deserialize, Serialize};

use crate::domain::{self, Account};

/// What it adds to the balance, if an account's events can be read.
fn cents(event: &RecordedEvent) -> ProjectionResult<i64> {
    let events = event.decode::<Account>()?;
    Ok(events.map(|event| event.cents()).sum())
}

/// Events of accounts.
fn accounts() -> Filter {
    Filter {
        categories: [Account::CATEGORY.to_owned()].into(),
        ..Filter::default()
    }
}

/// One account, as a screen shows it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) cents: i64,
    pub(crate) movements: u64,
}

/// By the key of the account.
pub(crate) const BALANCES: Documents<str, Balance> = Documents::new("balances");

/// Each balance as JSON: no SQL is needed.
pub(crate) struct Balances;

impl Projection for Balances {
    const NAME: &'static str = "balances";

    fn tables(&self) -> Vec<String> {
        BALANCES.tables()
    }

    fn filter(&self) -> Filter {
        accounts()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        BALANCES.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let cents = cents(event)?;
        let change = |balance: &mut Balance| {
            balance.cents += cents;
            balance.movements += 1;
        };
        BALANCES.update(event.stream.key(), change, tx).await
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        BALANCES.remove(stream.key(), tx).await?;
        Ok(Forgotten::Done)
    }
}

/// Who has most: a table with an index of one's own, so that the first three are found
/// without a look at the others.
pub(crate) struct Leaderboard;

impl Leaderboard {
    pub(crate) const TOP: &'static str =
        "SELECT account, cents FROM leaderboard ORDER BY cents DESC, account LIMIT 3";

    /// Everything that it holds, in a form that can be compared.
    pub(crate) const ALL: &'static str = "SELECT account, cents FROM leaderboard ORDER BY account";

    pub(crate) fn read(row: &SqlRow) -> (String, i64) {
        let account = row.get("account").and_then(SqlValue::as_str);
        let cents = row.get("cents").and_then(SqlValue::as_i64);
        (
            account.unwrap_or_default().to_owned(),
            cents.unwrap_or_default(),
        )
    }
}

impl Projection for Leaderboard {
    const NAME: &'static str = "leaderboard";

    fn tables(&self) -> Vec<String> {
        vec!["leaderboard".to_owned()]
    }

    fn filter(&self) -> Filter {
        accounts()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let table = "CREATE TABLE leaderboard (account TEXT PRIMARY KEY, cents INTEGER NOT NULL) \
                     STRICT, WITHOUT ROWID";
        tx.execute(table, &[]).await?;
        let index = "CREATE INDEX leaderboard_by_cents ON leaderboard (cents DESC, account)";
        tx.execute(index, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let add = "INSERT INTO leaderboard (account, cents) VALUES ($1, $2) \
                   ON CONFLICT (account) DO UPDATE SET cents = cents + $2";
        let cents = cents(event)?;
        tx.execute(add, &[event.stream.key().into(), cents.into()])
            .await?;
        Ok(())
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        let drop = "DELETE FROM leaderboard WHERE account = $1";
        tx.execute(drop, &[stream.key().into()]).await?;
        Ok(Forgotten::Done)
    }
}

/// The domain, with the read model that follows it. Balances are filled by whoever appends,
/// as an option of the store says.
pub(crate) fn domain() -> Domain {
    domain::domain().projection(Leaderboard)
}
