//! The projections of a domain: what is refused, what is told, and that they run.

use std::time::Duration;

use annalist::follow::FollowOptions;
use annalist::projection::{Documents, Projection, ProjectionResult};
use annalist::store::{Database, Tx};
use annalist::{Domain, ExpectedVersion, NewEvent, RecordedEvent, Store};

use crate::bank::domain;

const COUNTS: Documents<str, u64> = Documents::new("counts");

/// Counts the events of each stream.
macro_rules! counting {
    ($type:ident, $name:literal, $tables:expr) => {
        struct $type;

        impl Projection for $type {
            const NAME: &'static str = $name;
            const VERSION: u32 = 3;

            fn tables(&self) -> Vec<String> {
                $tables
            }

            async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
                COUNTS.set_up(tx).await
            }

            async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
                let stream = event.stream.as_str();
                COUNTS.update(stream, |count| *count += 1, tx).await
            }
        }
    };
}

counting!(Counts, "counts", COUNTS.tables());
counting!(AlsoCounts, "counts", COUNTS.tables());
counting!(Nameless, "", COUNTS.tables());
counting!(Spaced, "spaced", vec!["two words".to_owned()]);

fn refused(domain: Domain) -> String {
    let error = domain.checked().expect_err("no domain");
    format!("{}: {error}", error.code())
}

#[test]
fn two_projections_never_share_a_name_nor_is_one_registered_twice() {
    let also = domain().projection(Counts).projection(AlsoCounts);
    insta::assert_snapshot!(refused(also), @r#"follower_name_taken: domain::projections::Counts and domain::projections::AlsoCounts both follow as "counts"; give each a name of its own, and register it once"#);
    let twice = domain().projection(Counts).projection(Counts);
    assert!(refused(twice).starts_with("follower_name_taken"));
}

#[test]
fn a_projection_that_cannot_be_is_refused() {
    insta::assert_snapshot!(refused(domain().projection(Nameless)), @r#"invalid_follower: "" is no name for a projection: it is 1 to 100 bytes long and has no control characters"#);
    let spaced = refused(domain().projection(Spaced));
    assert!(
        spaced.contains("the projection spaced declares"),
        "{spaced}"
    );
    assert!(spaced.contains("two words"), "{spaced}");
    let store = Store::memory();
    let runner = domain().projection(Spaced).projection_runner(&store);
    assert_eq!(runner.map(drop).unwrap_err().code(), "invalid_follower");
}

#[tokio::test]
async fn the_projections_of_a_domain_are_listed_and_follow_its_store() {
    let database = Database::memory().await.expect("a database");
    let mut options = FollowOptions::default();
    options.database = Some(database.clone());
    let domain = domain().projection_with(Counts, options);
    let listed = domain
        .projections()
        .map(|known| (known.name, known.version));
    assert_eq!(Vec::from_iter(listed), [("counts", 3)]);
    assert!(format!("{domain:?}").contains(r#"followers: ["counts"]"#));

    let store = Store::memory();
    let runner = domain.projection_runner(&store).expect("a domain");
    let running = runner.start().expect("a runner");
    let event = NewEvent::json("Counted", &1).expect("an event");
    let stream = "thing-1".parse().expect("a stream");
    let appended = store.append(&stream, ExpectedVersion::Any, [event]).await;
    let position = appended.expect("an append").position.expect("a position");
    let caught_up = running.wait_for("counts", position, Duration::from_secs(60));
    caught_up.await.expect("its end");
    let counted = COUNTS.get("thing-1", &database).await.expect("a read");
    assert_eq!(counted, Some(1));
    running.stop().await;
}
