//! One run of a race: the real bus on the stage, turn by turn, on this thread and without a
//! clock. A run is made from its beginning each time, since a future cannot be copied.

use std::hash::{DefaultHasher, Hash};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::future::BoxFuture;

use super::Contest;
use super::schedule::{How, Schedule, Turn, Way, letter};
use super::stage::{Call, Did, Door, Seat, Stage, Stands};
use crate::caught::chain;
use crate::command::{BusOptions, CommandBus};
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
    /// The commands, in their present lives.
    pub(super) sent: Vec<Sent>,
    /// Appends whose callers are gone, with the command.
    late: Vec<(usize, Sent)>,
    pub(super) schedule: Schedule,
    faults: u32,
}

/// One life of a command.
pub(super) struct Sent {
    pub(super) seat: usize,
    dispatch: BoxFuture<'static, Answer>,
    /// Nothing while it is under way.
    pub(super) answer: Option<Answer>,
}

impl Sent {
    fn poll(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(answer) = self.dispatch.as_mut().poll(&mut cx) {
            self.answer = Some(answer);
        }
    }
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
            stage,
            sent: Vec::new(),
            late: Vec::new(),
            schedule: Schedule::default(),
            faults: 0,
        };
        for who in 0..commands {
            let sent = run.send(who, who)?;
            run.sent.push(sent);
        }
        Ok(run)
    }

    /// The turns that may be taken now, the simplest first: whoever went last goes on, and
    /// what fails comes last. None when every command has its answer.
    pub(super) fn turns(&self) -> Vec<Turn> {
        let is_under_way = |(_, sent): &(usize, &Sent)| sent.answer.is_none();
        let under_way = self.sent.iter().enumerate().filter(is_under_way);
        let mut whos: Vec<_> = under_way.map(|(who, _)| who).collect();
        if let Some(last) = self.schedule.0.last() {
            whos.sort_by_key(|who| *who != last.who);
        }
        let turn = |how| move |who: &usize| Turn { who: *who, how };
        let mut turns: Vec<_> = whos.iter().map(turn(How::Call)).collect();
        let late = self.late.iter().map(|(who, _)| *who);
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
        let sent = self.sent.get(who);
        let seat = sent.and_then(|sent| happened.seats.get(sent.seat));
        seat.is_some_and(is)
    }

    /// Takes a turn.
    pub(super) fn take(&mut self, turn: Turn) -> Result<(), String> {
        let Turn { who, how } = turn;
        if how == How::Arrive {
            self.schedule.0.push(turn);
            return self.arrive(who);
        }
        let sent = self.sent.get(who).filter(|sent| sent.answer.is_none());
        let Some(seat) = sent.map(|sent| sent.seat) else {
            return Err(format!("{} has no turn left to take", letter(who)));
        };
        if !matches!(how, How::Call | How::Crash) && !self.appends(who) {
            return Err(format!("{} does not append in this turn", letter(who)));
        }
        self.faults += u32::from(how.is_fault());
        self.schedule.0.push(turn);
        match how {
            How::Call | How::CallAndCrash => self.call(who, seat, Way::Through)?,
            How::Unheard => self.call(who, seat, Way::Unheard)?,
            How::Crash | How::CrashUnderWay | How::Arrive => {}
        }
        match how {
            How::Crash | How::CallAndCrash => self.crash(who, Stands::Gone),
            How::CrashUnderWay => self.crash(who, Stands::Late),
            How::Call | How::Unheard | How::Arrive => {
                self.hear(who, seat);
                Ok(())
            }
        }
    }

    /// Whoever sent a command hears its answer, if there is one.
    fn hear(&self, who: usize, seat: usize) {
        if self.sent.get(who).is_some_and(|sent| sent.answer.is_some()) {
            self.stage.happened().step(seat, Did::Answered);
        }
    }

    /// Makes the call that a command waits with, and goes on to its next one, or its answer.
    fn call(&mut self, who: usize, seat: usize, way: Way) -> Result<(), String> {
        self.stage.happened().let_in(seat, way);
        let Some(sent) = self.sent.get_mut(who) else {
            return Ok(());
        };
        sent.poll();
        match sent.answer {
            Some(_) => Ok(()),
            None => self.waits(who, seat),
        }
    }

    /// Whoever sent it is gone, has heard nothing, and sends it again under the same id.
    fn crash(&mut self, who: usize, stands: Stands) -> Result<(), String> {
        let Some(gone) = self.sent.get(who).map(|sent| sent.seat) else {
            return Ok(());
        };
        let seat = self.stage.happened().revive(gone, stands);
        let next = self.send(who, seat)?;
        if let Some(sent) = self.sent.get_mut(who) {
            let gone = std::mem::replace(sent, next);
            self.late
                .extend((stands == Stands::Late).then_some((who, gone)));
        }
        Ok(())
    }

    /// What was under way arrives, and nobody hears of it.
    fn arrive(&mut self, who: usize) -> Result<(), String> {
        let Some(at) = self.late.iter().position(|(late, _)| *late == who) else {
            return Err(format!("nothing of {} is under way", letter(who)));
        };
        let (_, mut late) = self.late.remove(at);
        self.stage.happened().let_in(late.seat, Way::Through);
        late.poll();
        self.stage.happened().leave(late.seat);
        Ok(())
    }

    /// Sends a command. It stands at the door with its first call.
    fn send(&self, who: usize, seat: usize) -> Result<Sent, String> {
        let Some(command) = self.contest.commands.get(who) else {
            return Err(format!("there is no command {}", letter(who)));
        };
        let dispatch = self.bus(seat).dispatch_any(Contest::KEY, command.clone());
        let dispatch = dispatch.command_id(letter(who));
        let mut sent = Sent {
            seat,
            dispatch: dispatch.into_future(),
            answer: None,
        };
        sent.poll();
        match sent.answer {
            Some(_) => Ok(sent),
            None => self.waits(who, seat).map(|()| sent),
        }
    }

    /// Nothing but the store is waited for, or the schedule would wait for ever.
    fn waits(&self, who: usize, seat: usize) -> Result<(), String> {
        let happened = self.stage.happened();
        match happened.seats.get(seat).and_then(|seat| seat.waiting) {
            Some(_) => Ok(()),
            None => Err(format!("{} waits for something else", letter(who))),
        }
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

    /// Where it stands, in short.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.faults.hash(&mut hasher);
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
