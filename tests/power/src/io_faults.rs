//! Every write and every flush of a workload fails: once, or until the disk is healed.
//!
//! What a caller is told is true and says what to do. A full disk writes nothing, and the
//! same handle works on when there is room. After an error of a COMMIT the handle writes
//! nothing more; a store that is opened again, in whichever way, answers what became of the
//! commit, and what it answers holds even if the power goes right after.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use annalist::store::sqlite::{CommitThread, SqliteOptions};
use annalist::{ExpectedVersion, Store, StoreError, StoreErrorKind};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::check::check;
use crate::dice::Dice;
use crate::disk::{Disk, FailedSync, Kept};
use crate::drive::{FILE, Hand};
use crate::fault::{Fault, Faults, How, Lasting};
use crate::ledger::Ledger;
use crate::plan::{Act, Expecting, Plan, Size, stream};
use crate::recording::{Op, Recording};
use crate::{folder, number, runtime, seed};

/// How a store is opened again after its handle was fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// The old handle is closed first.
    Closed,
    /// The old handle is still open.
    Beside,
    /// The process was killed.
    Killed,
}

/// What all runs came to.
#[derive(Clone, Debug, Default)]
struct Tally {
    runs: u64,
    /// Runs in which the fault was met. Which commits share a transaction is not the same
    /// in every run, and so neither is the number of writes.
    met: u64,
    /// Answers by their code.
    told: BTreeMap<&'static str, u64>,
    refused_at_opening: u64,
    /// Of the commits whose outcome was unknown: they had landed.
    had_landed: u64,
    /// They had not, and did when they were sent again.
    landed_again: u64,
    images: u64,
}

#[test]
fn every_write_and_every_flush_may_fail() {
    let workloads = number("ANNALIST_FAULT_WORKLOADS", 1u64);
    let seed = seed("io_faults");
    let mut runs = Vec::new();
    for workload in 0..workloads {
        let calls = Run::of(seed, workload, None).calls;
        let faults = [
            (How::WriteError, calls.writes),
            (How::DiskFull, calls.writes),
            (How::SyncError, calls.syncs),
        ];
        for (how, count) in faults {
            for lasting in [Lasting::Once, Lasting::UntilHealed] {
                let faults = (1..=count).map(|at| Fault { how, lasting, at });
                runs.extend(faults.map(|fault| (workload, fault)));
            }
        }
    }
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let threads = 4 * thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((workload, fault)) =
                    runs.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                {
                    let run = Run::of(seed, *workload, Some(*fault));
                    let mut tally = tally.lock().expect("nobody panicked");
                    tally.add(run.tally);
                }
            });
        }
    });
    let tally = tally.into_inner().expect("nobody panicked");
    println!("io_faults: {workloads} workloads, {tally:?}");
    for code in ["io", "disk_full", "unknown_outcome", "fenced"] {
        assert!(tally.told.contains_key(code), "nobody was told {code}");
    }
    assert!(tally.met * 10 >= tally.runs * 9, "{tally:?}");
    assert!(tally.had_landed > 0 && tally.landed_again > 0, "{tally:?}");
}

/// One workload with one fault.
struct Run {
    plan: Plan,
    /// A commit that is sent to fenced handles alone.
    probe: u32,
    options: SqliteOptions,
    fault: Option<Fault>,
    again: Again,
    /// Whether the disk is healed only after the handle was closed.
    heal_late: bool,
    /// Where the store lies; another one after a kill.
    at: TempDir,
    recording: Arc<Recording>,
    /// Moments after which the power may go.
    moments: Vec<usize>,
    dice: Dice,
    /// What was asked of the disk.
    calls: Faults,
    tally: Tally,
}

impl Run {
    /// Runs it, and checks all that must hold.
    fn of(seed: u64, workload: u64, fault: Option<Fault>) -> Self {
        let mut dice = Dice(Dice(seed.wrapping_add(workload)).roll());
        let (plan, probe) = plan(&mut dice);
        let mut options = SqliteOptions::default();
        options.readers = 1;
        options.checkpoint_pages = *dice.pick(&[5, 20, 60]);
        options.commit_thread = *dice.pick(&[CommitThread::Writer, CommitThread::CallerIfIdle]);
        options.writer_cache_bytes = 64 * 1024;
        let at = folder();
        let recording = Recording::start(at.path());
        let mut of_fault = Dice(fault.map_or(0, |fault| fault.at) ^ seed);
        let mut run = Self {
            plan,
            probe,
            options,
            fault,
            again: *of_fault.pick(&[Again::Closed, Again::Beside, Again::Killed]),
            heal_late: of_fault.percent(50),
            at,
            recording,
            moments: Vec::new(),
            dice: of_fault,
            calls: Faults::default(),
            tally: Tally::default(),
        };
        if let Some(fault) = fault {
            run.recording.arm(fault);
        }
        let told = format!(
            "ANNALIST_SEED={seed}, workload {workload}, {fault:?}, {:?}, heal late {}",
            run.again, run.heal_late
        );
        let _telling = Telling(told);
        runtime().block_on(run.run());
        run.tally.runs = 1;
        run
    }

    async fn run(&mut self) {
        let phases = self.plan.phases.clone();
        for acts in phases.iter().flatten() {
            let mut store = self.open().await;
            for act in acts {
                store = self.act(store, act).await;
            }
            store.close().await.expect("a clean close");
        }
        self.recording.heal();
        self.calls = self.recording.faults();
        if self.calls.refused > 0 {
            self.tally.met = 1;
        }
        let log = self.recording.log();
        self.assert_whole(self.at.path(), &log, "at the end").await;
        // A failed flush need not have been told, such as that of a checkpoint.
        let failed = log
            .iter()
            .position(|op| matches!(op, Op::SyncFailed { .. }));
        if let Some(failed) = failed {
            let after = self.dice.below((log.len() - failed) as u64) as usize;
            self.moments.extend([failed + after, log.len()]);
        }
        for at in self.moments.clone() {
            self.power_loss(&log[..at]).await;
        }
    }

    /// Opens the store; a disk that fails is healed.
    async fn open(&mut self) -> Store {
        for _ in 0..3 {
            let options = self.options.clone();
            match Store::open_with(self.at.path().join(FILE), options).await {
                Ok(store) => return store,
                Err(error) => {
                    self.tally.refused_at_opening += 1;
                    assert!(self.is_told_so(&error), "opening: {error:?}");
                    self.recording.heal();
                }
            }
        }
        panic!("a healed disk does not open");
    }

    /// Whether the error is one that the fault may be told as.
    fn is_told_so(&mut self, error: &StoreError) -> bool {
        *self.tally.told.entry(error.code()).or_default() += 1;
        let how = self.fault.map(|fault| fault.how);
        match error.kind() {
            StoreErrorKind::DiskFull => how == Some(How::DiskFull),
            StoreErrorKind::Io => how.is_some_and(|how| how != How::DiskFull),
            _ => false,
        }
    }

    /// Does one thing until it is done, whatever the disk says; answers the handle that
    /// writes on.
    async fn act(&mut self, store: Store, act: &Act) -> Store {
        let Err(error) = self.hand(&store).act(act).await else {
            return store;
        };
        if error.kind() == StoreErrorKind::Unknown {
            *self.tally.told.entry(error.code()).or_default() += 1;
            let how = self.fault.map(|fault| fault.how);
            assert!(how.is_some_and(|how| how != How::DiskFull), "{error:?}");
            return self.fenced(store, act).await;
        }
        assert!(self.is_told_so(&error), "{act:?}: {error:?}");
        self.assert_nothing_written(&store).await;
        if let Some(Fault {
            lasting: Lasting::UntilHealed,
            ..
        }) = self.fault
        {
            let again = self.hand(&store).again(act).await;
            let again = again.expect_err("the disk is as it was");
            if again.kind() == StoreErrorKind::Unknown {
                return self.fenced(store, act).await;
            }
            assert!(self.is_told_so(&again), "{act:?}: {again:?}");
            self.recording.heal();
        }
        let done = self.hand(&store).again(act).await;
        done.unwrap_or_else(|error| panic!("the disk is healed: {act:?}: {error:?}"));
        store
    }

    /// What was refused is not there.
    async fn assert_nothing_written(&self, store: &Store) {
        let ledger = Ledger::of(&self.recording.log());
        let read = store.read_all().collect().await.expect("reading goes on");
        for event in read {
            let foreseen = self.plan.events.get(&event.id).expect("it was sent");
            let is_refused = ledger.refused.contains(&foreseen.commit);
            assert!(!is_refused, "commit {} is in part there", foreseen.commit);
        }
    }

    fn hand<'a>(&'a self, store: &Store) -> Hand<'a> {
        Hand {
            plan: &self.plan,
            store: store.clone(),
            recording: &self.recording,
            holder: None,
        }
    }

    /// The handle writes nothing more; one that is opened again says what became of the
    /// commits, and goes on.
    async fn fenced(&mut self, store: Store, act: &Act) -> Store {
        let refused = [
            self.hand(&store).send_again(self.probe).await.err(),
            store.compact().await.err(),
            self.hand(&store).send_again(self.probe).await.err(),
        ];
        for error in refused {
            let error = error.expect("a fenced handle writes nothing");
            assert_eq!(error.kind(), StoreErrorKind::Fenced, "{error:?}");
            *self.tally.told.entry(error.code()).or_default() += 1;
        }
        let removed = store.delete(&stream(0), ExpectedVersion::Any).await;
        assert_eq!(removed.expect_err("fenced").code(), "fenced");
        store.read_all().collect().await.expect("reading goes on");
        self.tally.met = 1;
        let epoch = epoch(self.at.path());
        if !self.heal_late {
            self.recording.heal();
        }
        let store = match self.again {
            Again::Closed => {
                store.close().await.expect("a clean close");
                self.recording.heal();
                self.open().await
            }
            Again::Beside => {
                self.recording.heal();
                let other = self.open().await;
                store.close().await.expect("a clean close");
                other
            }
            Again::Killed => {
                let (at, recording) = self.recording.killed();
                store.close().await.expect("a clean close");
                (self.at, self.recording) = (at, recording);
                self.open().await
            }
        };
        assert!(
            self::epoch(self.at.path()) > epoch,
            "the epoch stands still"
        );
        self.moments.push(self.recording.log().len());
        let ledger = Ledger::of(&self.recording.log());
        for commit in ledger.in_flight().collect::<Vec<_>>() {
            let answer = self.hand(&store).send_again(commit).await;
            let receipt = answer.expect("the disk is healed");
            match receipt.is_some_and(|receipt| receipt.replayed) {
                true => self.tally.had_landed += 1,
                false => self.tally.landed_again += 1,
            }
        }
        self.moments.push(self.recording.log().len());
        let done = self.hand(&store).again(act).await;
        done.unwrap_or_else(|error| panic!("the disk is healed: {act:?}: {error:?}"));
        store
    }

    /// The power goes after these things happened.
    async fn power_loss(&mut self, log: &[Op]) {
        for failed_sync in [FailedSync::Kept, FailedSync::Forgotten] {
            let mut disk = Disk::new(failed_sync);
            log.iter().for_each(|op| disk.apply(op));
            let images = folder();
            let at = images.path().join("image");
            let kept = match self.dice.percent(50) {
                true => Kept::Nothing,
                false => Kept::Some(Dice(self.dice.roll()), 50),
            };
            disk.image(kept).write_to(&at);
            let what = format!("power loss, {failed_sync:?}");
            self.assert_whole(&at, log, &what).await;
            self.tally.images += 1;
        }
    }

    async fn assert_whole(&self, at: &Path, log: &[Op], what: &str) {
        if let Err(flaw) = check(at, &self.plan, &Ledger::of(log)).await {
            panic!("{what}: {flaw:?}");
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.met += other.met;
        for (code, count) in other.told {
            *self.told.entry(code).or_default() += count;
        }
        self.refused_at_opening += other.refused_at_opening;
        self.had_landed += other.had_landed;
        self.landed_again += other.landed_again;
        self.images += other.images;
    }
}

/// Says which run it was that panicked.
struct Telling(String);

impl Drop for Telling {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("io_faults: {}", self.0);
        }
    }
}

/// A small workload with all that writes: batches, a commit that is larger than the cache,
/// removal and compaction. Checkpoints come by themselves. Also a commit that it does not
/// send.
fn plan(dice: &mut Dice) -> (Plan, u32) {
    let size = Size {
        phases: 2,
        callers: 1,
        acts: 3,
        streams: 4,
    };
    let mut plan = Plan::draw(dice, size);
    let together = (0..8).map(|at| plan.add(vec![(stream(at % 5), 1)], at == 3, 300));
    let together = Act::Together(together.collect());
    let large = plan.add(vec![(stream(1), 14), (stream(7), 4)], true, 4_000);
    let special = [
        Act::Commit(large, Expecting::Any),
        Act::Delete(stream(1)),
        Act::Compact,
        together,
    ];
    plan.phases[0][0].extend(special);
    let probe = plan.add(vec![(stream(9), 1)], false, 0);
    (plan, probe)
}

/// How often the store was opened.
fn epoch(folder: &Path) -> i64 {
    let path = folder.join(FILE);
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let sql = "SELECT epoch FROM annalist_meta";
    let conn = conn.expect("a connection");
    conn.query_row(sql, [], |row| row.get(0))
        .expect("the epoch")
}
