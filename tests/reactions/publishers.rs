//! Events that are handed over, in their order, until they are acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use annalist::RecordedEvent;
use annalist::follow::OnPoison;
use annalist::reaction::{Publisher, ReactionResult, ReactionRunner};
use annalist::store::Filter;

use crate::{Met, Place, met, retrying, settled, stopped};

const NAME: &str = "outbox";

/// Hands numbers of pieces over; takes none of a few.
#[derive(Clone, Default)]
struct Outbox {
    handed_over: Met<Vec<String>>,
    refused: Option<&'static str>,
    /// How many attempts at all fail before that.
    fails: Arc<AtomicU32>,
}

impl Publisher for Outbox {
    const NAME: &'static str = NAME;

    fn filter(&self) -> Filter {
        Filter::category("order")
    }

    fn events_max(&self) -> usize {
        4
    }

    async fn publish(&self, events: &[&RecordedEvent]) -> ReactionResult {
        let keys: Vec<_> = events
            .iter()
            .map(|event| event.stream.key().to_owned())
            .collect();
        let one_less = |left: u32| left.checked_sub(1);
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        if self.fails.fetch_update(set, get, one_less).is_ok() {
            return Err("the line is down".into());
        }
        if self
            .refused
            .is_some_and(|refused| keys.iter().any(|key| key == refused))
        {
            return Err("nobody wants it".into());
        }
        self.handed_over.lock().expect("no panic").push(keys);
        Ok(())
    }
}

async fn ordered(orders: u32) -> Place {
    let place = Place::new().await;
    for key in 1..=orders {
        place.order(&key.to_string(), 1).await;
    }
    place
}

#[tokio::test]
async fn events_are_handed_over_in_order_and_not_again() {
    let place = ordered(10).await;
    let outbox = Outbox::default();
    for _ in 0..2 {
        let runner = ReactionRunner::new(&place.bus);
        let runner = runner.publish_with(outbox.clone(), place.options());
        let running = runner.start().expect("a runner");
        settled(&running, NAME, &place.store).await;
        running.stop().await;
    }
    let handed_over = met(&outbox.handed_over);
    assert!(
        handed_over.iter().all(|keys| keys.len() <= 4),
        "{handed_over:?}"
    );
    let all: Vec<u32> = handed_over
        .concat()
        .iter()
        .map(|key| key.parse().expect("a number"))
        .collect();
    assert_eq!(all, (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_not_acknowledged_is_handed_over_again() {
    let place = ordered(3).await;
    let outbox = Outbox {
        fails: Arc::new(AtomicU32::new(3)),
        ..Outbox::default()
    };
    let mut options = place.options();
    options.on_poison = retrying();
    let runner = ReactionRunner::new(&place.bus);
    let running = runner
        .publish_with(outbox.clone(), options)
        .start()
        .expect("a runner");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    assert_eq!(met(&outbox.handed_over).concat(), ["1", "2", "3"]);
}

#[tokio::test]
async fn one_that_is_refused_stops_it_right_there() {
    let place = ordered(6).await;
    let outbox = Outbox {
        refused: Some("3"),
        ..Outbox::default()
    };
    let runner = ReactionRunner::new(&place.bus);
    let runner = runner.publish_with(outbox.clone(), place.options());
    let running = runner.start().expect("a runner");
    let problem = stopped(&running, NAME).await;
    assert!(
        problem.contains("position 3 cannot be taken in: nobody wants it"),
        "{problem}"
    );
    running.stop().await;
    assert_eq!(met(&outbox.handed_over).concat(), ["1", "2"]);
}

#[tokio::test]
async fn one_that_is_refused_can_be_put_aside_and_dropped() {
    let place = ordered(6).await;
    let outbox = Outbox {
        refused: Some("3"),
        ..Outbox::default()
    };
    let mut options = place.options();
    options.on_poison = OnPoison::Park;
    let runner = ReactionRunner::new(&place.bus);
    let running = runner
        .publish_with(outbox.clone(), options)
        .start()
        .expect("a runner");
    settled(&running, NAME, &place.store).await;
    let later = place.order("3", 1).await;
    settled(&running, NAME, &place.store).await;
    assert_eq!(met(&outbox.handed_over).concat(), ["1", "2", "4", "5", "6"]);

    let parked = running.parked(NAME).await.expect("a list");
    let told: Vec<_> = parked.iter().map(|parked| parked.error.is_some()).collect();
    assert_eq!(told, [true, false], "the later one waits behind");
    let retried = running.retry_parked(NAME).await.expect("tried");
    assert_eq!((retried.taken_in, retried.failed), (0, 1));
    for parked in [parked[0].position, later] {
        running.drop_parked(NAME, parked).await.expect("dropped");
    }
    assert!(running.parked(NAME).await.expect("a list").is_empty());
    running.stop().await;
}
