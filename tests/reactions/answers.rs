//! What a reaction was told stays true, whatever it makes of it and however often it is
//! asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use annalist::reaction::{Reacting, Reaction, ReactionResult, ReactionRunner, Reply};
use annalist::store::{Backend, CommitRequest, Database, Filter, Wrapper};
use annalist::{
    AppendError, CommandBus, ExpectedVersion, Limits, Receipt, RecordedEvent, Repository, Store,
    StoreError, StoreErrorKind,
};
use futures_util::future::{BoxFuture, FutureExt};

use crate::{Met, Place, Shelf, ShelfEvent, Take, TooFew, met, settled, stopped};

const NAME: &str = "as it is told";

/// Does what a test says, by how often it has met an event.
struct Told<F> {
    meetings: Arc<AtomicU32>,
    react: F,
}

impl<F> Told<F>
where
    F: for<'a> Fn(u32, &'a Reacting<'_>) -> BoxFuture<'a, ReactionResult> + Send + Sync + 'static,
{
    fn new(react: F) -> Self {
        let meetings = Arc::default();
        Self { meetings, react }
    }
}

impl<F> Reaction for Told<F>
where
    F: for<'a> Fn(u32, &'a Reacting<'_>) -> BoxFuture<'a, ReactionResult> + Send + Sync + 'static,
{
    const NAME: &'static str = NAME;

    fn filter(&self) -> Filter {
        Filter::category("order")
    }

    async fn react(&self, _: &RecordedEvent, cx: &Reacting<'_>) -> ReactionResult {
        let meeting = self.meetings.fetch_add(1, Ordering::SeqCst);
        (self.react)(meeting, cx).await
    }
}

async fn stock(place: &Place, shelf: &str, pieces: u32) {
    let stock = move |_: &Shelf| Ok::<_, TooFew>(vec![ShelfEvent::Stocked { pieces }]);
    let stocked = place.bus.decide(shelf, "stock", stock).await;
    stocked.expect("stock");
}

async fn taken(place: &Place, shelf: &str) -> Vec<u32> {
    let shelves = Repository::<Shelf>::new(place.store.clone());
    shelves.load(shelf).await.expect("a shelf").state.taken
}

/// A store where one shelf cannot be written for a while.
struct Busy {
    inner: Arc<dyn Backend>,
    left: AtomicU32,
}

impl Wrapper for Busy {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        async move {
            let mut appends = request.appends.iter();
            let is_cups = appends.any(|append| append.stream.as_str() == "shelf-cups");
            let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
            let less = |left: u32| left.checked_sub(1);
            if is_cups && self.left.fetch_update(set, get, less).is_ok() {
                return Err(StoreError::new(StoreErrorKind::Busy, "appending").into());
            }
            self.inner.commit(request).await
        }
        .boxed()
    }
}

/// A bus on the store of a place, of which the cups are busy for so many commits.
fn busy(place: &Place, left: u32) -> CommandBus {
    let busy = Busy {
        inner: place.store.backend(),
        left: left.into(),
    };
    CommandBus::new(Store::from_backend(Arc::new(busy), Limits::default()))
}

#[tokio::test]
async fn nothing_is_done_upon_a_command_that_has_no_answer_yet() {
    let mut place = Place::new().await;
    stock(&place, "cups", 10).await;
    stock(&place, "mugs", 10).await;
    place.order("1", 5).await;
    place.bus = busy(&place, 25);
    let reaction = Told::new(|_, cx| {
        async move {
            // Mugs in the place of cups that cannot be had: so it seems.
            if cx.dispatch("cups", Take { pieces: 5 }).await.is_err() {
                let _ = cx.dispatch("mugs", Take { pieces: 5 }).await;
            }
            Ok(())
        }
        .boxed()
    });
    let runner = ReactionRunner::new(&place.bus);
    let running = runner.react_with(reaction, place.options()).start();
    let running = running.expect("a runner");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    assert_eq!(taken(&place, "cups").await, [5]);
    assert_eq!(taken(&place, "mugs").await, [0_u32; 0]);
}

#[tokio::test]
async fn a_command_that_is_given_up_has_no_answer_either() {
    let mut place = Place::new().await;
    stock(&place, "cups", 10).await;
    stock(&place, "mugs", 10).await;
    place.order("1", 5).await;
    place.bus = busy(&place, 1);
    let reaction = Told::new(|meeting, cx| {
        async move {
            let mut cups = Box::pin(cx.dispatch("cups", Take { pieces: 5 }));
            if meeting == 0 {
                // Begun, and dropped.
                assert!(cups.as_mut().now_or_never().is_none());
                drop(cups);
                let _ = cx.dispatch("mugs", Take { pieces: 5 }).await;
                return Ok(());
            }
            cups.await?;
            Ok(())
        }
        .boxed()
    });
    let runner = ReactionRunner::new(&place.bus);
    let running = runner.react_with(reaction, place.options()).start();
    let running = running.expect("a runner");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    assert_eq!(taken(&place, "cups").await, [5]);
    assert_eq!(taken(&place, "mugs").await, [0_u32; 0]);
}

#[tokio::test]
async fn commands_in_another_order_take_effect_once_each() {
    let place = Place::new().await;
    stock(&place, "cups", 10).await;
    stock(&place, "mugs", 10).await;
    place.order("1", 5).await;
    let reaction = Told::new(|meeting, cx| {
        async move {
            // As two that run side by side may be sent.
            let shelves = match meeting {
                0 => ["cups", "mugs"],
                _ => ["mugs", "cups"],
            };
            for shelf in shelves {
                cx.dispatch(shelf, Take { pieces: 5 }).await?;
            }
            match meeting {
                0 => Err("not this time".into()),
                _ => Ok(()),
            }
        }
        .boxed()
    });
    let runner = ReactionRunner::new(&place.bus);
    let running = runner.react_with(reaction, place.options()).start();
    let running = running.expect("a runner");
    stopped(&running, NAME).await;
    running.resume(NAME).await.expect("it goes on");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    assert_eq!(taken(&place, "cups").await, [5]);
    assert_eq!(taken(&place, "mugs").await, [5]);
}

#[tokio::test]
async fn the_answer_to_one_command_is_not_given_to_another() {
    let place = Place::new().await;
    stock(&place, "mugs", 10).await;
    place.order("1", 5).await;
    let reaction = Told::new(|meeting, cx| {
        async move {
            if meeting == 0 {
                let refused = cx.dispatch("cups", Take { pieces: 5 }).await?;
                assert!(matches!(refused, Reply::NoEffect { .. }));
                return Err("not this time".into());
            }
            // The code was mended meanwhile: what it sends now was never sent.
            cx.dispatch("mugs", Take { pieces: 5 }).await?;
            let refused = cx.dispatch("cups", Take { pieces: 5 }).await?;
            assert!(matches!(refused, Reply::NoEffect { .. }));
            Ok(())
        }
        .boxed()
    });
    let runner = ReactionRunner::new(&place.bus);
    let running = runner.react_with(reaction, place.options()).start();
    let running = running.expect("a runner");
    stopped(&running, NAME).await;
    stock(&place, "cups", 10).await;
    running.resume(NAME).await.expect("it goes on");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    assert_eq!(taken(&place, "mugs").await, [5]);
    assert_eq!(taken(&place, "cups").await, [0_u32; 0]);
}

#[tokio::test]
async fn another_payload_in_the_place_of_one_that_was_refused_is_told() {
    let place = Place::new().await;
    stock(&place, "cups", 3).await;
    place.order("1", 5).await;
    let reaction = Told::new(|meeting, cx| {
        async move {
            let pieces = if meeting == 0 { 5 } else { 2 };
            cx.dispatch("cups", Take { pieces }).await?;
            match meeting {
                0 => Err("not this time".into()),
                _ => Ok(()),
            }
        }
        .boxed()
    });
    let runner = ReactionRunner::new(&place.bus);
    let running = runner.react_with(reaction, place.options()).start();
    let running = running.expect("a runner");
    stopped(&running, NAME).await;
    running.resume(NAME).await.expect("it goes on");
    let problem = stopped(&running, NAME).await;
    assert!(problem.contains("was used before"), "{problem}");
    running.stop().await;
}

#[tokio::test]
async fn a_refusal_holds_when_all_that_was_written_down_is_lost() {
    let place = Place::new().await;
    place.order("1", 5).await;
    let answers = Met::<Reply>::default();
    for _ in 0..2 {
        let mut options = place.options();
        options.database = Some(Database::memory().await.expect("a database"));
        let answers = Arc::clone(&answers);
        let reaction = Told::new(move |_, cx| {
            let answers = Arc::clone(&answers);
            async move {
                let answer = cx.dispatch("cups", Take { pieces: 5 }).await?;
                answers.lock().expect("no panic").push(answer);
                Ok(())
            }
            .boxed()
        });
        let runner = ReactionRunner::new(&place.bus);
        let running = runner.react_with(reaction, options).start();
        let running = running.expect("a runner");
        settled(&running, NAME, &place.store).await;
        running.stop().await;
        // Now there are some.
        stock(&place, "cups", 10).await;
    }
    assert_eq!(taken(&place, "cups").await, [0_u32; 0]);
    let refused = |answer: &Reply| matches!(answer, Reply::NoEffect { .. });
    assert!(met(&answers).iter().all(refused), "{:?}", met(&answers));
}

#[tokio::test]
async fn a_closed_aggregate_is_an_answer() {
    let place = Place::new().await;
    stock(&place, "cups", 10).await;
    let cups = "shelf-cups".parse().expect("a stream id");
    let closed = place.store.close_stream(&cups, ExpectedVersion::Any).await;
    closed.expect("closed");
    place.order("1", 5).await;
    let answers = Met::<Reply>::default();
    let told = Arc::clone(&answers);
    let reaction = Told::new(move |_, cx| {
        let told = Arc::clone(&told);
        async move {
            let answer = cx.dispatch("cups", Take { pieces: 50 }).await?;
            told.lock().expect("no panic").push(answer);
            let answer = cx.dispatch("cups", Take { pieces: 5 }).await?;
            told.lock().expect("no panic").push(answer);
            Ok(())
        }
        .boxed()
    });
    let runner = ReactionRunner::new(&place.bus);
    let running = runner.react_with(reaction, place.options()).start();
    let running = running.expect("a runner");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    let refused = |answer: &Reply| matches!(answer, Reply::NoEffect { .. });
    assert_eq!(met(&answers).len(), 2);
    assert!(met(&answers).iter().all(refused), "{:?}", met(&answers));
}
