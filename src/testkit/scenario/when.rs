//! A command that is about to be sent, what happens meanwhile, and what is expected. The
//! expectation sends it, and [`Then`] judges what came of it.

use std::sync::Arc;
use std::time::Duration;

use super::between::Between;
use super::deed::Deed;
use super::drive;
use super::story::{self, Story};
use super::then::{Ran, Then};
use crate::aggregate::stream_id;
use crate::command::{BusOptions, Command, CommandBus, Decision, Dispatch, DispatchError, EventOf};
use crate::event::RecordedEvent;
use crate::ids::StreamId;
use crate::repository::{Conflict, Repository};
use crate::store::{MemoryOptions, Store};
use crate::testkit::clock::ManualClock;

/// A command on its way in a scenario. An expectation, `then_..`, sends it.
#[must_use = "a scenario without an expectation checks nothing"]
pub struct When<C: Command> {
    given: Vec<Deed>,
    dispatch: Dispatch<C>,
    store: Store,
    stream: StreamId,
    between: Arc<Between>,
    story: Story,
}

impl<C: Command> When<C> {
    /// The key of the aggregate. There is only one.
    const KEY: &'static str = "1";

    #[track_caller]
    pub(super) fn new(
        given: Vec<Deed>,
        told: &str,
        send: impl FnOnce(&CommandBus, &str) -> Dispatch<C>,
    ) -> Self {
        let stream = match stream_id::<C::Aggregate>(Self::KEY) {
            Ok(stream) => stream,
            Err(error) => panic!("the aggregate of the scenario: {error}"),
        };
        let options = MemoryOptions {
            clock: Arc::new(ManualClock::default()),
            ..MemoryOptions::default()
        };
        let store = Store::memory_with(options);
        let between = Between::new(store.clone(), stream.clone());
        let mut options = BusOptions::default();
        options.retry.delay_base = Duration::ZERO;
        options.seed = Some(0);
        let bus = CommandBus::with(between.seen(), options);
        let mut story = Story::default();
        match given.is_empty() {
            true => story.line("given", "nothing"),
            false => given
                .iter()
                .for_each(|deed| story.line("given", &deed.told)),
        }
        story.line("when", told);
        Self {
            given,
            dispatch: send(&bus, Self::KEY),
            store,
            stream,
            between,
            story,
        }
    }

    /// Says more about the command before it is sent, such as
    /// `.with(|dispatch| dispatch.expecting(Version::new(1)))`.
    pub fn with(mut self, say: impl FnOnce(Dispatch<C>) -> Dispatch<C>) -> Self {
        self.dispatch = say(self.dispatch);
        let said = story::options(&self.dispatch.options);
        if !said.is_empty() {
            self.story.line("with", said);
        }
        self
    }

    /// Another writer appends these events after the command has loaded, before it appends.
    /// Said again, it is for the next attempt.
    ///
    /// # Panics
    ///
    /// When an event has no form that can be stored.
    #[track_caller]
    pub fn while_another(self, events: impl IntoIterator<Item = EventOf<C>>) -> Self {
        let ids = format!("meanwhile {}", self.between.waiting());
        self.meanwhile(Deed::append::<C::Aggregate>(&ids, events))
    }

    /// Another sends this command, which takes effect in between.
    pub fn while_another_does<D>(self, command: D) -> Self
    where
        D: Command<Aggregate = C::Aggregate>,
    {
        self.meanwhile(Deed::command(command, None))
    }

    /// Another sends this command under an id, such as the same one a second time.
    pub fn while_another_does_as<D>(self, command_id: &str, command: D) -> Self
    where
        D: Command<Aggregate = C::Aggregate>,
    {
        self.meanwhile(Deed::command(command, Some(command_id)))
    }

    /// Another deletes the aggregate in between.
    pub fn while_deleted(self) -> Self {
        self.meanwhile(Deed::delete())
    }

    /// Another closes the aggregate in between.
    pub fn while_closed(self) -> Self {
        self.meanwhile(Deed::close())
    }

    fn meanwhile(mut self, deed: Deed) -> Self {
        self.story.line("while", &deed.told);
        self.between.add(deed);
        self
    }

    /// Sends it.
    #[track_caller]
    fn run(self) -> Then<C> {
        let Self {
            given,
            dispatch,
            store,
            stream,
            between,
            mut story,
        } = self;
        let repository = Repository::<C::Aggregate>::new(store.clone());
        let ran: Result<_, String> = drive::to_the_end(async {
            for deed in given {
                let done = deed.happen(&store, &stream).await;
                done.map_err(|why| format!("what is given cannot be: {why}"))?;
            }
            let info = store.stream_info(&stream).await;
            let from = info.map(|info| info.version).unwrap_or_default().next();
            let before = repository.load_stream(&stream).await;
            let answer = dispatch.await;
            let after = repository.load_stream(&stream).await;
            let recorded = store.read_stream(&stream).from(from).collect().await;
            Ok(Ran {
                before,
                answer,
                after,
                recorded: recorded.map(|slice| slice.events).unwrap_or_default(),
            })
        });
        match ran {
            Ok(ran) => Then::new(ran, story).after(between.all_came()),
            Err(why) => {
                story.pause();
                story.line("problem", why);
                panic!("the scenario cannot be as it is told\n\n{story}")
            }
        }
    }
}

/// What is expected of it. Each fails as an assertion does.
///
/// # Panics
///
/// When it ends in another way, with the whole story.
impl<C: Command> When<C> {
    /// It takes effect with these events, however it comes to that.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = EventOf<C>>) -> Then<C> {
        self.run().took_effect(None, events)
    }

    /// It loses a race, and takes effect with these events by being decided again.
    #[track_caller]
    pub fn then_redecided(self, events: impl IntoIterator<Item = EventOf<C>>) -> Then<C> {
        self.run().took_effect(Some(Decision::Redecided), events)
    }

    /// It loses a race, and the events that it decided first hold all the same.
    #[track_caller]
    pub fn then_commuted(self, events: impl IntoIterator<Item = EventOf<C>>) -> Then<C> {
        self.run().took_effect(Some(Decision::Commuted), events)
    }

    /// It loses a race, and its merge makes it these events.
    #[track_caller]
    pub fn then_merged(self, events: impl IntoIterator<Item = EventOf<C>>) -> Then<C> {
        self.run().took_effect(Some(Decision::Merged), events)
    }

    /// Nothing is left to do.
    #[track_caller]
    pub fn then_nothing(self) -> Then<C> {
        self.run().ended_as(Decision::NothingToDo)
    }

    /// It took effect before, under its command id.
    #[track_caller]
    pub fn then_already_applied(self) -> Then<C> {
        self.run().ended_as(Decision::AlreadyApplied)
    }

    /// It is rejected for this reason. Two reasons that are shown alike (`Debug`) are one.
    #[track_caller]
    pub fn then_rejected(self, rejection: C::Rejection) -> Then<C> {
        self.run().rejected(&rejection)
    }

    /// It is rejected, and the assertions about the reason hold.
    #[track_caller]
    pub fn then_rejected_where(self, check: impl FnOnce(&C::Rejection)) -> Then<C> {
        self.run().failed(
            "a rejection that holds the assertions",
            check,
            |error| match error {
                DispatchError::Rejected(rejection) => Some(rejection),
                _ => None,
            },
        )
    }

    /// The conflict surfaces.
    #[track_caller]
    pub fn then_conflict(self) -> Then<C> {
        self.run()
            .failed("a conflict", |_| (), DispatchError::conflict)
    }

    /// The conflict surfaces, and the assertions about it hold; see
    /// [`Conflict::report`] for what it tells.
    #[track_caller]
    pub fn then_conflict_where(self, check: impl FnOnce(&Conflict<C::Aggregate>)) -> Then<C> {
        let expected = "a conflict that holds the assertions";
        self.run().failed(expected, check, DispatchError::conflict)
    }

    /// A state would break an invariant, or breaks it already.
    #[track_caller]
    pub fn then_invariant_violated(self) -> Then<C> {
        self.then_error("invariant_violated")
    }

    /// It ends in the error with this [`code`](DispatchError::code), such as `not_found`.
    #[track_caller]
    pub fn then_error(self, code: &str) -> Then<C> {
        let expected = format!("the error {code}");
        self.run().failed(
            &expected,
            |_| (),
            |error| (error.code() == code).then_some(error),
        )
    }

    /// However it ends, the assertions hold of the state that is stored afterwards.
    #[track_caller]
    pub fn then_state(self, check: impl FnOnce(&C::Aggregate)) -> Then<C> {
        self.run().then_state(check)
    }

    /// However it ends, the assertions hold of what was recorded since it was sent, by
    /// whomever, with ids and metadata.
    #[track_caller]
    pub fn then_recorded(self, check: impl FnOnce(&[RecordedEvent])) -> Then<C> {
        self.run().then_recorded(check)
    }
}
