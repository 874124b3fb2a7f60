//! One that follows and is filled inline from then on, and what it finds otherwise than it
//! was.

use std::time::Duration;

use annalist::follow::{FollowOptions, Following, OnPoison};
use annalist::projection::{Projection, ProjectionResult, ProjectionRunner};
use annalist::store::{Database, SqlValue, Tx};
use annalist::{Position, RecordedEvent, Store, Version};
use rusqlite::Connection;

use crate::{BALANCES, Balances, Place, append, balances, moved, said, stream, told};

const PATIENCE: Duration = Duration::from_secs(20);

fn follow<P: Projection>(store: &Store, projection: P, options: FollowOptions) -> Following {
    let runner = ProjectionRunner::new(store).follow_with(projection, options);
    runner.start().expect("a runner")
}

/// Waits until it holds all that there is.
async fn settled(running: &Following, name: &str, store: &Store) {
    let head = store.head().await.expect("the head");
    let there = running.wait_for(name, head, PATIENCE).await;
    there.expect("it comes there");
}

#[tokio::test]
async fn what_was_put_aside_is_not_passed_over_when_it_is_filled_inline() {
    let place = Place::new();
    let store = place.open(Vec::new()).await;
    for (to, event) in [
        ("a-1", said("refuse")),
        ("a-1", moved(5)),
        ("a-2", moved(7)),
    ] {
        append(&store, to, event).await.expect("a receipt");
    }
    let mut options = FollowOptions::default();
    options.on_poison = OnPoison::Park;
    let running = follow(&store, Balances::<1>, options.clone());
    settled(&running, "balances", &store).await;
    running.stop().await;
    store.close().await.expect("closed");

    let refused = place.try_open(vec![balances()]).await;
    let refused = told(&refused.expect_err("two events are missing"));
    for part in ["balances", "2 events", "put aside", "drop"] {
        assert!(refused.contains(part), "{refused}");
    }

    // Its runner drops one and takes the other in, and then it goes well.
    let store = place.open(Vec::new()).await;
    let running = follow(&store, Balances::<1>, options);
    let dropped = running.drop_parked("balances", Position::new(1)).await;
    dropped.expect("dropped");
    let retried = running.retry_parked("balances").await.expect("retried");
    assert_eq!((retried.taken_in, retried.failed), (1, 0));
    running.stop().await;
    store.close().await.expect("closed");
    let store = place.open(vec![balances()]).await;
    append(&store, "a-1", moved(1)).await.expect("a receipt");
    let database = store.database().expect("a database");
    let balance = BALANCES.get("a-1", &database).await.expect("an answer");
    assert_eq!(balance, Some((6, 2)));
    place.all_are_at_the_head();
}

#[tokio::test]
async fn what_was_before_its_beginning_does_not_come_in_by_a_removal() {
    let place = Place::new();
    let store = place.open(Vec::new()).await;
    for cents in [1, 10, 100] {
        append(&store, "a-1", moved(cents))
            .await
            .expect("a receipt");
    }
    let mut options = FollowOptions::default();
    options.begin_after = Position::new(2);
    let running = follow(&store, Balances::<1>, options);
    settled(&running, "balances", &store).await;
    let database = store.database().expect("a database");
    let balance = || async { BALANCES.get("a-1", &database).await.expect("an answer") };
    assert_eq!(balance().await, Some((100, 1)));
    let cut = store.truncate_before(&stream("a-1"), Version::new(2)).await;
    cut.expect("truncated");
    settled(&running, "balances", &store).await;
    assert_eq!(balance().await, Some((100, 1)));
    running.stop().await;
    store.close().await.expect("closed");

    // Nor when it is filled inline since.
    let store = place.open(vec![balances()]).await;
    let cut = store.truncate_before(&stream("a-1"), Version::new(3)).await;
    cut.expect("truncated");
    let database = store.database().expect("a database");
    let balance = || async { BALANCES.get("a-1", &database).await.expect("an answer") };
    assert_eq!(balance().await, Some((100, 1)));
    place.all_are_at_the_head();
}

/// What things cost when they happen.
struct Costs;

impl Projection for Costs {
    const NAME: &'static str = "costs";

    fn tables(&self) -> Vec<String> {
        vec!["costs".to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        tx.execute("CREATE TABLE costs (cents)", &[]).await?;
        Ok(())
    }

    async fn apply(&self, _: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let prices = tx.query("SELECT * FROM prices", &[]).await?;
        let cents = prices.first().and_then(|price| price.get("cents").cloned());
        tx.execute("INSERT INTO costs VALUES ($1)", &[cents.into()])
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn columns_that_the_application_has_changed_bear_their_new_names() {
    let place = Place::new();
    let beside = place.folder.path().join("beside.db");
    let store = place.open(Vec::new()).await;
    let database = Database::open(&beside).await.expect("a database");
    let application = Connection::open(&beside).expect("a connection");
    let made = "CREATE TABLE prices (cents, points); INSERT INTO prices VALUES (5, 9)";
    application.execute_batch(made).expect("a table");
    let mut options = FollowOptions::default();
    options.database = Some(database.clone());
    let running = follow(&store, Costs, options);
    for _ in 0..2 {
        append(&store, "a-1", moved(1)).await.expect("a receipt");
        settled(&running, "costs", &store).await;
        let renamed = "ALTER TABLE prices RENAME cents TO pence; \
                       ALTER TABLE prices RENAME points TO cents";
        application.execute_batch(renamed).expect("renamed");
        let renamed = "ALTER TABLE prices RENAME pence TO points";
        application.execute_batch(renamed).expect("renamed");
    }
    running.stop().await;
    let costs = database.query("SELECT cents FROM costs", &[], |row| row.values().to_vec());
    let costs = costs.await.expect("rows").concat();
    assert_eq!(costs, [5, 9].map(SqlValue::from));
}
