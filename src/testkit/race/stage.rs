//! The stage of a race: a store in memory at whose door each command waits, until the
//! schedule lets it in for one call. What was called and answered is kept, and nothing of it
//! is changed, but for an answer that the schedule loses.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_core::future::BoxFuture;

use super::schedule::Way;
use crate::event::RecordedEvent;
use crate::ids::{EventId, StreamId};
use crate::store::{
    AppendError, Backend, CommitFound, CommitRequest, Receipt, Snapshot, StoreError,
    StoreErrorKind, StreamInfo, StreamPage, StreamQuery, Wrapper,
};
use crate::version::{ExpectedVersion, Version};

/// Everything that happened on the way to an ending.
pub(super) struct Stage {
    inner: Arc<dyn Backend>,
    happened: Mutex<Happened>,
}

pub(super) struct Happened {
    pub(super) seats: Vec<Seat>,
    pub(super) landed: Vec<Landed>,
    pub(super) steps: Vec<Step>,
    /// Whose an event is. Its id is another one in each run: whose it is, and which of
    /// theirs, is the same.
    ids: HashMap<EventId, Origin>,
    /// What the store holds beside what was given, in short.
    digest: u64,
}

/// The place of one life of a command.
#[derive(Default)]
pub(super) struct Seat {
    who: usize,
    stands: Stands,
    /// How often it was sent before: it crashed that often.
    life: u32,
    /// What it stands at the door for.
    pub(super) waiting: Option<Call>,
    let_in: Option<Way>,
    /// The version that this life of it decided on first.
    pub(super) base: Option<Version>,
    /// Whether an append of this life was in conflict.
    pub(super) lost: bool,
    /// Whether this life found its id, and decides nothing.
    known: bool,
    drafts: u32,
    /// What it was told in this life, in short: what it will do follows from that alone.
    pub(super) digest: u64,
}

/// Whether a life of a command is still to be heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Stands {
    #[default]
    Alive,
    /// Its caller is gone, and its append is still under way.
    Late,
    Gone,
}

#[derive(Clone, Copy, Hash)]
struct Origin {
    who: usize,
    life: u32,
    number: u32,
}

/// What a command asks of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Look,
    Read,
    Ask,
    Find,
    Append,
}

/// A commit that landed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Landed {
    pub(super) who: usize,
    /// The version that was decided on first.
    pub(super) base: Version,
    /// The version that it was appended at.
    pub(super) at: Version,
    pub(super) last: Version,
}

/// What one command did at one time.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) who: usize,
    /// Whether its caller was gone already.
    pub(super) late: bool,
    pub(super) did: Did,
}

#[derive(Clone, Debug)]
pub(super) enum Did {
    /// It looked whether its id took effect before.
    Looked {
        known: bool,
    },
    /// It read the state that it decides on.
    Loaded {
        at: Version,
    },
    /// It read the events after one version, up to another.
    Read {
        after: Version,
        to: Version,
    },
    Asked,
    Found,
    Landed {
        at: Version,
        last: Version,
    },
    /// The store knew it, and wrote nothing.
    Known,
    Lost {
        at: Version,
        actual: Version,
    },
    Refused {
        code: &'static str,
    },
    /// The answer to what it did last was lost.
    Unheard,
    /// It was gone, and is sent again. What it was appending is gone too, or under way.
    Crashed {
        stands: Stands,
    },
    /// What its caller was told.
    Answered,
}

impl Stage {
    pub(super) fn new(inner: Arc<dyn Backend>, commands: usize) -> Arc<Self> {
        let seats = (0..commands).map(|who| Seat {
            who,
            ..Seat::default()
        });
        Arc::new(Self {
            inner,
            happened: Mutex::new(Happened {
                seats: seats.collect(),
                landed: Vec::new(),
                steps: Vec::new(),
                ids: HashMap::new(),
                digest: 0,
            }),
        })
    }

    /// No user code runs under the lock.
    pub(super) fn happened(&self) -> MutexGuard<'_, Happened> {
        self.happened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Happened {
    /// Lets a command in for the call that it waits with.
    pub(super) fn let_in(&mut self, seat: usize, way: Way) {
        if let Some(seat) = self.seats.get_mut(seat) {
            seat.waiting = None;
            seat.let_in = Some(way);
        }
    }

    /// Begins another life of a command, which knows nothing of the one before, and says how
    /// that one stands. Answers the seat of the new one.
    pub(super) fn revive(&mut self, seat: usize, stands: Stands) -> usize {
        let Some(gone) = self.seats.get_mut(seat) else {
            return seat;
        };
        let next = Seat {
            who: gone.who,
            life: gone.life + 1,
            ..Seat::default()
        };
        gone.stands = stands;
        self.seats.push(next);
        let next = self.seats.len() - 1;
        self.step(next, Did::Crashed { stands });
        next
    }

    /// What was under way has arrived, and nobody is told.
    pub(super) fn leave(&mut self, seat: usize) {
        if let Some(seat) = self.seats.get_mut(seat) {
            seat.stands = Stands::Gone;
        }
    }

    pub(super) fn step(&mut self, seat: usize, did: Did) {
        if let Some(seat) = self.seats.get(seat) {
            let (who, late) = (seat.who, seat.stands == Stands::Late);
            self.steps.push(Step { who, late, did });
        }
    }

    /// Where the race stands: two runs that stand alike go on alike. What a command does
    /// next follows from what it was told, and what it is told from what the store holds.
    pub(super) fn digest(&self, mut into: impl Hasher) -> u64 {
        self.digest.hash(&mut into);
        for seat in self.seats.iter().filter(|seat| seat.stands != Stands::Gone) {
            (seat.who, seat.stands, seat.life, seat.digest, seat.waiting).hash(&mut into);
        }
        into.finish()
    }

    /// Whether this is what a command decides on: what it reads first, unless its id was
    /// found.
    fn loads(&mut self, seat: usize, at: Version) -> bool {
        let seat = self.seats.get_mut(seat).filter(|seat| !seat.known);
        seat.is_some_and(|seat| {
            let first = seat.base.is_none();
            seat.base.get_or_insert(at);
            first
        })
    }

    /// A command is told something.
    fn tell(&mut self, seat: usize, what: impl Hash) {
        if let Some(seat) = self.seats.get_mut(seat) {
            seat.digest = mixed(seat.digest, what);
        }
    }

    /// What an event is, whatever its id is in this run.
    fn event(&self, event: &RecordedEvent) -> impl Hash + use<> {
        let origin = self.ids.get(&event.id).copied();
        let payload = event.payload.as_str().to_owned();
        (origin, event.version, event.event_type.clone(), payload)
    }

    /// Notes whose the events of a commit are.
    fn own(&mut self, seat: usize, request: &CommitRequest) {
        let Some(seat) = self.seats.get_mut(seat) else {
            return;
        };
        for event in request.appends.iter().flat_map(|append| &append.events) {
            self.ids.entry(event.id).or_insert_with(|| {
                seat.drafts += 1;
                let (who, life, number) = (seat.who, seat.life, seat.drafts);
                Origin { who, life, number }
            });
        }
    }

    fn land(&mut self, seat: usize, request: &CommitRequest, at: Version, last: Version) {
        let Some(seat) = self.seats.get(seat) else {
            return;
        };
        let (who, base) = (seat.who, seat.base.unwrap_or(at));
        self.landed.push(Landed {
            who,
            base,
            at,
            last,
        });
        self.digest = mixed(self.digest, (base, at));
        for event in request.appends.iter().flat_map(|append| &append.events) {
            let origin = self.ids.get(&event.id).copied();
            let event = (event.event_type.as_str(), event.payload.as_str());
            self.digest = mixed(self.digest, (origin, event));
        }
    }
}

fn mixed(digest: u64, what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (digest, what).hash(&mut hasher);
    hasher.finish()
}

/// The store as one command sees it.
pub(super) struct Door {
    pub(super) stage: Arc<Stage>,
    pub(super) seat: usize,
}

impl Door {
    /// Waits until the schedule says when, and how.
    async fn wait(&self, call: Call) -> Way {
        poll_fn(|_| {
            let mut happened = self.stage.happened();
            let Some(seat) = happened.seats.get_mut(self.seat) else {
                return Poll::Ready(Way::Through);
            };
            match seat.let_in.take() {
                Some(way) => Poll::Ready(way),
                None => {
                    seat.waiting = Some(call);
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn note(&self, request: &CommitRequest, answer: &Result<Receipt, AppendError>) {
        let mut happened = self.stage.happened();
        let append = request.appends.first();
        let at = match append.map(|append| append.expected) {
            Some(ExpectedVersion::Exact(at)) => at,
            _ => Version::ZERO,
        };
        let did = match answer {
            Ok(receipt) if receipt.replayed => Did::Known,
            Ok(receipt) => {
                let last = receipt.version();
                happened.land(self.seat, request, at, last);
                Did::Landed { at, last }
            }
            Err(AppendError::AlreadyCommitted { .. }) => Did::Known,
            Err(AppendError::Conflict(conflicts)) => {
                let actual = conflicts.violations().first().map(|lost| lost.actual);
                if let Some(seat) = happened.seats.get_mut(self.seat) {
                    seat.lost = true;
                }
                Did::Lost {
                    at,
                    actual: actual.unwrap_or(at),
                }
            }
            Err(error) => Did::Refused { code: error.code() },
        };
        happened.step(self.seat, did);
    }

    /// What a commit was answered, in short.
    fn tell(&self, answer: &Result<Receipt, AppendError>) {
        let versions = |receipt: &Receipt| {
            let own = receipt.appends.first();
            (own.and_then(|own| own.first), receipt.version())
        };
        let told = match answer {
            Ok(receipt) => ("landed", Some(versions(receipt))),
            Err(AppendError::AlreadyCommitted { receipt, .. }) => {
                ("known", Some(versions(receipt)))
            }
            Err(error) => (error.code(), None),
        };
        self.stage.happened().tell(self.seat, (Call::Append, told));
    }
}

impl Wrapper for Door {
    fn inner(&self) -> &dyn Backend {
        self.stage.inner.as_ref()
    }

    /// None is kept, in the background, where a schedule could not say when.
    fn keep_snapshot(&self, _: StreamId, _: Snapshot) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async { Ok(false) })
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        Box::pin(async move {
            let way = self.wait(Call::Append).await;
            self.stage.happened().own(self.seat, &request);
            let answer = self.inner().commit(request.clone()).await;
            self.note(&request, &answer);
            let answer = match way {
                Way::Through => answer,
                Way::Unheard => {
                    self.stage.happened().step(self.seat, Did::Unheard);
                    let what = "the answer is lost";
                    Err(StoreError::new(StoreErrorKind::Unknown, what).into())
                }
            };
            self.tell(&answer);
            answer
        })
    }

    fn read_stream(&self, query: StreamQuery) -> BoxFuture<'_, Result<StreamPage, StoreError>> {
        Box::pin(async move {
            self.wait(Call::Read).await;
            let page = self.inner().read_stream(query).await?;
            let mut happened = self.stage.happened();
            let events: Vec<_> = page
                .events
                .iter()
                .map(|event| happened.event(event))
                .collect();
            let told = (Call::Read, page.version, page.generation, page.next, events);
            happened.tell(self.seat, told);
            let events = page.events.iter().map(|event| event.version);
            let (first, last) = (events.clone().min(), events.max());
            let did = match happened.loads(self.seat, page.version) {
                true => Did::Loaded { at: page.version },
                false => Did::Read {
                    after: first.map_or(page.version, |first| {
                        Version::new(first.get().saturating_sub(1))
                    }),
                    to: last.unwrap_or(page.version),
                },
            };
            happened.step(self.seat, did);
            Ok(page)
        })
    }

    fn stream_info<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<StreamInfo, StoreError>> {
        Box::pin(async move {
            self.wait(Call::Ask).await;
            let info = self.inner().stream_info(stream).await?;
            let mut happened = self.stage.happened();
            happened.tell(self.seat, (Call::Ask, info.version, info.generation));
            happened.step(self.seat, Did::Asked);
            Ok(info)
        })
    }

    fn find_event<'a>(
        &'a self,
        stream: &'a StreamId,
        id: EventId,
    ) -> BoxFuture<'a, Result<Option<RecordedEvent>, StoreError>> {
        Box::pin(async move {
            self.wait(Call::Find).await;
            let found = self.inner().find_event(stream, id).await?;
            let mut happened = self.stage.happened();
            let event = found.as_ref().map(|event| happened.event(event));
            happened.tell(self.seat, (Call::Find, event));
            happened.step(self.seat, Did::Found);
            Ok(found)
        })
    }

    fn find_commit<'a>(
        &'a self,
        stream: &'a StreamId,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<CommitFound>, StoreError>> {
        Box::pin(async move {
            self.wait(Call::Look).await;
            let found = self.inner().find_commit(stream, key).await?;
            let mut happened = self.stage.happened();
            let last = found.as_ref().map(|found| found.receipt.version());
            happened.tell(self.seat, (Call::Look, last));
            let known = found.is_some();
            if let Some(seat) = happened.seats.get_mut(self.seat) {
                seat.known = known;
            }
            happened.step(self.seat, Did::Looked { known });
            Ok(found)
        })
    }
}
