//! Loading aggregates whose state is kept.

use std::time::Instant;

use annalist::{Codec, ExpectedVersion, Repository, Store, stream_id};

use crate::bank::{Account, AccountEvent, KeptAccount, note};
use crate::measure::{Bench, Better, Measure, median};

const SETTINGS: &str =
    "time of a load of all events, against one that begins with a state kept at the last of them";

pub(crate) const MEASURES: [Measure; 2] = [
    Measure {
        name: "snapshot_1000",
        target: 10.0,
        better: Better::More,
        settings: SETTINGS,
        round: |bench| bench.run(ratio(bench, 1_000)),
    },
    Measure {
        name: "snapshot_10000",
        target: 60.0,
        better: Better::More,
        settings: SETTINGS,
        round: |bench| bench.run(ratio(bench, 10_000)),
    },
];

async fn ratio(bench: &Bench, events: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bench.db");
    let store = Store::open(&path).await.expect("a store");
    let stream = stream_id::<Account>("1").expect("a stream id");
    let codec = Codec::<Account>::new();
    let event = || {
        let (cents, note) = (5, note());
        let event = AccountEvent::Deposited { cents, note };
        codec.encode(&event).expect("an event")
    };
    let all: Vec<_> = (0..events).map(|_| event()).collect();
    let appended = store.append(&stream, ExpectedVersion::NoStream, all).await;
    appended.expect("an append");
    let accounts = Repository::<Account>::new(store.clone());
    let kept_accounts = Repository::<KeptAccount>::new(store.clone());
    // The first load has it kept, in the background.
    kept_accounts.load("1").await.expect("a load");
    let conn = rusqlite::Connection::open(&path).expect("a connection");
    let begun = Instant::now();
    let is_kept = || {
        let count = "SELECT count(*) FROM annalist_snapshots";
        conn.query_row(count, [], |row| row.get(0)) == Ok(1)
    };
    while !is_kept() {
        assert!(begun.elapsed().as_secs() < 30, "no state is kept");
        tokio::task::yield_now().await;
    }
    let (mut whole, mut short) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < bench.length {
        let asked = Instant::now();
        let loaded = accounts.load("1").await.expect("a load");
        whole.push(asked.elapsed().as_secs_f64());
        let asked = Instant::now();
        let kept = kept_accounts.load("1").await.expect("a load");
        short.push(asked.elapsed().as_secs_f64());
        assert_eq!(
            (loaded.state.balance, loaded.version),
            (kept.state.balance, kept.version)
        );
    }
    store.close().await.expect("a clean close");
    median(whole) / median(short)
}
