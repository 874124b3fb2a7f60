//! A load that is given up while it waits for a thread leaves that thread as it was, whatever
//! the state does when it is dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use annalist::store::sqlite::SqliteOptions;
use annalist::{Aggregate, ExpectedVersion, NewEvent, Repository, Store, stream_id};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

/// Whether a state panics when it is dropped.
static IS_ARMED: AtomicBool = AtomicBool::new(false);
/// Whether an event is being applied, and whether that may end.
static APPLYING: Mutex<(bool, bool)> = Mutex::new((false, false));
static CHANGED: Condvar = Condvar::new();

fn wait_until(is_so: fn(&(bool, bool)) -> bool) {
    let applying = APPLYING.lock().expect("no panic");
    let bound = Duration::from_secs(30);
    let waited = CHANGED.wait_timeout_while(applying, bound, |applying| !is_so(applying));
    assert!(
        !waited.expect("no panic").1.timed_out(),
        "it takes for ever"
    );
}

fn set(change: fn(&mut (bool, bool))) {
    change(&mut APPLYING.lock().expect("no panic"));
    CHANGED.notify_all();
}

#[derive(Clone, Serialize, Deserialize)]
enum Slow {
    Moved,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Bomb {
    moves: u32,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if IS_ARMED.load(Ordering::SeqCst) && !std::thread::panicking() {
            panic!("a bomb");
        }
    }
}

impl Aggregate for Bomb {
    const CATEGORY: &'static str = "bomb";
    type Event = Slow;

    fn apply(&mut self, Slow::Moved: &Slow) {
        set(|(begun, _)| *begun = true);
        wait_until(|(_, may_end)| *may_end);
        self.moves += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_given_up_leaves_its_thread_alive() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = SqliteOptions::default();
    options.readers = 1;
    let store = Store::open_with(folder.path().join("store.db"), options).await;
    let store = store.expect("a store");
    let stream = stream_id::<Bomb>("1").expect("a stream id");
    let moved = NewEvent::json("Moved", &()).expect("an event");
    let written = store.append(&stream, ExpectedVersion::Any, [moved]).await;
    written.expect("an append");
    let bombs = Repository::<Bomb>::new(store.clone());
    let slow = bombs.clone();
    // It holds the only thread, and its state is never dropped.
    let slow = tokio::spawn(async move {
        std::mem::forget(slow.load("1").await);
    });
    tokio::task::spawn_blocking(|| wait_until(|(begun, _)| *begun))
        .await
        .expect("it begins");
    assert!(bombs.load("2").now_or_never().is_none(), "it waits in line");
    IS_ARMED.store(true, Ordering::SeqCst);
    set(|(_, may_end)| *may_end = true);
    slow.await.expect("a load");
    let info = tokio::time::timeout(Duration::from_secs(30), store.stream_info(&stream)).await;
    let info = info.expect("an answer").expect("the thread is there");
    assert_eq!(info.version.get(), 1);
    IS_ARMED.store(false, Ordering::SeqCst);
}
