//! What must hold of a file that is found: it opens, every commit that was acknowledged is
//! there and whole, every other one is whole or absent, and the store works on.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use annalist::store::sqlite::SqliteOptions;
use annalist::{
    AppendError, ExpectedVersion, NewEvent, Position, Receipt, RecordedEvent, Store, StoreError,
    StreamId, StreamInfo, StreamState, Version,
};
use futures_util::future::join_all;

use crate::drive::FILE;
use crate::ledger::Ledger;
use crate::plan::Plan;

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// What was acknowledged is not there.
    Lost(String),
    /// The file is not whole, or does not work.
    Broken(String),
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) acknowledged: u64,
    /// Not acknowledged, and there.
    pub(crate) present: u64,
    /// Not acknowledged, and not there.
    pub(crate) absent: u64,
}

/// Where an event stands.
type Place = (StreamId, Version, Position);

/// Opens the store in a folder and looks at all of it. Writes to it, too.
pub(crate) async fn check(folder: &Path, plan: &Plan, ledger: &Ledger) -> Result<Found, Flaw> {
    let mut options = SqliteOptions::default();
    options.readers = 1;
    let store = Store::open_with(folder.join(FILE), options).await;
    let store = store.map_err(|error| broken("opening", &error))?;
    let looked = Check {
        plan,
        ledger,
        store: &store,
    };
    let found = looked.look().await;
    let closed = store.close().await;
    let found = found?;
    closed.map_err(|error| broken("closing", &error))?;
    Ok(found)
}

/// A look at one store.
pub(crate) struct Check<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) ledger: &'a Ledger,
    pub(crate) store: &'a Store,
}

impl Check<'_> {
    pub(crate) async fn look(&self) -> Result<Found, Flaw> {
        let infos = self.store.list_streams().collect().await;
        let infos = infos.map_err(|error| broken("listing streams", &error))?;
        let infos: HashMap<_, _> = infos.into_iter().map(|i| (i.stream.clone(), i)).collect();
        let events = self.store.read_all().collect().await;
        let events = events.map_err(|error| broken("reading", &error))?;
        let head = self.store.head().await;
        let head = head.map_err(|error| broken("reading the head", &error))?;
        numbered(&events, &infos, head)?;
        let places = self.places(&events)?;
        for (commit, places) in &places {
            self.whole(*commit, places, &infos)?;
        }
        for (commit, receipt) in &self.ledger.landed {
            self.stands(*commit, receipt, places.get(commit), &infos)?;
        }
        self.removed().await?;
        let found = self.ask_again(&places).await?;
        self.works_on().await?;
        let report = self.store.verify().await;
        let report = report.map_err(|error| broken("verifying", &error))?;
        match report.damages.first() {
            None => Ok(found),
            Some(damage) => Err(Flaw::Broken(format!("verify: {damage}"))),
        }
    }

    /// Where each event of each commit is read; all are as they were sent.
    fn places(&self, events: &[RecordedEvent]) -> Result<BTreeMap<u32, Vec<Option<Place>>>, Flaw> {
        let mut places: BTreeMap<u32, Vec<Option<Place>>> = BTreeMap::new();
        for event in events {
            let position = event.position;
            let Some(foreseen) = self.plan.events.get(&event.id) else {
                // What an earlier look has written.
                if event.stream.category() == FRESH {
                    continue;
                }
                return Err(Flaw::Broken(format!("nobody sent what is at {position}")));
            };
            if foreseen.stream != event.stream || foreseen.payload != event.payload.as_str() {
                return Err(Flaw::Broken(format!("position {position} was not sent so")));
            }
            let commit = foreseen.commit;
            let sent = self.ledger.sent.contains(&commit);
            if !sent || self.ledger.refused.contains(&commit) {
                let what = format!("commit {commit} was refused or not sent, and is there");
                return Err(Flaw::Broken(what));
            }
            let count = self.plan.planned(commit).streams().count();
            let places = places.entry(commit).or_insert_with(|| vec![None; count]);
            let place = (event.stream.clone(), event.version, position);
            if places[foreseen.index].replace(place).is_some() {
                return Err(Flaw::Broken(format!("commit {commit} stands twice")));
            }
        }
        Ok(places)
    }

    /// The events of a commit stand side by side, and what is not read was removed.
    fn whole(
        &self,
        commit: u32,
        places: &[Option<Place>],
        infos: &HashMap<StreamId, StreamInfo>,
    ) -> Result<(), Flaw> {
        let torn = || Flaw::Broken(format!("commit {commit} is torn: {places:?}"));
        let read = places.iter().enumerate();
        let mut firsts = read.filter_map(|(index, place)| {
            let (_, _, position) = place.as_ref()?;
            Some(position.get().wrapping_sub(index as u64))
        });
        let first = firsts.next();
        if firsts.any(|other| Some(other) != first) {
            return Err(torn());
        }
        let streams = self.plan.planned(commit).streams();
        for (stream, place) in streams.zip(places) {
            let removed = infos
                .get(stream)
                .is_some_and(|info| info.generation.get() > 0);
            if place.is_none() && !(removed && self.ledger.removing.contains(stream)) {
                return Err(torn());
            }
        }
        Ok(())
    }

    /// What was acknowledged is where its receipt says, or was removed since.
    fn stands(
        &self,
        commit: u32,
        receipt: &Receipt,
        places: Option<&Vec<Option<Place>>>,
        infos: &HashMap<StreamId, StreamInfo>,
    ) -> Result<(), Flaw> {
        let lost = |what: &str| Flaw::Lost(format!("commit {commit}: {what}: {receipt:?}"));
        let mut places = places.into_iter().flatten();
        for append in &receipt.appends {
            let info = infos.get(&append.stream).ok_or_else(|| lost("no stream"))?;
            if info.version < append.last {
                return Err(lost("its stream is shorter"));
            }
            let first = append.first.unwrap_or(append.last);
            for version in first.get()..=append.last.get() {
                let version = Version::new(version);
                match places.next().and_then(Option::as_ref) {
                    Some((_, at, _)) if *at == version => {}
                    Some(_) => return Err(lost("it stands elsewhere")),
                    None if info.first_version.is_some_and(|first| first <= version) => {
                        return Err(lost("not there"));
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Removals stand, also of streams that were never written.
    async fn removed(&self) -> Result<(), Flaw> {
        for (stream, removals) in &self.ledger.removed {
            let info = self.store.stream_info(stream).await;
            let info = info.map_err(|error| broken("asking for a stream", &error))?;
            let first = info.first_version;
            for removal in removals {
                let holds = info.generation >= removal.generation
                    && (!removal.closed || info.state == StreamState::Closed)
                    && first.is_none_or(|first| first >= removal.first_version_min);
                if !holds {
                    return Err(Flaw::Lost(format!("{stream}: {removal:?}, found {info:?}")));
                }
            }
        }
        Ok(())
    }

    /// Sends again what is not read, or was not acknowledged: the answer fits.
    async fn ask_again(&self, places: &BTreeMap<u32, Vec<Option<Place>>>) -> Result<Found, Flaw> {
        let mut found = Found {
            acknowledged: self.ledger.landed.len() as u64,
            ..Found::default()
        };
        let read = |commit: u32| places.get(&commit);
        let hidden =
            self.ledger.landed.keys().copied().filter(|commit| {
                read(*commit).is_none_or(|places| places.iter().any(Option::is_none))
            });
        let again: Vec<_> = hidden.chain(self.ledger.in_flight()).collect();
        let sent = again.iter().map(|commit| {
            let commit = self.plan.planned(*commit);
            self.store.commit(commit.commit(|_| ExpectedVersion::Any))
        });
        for (commit, answer) in again.iter().zip(join_all(sent).await) {
            let first = self.ledger.landed.get(commit);
            let said = format!("commit {commit}, sent again: {answer:?}");
            let was_there = match answer {
                Ok(receipt) => {
                    let same = first.is_none_or(|first| first.appends == receipt.appends);
                    (same && receipt.replayed)
                        || (first.is_none() && !receipt.replayed && {
                            found.absent += 1;
                            read(*commit).is_none()
                        })
                }
                Err(AppendError::AlreadyCommitted { .. }) => true,
                Err(AppendError::StreamClosed(_)) => first.is_none() && read(*commit).is_none(),
                Err(_) => false,
            };
            match (was_there, first) {
                (true, _) => found.present += u64::from(read(*commit).is_some()),
                (false, Some(_)) => return Err(Flaw::Lost(said)),
                (false, None) => return Err(Flaw::Broken(said)),
            }
        }
        Ok(found)
    }

    /// Something new can be written, at the next position.
    async fn works_on(&self) -> Result<(), Flaw> {
        let head = self.store.head().await;
        let head = head.map_err(|error| broken("reading the head", &error))?;
        let stream = StreamId::new(FRESH, "1").expect("a stream id");
        let event = NewEvent::json("Fresh", &1).expect("an event");
        let appended = self.store.append(&stream, ExpectedVersion::Any, [event]);
        let receipt = appended
            .await
            .map_err(|error| Flaw::Broken(format!("appending: {error}")))?;
        match receipt.position == Some(head.next()) {
            true => Ok(()),
            false => Err(Flaw::Broken(format!("after {head} came {receipt:?}"))),
        }
    }
}

/// The category of what a look writes.
const FRESH: &str = "fresh";

/// Positions rise, and the versions of each stream have no hole.
fn numbered(
    events: &[RecordedEvent],
    infos: &HashMap<StreamId, StreamInfo>,
    head: Position,
) -> Result<(), Flaw> {
    let rising = events.is_sorted_by(|one, next| one.position < next.position);
    if !rising || events.last().is_some_and(|last| last.position > head) {
        return Err(Flaw::Broken("positions do not rise to the head".to_owned()));
    }
    let mut next: HashMap<&StreamId, Version> = HashMap::new();
    for (stream, info) in infos {
        next.insert(stream, info.first_version.unwrap_or(info.version.next()));
    }
    for event in events {
        let due = next.get_mut(&event.stream);
        match due {
            Some(due) if *due == event.version => *due = due.next(),
            _ => {
                let what = format!("position {}: {due:?} was due", event.position);
                return Err(Flaw::Broken(what));
            }
        }
    }
    let short = infos.iter().find(|(stream, info)| {
        let due = next.get(stream);
        due.is_none_or(|due| *due != info.version.next())
    });
    match short {
        None => Ok(()),
        Some((stream, info)) => Err(Flaw::Broken(format!("{stream} ends before {info:?}"))),
    }
}

fn broken(doing: &str, error: &StoreError) -> Flaw {
    let cause = std::error::Error::source(error);
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    Flaw::Broken(format!("{doing}: {error}{cause}"))
}
