//! A clock that jumps, backwards too: neither the order of events nor their times go back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annalist::store::sqlite::SqliteOptions;
use annalist::{Clock, ExpectedVersion, Position, Store};
use chrono::{DateTime, Utc};

use crate::{Place, Random, event, seed, stream};

/// A clock that tells what it was set to, in microseconds.
#[derive(Debug, Default)]
struct Jumping(AtomicI64);

impl Jumping {
    fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }
}

impl Clock for Jumping {
    fn now(&self) -> DateTime<Utc> {
        let micros = self.0.load(Ordering::SeqCst);
        DateTime::from_timestamp_micros(micros).expect("a time")
    }
}

async fn open(place: &Place, clock: &Arc<Jumping>) -> Store {
    let mut options = SqliteOptions::default();
    options.clock = clock.clone();
    place.open_with(options).await
}

const JUMPS: usize = 100;
const DAY: i64 = 86_400_000_000;

#[tokio::test]
async fn times_and_order_never_go_back_when_a_clock_does() {
    let mut random = Random(seed("times_and_order_never_go_back_when_a_clock_does"));
    let place = Place::new();
    // Two handles, as in two processes, each with its own idea of the time.
    let clocks = [(); 2].map(|()| Arc::new(Jumping::default()));
    let mut handles = [
        open(&place, &clocks[0]).await,
        open(&place, &clocks[1]).await,
    ];
    let mut expected = Vec::new();
    let (mut last, mut backwards, mut held) = (0, 0, 0);
    let mut before = 0;
    for jump in 0..JUMPS {
        let who = random.below(2);
        // Anywhere within four years, before 1970 too.
        let now = random.below(1_461) as i64 * DAY - 100 * DAY + random.below(1_000_000) as i64;
        clocks[who].set(now);
        backwards += usize::from(now < before);
        before = now;
        held += usize::from(now < last);
        last = last.max(now);
        let name = format!("a-{}", jump % 7);
        let sent = handles[who]
            .append(&stream(&name), ExpectedVersion::Any, [event(jump)])
            .await
            .expect("an append");
        expected.push((sent.position.expect("an event"), jump, last));
        if jump % 10 == 9 {
            // A removal takes a position and the time as well.
            let gone = stream("gone-1");
            let sent = handles[who].append(&gone, ExpectedVersion::Any, [event(jump)]);
            sent.await.expect("an append");
            let removed = handles[who].delete(&gone, ExpectedVersion::Any).await;
            assert!(removed.expect("a removal").position.is_some());
            handles[who].close().await.expect("a clean close");
            handles[who] = open(&place, &clocks[who]).await;
        }
    }
    assert!(
        backwards > JUMPS / 4 && held > JUMPS / 4,
        "the clock hardly went back"
    );

    let read = handles[0].read_all().collect().await.expect("a read");
    let found: Vec<_> = read
        .iter()
        .map(|event| {
            let number: serde_json::Value =
                serde_json::from_str(event.payload.as_str()).expect("JSON");
            let number = number["number"].as_u64().expect("a number") as usize;
            (event.position, number, event.recorded_at.timestamp_micros())
        })
        .collect();
    assert_eq!(found, expected);
    assert!(found.is_sorted_by_key(|(_, _, time)| *time));
    assert_eq!(found.first().map(|found| found.0), Some(Position::new(1)));
    assert!(handles[0].verify().await.expect("a check").is_whole());
}
