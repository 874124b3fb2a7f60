//! What is filled in the bench: the same sums in SQL, as documents and as totals.

use annalist::projection::{Documents, Projection, ProjectionResult, Totals};
use annalist::store::Tx;
use annalist::{Aggregate, RecordedEvent};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
enum AccountEvent {
    Deposited { cents: i64, note: String },
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, AccountEvent::Deposited { cents, .. }: &AccountEvent) {
        self.balance += cents;
    }
}

/// What an event adds.
pub(crate) fn cents(event: &RecordedEvent) -> ProjectionResult<i64> {
    let events = event.decode::<Account>()?;
    Ok(events
        .map(|AccountEvent::Deposited { cents, .. }| cents)
        .sum())
}

/// One upsert an event. Five of them have names of their own.
pub(crate) struct Upsert<const NUMBER: usize>;

impl<const NUMBER: usize> Upsert<NUMBER> {
    const TABLE: &'static str = match NUMBER {
        0 => "sums_0",
        1 => "sums_1",
        2 => "sums_2",
        3 => "sums_3",
        _ => "sums_4",
    };
}

impl<const NUMBER: usize> Projection for Upsert<NUMBER> {
    const NAME: &'static str = Self::TABLE;

    fn tables(&self) -> Vec<String> {
        vec![Self::TABLE.to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let table = Self::TABLE;
        let sql = format!(
            "CREATE TABLE {table} (key TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT, WITHOUT ROWID"
        );
        tx.execute(&sql, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let table = Self::TABLE;
        let sql = format!(
            "INSERT INTO {table} (key, cents) VALUES ($1, $2) \
             ON CONFLICT (key) DO UPDATE SET cents = cents + $2"
        );
        let cents = cents(event)?;
        tx.execute(&sql, &[event.stream.key().into(), cents.into()])
            .await?;
        Ok(())
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Balance {
    cents: i64,
}

const BALANCES: Documents<str, Balance> = Documents::new("balances");

/// One document read and written an event.
pub(crate) struct Balances;

impl Projection for Balances {
    const NAME: &'static str = "balances";

    fn tables(&self) -> Vec<String> {
        BALANCES.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        BALANCES.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let cents = cents(event)?;
        BALANCES
            .update(event.stream.key(), |balance| balance.cents += cents, tx)
            .await
    }
}

const TOTALS: Totals = Totals::new("totals");

/// One amount an event.
pub(crate) struct ByStream;

impl Projection for ByStream {
    const NAME: &'static str = "totals";

    fn tables(&self) -> Vec<String> {
        TOTALS.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        TOTALS.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let cents = cents(event)?;
        TOTALS
            .add(&event.stream, event.stream.key(), cents, tx)
            .await
    }
}
