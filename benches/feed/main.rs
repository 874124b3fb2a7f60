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

mod told;

use std::time::{Duration, Instant};

use annalist::store::FeedQuery;
use annalist::{ExpectedVersion, Position, Store, StreamId};
use futures_util::StreamExt;

use told::{Round, append, event, told_here, told_there};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    if runtime.block_on(told::is_done_as_other_process()) {
        return;
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
