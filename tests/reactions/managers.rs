//! Process managers: what they know is folded from what they have taken in, and outlives
//! them.

use annalist::RecordedEvent;
use annalist::reaction::{ProcessManager, Reacting, ReactionResult, ReactionRunner};
use annalist::store::Filter;
use serde::{Deserialize, Serialize};

use crate::{Met, Order, OrderEvent, Place, Take, met, settled};

const NAME: &str = "every third";

/// Takes from the shelf what was ordered by one customer, three orders at a time.
struct EveryThird {
    known: Met<Known>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    orders: u32,
    pieces: u32,
}

impl ProcessManager for EveryThird {
    const NAME: &'static str = NAME;
    type State = Known;

    fn filter(&self) -> Filter {
        Filter::category("order")
    }

    fn process(&self, event: &RecordedEvent) -> ReactionResult<Option<String>> {
        let customer = event.stream.key().split('/').next().unwrap_or_default();
        Ok((customer != "nobody").then(|| customer.to_owned()))
    }

    fn apply(&self, known: &mut Known, event: &RecordedEvent) -> ReactionResult {
        for OrderEvent::Placed { pieces, .. } in event.decode::<Order>()? {
            known.orders += 1;
            known.pieces += pieces;
        }
        Ok(())
    }

    async fn react(&self, known: &Known, _: &RecordedEvent, cx: &Reacting<'_>) -> ReactionResult {
        self.known.lock().expect("no panic").push(known.clone());
        if known.orders.is_multiple_of(3) {
            let pieces = known.pieces;
            cx.dispatch("cups", Take { pieces }).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_it_knows_of_each_process_outlives_it() {
    let place = Place::new().await;
    place.stock(1_000).await;
    let known = Met::default();
    let orders = [
        ("ann/1", 1),
        ("bob/1", 10),
        ("nobody/1", 500),
        ("ann/2", 2),
        ("ann/3", 3),
        ("bob/2", 20),
        ("bob/3", 30),
        ("ann/4", 4),
    ];
    for (key, pieces) in orders {
        place.order(key, pieces).await;
        // Each order meets another runner.
        let runner = ReactionRunner::new(&place.bus);
        let manager = EveryThird {
            known: known.clone(),
        };
        let running = runner
            .manage_with(manager, place.options())
            .start()
            .expect("a runner");
        settled(&running, NAME, &place.store).await;
        running.stop().await;
    }
    let met: Vec<_> = met(&known)
        .iter()
        .map(|known| (known.orders, known.pieces))
        .collect();
    assert_eq!(
        met,
        [(1, 1), (1, 10), (2, 3), (3, 6), (2, 30), (3, 60), (4, 10)]
    );
    assert_eq!(place.shelf().await.taken, [6, 60]);

    let sql = "SELECT process, state FROM annalist_processes ORDER BY process";
    let read = |row: &annalist::store::SqlRow| format!("{:?}", row.values());
    let rows = place.database.query(sql, &[], read).await.expect("rows");
    assert_eq!(rows.len(), 2);
    assert!(
        rows[0].contains("ann") && rows[0].contains(r#"\"orders\":4"#),
        "{rows:?}"
    );
}
