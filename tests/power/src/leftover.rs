//! What a failed flush leaves behind: a commit that is read and is not on the disk. What
//! proves that the rig sees it: SQLite alone shows it to whoever opens the file, and loses it
//! with the power, while a store that is opened first makes it last.

use std::sync::Arc;

use annalist::{AppendReceipt, Position, Receipt, Store, Version};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::check::{Flaw, check};
use crate::disk::{Disk, FailedSync, Kept};
use crate::drive::{FILE, Hand};
use crate::fault::{Fault, How, Lasting};
use crate::ledger::{Ledger, Note};
use crate::plan::{Act, Expecting, Plan, stream};
use crate::recording::Recording;
use crate::{folder, runtime};

#[test]
fn what_sqlite_alone_reads_after_a_failed_flush_is_lost_with_the_power() {
    for failed_sync in [FailedSync::Kept, FailedSync::Forgotten] {
        let left = Left::behind();
        let conn = Connection::open(left.at.path().join(FILE)).expect("a file");
        let sql = "SELECT count(*) FROM annalist_events";
        let read: i64 = conn.query_row(sql, [], |row| row.get(0)).expect("a count");
        assert_eq!(read, 2, "the commit that was not flushed is read");
        let lost = left
            .power_loss(failed_sync)
            .expect_err("it was not flushed");
        assert!(matches!(lost, Flaw::Lost(_)), "{lost:?}");
    }
}

#[test]
fn what_a_store_reads_after_a_failed_flush_lasts() {
    for failed_sync in [FailedSync::Kept, FailedSync::Forgotten] {
        let left = Left::behind();
        let _open = runtime().block_on(async {
            let store = Store::open(left.at.path().join(FILE)).await;
            let store = store.expect("the disk is healed");
            let read = store.read_all().collect().await.expect("a read");
            assert_eq!(read.len(), 2, "the commit that was not flushed is read");
            store
        });
        let held = left.power_loss(failed_sync);
        held.unwrap_or_else(|flaw| panic!("{failed_sync:?}: {flaw:?}"));
    }
}

/// The files of a process that was killed after a flush had failed.
struct Left {
    at: TempDir,
    plan: Plan,
    recording: Arc<Recording>,
    /// The commit whose flush failed.
    unknown: u32,
}

impl Left {
    fn behind() -> Self {
        let mut plan = Plan::default();
        let first = plan.add(vec![(stream(1), 1)], false, 100);
        let unknown = plan.add(vec![(stream(1), 1)], false, 100);
        let at = folder();
        let recording = Recording::start(at.path());
        let other = runtime().block_on(async {
            let store = Store::open(at.path().join(FILE)).await.expect("a store");
            let hand = Hand {
                plan: &plan,
                store,
                recording: &recording,
                holder: None,
            };
            let act = Act::Commit(first, Expecting::Any);
            hand.act(&act).await.expect("a sound disk");
            recording.arm(Fault {
                how: How::SyncError,
                lasting: Lasting::Once,
                at: recording.faults().syncs + 1,
            });
            let act = Act::Commit(unknown, Expecting::Any);
            let told = hand.act(&act).await.expect_err("the flush failed");
            assert_eq!(told.code(), "unknown_outcome");
            let other = recording.killed();
            hand.store.close().await.expect("a clean close");
            other
        });
        let (at, recording) = other;
        Self {
            at,
            plan,
            recording,
            unknown,
        }
    }

    /// The power goes now, all that was not flushed is gone, and whoever has read the commit
    /// relies on it.
    fn power_loss(&self, failed_sync: FailedSync) -> Result<(), Flaw> {
        let log = self.recording.log();
        let mut disk = Disk::new(failed_sync);
        log.iter().for_each(|op| disk.apply(op));
        let mut ledger = Ledger::of(&log);
        let receipt = Receipt {
            appends: vec![AppendReceipt {
                stream: stream(1),
                first: Some(Version::new(2)),
                last: Version::new(2),
            }],
            position: Some(Position::new(2)),
            replayed: false,
        };
        ledger.take(&Note::Landed(self.unknown, receipt));
        let images = folder();
        let at = images.path().join("image");
        disk.image(Kept::Nothing).write_to(&at);
        let looked = runtime().block_on(check(&at, &self.plan, &ledger));
        looked.map(drop)
    }
}
