//! The row in the file: gone with what was removed, checked, never waited for.

use std::path::PathBuf;

use annalist::{ExpectedVersion, Repository, Store, Version, stream_id};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::meter::{Kept, readings};
use crate::watched::Watched;

/// A file with one aggregate of ten events and its kept state.
struct Filled {
    _folder: TempDir,
    path: PathBuf,
    store: Store,
    watched: Watched,
}

async fn filled() -> Filled {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let store = Store::open(&path).await.expect("a store");
    let watched = Watched::over(&store);
    let meters = Repository::<Kept>::new(watched.store.clone());
    let new = meters.load("7").await.expect("a state");
    let saved = meters.save(new, readings(0..10)).await;
    saved.expect("nobody else writes");
    watched.done(1).await;
    Filled {
        _folder: folder,
        path,
        store,
        watched,
    }
}

impl Filled {
    /// The states that are in the file.
    fn states(&self) -> Vec<String> {
        let conn = Connection::open(&self.path).expect("a connection");
        let mut rows = conn
            .prepare("SELECT state FROM annalist_snapshots")
            .expect("SQL");
        let rows = rows.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("text")).collect()
    }

    async fn load(&self) -> (u64, usize) {
        self.watched.events();
        let meters = Repository::<Kept>::new(self.watched.store.clone());
        let loaded = meters.load("7").await.expect("a state");
        (loaded.state.readings, self.watched.events())
    }
}

#[tokio::test]
async fn what_was_removed_is_in_no_kept_state() {
    let stream = stream_id::<Kept>("7").expect("a stream");
    let filled = filled().await;
    let [kept] = &filled.states()[..] else {
        panic!("one state")
    };
    assert!(kept.contains("\"last\":9"), "{kept}");
    let cut = filled.store.truncate_before(&stream, Version::new(9)).await;
    cut.expect("cut");
    assert!(filled.states().is_empty());
    assert_eq!(filled.load().await, (2, 2));
    // One that was on its way comes too late.
    let (_, late) = filled.watched.asked().remove(0);
    let backend = filled.store.backend();
    let kept = backend.keep_snapshot(stream.clone(), late);
    assert!(!kept.await.expect("an answer") && filled.states().is_empty());
    let deleted = filled.store.delete(&stream, ExpectedVersion::Any).await;
    deleted.expect("deleted");
    assert_eq!(filled.load().await, (0, 0));
}

#[tokio::test]
async fn a_closed_stream_keeps_its_state() {
    let stream = stream_id::<Kept>("7").expect("a stream");
    let filled = filled().await;
    let closed = filled
        .store
        .close_stream(&stream, ExpectedVersion::Any)
        .await;
    closed.expect("closed");
    assert_eq!(filled.load().await, (10, 0));
}

#[tokio::test]
async fn a_damaged_state_is_ignored_told_and_replaced() {
    for damage in [
        "state = replace(state, '\"readings\":10', '\"readings\":99')",
        "state = CAST(x'7bff7d' AS TEXT)",
        "version = 9",
        "generation = 1",
        "fingerprint = zeroblob(16)",
        "last_event = zeroblob(16)",
        "checksum = checksum + 1",
    ] {
        let filled = filled().await;
        assert_eq!(filled.load().await, (10, 0));
        let conn = Connection::open(&filled.path).expect("a connection");
        let sql = format!("UPDATE annalist_snapshots SET {damage}");
        assert_eq!(conn.execute(&sql, []).expect("SQL"), 1, "{damage}");
        let report = filled.store.verify().await.expect("a report");
        assert!(report.is_whole(), "{damage}: {report:?}");
        let [told] = &report.harmless[..] else {
            panic!("{damage}: {report:?}")
        };
        assert!(told.to_string().contains("meter-7"), "{told}");
        assert_eq!(filled.load().await, (10, 10), "{damage}");
        filled.watched.done(2).await;
        assert_eq!(filled.load().await, (10, 0), "{damage}");
        let report = filled.store.verify().await.expect("a report");
        assert_eq!(report.harmless, [], "{damage}");
    }
}

#[tokio::test]
async fn a_state_outlives_its_process_and_a_backup() {
    let filled = filled().await;
    let copy = filled.path.with_file_name("copy.db");
    filled.store.backup(&copy).await.expect("a copy");
    filled.store.close().await.expect("a clean close");
    for path in [&filled.path, &copy] {
        let store = Store::open(path).await.expect("a store");
        let watched = Watched::over(&store);
        let meters = Repository::<Kept>::new(watched.store.clone());
        assert_eq!(meters.load("7").await.expect("a state").state.readings, 10);
        assert_eq!(watched.events(), 0, "{}", path.display());
        store.close().await.expect("a clean close");
    }
}
