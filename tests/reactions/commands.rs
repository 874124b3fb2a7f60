//! Commands of reactions: under the same ids and with the same answers whenever an event is
//! met.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use annalist::reaction::{Reacting, Reaction, ReactionResult, ReactionRunner, Reply};
use annalist::store::{Backend, CommitRequest, Database, FeedItem, Filter, Wrapper};
use annalist::{
    AppendError, CommandBus, ExpectedVersion, Limits, NewEvent, Position, Receipt, RecordedEvent,
    Store, StoreError, StoreErrorKind,
};
use futures_util::future::{BoxFuture, FutureExt};

use crate::{Met, Order, OrderEvent, Place, Take, met, retrying, settled, stopped};

const NAME: &str = "take what is ordered";

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    None,
    /// The first time each event is met, after its commands were dispatched.
    FailsAfterwards,
    /// Whatever a dispatch ends with, it says that all is well.
    Swallows,
    Panics,
}

struct TakeOrdered {
    replies: Met<Reply>,
    meetings: Arc<AtomicU32>,
    mishap: Mishap,
}

impl TakeOrdered {
    fn new(mishap: Mishap) -> Self {
        Self {
            replies: Met::default(),
            meetings: Arc::default(),
            mishap,
        }
    }
}

impl Reaction for TakeOrdered {
    const NAME: &'static str = NAME;

    fn filter(&self) -> Filter {
        Filter::category("order")
    }

    async fn react(&self, event: &RecordedEvent, cx: &Reacting<'_>) -> ReactionResult {
        let meeting = self.meetings.fetch_add(1, Ordering::SeqCst);
        if self.mishap == Mishap::Panics && meeting == 0 {
            panic!("out of order");
        }
        for OrderEvent::Placed { shelf, pieces } in event.decode::<Order>()? {
            let reply = match cx.dispatch(shelf, Take { pieces }).await {
                Ok(reply) => reply,
                Err(_) if self.mishap == Mishap::Swallows => continue,
                Err(error) => return Err(error.into()),
            };
            self.replies.lock().expect("no panic").push(reply);
        }
        match self.mishap == Mishap::FailsAfterwards && meeting.is_multiple_of(2) {
            true => Err("not this time".into()),
            false => Ok(()),
        }
    }
}

fn took(reply: &Reply) -> bool {
    matches!(reply, Reply::TookEffect { .. })
}

#[tokio::test]
async fn each_event_is_reacted_to_in_its_order_and_counts_once() {
    let place = Place::new().await;
    place.stock(100).await;
    for pieces in 1..=10 {
        place.order(&format!("{pieces}"), pieces).await;
    }
    let reaction = TakeOrdered::new(Mishap::None);
    let replies = reaction.replies.clone();
    let runner = ReactionRunner::new(&place.bus);
    let running = runner
        .react_with(reaction, place.options())
        .start()
        .expect("a runner");
    settled(&running, NAME, &place.store).await;
    for pieces in 11..=12 {
        place.order(&format!("{pieces}"), pieces).await;
    }
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    assert_eq!(place.shelf().await.taken, (1..=12).collect::<Vec<_>>());
    assert!(met(&replies).iter().all(took));

    // One that has lost all that it had written down does it all again, and nothing twice.
    let mut options = place.options();
    options.database = Some(Database::memory().await.expect("a database"));
    let again = TakeOrdered::new(Mishap::None);
    let (replies, meetings) = (again.replies.clone(), again.meetings.clone());
    let runner = ReactionRunner::new(&place.bus);
    let running = runner.react_with(again, options).start().expect("a runner");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    assert_eq!(meetings.load(Ordering::SeqCst), 12);
    let replies = met(&replies);
    assert!(replies.iter().all(took), "as the first time: {replies:?}");
    assert_eq!(place.shelf().await.taken.len(), 12);
}

#[tokio::test]
async fn what_took_no_effect_takes_none_when_the_event_is_met_again() {
    let place = Place::new().await;
    // There is no shelf yet.
    place.order("1", 5).await;
    let reaction = TakeOrdered::new(Mishap::FailsAfterwards);
    let replies = reaction.replies.clone();
    let mut options = place.options();
    options.on_poison = annalist::follow::OnPoison::Stop;
    let runner = ReactionRunner::new(&place.bus);
    let running = runner
        .react_with(reaction, options)
        .start()
        .expect("a runner");
    let problem = stopped(&running, NAME).await;
    assert!(problem.contains("not this time"), "{problem}");
    // Now there is, and it would go well.
    place.stock(100).await;
    running.resume(NAME).await.expect("it goes on");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    let replies = met(&replies);
    assert_eq!(replies.len(), 2, "it was met twice");
    assert_eq!(replies[0], replies[1]);
    let Reply::NoEffect { why } = &replies[0] else {
        panic!("{replies:?}")
    };
    assert!(why.contains("is not there"), "{why}");
    assert!(place.shelf().await.taken.is_empty());
    // What was kept for that is not needed any more.
    let kept = place
        .database
        .query("SELECT * FROM annalist_replies", &[], |_| ())
        .await;
    assert_eq!(kept.expect("rows").len(), 0);
}

#[tokio::test]
async fn a_rejection_is_told_in_its_words_and_stays_one() {
    let place = Place::new().await;
    place.stock(3).await;
    place.order("1", 5).await;
    let reaction = TakeOrdered::new(Mishap::FailsAfterwards);
    let replies = reaction.replies.clone();
    let mut options = place.options();
    options.on_poison = retrying();
    let runner = ReactionRunner::new(&place.bus);
    let running = runner
        .react_with(reaction, options)
        .start()
        .expect("a runner");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    let why = "3 are left".to_owned();
    assert_eq!(met(&replies), vec![Reply::NoEffect { why }; 2]);
}

#[tokio::test]
async fn its_commands_belong_to_what_the_event_belongs_to() {
    let place = Place::new().await;
    place.stock(10).await;
    let position = place.order("1", 5).await;
    let reaction = TakeOrdered::new(Mishap::None);
    let runner = ReactionRunner::new(&place.bus);
    let running = runner
        .react_with(reaction, place.options())
        .start()
        .expect("a runner");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    let query = annalist::store::FeedQuery {
        after: Position::new(position.get() - 1),
        ..Default::default()
    };
    let page = place
        .store
        .backend()
        .read_feed(query)
        .await
        .expect("a page");
    let events: Vec<_> = page.items.iter().filter_map(FeedItem::event).collect();
    let (placed, taken) = (events[0], events[1]);
    let id = placed.id.to_string();
    assert_eq!(taken.metadata.causation_id.as_deref(), Some(id.as_str()));
    assert_eq!(taken.metadata.correlation_id.as_deref(), Some(id.as_str()));
    let command = taken
        .metadata
        .command_id
        .as_ref()
        .expect("an id")
        .to_string();
    assert!(command.starts_with("take what is ordered/"), "{command}");
}

#[tokio::test]
async fn a_panic_stops_it_there_and_it_can_go_on() {
    let place = Place::new().await;
    place.stock(10).await;
    place.order("1", 5).await;
    let runner = ReactionRunner::new(&place.bus);
    let reaction = TakeOrdered::new(Mishap::Panics);
    let running = runner
        .react_with(reaction, place.options())
        .start()
        .expect("a runner");
    let problem = stopped(&running, NAME).await;
    assert!(problem.contains("out of order"), "{problem}");
    let refused = running.rebuild(NAME, annalist::store::OldBuild::Drop).await;
    assert!(refused.is_err(), "it would act again");
    running.resume(NAME).await.expect("it goes on");
    settled(&running, NAME, &place.store).await;
    assert_eq!(place.shelf().await.taken, [5]);
    running.stop().await;
}

#[tokio::test]
async fn one_begins_where_it_is_told_to() {
    let place = Place::new().await;
    place.stock(10).await;
    let first = place.order("1", 1).await;
    place.order("2", 2).await;
    let mut options = place.options();
    options.begin_after = first;
    let runner = ReactionRunner::new(&place.bus);
    let reaction = TakeOrdered::new(Mishap::None);
    let running = runner
        .react_with(reaction, options)
        .start()
        .expect("a runner");
    settled(&running, NAME, &place.store).await;
    assert_eq!(place.shelf().await.taken, [2]);
    running.stop().await;
}

/// A store that is busy for the first few commits, or where another writer is always a
/// little faster.
struct Troubled {
    inner: Arc<dyn Backend>,
    left: AtomicU32,
    is_overtaken: bool,
}

impl Wrapper for Troubled {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn commit(&self, request: CommitRequest) -> BoxFuture<'_, Result<Receipt, AppendError>> {
        async move {
            let shelf = request
                .appends
                .iter()
                .find(|append| append.stream.category() == "shelf");
            let is_left = |left: u32| left.checked_sub(1);
            let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
            if let Some(shelf) = shelf
                && self.left.fetch_update(set, get, is_left).is_ok()
            {
                if !self.is_overtaken {
                    let busy = StoreError::new(StoreErrorKind::Busy, "appending");
                    return Err(busy.into());
                }
                let other = Store::from_backend(Arc::clone(&self.inner), Limits::default());
                let stocked = NewEvent::json("Stocked", &serde_json::json!({ "pieces": 1 }));
                let stocked = [stocked.expect("an event")];
                let any = ExpectedVersion::Any;
                other.append(&shelf.stream, any, stocked).await?;
            }
            self.inner.commit(request).await
        }
        .boxed()
    }
}

/// Reacts in a store that is in trouble for more attempts than a bus makes.
async fn in_trouble(is_overtaken: bool, mishap: Mishap) {
    let mut place = Place::new().await;
    place.stock(10).await;
    place.order("1", 5).await;
    let troubled = Troubled {
        inner: place.store.backend(),
        left: AtomicU32::new(25),
        is_overtaken,
    };
    let store = Store::from_backend(Arc::new(troubled), Limits::default());
    place.bus = CommandBus::new(store);
    let runner = ReactionRunner::new(&place.bus);
    let reaction = TakeOrdered::new(mishap);
    let running = runner
        .react_with(reaction, place.options())
        .start()
        .expect("a runner");
    settled(&running, NAME, &place.store).await;
    running.stop().await;
    assert_eq!(place.shelf().await.taken, [5]);
}

#[tokio::test]
async fn a_store_that_cannot_answer_now_is_asked_again() {
    in_trouble(false, Mishap::None).await;
}

#[tokio::test]
async fn a_conflict_that_surfaces_is_met_by_meeting_the_event_again() {
    in_trouble(true, Mishap::None).await;
}

#[tokio::test]
async fn a_command_without_an_answer_is_sent_again_whatever_is_made_of_it() {
    in_trouble(false, Mishap::Swallows).await;
    in_trouble(true, Mishap::Swallows).await;
}
