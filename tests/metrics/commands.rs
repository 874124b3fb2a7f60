//! Dispatches, conflicts and retries.

use annalist::{CommandBus, DispatchError, OnConflict, Store, Version};
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use crate::recorder::Figures;
use crate::shelf::{Shelf, ShelfEvent, Stock, Take, TooFew};
use crate::stage::{Busy, Nothing, Rival, bus};

const ATTEMPTS: &str = "annalist_dispatch_attempts command=take";
const DURATION: &str = "annalist_dispatch_duration_seconds command=take";

#[tokio::test]
async fn a_dispatch_that_nobody_hinders_is_one_attempt() {
    let figures = Figures::from_nothing().await;
    let bus = bus(&[]).await;
    assert_eq!(figures.counts(), [""; 0], "nothing was dispatched yet");
    bus.dispatch("cups", Take(1)).await.expect("an outcome");
    assert_eq!(
        figures.counts(),
        ["annalist_dispatches_total command=take outcome=appended: 1"]
    );
    assert_eq!(figures.histograms(), [ATTEMPTS, DURATION]);
    assert_eq!(figures.values(ATTEMPTS), [1.0]);
    let [seconds] = figures.values(DURATION)[..] else {
        panic!("one duration");
    };
    assert!(0.0 < seconds && seconds < 60.0, "{seconds} seconds");
}

#[tokio::test]
async fn a_race_that_was_lost_and_decided_again_is_a_conflict_and_a_retry() {
    let figures = Figures::from_nothing().await;
    let bus = bus(&[Rival]).await;
    bus.dispatch("cups", Take(1)).await.expect("an outcome");
    assert_eq!(
        figures.counts(),
        [
            "annalist_conflicts_total command=take resolution=redecide: 1",
            "annalist_dispatches_total command=take outcome=redecided: 1",
            "annalist_retries_total command=take cause=conflict: 1",
        ]
    );
    assert_eq!(figures.values(ATTEMPTS), [2.0]);
}

#[tokio::test]
async fn a_conflict_is_told_by_what_became_of_it() {
    let merge = OnConflict::Merge(|_, diverged| Ok(diverged.proposed.to_vec()));
    let refuse = OnConflict::Merge(|_, _| Err("no".to_owned()));
    let [redecide, lost] = ["redecide: 2", "attempts: 1"];
    for (policy, before, expected) in [
        (OnConflict::Commute, 1, vec!["commute: 1"]),
        (merge, 1, vec!["merge: 1"]),
        (refuse, 1, vec!["refused: 1"]),
        (OnConflict::Surface, 1, vec!["declared: 1"]),
        (OnConflict::Redecide, 3, vec![lost, redecide]),
    ] {
        let figures = Figures::from_nothing().await;
        let bus = bus(&vec![Rival; before]).await;
        let dispatch = bus.dispatch("cups", Take(1)).on_conflict(policy);
        let is_done = dispatch.await.is_ok();
        let prefix = "annalist_conflicts_total command=take resolution=";
        let counts = figures.counts();
        let conflicts: Vec<_> = counts
            .iter()
            .filter_map(|count| count.strip_prefix(prefix))
            .collect();
        assert_eq!(conflicts, expected, "{policy:?}");
        assert_eq!(figures.values(ATTEMPTS).len(), usize::from(is_done));
        let outcome = "annalist_dispatches_total command=take outcome=conflict: 1";
        assert_eq!(counts.contains(&outcome.to_owned()), !is_done, "{counts:?}");
    }
}

#[tokio::test]
async fn what_a_caller_had_not_seen_is_a_conflict_and_no_retry() {
    let figures = Figures::from_nothing().await;
    let bus = bus(&[]).await;
    let stale = bus.dispatch("cups", Take(1)).expecting(Version::ZERO).await;
    assert!(matches!(stale, Err(DispatchError::Conflict(_))));
    let based = bus.dispatch("cups", Take(0)).based_on(Version::ZERO).await;
    based.expect("nothing to do");
    assert_eq!(
        figures.counts(),
        [
            "annalist_conflicts_total command=take resolution=demanded: 1",
            "annalist_conflicts_total command=take resolution=nothing_to_do: 1",
            "annalist_dispatches_total command=take outcome=conflict: 1",
            "annalist_dispatches_total command=take outcome=nothing_to_do: 1",
        ]
    );
    assert_eq!(figures.values(ATTEMPTS), [1.0]);
}

#[tokio::test]
async fn a_state_that_was_kept_too_long_is_no_conflict() {
    let figures = Figures::from_nothing().await;
    let store = Store::memory();
    let buses = [CommandBus::new(store.clone()), CommandBus::new(store)];
    for bus in buses.iter().chain(&buses) {
        let stock = |_: &Shelf| Ok::<_, TooFew>(vec![ShelfEvent::Stocked { pieces: 1 }]);
        // Closures share a label: their names may be as many as there are keys.
        let stocked = bus.decide("cups", "stock the cups", stock).await;
        stocked.expect("an outcome");
    }
    assert_eq!(
        figures.counts(),
        ["annalist_dispatches_total command=decide outcome=appended: 4"]
    );
}

#[tokio::test]
async fn a_retry_says_what_it_is_for() {
    let figures = Figures::from_nothing().await;
    let bus = bus(&[Busy, Rival, Nothing, Busy, Busy, Busy]).await;
    bus.dispatch("cups", Take(1)).await.expect("an outcome");
    let busy = bus.dispatch("cups", Take(1)).await;
    assert_eq!(busy.err().map(|error| error.code()), Some("busy"));
    assert_eq!(
        figures.counts(),
        [
            "annalist_conflicts_total command=take resolution=redecide: 1",
            "annalist_dispatches_total command=take outcome=busy: 1",
            "annalist_dispatches_total command=take outcome=redecided: 1",
            "annalist_retries_total command=take cause=busy: 3",
            "annalist_retries_total command=take cause=conflict: 1",
        ]
    );
    assert_eq!(figures.values(ATTEMPTS), [3.0]);
}

#[tokio::test]
async fn every_dispatch_is_counted_by_what_came_of_it() {
    let figures = Figures::from_nothing().await;
    let bus = bus(&[]).await;
    for _ in 0..2 {
        let once = bus.dispatch("cups", Take(1)).command_id("once");
        once.await.expect("an outcome");
    }
    let rejected = bus.dispatch("cups", Take(100)).await;
    assert!(matches!(rejected, Err(DispatchError::Rejected(TooFew))));
    let invalid = bus.dispatch("cu\nps", Take(1)).await;
    assert!(matches!(invalid, Err(DispatchError::Invalid(_))));
    let of_outcome =
        |outcome| format!("annalist_dispatches_total command=take outcome={outcome}: 1");
    let code = invalid.err().map_or("none", |error| error.code());
    let expected = ["already_applied", "appended", code, "rejected"].map(of_outcome);
    assert_eq!(figures.counts(), expected);
    assert_eq!(figures.values(ATTEMPTS), [1.0, 1.0]);
    assert_eq!(figures.values(DURATION).len(), 4);
}

#[tokio::test]
async fn a_dispatch_that_is_dropped_is_counted() {
    let figures = Figures::from_nothing().await;
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("shelf.db")).await;
    let bus = CommandBus::new(store.expect("a store"));
    let dropped = bus.dispatch("cups", Stock(1)).into_future().now_or_never();
    assert!(dropped.is_none());
    drop(bus.dispatch("cups", Stock(1)));
    drop(bus.dispatch("cups", Stock(1)).into_future());
    assert_eq!(
        figures.counts(),
        ["annalist_dispatches_total command=stock outcome=dropped: 1"],
        "those that were never sent are not"
    );
}

#[tokio::test]
async fn commands_in_line_are_told_with_its_depth() {
    let figures = Figures::from_nothing().await;
    let bus = bus(&[]).await;
    let sent = (0..20).map(|_| bus.dispatch("cups", Stock(1)).into_future());
    for outcome in join_all(sent).await {
        outcome.expect("an outcome");
    }
    assert_eq!(figures.values("annalist_line_depth"), [20.0]);
    let attempts = figures.values("annalist_dispatch_attempts command=stock");
    assert_eq!(attempts, [1.0; 20]);
    assert_eq!(
        figures.counts(),
        ["annalist_dispatches_total command=stock outcome=appended: 20"]
    );
}
