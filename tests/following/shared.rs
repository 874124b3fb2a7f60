//! Several projections of one runner, and those that take only some of the events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use annalist::projection::{Projection, ProjectionResult, ProjectionRunner};
use annalist::store::{Backend, Database, FeedPage, FeedQuery, Filter, OldBuild, Tx, Wrapper};
use annalist::{Limits, PageBounds, Position, RecordedEvent, Store, StoreError};
use futures_util::future::BoxFuture;

use crate::models::within;
use crate::{PATIENCE, Place, append, append_many, count, reach};

/// Counts how often the feed is read.
struct Counted {
    inner: Arc<dyn Backend>,
    pages: AtomicU64,
}

impl Wrapper for Counted {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn read_feed(&self, query: FeedQuery) -> BoxFuture<'_, Result<FeedPage, StoreError>> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.inner.read_feed(query)
    }
}

const NAMES: [&str; 5] = ["all_1", "all_2", "all_3", "all_4", "all_5"];

/// Counts what passes its filter.
struct All<const N: usize>(Filter);

impl<const N: usize> Projection for All<N> {
    const NAME: &'static str = NAMES[N];

    fn tables(&self) -> Vec<String> {
        vec![NAMES[N].to_owned()]
    }

    fn filter(&self) -> Filter {
        self.0.clone()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let sql = format!("CREATE TABLE {} (position INTEGER PRIMARY KEY)", NAMES[N]);
        tx.execute(&sql, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let sql = format!("INSERT INTO {} VALUES ($1)", NAMES[N]);
        tx.execute(&sql, &[event.position.into()]).await?;
        Ok(())
    }
}

async fn pages_read(names: &[&str]) -> u64 {
    let place = Place::new();
    let inner = place.open().await;
    let head = append_many(&inner, 6_000).await;
    let counted = Arc::new(Counted {
        inner: inner.backend(),
        pages: AtomicU64::new(0),
    });
    let store = Store::from_backend(counted.clone(), Limits::default());
    let beside = place.database().await;
    let mut options = within(&beside);
    options.batch = PageBounds {
        events_max: 100,
        ..PageBounds::default()
    };
    let all = Filter::default;
    let mut runner = ProjectionRunner::new(&store).follow_with(All::<0>(all()), options.clone());
    if names.len() > 1 {
        runner = runner
            .follow_with(All::<1>(all()), options.clone())
            .follow_with(All::<2>(all()), options.clone())
            .follow_with(All::<3>(all()), options.clone())
            .follow_with(All::<4>(all()), options);
    }
    let running = runner.start().expect("a runner");
    for name in names {
        reach(&running, name, head).await;
        let seen = count(&beside, &format!("SELECT count(*) FROM {name}")).await;
        assert_eq!(seen as u64, head.get());
    }
    running.stop().await;
    counted.pages.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_projections_read_the_feed_about_as_often_as_one() {
    let (one, five) = (pages_read(&NAMES[..1]).await, pages_read(&NAMES).await);
    println!("shared: {one} pages for one, {five} for five");
    assert!(one >= 60);
    assert!(
        five <= one + one / 2,
        "{five} pages for five, {one} for one"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_pauses_or_rebuilds_holds_up_no_other() {
    let place = Place::new();
    let store = place.open().await;
    let database = Database::memory().await.expect("a database");
    let mut options = within(&database);
    options.batch.events_max = 10;
    let runner = ProjectionRunner::new(&store)
        .follow_with(All::<0>(Filter::default()), options.clone())
        .follow_with(All::<1>(Filter::default()), options.clone())
        .follow_with(All::<2>(Filter::default()), options);
    let running = runner.start().expect("a runner");
    let mut head = Position::ZERO;
    for round in 0..100 {
        let paused = running.clone();
        let pausing = tokio::spawn(async move { paused.pause(NAMES[0]).await });
        head = append_many(&store, 50).await;
        if round % 4 == 0 {
            let rebuilt = running.rebuild(NAMES[1], OldBuild::Drop);
            let rebuilt = tokio::time::timeout(PATIENCE, rebuilt).await;
            rebuilt.expect("in time").expect("a rebuild");
        }
        pausing.await.expect("no panic").expect("a follower");
        reach(&running, NAMES[1], head).await;
        reach(&running, NAMES[2], head).await;
        running.resume(NAMES[0]).await.expect("a follower");
    }
    reach(&running, NAMES[0], head).await;
}

#[tokio::test]
async fn one_that_filters_takes_nothing_of_the_rest_and_moves_on() {
    let store = Store::memory();
    let database = Database::memory().await.expect("a database");
    let mut options = within(&database);
    options.lease = Duration::from_millis(90);
    let only = Filter {
        stream_prefixes: Arc::new(["account-3".to_owned()]),
        ..Filter::default()
    };
    let runner = ProjectionRunner::new(&store).follow_with(All::<0>(only), options);
    let running = runner.start().expect("a runner");
    append_many(&store, 300).await;
    let wanted = append(&store, 3, 1).await;
    let head = append(&store, 1, 1).await;
    reach(&running, NAMES[0], head).await;
    let taken = format!("SELECT count(*) FROM {} WHERE position > 300", NAMES[0]);
    assert_eq!(count(&database, &taken).await, 1);
    assert_eq!(wanted.get(), 301);
    let all = format!("SELECT count(*) FROM {}", NAMES[0]);
    assert_eq!(count(&database, &all).await, 64 + 1);

    // It is written down, too, though nothing of it was taken in.
    let position = "SELECT position FROM annalist_followers";
    let head = append(&store, 1, 1).await;
    let written = async {
        while count(&database, position).await as u64 != head.get() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, written)
        .await
        .expect("its position");
    let head = append(&store, 1, 1).await;
    reach(&running, NAMES[0], head).await;
    running.stop().await;
    assert_eq!(count(&database, position).await as u64, head.get());
    assert_eq!(count(&database, &all).await, 64 + 1);
}
