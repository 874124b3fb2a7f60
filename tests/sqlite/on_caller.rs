//! Commits on the thread of the caller: made there while nobody else writes, queued as ever
//! else, and the same commits either way.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use annalist::store::sqlite::{CommitThread, Durability, SqliteOptions};
use annalist::store::{CommitHook, HookResult, Tx};
use annalist::{ExpectedVersion, NewEvent, RecordedEvent, Store, Version};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::callers::Lock;
use crate::{Place, event, stream};

/// Long enough for any machine, and not for ever.
const HANGS_AFTER: Duration = Duration::from_secs(60);

fn on_caller() -> SqliteOptions {
    let mut options = SqliteOptions::default();
    options.commit_thread = CommitThread::CallerIfIdle;
    options
}

/// Events in the file, as another program sees them.
fn events(place: &Place) -> u64 {
    let count = "SELECT count(*) FROM annalist_events";
    let count = place
        .connect()
        .query_row(count, [], |row| row.get::<_, u32>(0));
    count.expect("a count").into()
}

/// Commits in the write-ahead log, which was not moved into the file yet: frames that say how
/// large the file is after them (<https://www.sqlite.org/fileformat2.html#walformat>).
fn commits(place: &Place) -> usize {
    let wal = std::fs::read(place.path().with_extension("db-wal")).expect("a log");
    let (head, frames) = wal.split_at(32);
    let salt = &head[16..24];
    let frames = frames.chunks_exact(24 + 4096);
    let of_now = frames.take_while(|frame| &frame[8..16] == salt);
    of_now.filter(|frame| frame[4..8] != [0; 4]).count()
}

/// Appends until one has landed when it was polled once: nobody else is writing. Answers how
/// many events there are then.
async fn until_idle(place: &Place, store: &Store) -> u64 {
    let begun = Instant::now();
    for landed in 1.. {
        let name = stream(&format!("idle-{landed}"));
        let mut append = Box::pin(store.append(&name, ExpectedVersion::NoStream, [event(1)]));
        assert!((&mut append).now_or_never().is_none());
        let is_idle = events(place) == landed;
        append.await.expect("an append");
        if is_idle {
            return landed;
        }
        assert!(begun.elapsed() < HANGS_AFTER, "the thread never sleeps");
    }
    unreachable!("there is always a next one")
}

/// Futures of one task, and tasks of one thread, are polled one after the other: each finds
/// nobody writing.
#[tokio::test]
async fn callers_of_one_thread_share_commits_too() {
    const CALLERS: u64 = 64;
    let place = Place::new();
    let store = place.open_with(on_caller()).await;
    let before = until_idle(&place, &store).await;
    let commits = commits(&place);
    let appends = (0..CALLERS).map(|caller| {
        let store = store.clone();
        async move {
            let name = stream(&format!("a-{caller}"));
            let append = store.append(&name, ExpectedVersion::NoStream, [event(1)]);
            append.await.expect("an append")
        }
    });
    assert_eq!(join_all(appends).await.len() as u64, CALLERS);
    assert_eq!(events(&place) - before, CALLERS);
    // The first one has its own. The thread that writes takes what has come by when it wakes.
    let made = self::commits(&place) - commits;
    assert!(
        made <= CALLERS as usize / 4,
        "{made} commits of {CALLERS} callers"
    );
    store.close().await.expect("a clean close");
}

#[tokio::test]
async fn an_idle_store_is_written_to_by_who_calls() {
    let place = Place::new();
    let store = place.open_with(on_caller()).await;
    // Until the writer's thread sleeps, which takes it a moment, it does them.
    let first = until_idle(&place, &store).await;
    for landed in first + 1..=first + 100 {
        let name = stream(&format!("a-{landed}"));
        let mut append = Box::pin(store.append(&name, ExpectedVersion::NoStream, [event(1)]));
        // Polled once: it has landed before anybody else has run. It is answered later, since
        // the other tasks of this thread come first.
        assert!((&mut append).now_or_never().is_none());
        assert_eq!(events(&place), landed, "it was sent to the writer's thread");
        let receipt = append.await.expect("an append");
        assert_eq!(receipt.position.map(|at| at.get()), Some(landed));
    }
    store.close().await.expect("a clean close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_come_together_land_once_each() {
    const CALLERS: usize = 8;
    const COMMITS: u64 = 300;
    let place = Place::new();
    let mut options = on_caller();
    options.durability = Durability::Off;
    let store = place.open_with(options).await;
    let callers = (0..CALLERS).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let (own, shared) = (stream(&format!("a-{caller}")), stream("shared-1"));
            for version in 0..COMMITS {
                let at = Version::new(version);
                let append = store.append(&own, at, [event(caller)]);
                let receipt = append.await.expect("an append");
                assert_eq!(receipt.version(), at.next());
                // Some rest, so that the store is idle now and then.
                if (version + caller as u64).is_multiple_of(7) {
                    sleep(Duration::from_micros(300)).await;
                }
                let append = store.append(&shared, ExpectedVersion::Any, [event(caller)]);
                append.await.expect("an append");
            }
        })
    });
    let done = timeout(HANGS_AFTER, join_all(callers)).await;
    for caller in done.expect("a caller hangs") {
        caller.expect("no panic");
    }
    let all: Vec<_> = store.read_all().collect().await.expect("a read");
    assert_eq!(all.len() as u64, 2 * CALLERS as u64 * COMMITS);
    let dense = all
        .iter()
        .zip(1..)
        .all(|(event, n)| event.position.get() == n);
    assert!(dense, "a hole");
    let report = store.verify().await.expect("a look at every row");
    assert!(report.is_whole(), "{report:?}");
    store.close().await.expect("a clean close");
}

#[tokio::test]
async fn a_caller_never_waits_for_the_file_on_its_own_thread() {
    let place = Place::new();
    let mut options = on_caller();
    options.busy_timeout = Duration::from_secs(10);
    let store = place.open_with(options).await;
    until_idle(&place, &store).await;
    let lock = Lock::take(&place);
    let name = stream("a-1");
    let begun = Instant::now();
    // One thread runs both: if the append blocked it, nobody would let go of the lock.
    let append = store.append(&name, Version::ZERO, [event(1)]);
    let let_go = async {
        sleep(Duration::from_millis(50)).await;
        drop(lock);
    };
    let (appended, ()) = tokio::join!(append, let_go);
    appended.expect("an append");
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(10), "the thread was blocked");
    store.close().await.expect("a clean close");
}

#[tokio::test]
async fn a_busy_file_is_told_in_time() {
    let place = Place::new();
    let mut options = on_caller();
    options.busy_timeout = Duration::from_millis(50);
    let store = place.open_with(options).await;
    let (lock, name) = (Lock::take(&place), stream("a-1"));
    for _ in 0..3 {
        let append = store.append(&name, Version::ZERO, [event(1)]);
        let busy = append.await.expect_err("the lock is away");
        assert_eq!(busy.code(), "busy");
    }
    drop(lock);
    let append = store.append(&name, Version::ZERO, [event(1)]);
    append.await.expect("an append");
}

#[tokio::test]
async fn what_another_process_writes_is_seen_by_who_commits_next() {
    let place = Place::new();
    let stores = [
        place.open_with(on_caller()).await,
        place.open_with(on_caller()).await,
    ];
    let name = stream("a-1");
    for version in 0..40 {
        let at = Version::new(version);
        let [mine, other] = match version % 3 {
            0 => [&stores[0], &stores[1]],
            _ => [&stores[1], &stores[0]],
        };
        let append = mine.append(&name, at, [event(1)]);
        append.await.expect("an append");
        let stale = other.append(&name, at, [event(2)]).await;
        assert!(stale.expect_err("it is stale").conflict().is_some());
    }
}

/// Keeps the names of the threads that it was called on.
#[derive(Clone, Default)]
struct Threads(Arc<Mutex<Vec<Option<String>>>>);

impl CommitHook for Threads {
    fn name(&self) -> &str {
        "threads"
    }

    fn on_events<'a>(
        &'a self,
        _: &'a [RecordedEvent],
        _: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        let name = thread::current().name().map(str::to_owned);
        self.0.lock().expect("no panic").push(name);
        async { Ok(()) }.boxed()
    }
}

#[tokio::test]
async fn hooks_run_on_the_thread_of_the_writer_all_the_same() {
    let place = Place::new();
    let threads = Threads::default();
    let mut options = on_caller();
    options.hooks.push(Arc::new(threads.clone()));
    let store = place.open_with(options).await;
    let name = stream("a-1");
    for version in 0..20 {
        let append = store.append(&name, Version::new(version), [event(1)]);
        append.await.expect("an append");
    }
    let seen = threads.0.lock().expect("no panic").clone();
    assert_eq!(seen, vec![Some("annalist-writer".to_owned()); 20]);
}

#[tokio::test]
async fn large_commits_and_other_jobs_are_the_threads() {
    let place = Place::new();
    let store = place.open_with(on_caller()).await;
    let name = stream("a-1");
    let large = NewEvent::json("Noted", &json!("x".repeat(200_000))).expect("an event");
    let append = store.append(&name, Version::ZERO, [large]);
    append.await.expect("an append");
    let append = store.append(&name, Version::new(1), [event(1)]);
    append.await.expect("an append");
    store
        .truncate_before(&name, Version::new(2))
        .await
        .expect("a removal");
    let compacted = store.compact().await.expect("a compaction");
    assert_eq!(compacted.events, 1);
    let append = store.append(&name, Version::new(2), [event(2)]);
    append.await.expect("an append");
    assert_eq!(events(&place), 3);
    store.close().await.expect("a clean close");
}
