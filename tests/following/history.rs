//! Random histories of a store: appends, removals and all that may come between.

use annalist::{AppendError, ExpectedVersion, Store, Version};

use crate::{deposited, stream};

/// Draws numbers that follow from a seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }
}

/// What a history has met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Met {
    pub(crate) events: u64,
    pub(crate) truncated: u64,
    pub(crate) deleted: u64,
    pub(crate) compacted: u64,
}

/// Does one thing to the store, most often an append to one of a few streams.
pub(crate) async fn step(store: &Store, streams: u64, dice: &mut Dice, met: &mut Met) {
    let id = stream(dice.below(streams));
    let done = match dice.below(20) {
        0 => match store.delete(&id, ExpectedVersion::Any).await {
            Ok(removed) => {
                met.deleted += u64::from(removed.position.is_some());
                Ok(())
            }
            Err(error) => Err(error),
        },
        1..=3 => {
            let info = store.stream_info(&id).await.expect("a read");
            let before = Version::new(1 + dice.below(info.version.get().max(1)));
            match store.truncate_before(&id, before).await {
                Ok(removed) => {
                    met.truncated += u64::from(removed.position.is_some());
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
        4 if dice.below(12) == 0 => {
            let closed = store.close_stream(&id, ExpectedVersion::Any).await;
            closed.map(drop)
        }
        5 => {
            store.compact().await.expect("a store");
            met.compacted += 1;
            Ok(())
        }
        _ => {
            let count = 1 + dice.below(4);
            let mut events = Vec::new();
            for _ in 0..count {
                events.push(deposited(dice.below(1_000) as i64 - 300));
            }
            met.events += events.len() as u64;
            let appended = store.append(&id, ExpectedVersion::Any, events).await;
            appended.map(drop)
        }
    };
    match done {
        Ok(())
        | Err(
            AppendError::StreamClosed { .. }
            | AppendError::Conflict { .. }
            | AppendError::Invalid(_),
        ) => {}
        Err(error) if error.is_retryable() => {}
        Err(error) => panic!("{error:?}"),
    }
}
