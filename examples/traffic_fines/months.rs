//! The fines by month: a read model that follows while the log is imported, and is never
//! asked to count anything again.
//!
//! Its tables and how far it has come are in the store's file and are written in one
//! transaction. So whoever imports the same log again, or goes on where an import was
//! killed, finds the same sums.

use std::collections::BTreeMap;
use std::fmt;

use annalist::projection::{self, Projection, ProjectionResult, Total};
use annalist::store::{Database, Filter, Forgotten, QueryError, Tx};
use annalist::{Aggregate, Domain, RecordedEvent, StreamId};
use indicatif::HumanCount;

use crate::fine::{self, Fine, FineEvent};
use crate::totals::{Totals, euros};

const CREATED: projection::Totals = projection::Totals::new("fines_created_by_month");
const SENT: projection::Totals = projection::Totals::new("expenses_by_month");
const PAID: projection::Totals = projection::Totals::new("payments_by_month");

/// What was created, sent and paid in each month of the log's own time.
pub(crate) struct Months;

impl Projection for Months {
    const NAME: &'static str = "months";

    fn tables(&self) -> Vec<String> {
        let all = [CREATED, SENT, PAID];
        all.iter().flat_map(projection::Totals::tables).collect()
    }

    fn filter(&self) -> Filter {
        Filter {
            categories: [Fine::CATEGORY.to_owned()].into(),
            ..Filter::default()
        }
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        for totals in [CREATED, SENT, PAID] {
            totals.set_up(tx).await?;
        }
        Ok(())
    }

    async fn apply(&self, recorded: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        for event in recorded.decode::<Fine>()? {
            let (totals, cents, entry) = match &event {
                FineEvent::Created {
                    amount_cents,
                    entry,
                } => (CREATED, *amount_cents, entry),
                FineEvent::Sent {
                    expense_cents,
                    entry,
                } => (SENT, *expense_cents, entry),
                FineEvent::Paid {
                    payment_cents,
                    entry,
                    ..
                } => (PAID, *payment_cents, entry),
                // The rest moves paper, or replaces an amount.
                _ => continue,
            };
            let month = entry.at.format("%Y-%m");
            totals
                .add(&recorded.stream, month, cents.into(), tx)
                .await?;
        }
        Ok(())
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        for totals in [CREATED, SENT, PAID] {
            totals.forget(stream, tx).await?;
        }
        Ok(Forgotten::Done)
    }
}

/// The domain, with what follows it.
pub(crate) fn domain() -> Domain {
    fine::domain().projection(Months)
}

/// What happened in one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Month {
    pub(crate) created: Total,
    pub(crate) sent: Total,
    pub(crate) paid: Total,
}

/// All months, as they are read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ByMonth(pub(crate) BTreeMap<String, Month>);

impl ByMonth {
    /// Reads the tables.
    pub(crate) async fn read(database: &Database) -> Result<Self, QueryError> {
        let mut months: BTreeMap<_, Month> = BTreeMap::new();
        for (month, total) in CREATED.all(database).await? {
            months.entry(month).or_default().created = total;
        }
        for (month, total) in SENT.all(database).await? {
            months.entry(month).or_default().sent = total;
        }
        for (month, total) in PAID.all(database).await? {
            months.entry(month).or_default().paid = total;
        }
        Ok(Self(months))
    }

    /// What they sum up to must be what the fines do, to the cent.
    pub(crate) fn check(&self, totals: &Totals) -> Result<(), WrongSum> {
        let sum = |part: fn(&Month) -> Total| {
            let parts = self.0.values().map(part);
            parts.fold((0, 0), |(count, cents), total| {
                (count + total.count, cents + total.sum.unsigned_abs())
            })
        };
        let happened = |activity: &str| {
            let mut all = totals.activities.iter();
            let found = all.find(|(known, _)| known.as_str() == activity);
            found.map_or(0, |(_, count)| *count)
        };
        let (created, sent, paid) = (
            sum(|month| month.created),
            sum(|month| month.sent),
            sum(|month| month.paid),
        );
        for (what, by_month, by_fine) in [
            ("fines created", created.0, happened("Create Fine")),
            ("fines sent", sent.0, happened("Send Fine")),
            ("payments", paid.0, happened("Payment")),
            ("cents of expenses", sent.1, totals.expenses_cents),
            ("cents paid", paid.1, totals.payments_cents),
        ] {
            if by_month != by_fine {
                return Err(WrongSum {
                    what,
                    by_month,
                    by_fine,
                });
            }
        }
        Ok(())
    }
}

/// How many months are shown.
const SHOWN_MAX: usize = 3;

impl fmt::Display for ByMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut busiest: Vec<_> = self.0.iter().collect();
        busiest.sort_by_key(|(_, month)| std::cmp::Reverse(month.created.count));
        write!(f, "{} months; most fines were created in", self.0.len())?;
        for (name, month) in busiest.into_iter().take(SHOWN_MAX) {
            let amount = |total: Total| {
                let count = HumanCount(total.count).to_string();
                (count, euros(total.sum.unsigned_abs()))
            };
            let ((created, created_euros), (paid, paid_euros)) =
                (amount(month.created), amount(month.paid));
            write!(
                f,
                "\n  {name}  {created:>7} fines {created_euros:>16}   {paid:>7} payments {paid_euros:>16}"
            )?;
        }
        Ok(())
    }
}

/// Months that do not sum up to what the fines do.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {by_month} by month, but {by_fine} by fine")]
pub(crate) struct WrongSum {
    what: &'static str,
    by_month: u64,
    by_fine: u64,
}
