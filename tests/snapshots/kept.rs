//! When a state is kept, that it is used, and by whom.

use annalist::{CommandBus, ExpectedVersion, Repository, Store, Version};
use futures_util::future::join_all;

use crate::meter::{Kept, Meter, Plain, Read, ReadInLine, readings};
use crate::on_both;
use crate::watched::{Fate, Watched};

/// Appends so many readings to an aggregate, past every repository that would keep a state.
async fn fill(store: &Store, key: &str, count: u64) {
    let plain = Repository::<Plain>::new(store.clone());
    let loaded = plain.load(key).await.expect("a state");
    let written = plain.save(loaded, readings(0..count)).await;
    written.expect("room for them");
}

fn versions(watched: &Watched) -> Vec<u64> {
    let asked = watched.asked();
    let mut versions: Vec<_> = asked.iter().map(|(_, kept)| kept.version.get()).collect();
    // Each is written by itself, and one may overtake another.
    versions.sort_unstable();
    versions
}

#[tokio::test]
async fn a_state_is_kept_whenever_so_many_events_were_appended() {
    on_both(async |store| {
        let watched = Watched::over(&store);
        let meters = Repository::<Kept>::new(watched.store.clone());
        let mut loaded = meters.load("7").await.expect("a state");
        for count in [1, 1, 1, 2, 7, 0, 1] {
            let saved = meters.save(loaded, readings(0..count)).await;
            loaded = saved.expect("nobody else writes");
        }
        // At 1, 2, 3, 5, 12 and 13 events.
        watched.done(2).await;
        assert_eq!(versions(&watched), [3, 12]);
        watched.events();
        assert_eq!(meters.load("7").await.expect("a state").state, loaded.state);
        assert_eq!(watched.events(), 1, "only what came after the last one");
    })
    .await;
}

#[tokio::test]
async fn the_bus_keeps_states_in_line_or_not() {
    on_both(async |store| {
        for (key, in_line) in [("1", false), ("2", true)] {
            let watched = Watched::over(&store);
            let bus = CommandBus::new(watched.store.clone());
            for kwh in 0..7 {
                let version = match in_line {
                    false => bus.dispatch(key, Read(kwh)).await.expect("it").version,
                    true => {
                        bus.dispatch(key, ReadInLine(kwh))
                            .await
                            .expect("it")
                            .version
                    }
                };
                assert_eq!(version, Version::new(kwh + 1));
            }
            watched.done(2).await;
            assert_eq!(versions(&watched), [3, 6], "in line: {in_line}");
            // Another process, whose cache is empty.
            let other = CommandBus::new(watched.store.clone());
            watched.events();
            let sent = other.dispatch(key, Read(7)).await.expect("an outcome");
            assert_eq!((sent.version, sent.state.readings), (Version::new(8), 8));
            assert_eq!(watched.events(), 1, "in line: {in_line}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_load_keeps_the_state_where_appends_have_not() {
    on_both(async |store| {
        fill(&store, "7", 10).await;
        let watched = Watched::over(&store);
        let meters = Repository::<Kept>::new(watched.store.clone());
        for events in [10, 0] {
            let loaded = meters.load("7").await.expect("a state");
            assert_eq!(loaded.state.readings, 10);
            assert_eq!(watched.events(), events);
            watched.done(1).await;
        }
        assert_eq!(versions(&watched), [10]);
    })
    .await;
}

#[tokio::test]
async fn a_state_of_another_version_is_ignored_and_replaced() {
    on_both(async |store| {
        fill(&store, "7", 10).await;
        let watched = Watched::over(&store);
        let older = Repository::<Meter<1, 3>>::new(watched.store.clone());
        let newer = Repository::<Meter<2, 3>>::new(watched.store.clone());
        older.load("7").await.expect("a state");
        watched.done(1).await;
        for (events, kept) in [(10, 2), (0, 2)] {
            watched.events();
            let loaded = newer.load("7").await.expect("a state");
            assert_eq!((loaded.state.readings, watched.events()), (10, events));
            watched.done(kept).await;
        }
        older.load("7").await.expect("a state");
        assert_eq!(watched.events(), 10, "the newer one stands in its place");
    })
    .await;
}

/// As one of an older release of the program, which left the version of the state as it was.
#[tokio::test]
async fn a_state_that_cannot_be_read_is_ignored_and_replaced() {
    on_both(async |store| {
        fill(&store, "7", 10).await;
        let watched = Watched::over(&store);
        let meters = Repository::<Kept>::new(watched.store.clone());
        watched.set_fate(Fate::Mangled);
        for (kept, events) in [(1, 10), (2, 10), (2, 0)] {
            watched.events();
            let loaded = meters.load("7").await.expect("a state");
            assert_eq!((loaded.state.readings, watched.events()), (10, events));
            watched.done(kept).await;
            watched.set_fate(Fate::Kept);
        }
    })
    .await;
}

#[tokio::test]
async fn a_load_of_the_past_keeps_nothing() {
    on_both(async |store| {
        fill(&store, "7", 10).await;
        let watched = Watched::over(&store);
        let meters = Repository::<Kept>::new(watched.store.clone());
        meters.load_at("7", Version::new(9)).await.expect("a state");
        meters.load("7").await.expect("a state");
        watched.done(1).await;
        assert_eq!(versions(&watched), [10]);
    })
    .await;
}

#[tokio::test]
async fn who_keeps_no_states_reads_none() {
    on_both(async |store| {
        fill(&store, "7", 10).await;
        let watched = Watched::over(&store);
        let meters = Repository::<Kept>::new(watched.store.clone());
        meters.load("7").await.expect("a state");
        watched.done(1).await;
        watched.events();
        let plain = Repository::<Plain>::new(watched.store.clone());
        assert_eq!(plain.load("7").await.expect("a state").state.readings, 10);
        assert_eq!(watched.events(), 10);
    })
    .await;
}

#[tokio::test]
async fn a_load_at_a_version_begins_with_a_state_before_it() {
    on_both(async |store| {
        fill(&store, "7", 10).await;
        let watched = Watched::over(&store);
        let meters = Repository::<Meter<1, 6>>::new(watched.store.clone());
        meters.load("7").await.expect("a state");
        watched.done(1).await;
        fill(&store, "7", 5).await;
        for (version, events) in [(15, 5), (12, 2), (10, 0), (9, 9)] {
            watched.events();
            let then = meters.load_at("7", Version::new(version)).await;
            let then = then.expect("a state");
            assert_eq!(
                (then.version.get(), then.state.readings),
                (version, version)
            );
            assert_eq!(watched.events(), events, "at {version}");
        }
    })
    .await;
}

#[tokio::test]
async fn streams_longer_than_a_page_are_folded_to_their_end() {
    on_both(async |store| {
        fill(&store, "7", 9_000).await;
        fill(&store, "7", 1_000).await;
        let plain = Repository::<Plain>::new(store.clone());
        let whole = plain.load("7").await.expect("a state");
        assert_eq!(
            (whole.version.get(), whole.state.readings),
            (10_000, 10_000)
        );
        let then = plain.load_at("7", Version::new(5_000)).await;
        let then = then.expect("a state");
        assert_eq!((then.version.get(), then.state.readings), (5_000, 5_000));
        let read = store.read_stream(&whole.stream).from(Version::new(5_000));
        let time = read.limit(1).collect().await.expect("an event").events[0].recorded_at;
        let as_of = plain.load_as_of("7", time).await.expect("a state");
        assert!(as_of.state.readings >= 5_000);
        let kept = Repository::<Kept>::new(store).load("7").await;
        assert_eq!(kept.expect("a state").state.hash, whole.state.hash);
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_for_a_state_to_be_kept_and_few_are_under_way() {
    on_both(async |store| {
        let watched = Watched::over(&store);
        watched.hold();
        let bus = CommandBus::new(watched.store.clone());
        let streams = (0..40).map(|key| {
            let bus = bus.clone();
            async move {
                for kwh in 0..6 {
                    let sent = bus.dispatch(key, Read(kwh)).await;
                    assert!(sent.is_ok(), "{sent:?}");
                }
            }
        });
        join_all(streams).await;
        watched.asked_for(16).await;
        assert_eq!(watched.asked().len(), 16, "of 80 that were due");
        watched.let_go();
        watched.done(watched.asked().len()).await;
        // What was not kept is folded.
        let meters = Repository::<Kept>::new(watched.store.clone());
        for key in 0..40 {
            assert_eq!(meters.load(key).await.expect("a state").state.readings, 6);
        }
    })
    .await;
}

#[tokio::test]
async fn a_kept_state_of_the_past_is_no_excuse_for_a_stale_append() {
    on_both(async |store| {
        fill(&store, "7", 3).await;
        let watched = Watched::over(&store);
        let meters = Repository::<Kept>::new(watched.store.clone());
        let mine = meters.load("7").await.expect("a state");
        watched.done(1).await;
        fill(&store, "7", 1).await;
        let lost = meters.save(mine.clone(), readings([1])).await;
        assert!(lost.expect_err("a conflict").conflict().is_some());
        let deleted = store.delete(&mine.stream, ExpectedVersion::Any).await;
        deleted.expect("deleted");
        watched.set_fate(Fate::Kept);
        let now = meters.load("7").await.expect("a state");
        assert!(!now.exists() && now.state == Kept::default());
    })
    .await;
}
