//! The reactions of a domain: what is refused, and that they run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use annalist::follow::FollowOptions;
use annalist::reaction::{
    ProcessManager, Publisher, Reacting, Reaction, ReactionResult, ReactionRunner,
};
use annalist::store::Database;
use annalist::{CommandBus, Domain, ExpectedVersion, NewEvent, RecordedEvent, Store};

use crate::bank::domain;

/// What was met, by whom.
#[derive(Clone, Default)]
struct Met(Arc<Mutex<Vec<&'static str>>>);

impl Met {
    fn note(&self, name: &'static str) -> ReactionResult {
        self.0.lock().expect("no panic").push(name);
        Ok(())
    }
}

struct Reacts(Met);

impl Reaction for Reacts {
    const NAME: &'static str = "reacts";

    async fn react(&self, _: &RecordedEvent, _: &Reacting<'_>) -> ReactionResult {
        self.0.note(Self::NAME)
    }
}

struct Manages(Met);

impl ProcessManager for Manages {
    const NAME: &'static str = "manages";
    type State = ();

    fn process(&self, event: &RecordedEvent) -> ReactionResult<Option<String>> {
        Ok(Some(event.stream.to_string()))
    }

    fn apply(&self, (): &mut (), _: &RecordedEvent) -> ReactionResult {
        Ok(())
    }

    async fn react(&self, (): &(), _: &RecordedEvent, _: &Reacting<'_>) -> ReactionResult {
        self.0.note(Self::NAME)
    }
}

struct Publishes(Met);

impl Publisher for Publishes {
    const NAME: &'static str = "publishes";

    async fn publish(&self, _: &[&RecordedEvent]) -> ReactionResult {
        self.0.note(Self::NAME)
    }
}

fn refused(domain: Domain) -> String {
    let error = domain.checked().expect_err("no domain");
    format!("{}: {error}", error.code())
}

#[test]
fn whatever_follows_has_a_name_of_its_own() {
    struct AlsoReacts;

    impl Publisher for AlsoReacts {
        const NAME: &'static str = "reacts";

        async fn publish(&self, _: &[&RecordedEvent]) -> ReactionResult {
            Ok(())
        }
    }

    let both = domain()
        .reaction(Reacts(Met::default()))
        .publisher(AlsoReacts);
    let told = refused(both);
    assert!(told.starts_with("follower_name_taken"), "{told}");
    assert!(told.contains(r#"both follow as "reacts""#), "{told}");
}

#[test]
fn a_reaction_that_cannot_be_is_refused_before_anything_runs() {
    struct Nameless;

    impl Publisher for Nameless {
        const NAME: &'static str = "";

        async fn publish(&self, _: &[&RecordedEvent]) -> ReactionResult {
            Ok(())
        }
    }

    let bus = CommandBus::new(Store::memory());
    let runner = domain().publisher(Nameless).reaction_runner(&bus);
    let error = runner.map(drop).expect_err("no name");
    assert_eq!(error.code(), "invalid_follower");
    let runner = ReactionRunner::new(&bus).publish(Nameless).start();
    assert_eq!(
        runner.map(drop).expect_err("no name").code(),
        "invalid_follower"
    );
}

#[tokio::test]
async fn the_reactions_of_a_domain_follow_the_store_of_a_bus() {
    let met = Met::default();
    let mut options = FollowOptions::default();
    options.database = Some(Database::memory().await.expect("a database"));
    let domain = domain()
        .reaction_with(Reacts(met.clone()), options.clone())
        .process_manager_with(Manages(met.clone()), options.clone())
        .publisher_with(Publishes(met.clone()), options);
    let names = ["manages", "publishes", "reacts"];
    assert_eq!(Vec::from_iter(domain.reactions()), names);

    let store = Store::memory();
    let bus = CommandBus::new(store.clone());
    let runner = domain.reaction_runner(&bus).expect("a domain");
    let running = runner.start().expect("a runner");
    let event = NewEvent::json("Happened", &1).expect("an event");
    let stream = "thing-1".parse().expect("a stream");
    let appended = store.append(&stream, ExpectedVersion::Any, [event]).await;
    let position = appended.expect("an append").position.expect("a position");
    for name in names {
        let there = running.wait_for(name, position, Duration::from_secs(60));
        there.await.expect("its end");
    }
    running.stop().await;
    let mut met = met.0.lock().expect("no panic").clone();
    met.sort_unstable();
    assert_eq!(met, names);
}
