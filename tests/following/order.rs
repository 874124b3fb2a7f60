//! A projection that is filled while eight writers in two processes append: it sees each
//! event once, in the order of positions, and the versions of each stream without a gap.
//!
//! 8 x 250 events in `cargo test`; `ANNALIST_APPENDS` sets how many each process appends.

use annalist::RecordedEvent;
use annalist::projection::{Projection, ProjectionResult, ProjectionRunner};
use annalist::store::{SqlValue, Tx};

use crate::child::{Role, Worker};
use crate::models::within;
use crate::{Place, count, number, reach};

/// Refuses what is out of order.
struct Witness;

impl Projection for Witness {
    const NAME: &'static str = "witness";

    fn tables(&self) -> Vec<String> {
        vec!["seen".to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let seen = "CREATE TABLE seen (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER)";
        tx.execute(seen, &[]).await?;
        let by_stream = "CREATE UNIQUE INDEX seen_by_stream ON seen (stream, version)";
        tx.execute(by_stream, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let last = "SELECT ifnull(max(position), 0), \
                    (SELECT ifnull(max(version), 0) FROM seen WHERE stream = $1) FROM seen";
        let rows = tx.query(last, &[(&event.stream).into()]).await?;
        let last: Vec<_> = rows[0].values().iter().map(SqlValue::as_i64).collect();
        let wanted = [event.position.get(), event.version.get()];
        let wanted = wanted.map(|number| Some(number as i64 - 1));
        if last != wanted {
            return Err(format!("after {last:?} comes {event:?}").into());
        }
        let params = [
            event.position.into(),
            (&event.stream).into(),
            event.version.into(),
        ];
        tx.execute("INSERT INTO seen VALUES ($1, $2, $3)", &params)
            .await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_seen_once_and_in_order_while_two_processes_write() {
    let events = number("ANNALIST_APPENDS", 1_000u64) / 4;
    let place = Place::new();
    let store = place.open().await;
    let beside = place.database().await;
    let runner = ProjectionRunner::new(&store).follow_with(Witness, within(&beside));
    let running = runner.start().expect("a runner");
    let append = Role::Append { writers: 4, events };
    let workers = [0, 1].map(|_| Worker::start(&place, append.clone()));
    let through = tokio::task::spawn_blocking(|| workers.map(Worker::finish));
    through.await.expect("both of them");
    let head = store.head().await.expect("a head");
    reach(&running, "witness", head).await;
    assert_eq!(head.get(), 8 * events);
    let seen = count(&beside, "SELECT count(*) FROM seen").await;
    assert_eq!(seen as u64, 8 * events);
    println!("order: {seen} events of 8 writers in 2 processes");
    running.stop().await;
}
