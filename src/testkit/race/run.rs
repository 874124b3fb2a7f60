//! One run of a race: the real bus on the stage, turn by turn, on this thread and without a
//! clock. A run is made from its beginning each time, since a future cannot be copied.

use std::hash::DefaultHasher;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::future::BoxFuture;

use super::Contest;
use super::schedule::{How, Schedule, Turn, Way, letter};
use super::stage::{Call, Did, Door, Seat, Stage};
use crate::command::{BusOptions, CommandBus};
use crate::domain::error::chain;
use crate::domain::{AnyDispatchError, AnyOutcome};
use crate::event::RecordedEvent;
use crate::ids::StreamId;
use crate::store::{Limits, MemoryOptions, Store};
use crate::testkit::clock::ManualClock;
use crate::version::ExpectedVersion;

pub(super) type Answer = Result<AnyOutcome, AnyDispatchError>;

/// A race under way.
pub(super) struct Run<'a> {
    contest: &'a Contest,
    store: Store,
    stream: StreamId,
    pub(super) stage: Arc<Stage>,
    /// Where each command sits in its present life.
    pub(super) seats: Vec<usize>,
    under_way: Vec<Option<BoxFuture<'static, Answer>>>,
    /// Appends whose callers are gone, with the command and its seat.
    late: Vec<(usize, usize, BoxFuture<'static, Answer>)>,
    pub(super) answers: Vec<Option<Answer>>,
    pub(super) schedule: Schedule,
    faults: u32,
}

impl<'a> Run<'a> {
    const GIVEN_AT_ONCE: usize = 1_000;

    /// Sends every command. Each stands at the door with its first call.
    pub(super) fn new(contest: &'a Contest) -> Result<Self, String> {
        let options = MemoryOptions {
            clock: Arc::new(ManualClock::default()),
            ..MemoryOptions::default()
        };
        let store = Store::memory_with(options);
        let stream =
            StreamId::new(contest.category, Contest::KEY).map_err(|error| chain(&error))?;
        for given in contest.given.chunks(Self::GIVEN_AT_ONCE) {
            let appended = store.append(&stream, ExpectedVersion::Any, given.to_vec());
            at_once(appended)?.map_err(|error| chain(&error))?;
        }
        let commands = contest.commands.len();
        let stage = Stage::new((contest.on)(store.backend()), commands);
        let mut run = Self {
            contest,
            store,
            stream,
            seats: (0..commands).collect(),
            stage,
            under_way: Vec::new(),
            late: Vec::new(),
            answers: Vec::new(),
            schedule: Schedule::default(),
            faults: 0,
        };
        run.under_way.resize_with(commands, || None);
        run.answers.resize_with(commands, || None);
        for who in 0..commands {
            run.send(who)?;
        }
        Ok(run)
    }

    /// The turns that may be taken now, the simplest first: whoever went last goes on, and
    /// what fails comes last. None when every command has its answer.
    pub(super) fn turns(&self) -> Vec<Turn> {
        let is_under_way = |who: &usize| self.under_way.get(*who).is_some_and(Option::is_some);
        let mut whos: Vec<_> = (0..self.under_way.len()).filter(is_under_way).collect();
        if let Some(last) = self.schedule.0.last() {
            whos.sort_by_key(|who| *who != last.who);
        }
        let turn = |how| move |who: &usize| Turn { who: *who, how };
        let mut turns: Vec<_> = whos.iter().map(turn(How::Call)).collect();
        let late = self.late.iter().map(|(who, ..)| *who);
        turns.extend(late.map(|who| Turn {
            who,
            how: How::Arrive,
        }));
        if self.faults < self.contest.faults_max {
            let has_begun = |who: &&usize| self.has_begun(**who);
            let appends = |who: &&usize| self.appends(**who);
            turns.extend(whos.iter().filter(appends).map(turn(How::Unheard)));
            turns.extend(whos.iter().filter(appends).map(turn(How::CallAndCrash)));
            turns.extend(whos.iter().filter(appends).map(turn(How::CrashUnderWay)));
            turns.extend(whos.iter().filter(has_begun).map(turn(How::Crash)));
        }
        turns
    }

    /// Before its first call it is not there to crash.
    fn has_begun(&self, who: usize) -> bool {
        self.sits(who, |seat| seat.digest != 0)
    }

    fn appends(&self, who: usize) -> bool {
        self.sits(who, |seat| seat.waiting == Some(Call::Append))
    }

    fn sits(&self, who: usize, is: impl FnOnce(&Seat) -> bool) -> bool {
        let happened = self.stage.happened();
        let seat = self
            .seats
            .get(who)
            .and_then(|seat| happened.seats.get(*seat));
        seat.is_some_and(is)
    }

    /// Takes a turn.
    pub(super) fn take(&mut self, turn: Turn) -> Result<(), String> {
        let Turn { who, how } = turn;
        if how == How::Arrive {
            self.schedule.0.push(turn);
            return self.arrive(who);
        }
        if !matches!(self.under_way.get(who), Some(Some(_))) {
            return Err(format!("{} has no turn left to take", letter(who)));
        }
        if !matches!(how, How::Call | How::Crash) && !self.appends(who) {
            return Err(format!("{} does not append in this turn", letter(who)));
        }
        self.faults += u32::from(how.is_fault());
        self.schedule.0.push(turn);
        let way = match how {
            How::Call | How::CallAndCrash => Some(Way::Through),
            How::Unheard => Some(Way::Unheard),
            How::Crash | How::CrashUnderWay | How::Arrive => None,
        };
        if let (Some(way), Some(seat)) = (way, self.seats.get(who)) {
            self.stage.happened().let_in(*seat, way);
            self.poll(who)?;
        }
        if matches!(how, How::Crash | How::CallAndCrash | How::CrashUnderWay) {
            self.crash(who, how)?;
        }
        if let (Some(Some(_)), Some(seat)) = (self.answers.get(who), self.seats.get(who)) {
            self.stage.happened().step(*seat, Did::Answered);
        }
        Ok(())
    }

    /// Whoever sent it is gone, has heard nothing, and sends it again under the same id.
    fn crash(&mut self, who: usize, how: How) -> Result<(), String> {
        if let Some(answer) = self.answers.get_mut(who) {
            *answer = None;
        }
        let Some(seat) = self.seats.get_mut(who) else {
            return Ok(());
        };
        let gone = *seat;
        let is_late = how == How::CrashUnderWay;
        *seat = self.stage.happened().revive(gone, is_late);
        let future = self.under_way.get_mut(who).and_then(Option::take);
        self.late
            .extend(future.filter(|_| is_late).map(|future| (who, gone, future)));
        self.send(who)
    }

    /// What was under way arrives, and nobody hears of it.
    fn arrive(&mut self, who: usize) -> Result<(), String> {
        let Some(at) = self.late.iter().position(|(late, ..)| *late == who) else {
            return Err(format!("nothing of {} is under way", letter(who)));
        };
        let (_, seat, mut future) = self.late.remove(at);
        self.stage.happened().let_in(seat, Way::Through);
        let _ = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        self.stage.happened().leave(seat);
        Ok(())
    }

    fn send(&mut self, who: usize) -> Result<(), String> {
        let (Some(seat), Some(command)) = (self.seats.get(who), self.contest.commands.get(who))
        else {
            return Err(format!("there is no command {}", letter(who)));
        };
        let dispatch = self.bus(*seat).dispatch_any(Contest::KEY, command.clone());
        let dispatch = dispatch.command_id(letter(who));
        if let Some(under_way) = self.under_way.get_mut(who) {
            *under_way = Some(dispatch.into_future());
        }
        self.poll(who)
    }

    fn bus(&self, seat: usize) -> CommandBus {
        let stage = Arc::clone(&self.stage);
        let seen = Store::from_backend(Arc::new(Door { stage, seat }), Limits::default());
        let mut options = BusOptions::default();
        options.retry.delay_base = Duration::ZERO;
        // A lost answer is one attempt more, and never the last.
        options.retry.attempts_max += self.contest.faults_max;
        options.seed = Some(0);
        CommandBus::with(seen, options)
    }

    fn poll(&mut self, who: usize) -> Result<(), String> {
        let under_way = self.under_way.get_mut(who);
        let Some((slot, future)) = under_way.and_then(|slot| {
            let future = slot.take()?;
            Some((slot, future))
        }) else {
            return Ok(());
        };
        let mut future = future;
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => {
                if let Some(place) = self.answers.get_mut(who) {
                    *place = Some(answer);
                }
                Ok(())
            }
            Poll::Pending => {
                *slot = Some(future);
                let happened = self.stage.happened();
                let seat = self
                    .seats
                    .get(who)
                    .and_then(|seat| happened.seats.get(*seat));
                match seat.and_then(|seat| seat.waiting) {
                    Some(_) => Ok(()),
                    None => Err(format!("{} waits for something else", letter(who))),
                }
            }
        }
    }

    /// Where it stands, in short.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        std::hash::Hash::hash(&self.faults, &mut hasher);
        self.stage.happened().digest(hasher)
    }

    /// Everything that is stored.
    pub(super) fn recorded(&self) -> Result<Vec<RecordedEvent>, String> {
        let slice = at_once(self.store.read_stream(&self.stream).collect())?;
        slice
            .map(|slice| slice.events)
            .map_err(|error| chain(&error))
    }
}

/// The answer of a store in memory, which never waits.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => Err("the store in memory waits".to_owned()),
    }
}
