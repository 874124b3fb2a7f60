//! How soon a subscriber is told, how fast one catches up, and what subscribers cost
//! those who append.
//!
//! - `here`, `there`: from the call of `append` until the event is delivered, to a
//!   subscriber in the same process and to one in another, against the acknowledgement of
//!   the same appends. Callers append events of 200 bytes one by one and wait for nobody.
//! - `catch-up`: events per second through pages of the feed and through a subscription,
//!   against `read_all`, from a file that is in memory.
//! - `cost`: appends per second with so many subscribers, against none.
//!
//! Everything is durable. Rounds are interleaved, figures are medians. `cargo bench --bench
//! feed` takes a minute, `-- --quick` a quarter of it. Figures per second speak of this
//! machine alone, the ratios travel better.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annalist::store::FeedQuery;
use annalist::{ExpectedVersion, FeedItem, NewEvent, Payload, Position, Store, StreamId};
use futures_util::StreamExt;
use tokio::sync::oneshot;

/// The variable of the environment that makes this binary the other process.
const OTHER: &str = "ANNALIST_FEED_BENCH";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    if let Ok(path) = std::env::var(OTHER) {
        return runtime.block_on(other_process(Path::new(&path)));
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, length, events) = match quick {
        true => (3, Duration::from_millis(700), 20_000),
        false => (5, Duration::from_millis(2000), 100_000),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("durable appends of one 200-byte event, {cores} cores, medians of {rounds} rounds\n");
    println!("subscriber callers    ack p50 us  told p50 us   ratio   ack p99 us  told p99 us");
    for callers in [1, 16, 64] {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            here.push(runtime.block_on(told_here(callers, length)));
            there.push(runtime.block_on(told_there(callers, length)));
        }
        report("here", callers, &here);
        report("there", callers, &there);
    }
    runtime.block_on(catch_up(events, rounds));
    println!("\nsubscribers   appends/s of 64 callers   against none");
    let mut none = f64::NAN;
    for subscribers in [0, 1, 100, 1000] {
        let rates = (0..rounds).map(|_| runtime.block_on(cost(subscribers, length)));
        let rate = median(rates.collect());
        none = if subscribers == 0 { rate } else { none };
        println!("{subscribers:11} {rate:25.0} {:14.2}x", rate / none);
    }
}

/// When callers were answered, and a subscriber told.
#[derive(Clone, Copy)]
struct Round {
    ack: [f64; 2],
    told: [f64; 2],
}

fn report(subscriber: &str, callers: usize, rounds: &[Round]) {
    let figure = |read: &dyn Fn(&Round) -> f64| median(rounds.iter().map(read).collect());
    // The median of the rounds' ratios: neighbours share the machine's mood.
    println!(
        "{subscriber:10} {callers:7} {:13.0} {:12.0} {:7.2} {:12.0} {:12.0}",
        figure(&|round| round.ack[0]),
        figure(&|round| round.told[0]),
        figure(&|round| round.told[0] / round.ack[0]),
        figure(&|round| round.ack[1]),
        figure(&|round| round.told[1]),
    );
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The 50th and the 99th of a hundred, in microseconds.
fn percentiles(mut latencies: Vec<Duration>) -> [f64; 2] {
    latencies.sort_unstable();
    [0.50, 0.99].map(|share| {
        let index = (latencies.len() as f64 * share) as usize;
        let latency = latencies.get(index.min(latencies.len().saturating_sub(1)));
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    })
}

/// The machine's time, which two processes share.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a time after 1970")
}

/// An event of 200 bytes that says when its append was called.
fn event() -> NewEvent {
    let at = u64::try_from(now().as_nanos()).expect("a time before 2554");
    let filling = "x".repeat(163);
    let payload = format!(r#"{{"at":{at},"note":"{filling}"}}"#);
    let payload = Payload::from_text(payload).expect("JSON");
    NewEvent::new("Noted".parse().expect("a type"), payload)
}

/// How long ago the append of an item was called.
fn age(item: &FeedItem) -> Duration {
    let now = now();
    let event = item.event().expect("nothing is removed");
    let at: serde_json::Value = event.payload.decode().expect("JSON");
    let at = at.get("at").and_then(serde_json::Value::as_u64);
    now.saturating_sub(Duration::from_nanos(at.expect("a time")))
}

/// Appends from so many callers for so long; how long each waited.
async fn append(store: &Store, callers: usize, length: Duration) -> Vec<Duration> {
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let (store, done) = (store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let stream = StreamId::new("bench", caller).expect("a stream id");
                let mut latencies = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let appended = store.append(&stream, ExpectedVersion::Any, [event()]);
                    appended.await.expect("an append");
                    latencies.push(begun.elapsed());
                }
                latencies
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    done.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.expect("no panic"));
    }
    latencies
}

async fn told_here(callers: usize, length: Duration) -> Round {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("bench.db")).await;
    let store = store.expect("a store");
    let (through, is_through) = oneshot::channel();
    let follower = store.clone();
    let told = tokio::spawn(async move { follow(&follower, is_through).await });
    let acks = append(&store, callers, length).await;
    through.send(acks.len() as u64).expect("a subscriber");
    let told = told.await.expect("no panic");
    store.close().await.expect("a clean close");
    Round {
        ack: percentiles(acks),
        told: percentiles(told),
    }
}

async fn told_there(callers: usize, length: Duration) -> Round {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bench.db");
    let store = Store::open(&path).await.expect("a store");
    let mut other = Command::new(std::env::current_exe().expect("this binary"))
        .env(OTHER, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut said = BufReader::new(other.stdout.take().expect("its output")).lines();
    let mut line = || said.next().expect("a line").expect("text");
    assert_eq!(line(), "following");
    let acks = append(&store, callers, length).await;
    let mut through = other.stdin.take().expect("its input");
    writeln!(through, "{}", acks.len()).expect("a listener");
    let told = line();
    let figures: Vec<f64> = told
        .split(' ')
        .map(|figure| figure.parse().expect("a number"))
        .collect();
    let &[p50, p99] = figures.as_slice() else {
        panic!("{told}")
    };
    assert!(other.wait().expect("its end").success());
    store.close().await.expect("a clean close");
    Round {
        ack: percentiles(acks),
        told: [p50, p99],
    }
}

/// Follows to the number of events that it is given, and says what came of it.
async fn other_process(path: &Path) {
    let store = Store::open(path).await.expect("a store");
    let (through, is_through) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).expect("a line");
        through.send(line.trim().parse().expect("a number"))
    });
    println!("following");
    let [p50, p99] = percentiles(follow(&store, is_through).await);
    println!("{p50} {p99}");
    store.close().await.expect("a clean close");
}

/// The ages of as many events as there are in the end.
async fn follow(store: &Store, mut is_through: oneshot::Receiver<u64>) -> Vec<Duration> {
    let mut items = store.subscribe(Position::ZERO).items();
    let (mut told, mut last) = (Vec::new(), None);
    while last.is_none_or(|last| (told.len() as u64) < last) {
        tokio::select! {
            item = items.next() => told.push(age(&item.expect("no end").expect("no error"))),
            appended = &mut is_through, if last.is_none() => {
                last = Some(appended.expect("a number"));
            }
        }
    }
    told
}

async fn catch_up(events: u64, rounds: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("bench.db")).await;
    let store = store.expect("a store");
    for number in 0..events / 100 {
        let stream = StreamId::new("bench", number % 1000).expect("a stream id");
        let hundred = std::iter::repeat_with(event).take(100);
        let appended = store.append(&stream, ExpectedVersion::Any, hundred);
        appended.await.expect("an append");
    }
    let (mut all, mut feed, mut subscribed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let rate = |begun: Instant| events as f64 / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let mut pages = store.read_all().pages();
        while let Some(page) = pages.next().await {
            page.expect("a page");
        }
        all.push(rate(begun));
        let (begun, mut query) = (Instant::now(), FeedQuery::default());
        while let Some(scanned) = {
            let page = store.backend().read_feed(query.clone()).await;
            page.expect("a page").scanned
        } {
            query.after = scanned.position;
        }
        feed.push(rate(begun));
        let (begun, mut pages) = (Instant::now(), store.subscribe(Position::ZERO).pages());
        while !pages
            .next()
            .await
            .expect("no end")
            .expect("a page")
            .is_last()
        {}
        subscribed.push(rate(begun));
    }
    let against = median(all.clone());
    println!("\ncatch-up of {events} events    events/s   against read_all");
    for (name, rates) in [
        ("read_all", all),
        ("read_feed", feed),
        ("subscribe", subscribed),
    ] {
        let rate = median(rates);
        println!("{name:26} {rate:12.0} {:14.2}x", rate / against);
    }
    store.close().await.expect("a clean close");
}

/// Appends per second while others follow, each of them another stream that nobody writes.
async fn cost(subscribers: usize, length: Duration) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("bench.db")).await;
    let store = store.expect("a store");
    let followers: Vec<_> = (0..subscribers)
        .map(|subscriber| {
            let subscribed = store.subscribe(Position::ZERO);
            let mut pages = subscribed.category(format!("other{subscriber}")).pages();
            tokio::spawn(
                async move { while pages.next().await.is_some_and(|page| page.is_ok()) {} },
            )
        })
        .collect();
    let begun = Instant::now();
    let appended = append(&store, 64, length).await.len();
    let rate = appended as f64 / begun.elapsed().as_secs_f64();
    store.close().await.expect("a clean close");
    for follower in followers {
        follower.await.expect("no panic");
    }
    rate
}
