//! From the store back to the fines: read everything twice, fold it, sum it up.
//!
//! [`read_back`] folds the events once in the order of their positions, the way a
//! projection sees them, and loads each fine once more as an aggregate. Both must come to
//! the same fines. [`Totals`] sums them up.

use std::collections::BTreeMap;
use std::fmt;

use annalist::{
    Aggregate, DecodeError, EventType, LoadError, RecordedEvent, Repository, Store, StoreError,
    StreamId, StreamInfo, Version,
};
use futures_util::TryStreamExt;
use indicatif::HumanCount;

use crate::fine::{Fine, FlawedPayment};

/// All fines, and how often each activity happened.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) fines: BTreeMap<StreamId, Fine>,
    pub(crate) activities: BTreeMap<EventType, u64>,
}

/// Reads all events both ways, and answers the ledger that both agree on.
pub(crate) async fn read_back(store: &Store) -> Result<Ledger, ReadBackError> {
    let ledger = in_position_order(store).await?;
    check_same(&ledger.fines, &loaded_one_by_one(store).await?)?;
    Ok(ledger)
}

/// Folds one read over all streams. The events are not collected: the read holds
/// one page of them at a time.
async fn in_position_order(store: &Store) -> Result<Ledger, ReadBackError> {
    let mut ledger = Ledger::default();
    let mut events = store.read_all().category(Fine::CATEGORY).events();
    while let Some(event) = events.try_next().await? {
        ledger.apply(&event)?;
    }
    Ok(ledger)
}

/// Loads each fine as it is loaded for a command.
async fn loaded_one_by_one(store: &Store) -> Result<BTreeMap<StreamId, Fine>, ReadBackError> {
    let repository = Repository::<Fine>::new(store.clone());
    let mut fines = BTreeMap::new();
    let mut streams = store.list_streams().category(Fine::CATEGORY).streams();
    while let Some(StreamInfo { stream, .. }) = streams.try_next().await? {
        let fine = repository.load(stream.key()).await?.state;
        fines.insert(stream, fine);
    }
    Ok(fines)
}

/// Finds the first fine that two ways of reading differ in.
fn check_same(
    one: &BTreeMap<StreamId, Fine>,
    other: &BTreeMap<StreamId, Fine>,
) -> Result<(), ReadBackError> {
    let mut streams = one.keys().chain(other.keys());
    match streams.find(|stream| one.get(*stream) != other.get(*stream)) {
        Some(stream) => Err(ReadBackError::Disagreement {
            stream: stream.clone(),
        }),
        None => Ok(()),
    }
}

impl Ledger {
    fn apply(&mut self, recorded: &RecordedEvent) -> Result<(), ReadBackError> {
        let fine = self.fines.entry(recorded.stream.clone()).or_default();
        for event in recorded.decode::<Fine>()? {
            fine.apply(&event);
        }
        // Versions count the events of a stream: none is missing, none comes twice.
        if recorded.version != Version::new(fine.history.len() as u64) {
            return Err(ReadBackError::OutOfStep {
                stream: recorded.stream.clone(),
                version: recorded.version,
                events: fine.history.len(),
            });
        }
        let activity = recorded.event_type.clone();
        *self.activities.entry(activity).or_default() += 1;
        Ok(())
    }
}

/// The control totals of a ledger.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    pub(crate) fines: u64,
    pub(crate) longest_fine_events: u64,
    /// The most frequent activity first.
    pub(crate) activities: Vec<(EventType, u64)>,
    pub(crate) payments_cents: u64,
    pub(crate) final_amounts_cents: u64,
    pub(crate) expenses_cents: u64,
    /// In the order of the streams' names.
    pub(crate) flawed_payments: Vec<(StreamId, FlawedPayment)>,
}

impl Totals {
    /// Sums a ledger up.
    pub(crate) fn of(ledger: &Ledger) -> Self {
        let sum = |field: fn(&Fine) -> u64| ledger.fines.values().map(field).sum();
        let lengths = ledger.fines.values().map(|fine| fine.history.len() as u64);
        let mut activities: Vec<_> = ledger.activities.clone().into_iter().collect();
        activities.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let flawed_payments = ledger.fines.iter().flat_map(|(stream, fine)| {
            let flawed = fine.flawed_payments.iter();
            flawed.map(|payment| (stream.clone(), payment.clone()))
        });
        Self {
            events: lengths.clone().sum(),
            fines: ledger.fines.len() as u64,
            longest_fine_events: lengths.max().unwrap_or(0),
            activities,
            payments_cents: sum(|fine| fine.paid_cents),
            final_amounts_cents: sum(|fine| fine.amount_cents),
            expenses_cents: sum(|fine| fine.expense_cents),
            flawed_payments: flawed_payments.collect(),
        }
    }
}

/// How many flawed payments are shown.
const FLAWED_SHOWN_MAX: usize = 5;

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64| HumanCount(number).to_string();
        writeln!(f, "{:<40}{:>12}", "events", count(self.events))?;
        writeln!(f, "{:<40}{:>12}", "cases", count(self.fines))?;
        let longest = count(self.longest_fine_events);
        writeln!(f, "{:<40}{longest:>12}", "events of the longest case")?;
        for (activity, number) in &self.activities {
            writeln!(f, "  {activity:<38}{:>12}", count(*number))?;
        }
        for (name, cents) in [
            ("payments", self.payments_cents),
            ("final amounts", self.final_amounts_cents),
            ("expenses", self.expenses_cents),
        ] {
            let in_cents = format!("{} cents", count(cents));
            writeln!(f, "{name:<15}{in_cents:>24}{:>18}", euros(cents))?;
        }
        let flawed = self.flawed_payments.len();
        write!(f, "payments whose running total is wrong: {flawed}")?;
        for (stream, payment) in self.flawed_payments.iter().take(FLAWED_SHOWN_MAX) {
            let logged = euros(payment.logged_cents);
            let summed = euros(payment.summed_cents);
            let date = payment.at.date_naive();
            write!(
                f,
                "\n  {stream:<12} {date}  the log says {logged}, the sum is {summed}"
            )?;
        }
        match flawed.saturating_sub(FLAWED_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

pub(crate) fn euros(cents: u64) -> String {
    format!("{}.{:02} EUR", HumanCount(cents / 100), cents % 100)
}

/// A store that does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadBackError {
    #[error("{stream}: event number {events} came with version {version}")]
    OutOfStep {
        stream: StreamId,
        version: Version,
        events: usize,
    },
    #[error("{stream}: read by position it folds to another fine than it is loaded as")]
    Disagreement { stream: StreamId },
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
