//! Whatever was appended and removed, what was made of it on the way is what would be made
//! of what is left, byte for byte.

use annalist::projection;
use annalist::store::{Derivation, Removed};
use annalist::{AppendError, ExpectedVersion, NewEvent, Store, StreamId, Version};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::{Balances, Place, Types, is_whole, stream};

#[derive(Clone, Debug)]
enum Step {
    Append(u8, Vec<(u8, i64)>),
    Truncate(u8, u64),
    Delete(u8),
    Compact,
    /// Closes the store and opens it again.
    Open,
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..4_u8;
    let events = prop::collection::vec((0..3_u8, -1_000..1_000_i64), 1..6);
    prop_oneof![
        8 => (stream.clone(), events).prop_map(|(stream, events)| Step::Append(stream, events)),
        3 => (stream.clone(), 0..12_u64).prop_map(|(stream, before)| Step::Truncate(stream, before)),
        1 => stream.prop_map(Step::Delete),
        1 => Just(Step::Compact),
        1 => Just(Step::Open),
    ]
}

fn named(number: u8) -> StreamId {
    stream(&format!("account-{number}"))
}

fn both<const VERSION: u32>() -> Vec<Derivation> {
    let balances = projection::inline(Balances::<VERSION>);
    let types = projection::inline(Types::<VERSION>);
    vec![
        balances.expect("a projection"),
        types.expect("a projection"),
    ]
}

/// Every row, in the order of the keys.
fn made(place: &Place) -> [Vec<String>; 3] {
    ["balances", "types", "types_parts"].map(|view| place.rows(&format!("SELECT * FROM {view}")))
}

async fn run(store: &Store, step: &Step) {
    let removed: Result<Removed, AppendError> = match step {
        Step::Append(to, events) => {
            let event = |(kind, cents): &(u8, i64)| {
                NewEvent::json(&format!("Kind{kind}"), cents).expect("an event")
            };
            let events: Vec<_> = events.iter().map(event).collect();
            let sent = store
                .append(&named(*to), ExpectedVersion::Any, events)
                .await;
            sent.expect("a receipt");
            return;
        }
        Step::Truncate(to, before) => {
            store
                .truncate_before(&named(*to), Version::new(*before))
                .await
        }
        Step::Delete(to) => store.delete(&named(*to), ExpectedVersion::Any).await,
        Step::Compact => {
            store.compact().await.expect("compacted");
            return;
        }
        Step::Open => return,
    };
    // Of a stream that has no such version nothing can be removed.
    if let Err(error) = removed {
        assert_ne!(error.code(), "hook_failed", "{error:?}");
    }
}

async fn agree(steps: &[Step]) {
    let place = Place::new();
    let mut store = place.open(both::<1>()).await;
    for steps in steps.chunk_by(|_, next| !matches!(next, Step::Open)) {
        store.close().await.expect("closed");
        store = place.open(both::<1>()).await;
        // Two at a time, so that some of them share a batch.
        for pair in steps.chunks(2) {
            futures_util::future::join_all(pair.iter().map(|step| run(&store, step))).await;
        }
        place.all_are_at_the_head();
    }
    is_whole(&store).await;
    let incremental = made(&place);
    store.close().await.expect("closed");
    let store = place.open(both::<2>()).await;
    assert_eq!(made(&place), incremental);
    assert_eq!(place.number("SELECT min(build) FROM annalist_followers"), 2);
    store.close().await.expect("closed");
}

#[test]
fn what_was_made_on_the_way_is_what_is_made_anew() {
    let cases = std::env::var("ANNALIST_INLINE").map_or(24, |n| n.parse().expect("a number"));
    let seed: u64 = match std::env::var("ANNALIST_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => u64::from(std::process::id()),
    };
    println!("ANNALIST_SEED={seed} ANNALIST_INLINE={cases}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let run =
        TestRunner::new_with_rng(config, rng).run(&prop::collection::vec(step(), 1..40), |steps| {
            runtime.block_on(agree(&steps));
            Ok(())
        });
    run.unwrap_or_else(|error| panic!("ANNALIST_SEED={seed}: {error}"));
}
