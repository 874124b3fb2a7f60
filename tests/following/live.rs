//! A projection that is filled when it is read, by readers that lose their patience.

use std::time::Duration;

use annalist::Store;
use annalist::projection::Live;

use crate::rebuilt::Log;
use crate::{PATIENCE, append_many, count};

#[tokio::test]
async fn a_read_that_was_dropped_anywhere_is_gone_on_with_by_the_next_one() {
    let store = Store::memory();
    let head = append_many(&store, 40_000).await;
    for micros in [0, 50, 500, 2_000, 20_000] {
        let live = Live::new(&store, Log::<1>).await.expect("a projection");
        let mut dropped = 0;
        let read = async {
            loop {
                let read = tokio::time::timeout(Duration::from_micros(micros), live.now());
                match read.await {
                    Ok(read) => return read.expect("a fold").clone(),
                    Err(_) => dropped += 1,
                }
                if dropped > 2 && micros < 20_000 {
                    return live.now().await.expect("a fold").clone();
                }
            }
        };
        let database = tokio::time::timeout(PATIENCE / 3, read)
            .await
            .expect("its end");
        println!("live: dropped {dropped} times after {micros} us");
        assert_eq!(
            count(&database, "SELECT count(*) FROM log").await as u64,
            head.get()
        );
    }
}
