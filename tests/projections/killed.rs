//! Killed at any moment, what is made of the events and how far it has come agree.

use std::path::PathBuf;
use std::time::Duration;

use annalist::projection;
use serde::{Deserialize, Serialize};

use crate::workers::{self, Process};
use crate::{Balances, Place, append, balances, fill, is_whole, moved};

pub(crate) const SPEC: &str = "ANNALIST_PROJECTIONS_WORKER";

#[derive(Serialize, Deserialize)]
struct Spec {
    path: PathBuf,
    version: u32,
}

pub(crate) fn run() {
    let Some(spec) = workers::spec::<Spec>(SPEC) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let mut options = annalist::store::sqlite::SqliteOptions::default();
        options.inline.push(match spec.version {
            1 => balances(),
            _ => projection::inline(Balances::<2>).expect("a projection"),
        });
        workers::say(&0_u64);
        let store = annalist::Store::open_with(spec.path, options)
            .await
            .expect("a store");
        for n in 1_u64.. {
            append(&store, &format!("account-{}", n % 5), moved(1))
                .await
                .expect("a receipt");
            workers::say(&n);
        }
    });
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_no_half() {
    let place = Place::new();
    let store = place.open(Vec::new()).await;
    fill(&store, 6_000).await;
    store.close().await.expect("closed");
    let mut acknowledged = 0;
    for round in 0..8_u64 {
        let spec = Spec {
            path: place.path(),
            version: if round < 5 { 1 } else { 2 },
        };
        let mut process = Process::<u64>::start(SPEC, &spec, Duration::from_secs(60));
        // In the middle of catching up, or of appending.
        let until = if round % 5 < 2 { 0 } else { 10 * round };
        while let Some(said) = process.line() {
            acknowledged += u64::from(said > 0);
            if said == until {
                break;
            }
        }
        process.child.kill().expect("killed");
        process.child.wait().expect("its end");
        acknowledged += std::iter::from_fn(|| process.line())
            .filter(|said| *said > 0)
            .count() as u64;
    }
    assert!(acknowledged > 100, "{acknowledged}");
    let store = place
        .open(vec![
            projection::inline(Balances::<2>).expect("a projection"),
        ])
        .await;
    let events = place.number("SELECT last_position FROM annalist_head");
    assert!(
        events as u64 >= 6_000 + acknowledged,
        "{events} events, {acknowledged} acknowledged"
    );
    assert_eq!(
        place.number("SELECT sum(document ->> 1) FROM balances"),
        events
    );
    assert!(
        !place.objects().iter().any(|name| name.ends_with("__r1")),
        "{:?}",
        place.objects()
    );
    place.all_are_at_the_head();
    is_whole(&store).await;
}
