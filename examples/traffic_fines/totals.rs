//! From the store back to the fines: read everything twice, fold it, sum it up.
//!
//! [`read_back`] folds the events once in the order of their positions, the way a
//! projection sees them, and once stream by stream, the way an aggregate is
//! loaded. Both must come to the same [`Ledger`]. [`Totals`] sums a ledger up.

use std::collections::BTreeMap;
use std::fmt;

use annalist::{EventType, RecordedEvent, Store, StoreError, StreamId, Version};
use futures_util::TryStreamExt;
use indicatif::HumanCount;

use crate::fine::{CATEGORY, Fine, FineEvent, FlawedPayment};

/// All fines, and how often each activity happened.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ledger {
    pub(crate) fines: BTreeMap<StreamId, Fine>,
    pub(crate) activities: BTreeMap<EventType, u64>,
}

/// Reads all events both ways, and answers the ledger that both agree on.
pub(crate) async fn read_back(store: &Store) -> Result<Ledger, ReadBackError> {
    let ledger = in_position_order(store).await?;
    ledger.check_against(&stream_by_stream(store).await?)?;
    Ok(ledger)
}

/// Folds one read over all streams. The events are not collected: the read holds
/// one page of them at a time.
async fn in_position_order(store: &Store) -> Result<Ledger, ReadBackError> {
    let mut ledger = Ledger::default();
    let mut events = store.read_all().category(CATEGORY).events();
    while let Some(event) = events.try_next().await? {
        ledger.apply(&event)?;
    }
    Ok(ledger)
}

/// Folds a read of each stream, one after another.
async fn stream_by_stream(store: &Store) -> Result<Ledger, ReadBackError> {
    let mut ledger = Ledger::default();
    let mut streams = store.list_streams().category(CATEGORY).streams();
    while let Some(info) = streams.try_next().await? {
        let mut events = store.read_stream(&info.stream).events();
        while let Some(event) = events.try_next().await? {
            ledger.apply(&event)?;
        }
    }
    Ok(ledger)
}

impl Ledger {
    fn apply(&mut self, recorded: &RecordedEvent) -> Result<(), ReadBackError> {
        let event =
            FineEvent::decode(&recorded.event_type, &recorded.payload).map_err(|source| {
                ReadBackError::Undecodable {
                    stream: recorded.stream.clone(),
                    version: recorded.version,
                    event_type: recorded.event_type.clone(),
                    source,
                }
            })?;
        let fine = self.fines.entry(recorded.stream.clone()).or_default();
        fine.apply(&event);
        // Versions count the events of a stream: none is missing, none comes twice.
        if recorded.version != Version::new(fine.events) {
            return Err(ReadBackError::OutOfStep {
                stream: recorded.stream.clone(),
                version: recorded.version,
                events: fine.events,
            });
        }
        let activity = recorded.event_type.clone();
        *self.activities.entry(activity).or_default() += 1;
        Ok(())
    }

    /// Finds the first fine that the two ledgers differ in.
    fn check_against(&self, other: &Self) -> Result<(), ReadBackError> {
        let mut streams = self.fines.keys().chain(other.fines.keys());
        match streams.find(|stream| self.fines.get(*stream) != other.fines.get(*stream)) {
            Some(stream) => Err(ReadBackError::Disagreement {
                stream: stream.clone(),
            }),
            None => Ok(()),
        }
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
        let lengths = ledger.fines.values().map(|fine| fine.events);
        let mut activities: Vec<_> = ledger.activities.clone().into_iter().collect();
        activities.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let flawed_payments = ledger.fines.iter().flat_map(|(stream, fine)| {
            let flawed = fine.flawed_payments.iter();
            flawed.map(|payment| (stream.clone(), payment.clone()))
        });
        Self {
            events: sum(|fine| fine.events),
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

fn euros(cents: u64) -> String {
    format!("{}.{:02} EUR", HumanCount(cents / 100), cents % 100)
}

/// A store that does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadBackError {
    #[error("{stream} at version {version}: the event {event_type:?} cannot be decoded")]
    Undecodable {
        stream: StreamId,
        version: Version,
        event_type: EventType,
        source: serde_json::Error,
    },
    #[error("{stream}: event number {events} came with version {version}")]
    OutOfStep {
        stream: StreamId,
        version: Version,
        events: u64,
    },
    #[error("{stream}: read by position it folds to another fine than read by stream")]
    Disagreement { stream: StreamId },
    #[error(transparent)]
    Store(#[from] StoreError),
}
