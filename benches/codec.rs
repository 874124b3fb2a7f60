//! What the codec adds to serde_json, one event at a time.
//!
//! The baseline is serde_json alone on a struct that holds what the variant holds: reading
//! its text, and writing it. `NewEvent::json` is what writing costs without the codec: it
//! checks the payload and draws an id. Rounds are interleaved, figures are medians;
//! the ratios travel better than the nanoseconds.

use std::hint::black_box;
use std::time::Instant;

use annalist::{Aggregate, Codec, NewEvent, RecordedEvent, Store, Upcasters, Version, stream_id};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Placed {
    order: u64,
    customer: String,
    cents: i64,
    currency: String,
    lines: Vec<Line>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    article: String,
    count: u32,
}

#[derive(Clone, Serialize, Deserialize)]
enum OrderEvent {
    Placed(Placed),
    Cancelled { reason: String },
}

macro_rules! aggregate {
    ($name:ident, $upcasters:expr) => {
        #[derive(Clone, Default, Serialize, Deserialize)]
        struct $name(u64);

        impl Aggregate for $name {
            const CATEGORY: &'static str = "order";
            type Event = OrderEvent;

            fn apply(&mut self, event: &OrderEvent) {
                if let OrderEvent::Placed(placed) = event {
                    self.0 += placed.order;
                }
            }

            fn upcasters() -> Upcasters {
                $upcasters
            }
        }
    };
}

aggregate!(Order, Upcasters::new());
aggregate!(Rewritten, Upcasters::new().step("Placed", 1, Ok));

const ROUNDS: usize = 21;
const EVENTS: usize = 20_000;

/// One thing that is measured: its name and what it does once.
type Case<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// Median nanoseconds of each case.
fn measure(cases: &[Case<'_>]) -> Vec<f64> {
    let mut rounds = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for ((_, run), nanos) in cases.iter().zip(&mut rounds) {
            let start = Instant::now();
            for _ in 0..EVENTS {
                run();
            }
            nanos.push(start.elapsed().as_nanos() as f64 / EVENTS as f64);
        }
    }
    let median = |mut nanos: Vec<f64>| {
        nanos.sort_by(f64::total_cmp);
        nanos.swap_remove(ROUNDS / 2)
    };
    rounds.into_iter().map(median).collect()
}

fn print(cases: &[Case<'_>]) {
    let nanos = measure(cases);
    let baseline = nanos.first().expect("a baseline");
    for ((name, _), each) in cases.iter().zip(&nanos) {
        println!("{name:<48} {each:>7.0} ns  {:>5.2} x", each / baseline);
    }
}

/// The event as a store answers it.
async fn recorded(placed: &Placed) -> RecordedEvent {
    let store = Store::memory();
    let stream = stream_id::<Order>(1).expect("a name");
    let event = Codec::<Order>::new().encode(&OrderEvent::Placed(placed.clone()));
    let appended = store.append(&stream, Version::ZERO, [event.expect("an event")]);
    appended.await.expect("an empty store");
    let slice = store.read_stream(&stream).collect().await;
    slice.expect("a slice").events.remove(0)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let line = |n: u32| Line {
        article: format!("article-{n}"),
        count: n,
    };
    let placed = Placed {
        order: 7,
        customer: "customer-42".to_owned(),
        cents: 12_345,
        currency: "EUR".to_owned(),
        lines: (1..=3).map(line).collect(),
    };
    let event = recorded(&placed).await;
    let text = event.payload.as_str();
    let codec = Codec::<Order>::new();
    let domain = OrderEvent::Placed(placed.clone());
    println!("one event of {} bytes", text.len());
    print(&[
        (
            "decode: serde_json::from_str, bare struct",
            Box::new(|| drop(black_box(serde_json::from_str::<Placed>(text)))),
        ),
        (
            "decode: Codec held",
            Box::new(|| drop(black_box(codec.decode(&event)))),
        ),
        (
            "decode: event.decode::<A>()",
            Box::new(|| drop(black_box(event.decode::<Order>()))),
        ),
        (
            "decode: through one step",
            Box::new(|| drop(black_box(event.decode::<Rewritten>()))),
        ),
        (
            "fold: Codec held",
            Box::new(|| drop(black_box(codec.fold(Order(0), [&event])))),
        ),
    ]);
    print(&[
        (
            "encode: serde_json::to_string, bare struct",
            Box::new(|| drop(black_box(serde_json::to_string(&placed)))),
        ),
        (
            "encode: NewEvent::json, bare struct",
            Box::new(|| drop(black_box(NewEvent::json("Placed", &placed)))),
        ),
        (
            "encode: Codec held",
            Box::new(|| drop(black_box(codec.encode(&domain)))),
        ),
    ]);
}
