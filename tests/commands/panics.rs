//! The application's own code that panics: it fails one dispatch, and the next one works.

use annalist::command::MergeResult;
use annalist::{
    Aggregate, Command, Decision, DispatchError, Diverged, ExpectedVersion, NewEvent, OnConflict,
    Outcome, Violation, stream_id,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::stage::Staged;
use crate::{KEY, on_both};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Nowhere,
    Decide,
    Apply,
    Invariants,
    Clash,
    Merge,
    Command,
    Event,
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Brittle {
    steps: u32,
    cracked: bool,
}

#[derive(Clone, Serialize, Deserialize)]
enum Step {
    Stepped,
    Cracked,
    Fallen,
    #[serde(serialize_with = "unwritable")]
    Unwritable(()),
    Splintered,
}

fn unwritable<S: Serializer>((): &(), _: S) -> Result<S::Ok, S::Error> {
    panic!("the event fell")
}

impl Aggregate for Brittle {
    const CATEGORY: &'static str = "brittle";
    type Event = Step;

    fn apply(&mut self, event: &Step) {
        match event {
            Step::Fallen => panic!("apply fell"),
            Step::Cracked => self.cracked = true,
            _ => self.steps += 1,
        }
    }

    fn invariants(&self) -> Result<(), Violation> {
        assert!(!self.cracked, "the invariants fell");
        Ok(())
    }

    fn upcasters() -> annalist::Upcasters {
        annalist::Upcasters::new().step("Splintered", 1, |_| panic!("the upcaster fell"))
    }
}

struct Go(Where);

impl Serialize for Go {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != Where::Command, "the command fell");
        serializer.serialize_unit()
    }
}

impl Go {
    fn merge(&self, both: &Diverged<'_, Brittle>) -> MergeResult<Self> {
        assert!(self.0 != Where::Merge, "the merge fell");
        Ok(both.proposed.to_vec())
    }
}

impl Command for Go {
    type Aggregate = Brittle;
    type Rejection = std::fmt::Error;
    const NAME: &'static str = "go";
    const ON_CONFLICT: OnConflict<Self> = OnConflict::Redecide;

    fn decide(&self, _: &Brittle) -> Result<Vec<Step>, std::fmt::Error> {
        Ok(vec![match self.0 {
            Where::Decide => panic!("decide fell"),
            Where::Apply => Step::Fallen,
            Where::Invariants => Step::Cracked,
            Where::Event => Step::Unwritable(()),
            _ => Step::Stepped,
        }])
    }

    fn clashes_with(&self, _: &Step) -> bool {
        assert!(self.0 != Where::Clash, "the clash fell");
        false
    }
}

async fn write(store: &annalist::Store, event_type: &str) {
    let stream = stream_id::<Brittle>(KEY).expect("a stream id");
    let event = NewEvent::json(event_type, &()).expect("an event");
    let written = store.append(&stream, ExpectedVersion::Any, [event]).await;
    written.expect("an append");
}

/// What an error says, with its causes.
fn told(answer: Result<Outcome<Brittle>, DispatchError<Go>>) -> (&'static str, String) {
    match answer {
        Ok(outcome) => panic!("decided by {:?}", outcome.decided_by),
        Err(error) => (error.code(), format!("{error:?}")),
    }
}

async fn works(staged: &Staged, version: u64) {
    let next = staged.bus().dispatch(KEY, Go(Where::Nowhere)).await;
    assert_eq!(next.expect("an outcome").version.get(), version);
}

#[tokio::test]
async fn code_that_panics_fails_one_dispatch() {
    on_both(async |staged| {
        let falls = [
            (Where::Decide, "decide fell"),
            (Where::Apply, "apply fell"),
            (Where::Invariants, "the invariants fell"),
            (Where::Command, "the command fell"),
            (Where::Event, "the event fell"),
        ];
        for (version, (place, message)) in (1..).zip(falls) {
            let (code, text) = told(staged.bus().dispatch(KEY, Go(place)).await);
            assert_eq!(code, "panicked", "{place:?}");
            assert!(text.contains(message), "{text}");
            works(&staged, version).await;
        }
    })
    .await;
}

#[tokio::test]
async fn code_that_panics_over_a_conflict_fails_one_dispatch() {
    on_both(async |staged| {
        for (version, (place, message)) in (2..).step_by(2).zip([
            (Where::Clash, "the clash fell"),
            (Where::Merge, "the merge fell"),
        ]) {
            staged.meanwhile(async |inner| write(&inner, "Stepped").await);
            let mut dispatch = staged.bus().dispatch(KEY, Go(place));
            if place == Where::Merge {
                dispatch = dispatch.on_conflict(OnConflict::Merge(Go::merge));
            }
            let (code, text) = told(dispatch.await);
            assert_eq!(code, "panicked", "{place:?}");
            assert!(text.contains(message) && text.contains("go"), "{text}");
            works(&staged, version).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_clash_is_asked_only_where_the_policy_goes_on() {
    on_both(async |staged| {
        staged.meanwhile(async |inner| write(&inner, "Stepped").await);
        let go = staged.bus().dispatch(KEY, Go(Where::Clash));
        let (code, _) = told(go.on_conflict(OnConflict::Surface).await);
        assert_eq!(code, "conflict");
        staged.meanwhile(async |inner| write(&inner, "Stepped").await);
        let go = staged.bus().dispatch(KEY, Go(Where::Clash));
        let merged = go.on_conflict(OnConflict::Merge(Go::merge)).await;
        assert_eq!(merged.expect("an outcome").decided_by, Decision::Merged);
    })
    .await;
}

#[tokio::test]
async fn stored_events_over_which_code_panics_fail_their_stream_alone() {
    for (event_type, message) in [
        ("Fallen", "apply fell"),
        ("Splintered", "the upcaster fell"),
        ("Cracked", "the invariants fell"),
    ] {
        on_both(async |staged| {
            write(&staged.inner, event_type).await;
            let (code, text) = told(staged.bus().dispatch(KEY, Go(Where::Nowhere)).await);
            assert!(text.contains(message), "{text}");
            assert!(["panicked", "upcast_failed"].contains(&code), "{code}");
            let other = staged.bus().dispatch("43", Go(Where::Nowhere)).await;
            assert_eq!(other.expect("an outcome").version.get(), 1);
        })
        .await;
    }
}

/// A state that cannot be copied once something has happened to it.
#[derive(Default, Serialize, Deserialize)]
struct Unique(u32);

impl Clone for Unique {
    fn clone(&self) -> Self {
        assert_eq!(self.0, 0, "there is but one");
        Self(self.0)
    }
}

impl Aggregate for Unique {
    const CATEGORY: &'static str = "unique";
    type Event = Step;

    fn apply(&mut self, _: &Step) {
        self.0 += 1;
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_copied_fails_one_dispatch() {
    let bus = annalist::CommandBus::new(annalist::Store::memory());
    let step = |_: &Unique| Ok::<_, std::fmt::Error>(vec![Step::Stepped]);
    bus.decide(KEY, "step", step).await.expect("an outcome");
    match bus.decide(KEY, "step", step).await {
        Err(DispatchError::Panicked { source, .. }) => {
            assert!(source.message.contains("there is but one"), "{source}");
        }
        _ => panic!("it was copied"),
    }
    bus.decide("another", "step", step)
        .await
        .expect("an outcome");
}
