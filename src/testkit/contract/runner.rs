//! Tells a case to a store and compares what it answers.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_core::future::BoxFuture;

use super::Subject;
use super::case::{Answer, Case, Draft, DraftAppend, Feed, Read, Step, StreamList};
use super::feeds;
use super::ledger::Ledger;
use super::promises::{self, snapshot};
use super::reads;
use super::sent::{Names, answer, event_id, lease_name, removed};
use crate::store::{
    AppendError, FeedItem, LeaseAnswer, LeaseAsk, LeaseRequest, Receipt, Removal, Store,
};
use crate::version::StreamState;

/// Runs one case on an empty store.
///
/// # Errors
///
/// [`Failure`] at the first answer that is not the promised one.
///
/// # Cancel safety
///
/// Dropping the future leaves the store with a part of the case.
pub async fn run(case: &Case, subject: &mut dyn Subject) -> Result<(), Failure> {
    let mut run = Run {
        names: Names::of(case),
        ledger: Ledger::default(),
        keyed: HashMap::new(),
        subject,
    };
    let fail = |place: String, sent: String| {
        move |Differs { expected, got }| Failure {
            case: case.name,
            place,
            sent,
            expected,
            got,
        }
    };
    for (number, draft) in (1..).zip(&case.given) {
        let given = run.commit(draft, &Answer::Landed).await;
        given.map_err(fail(format!("given {number}"), draft.to_string()))?;
    }
    for (number, step) in (1..).zip(&case.steps) {
        let asked = run.step(step).await;
        asked.map_err(fail(format!("step {number}"), step.to_string()))?;
    }
    let kept = run.promises().await;
    kept.map_err(fail("afterwards".into(), "reads of everything".into()))
}

/// A store that did not answer what the contract promises.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The case.
    pub case: &'static str,
    /// Which of its steps, counted from 1.
    pub place: String,
    /// What was sent.
    pub sent: String,
    /// What must be answered.
    pub expected: String,
    /// What was answered.
    pub got: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            case,
            place,
            sent,
            expected,
            got,
        } = self;
        writeln!(f, "{case}, {place}")?;
        writeln!(f, "  sent:     {sent}")?;
        writeln!(f, "  expected: {expected}")?;
        write!(f, "  got:      {got}")
    }
}

impl std::error::Error for Failure {}

/// A promise beside what was got.
#[derive(Debug)]
pub(super) struct Differs {
    expected: String,
    got: String,
}

impl Differs {
    pub(super) fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        let (expected, got) = (expected.into(), got.into());
        Self { expected, got }
    }
}

/// Refuses what is not equal to what is promised.
pub(super) fn same<T: PartialEq + fmt::Debug>(
    what: &str,
    expected: &T,
    got: &T,
) -> Result<(), Differs> {
    if expected == got {
        return Ok(());
    }
    let shown = |value: &T| format!("{what}: {value:?}").chars().take(2_000).collect();
    Err(Differs {
        expected: shown(expected),
        got: shown(got),
    })
}

/// One commit that was sent, and what came of it.
type Sent<'a> = (&'a Draft, Result<Receipt, AppendError>);

struct Run<'a> {
    subject: &'a mut dyn Subject,
    names: Names,
    /// What the steps before left in the store.
    ledger: Ledger,
    /// The first receipt under each key, by stream and key.
    keyed: HashMap<(String, String), Receipt>,
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Result<(), Differs> {
        match step {
            Step::Commit { draft, answer } => self.commit(draft, answer).await,
            Step::Race { drafts, answers } => self.race(drafts, answers).await,
            Step::Remove {
                stream,
                removal,
                answer,
            } => self.remove(stream, *removal, answer).await,
            Step::Compact { events } => self.compact(*events).await,
            Step::Lease { name, ask, granted } => self.lease(name, *ask, *granted).await,
            Step::Restart => {
                self.subject.restart().await;
                Ok(())
            }
            Step::Read {
                read,
                events,
                version,
            } => self.read(read, events, *version).await,
            Step::Feed { feed, items } => self.feed(feed, items).await,
            // Boxed, since a step is within a step.
            Step::Follow { step, items } => Box::pin(self.follow(step, items)).await,
            Step::List { list, streams } => self.list(list, streams).await,
            Step::Info { stream, version } => self.info(stream, *version).await,
            Step::Find {
                stream,
                event,
                version,
            } => self.find(stream, event, *version).await,
        }
    }

    /// The handles for one step, which must find what the step before left.
    async fn stores(&mut self) -> Result<(Store, Vec<Store>), Differs> {
        let stores = self.subject.stores().await;
        let Some(store) = stores.first().cloned() else {
            return Err(Differs::new("a store to run on", "none"));
        };
        promises::holds(&store, &self.ledger).await?;
        Ok((store, stores))
    }

    async fn commit(&mut self, draft: &Draft, expected: &Answer) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let mut sent: Vec<Sent<'_>> = Vec::new();
        let got = match draft.build() {
            Err(unmade) => unmade,
            Ok(commit) => {
                let answered = store.commit(commit).await;
                let got = answer(&self.names, &answered);
                sent.push((draft, answered));
                got
            }
        };
        if !expected.admits(&got) {
            return Err(differing(expected, &got));
        }
        self.effects(&store, &sent).await
    }

    async fn race(
        &mut self,
        drafts: &[Draft],
        expected: &[(usize, Answer)],
    ) -> Result<(), Differs> {
        let (store, stores) = self.stores().await?;
        let mut racers: Vec<BoxFuture<'_, Result<Receipt, AppendError>>> = Vec::new();
        for (draft, store) in drafts.iter().zip(stores.iter().cycle()) {
            let commit = draft.build().map_err(|unmade| {
                Differs::new("a race of commits that can be made", format!("{unmade:?}"))
            })?;
            racers.push(Box::pin(store.commit(commit)));
        }
        let answered = all(racers).await;
        let mut got: Vec<Answer> = answered
            .iter()
            .map(|answered| answer(&self.names, answered))
            .collect();
        for (count, expected) in expected {
            for _ in 0..*count {
                let Some(index) = got.iter().position(|got| expected.admits(got)) else {
                    return Err(Differs::new(
                        format!("{count} times {expected:?}"),
                        format!("fewer; others were answered {got:?}"),
                    ));
                };
                got.swap_remove(index);
            }
        }
        same("further answers", &Vec::new(), &got)?;
        let sent: Vec<Sent<'_>> = drafts.iter().zip(answered).collect();
        self.effects(&store, &sent).await
    }

    /// What was sent is in the store if it was appended, and nothing else is new.
    async fn effects(&mut self, store: &Store, sent: &[Sent<'_>]) -> Result<(), Differs> {
        let after = snapshot(store).await?;
        let before = self.ledger.readable();
        let (old, new) = after.split_at(before.len().min(after.len()));
        promises::same_events("what was there before", &before, old)?;
        self.ledger.written.extend(new.iter().cloned());
        let mut new_expected = 0;
        for (draft, answered) in sent {
            match answered {
                Ok(receipt) => {
                    promises::receipt(draft, receipt, &self.ledger.written)?;
                    if !receipt.replayed {
                        new_expected += draft.events_count();
                        self.remember(draft, receipt);
                    }
                }
                Err(error) => {
                    let expectations = error.conflict().map(|conflict| conflict.expectations());
                    let stated = expectations.map(|_| draft.appends.len());
                    same("expectations stated", &stated, &expectations)?;
                }
            }
        }
        same("events written", &new_expected, &new.len())?;
        for (draft, answered) in sent {
            if let Err(AppendError::AlreadyCommitted {
                stream,
                key,
                receipt,
            }) = answered
            {
                self.recall(draft, (stream.to_string(), key.clone()), receipt)?;
            }
        }
        Ok(())
    }

    async fn remove(
        &mut self,
        stream: &str,
        removal: Removal,
        expected: &Answer,
    ) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let stream = reads::stream_id(stream)?;
        let answered = match removal {
            Removal::Delete(expected) => store.delete(&stream, expected).await,
            Removal::TruncateBefore(version) => store.truncate_before(&stream, version).await,
            Removal::Close(expected) => store.close_stream(&stream, expected).await,
        };
        let got = removed(&self.names, &answered);
        if !expected.admits(&got) {
            return Err(differing(expected, &got));
        }
        if let Ok(removed) = answered {
            let events_removed = removed.changed && !matches!(removal, Removal::Close(_));
            same(
                "a marker's position",
                &events_removed,
                &removed.position.is_some(),
            )?;
            self.ledger.note(removal, &removed);
        }
        promises::holds(&store, &self.ledger).await
    }

    async fn compact(&mut self, events: u64) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let compacted = store.compact().await.map_err(promises::broken)?;
        same("events stripped", &events, &compacted.events)?;
        promises::holds(&store, &self.ledger).await
    }

    async fn lease(
        &mut self,
        name: &str,
        ask: LeaseAsk,
        granted: Option<u64>,
    ) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let name = lease_name(name).map_err(|no| Differs::new("a name", format!("{no:?}")))?;
        let request = LeaseRequest { name, ask };
        let answer = store.backend().lease(request.clone()).await;
        let answer = answer.map_err(promises::broken)?;
        let token = match answer {
            LeaseAnswer::Granted(state) => Some(state.token.get()),
            LeaseAnswer::Refused(_) => None,
        };
        same("the token granted", &granted, &token)?;
        let (LeaseAnswer::Granted(state) | LeaseAnswer::Refused(state)) = answer;
        let holder = store.lease_holder(&request.name).await;
        let holder = holder.map_err(promises::broken)?;
        // An hour is long enough to be over after the case, nothing before the look.
        let is_held = !state.released && !matches!(ask, LeaseAsk::Acquire(Duration::ZERO));
        match holder {
            Some(holder) => same("the holder", &state, &holder),
            None => same(
                "whether it is held",
                &false,
                &(is_held && granted.is_some()),
            ),
        }
    }

    fn remember(&mut self, draft: &Draft, receipt: &Receipt) {
        if let Some(key) = key(draft) {
            self.keyed.insert(key, receipt.clone());
        }
    }

    /// The receipt under a key is the first one but for `replayed`.
    fn recall(
        &self,
        draft: &Draft,
        named: (String, String),
        receipt: &Receipt,
    ) -> Result<(), Differs> {
        let first = self.keyed.get(&named);
        same("stream and key", &key(draft), &Some(named))?;
        let again = Receipt {
            replayed: false,
            ..receipt.clone()
        };
        same("the key's first receipt", &first, &Some(&again))
    }

    async fn read(
        &mut self,
        read: &Read,
        events: &[String],
        version: Option<u64>,
    ) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let (read, reported) = reads::read(&store, read, &self.ledger).await?;
        let read: Vec<String> = read.iter().map(|event| self.names.name(event.id)).collect();
        same("events", &events, &read.as_slice())?;
        same("version", &version, &reported)
    }

    async fn feed(&mut self, feed: &Feed, items: &[String]) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let read = feeds::read(&store, feed, &self.ledger).await?;
        same("items", &items, &self.named(&read).as_slice())
    }

    async fn follow(&mut self, step: &Step, items: &[String]) -> Result<(), Differs> {
        let (_, stores) = self.stores().await?;
        let before = self.ledger.head();
        let waiting = feeds::wait(&stores, before).await?;
        self.step(step).await?;
        let (reopened, _) = self.stores().await?;
        let told = feeds::woken(waiting, (before, self.ledger.head()), &reopened).await?;
        same("items followed", &items, &self.named(&told).as_slice())
    }

    fn named(&self, items: &[FeedItem]) -> Vec<String> {
        let name = |item| feeds::name(item, |id| self.names.name(id));
        items.iter().map(name).collect()
    }

    async fn list(&mut self, list: &StreamList, streams: &[String]) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let listed = reads::list(&store, list).await?;
        same("streams", &streams, &listed.as_slice())
    }

    async fn info(&mut self, stream: &str, version: u64) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let info = store.stream_info(&reads::stream_id(stream)?).await;
        let info = info.map_err(promises::broken)?;
        let streams = self.ledger.streams();
        let known = streams.iter().find(|known| known.stream == info.stream);
        let state = known.map_or_else(StreamState::default, |known| known.state);
        let got = (info.version.get(), info.state);
        same("version and state", &(version, state), &got)
    }

    async fn find(
        &mut self,
        stream: &str,
        event: &str,
        version: Option<u64>,
    ) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        let stream = reads::stream_id(stream)?;
        let found = store.find_event(&stream, event_id(event)).await;
        let found = found.map_err(promises::broken)?;
        let found = found.map(|event| (event.stream, event.version.get()));
        let expected = version.map(|version| (stream, version));
        same("the event", &expected, &found)
    }

    async fn promises(&mut self) -> Result<(), Differs> {
        let (store, _) = self.stores().await?;
        promises::kept(&store, &self.ledger).await
    }
}

fn differing(expected: &Answer, got: &Answer) -> Differs {
    let shown = |answer: &Answer| {
        format!("{answer:?}")
            .chars()
            .take(2_000)
            .collect::<String>()
    };
    Differs::new(shown(expected), shown(got))
}

fn key(draft: &Draft) -> Option<(String, String)> {
    let (key, _) = draft.key.as_ref()?;
    let DraftAppend { stream, .. } = draft.appends.first()?;
    Some((stream.clone(), key.clone()))
}

/// Drives all of them at once.
async fn all<T>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (answer, future) in answers.iter_mut().zip(&mut futures) {
            if answer.is_some() {
                continue;
            }
            match future.as_mut().poll(cx) {
                Poll::Ready(ready) => *answer = Some(ready),
                Poll::Pending => pending = true,
            }
        }
        match pending {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit { draft, .. } => draft.fmt(f),
            Self::Race { drafts, .. } => {
                write!(f, "{} commits at once", drafts.len())?;
                let first = drafts.first();
                first.map_or(Ok(()), |first| write!(f, ", the first: {first}"))
            }
            Self::Remove {
                stream, removal, ..
            } => write!(f, "{removal:?} of {stream:?}"),
            Self::Compact { .. } => f.write_str("compact"),
            Self::Lease { name, ask, .. } => write!(f, "{ask:?} of the lease {name:?}"),
            Self::Restart => f.write_str("restart"),
            Self::Read { read, .. } => write!(f, "{read:?}"),
            Self::Feed { feed, .. } => write!(f, "{feed:?}"),
            Self::Follow { step, .. } => write!(f, "{step}, with followers"),
            Self::List { list, .. } => write!(f, "{list:?}"),
            Self::Info { stream, .. } => write!(f, "what {stream:?} is"),
            Self::Find { stream, event, .. } => write!(f, "find {event} in {stream:?}"),
        }
    }
}
