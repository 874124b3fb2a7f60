//! The power goes, at any moment of a workload: callers that collide, commits over several
//! streams, removals, compaction, checkpoints, readers in their way, and a store that is
//! closed and opened between. At times it goes a second time, while the store is opened.
//!
//! From the record of each workload follow the states that its disk may be found in, and
//! each is opened and looked at. Images count once however often they are met.
//!
//! What proves the rig: with `Durability::Normal` it must find losses and nothing worse,
//! with `Durability::Off` losses or damage.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use annalist::Store;
use annalist::store::sqlite::{CommitThread, Durability, SqliteOptions};

use crate::check::{Flaw, Found, check};
use crate::dice::Dice;
use crate::disk::{Disk, FailedSync, Image, Kept};
use crate::ledger::Ledger;
use crate::plan::{Plan, Size};
use crate::recording::{Op, Recording};
use crate::{drive, folder, number, runtime, seed};

/// Images that are looked at of one workload.
const IMAGES_OF_WORKLOAD: u64 = 250;

/// Images after which a long run says how far it is.
const PROGRESS_IMAGES: u64 = 50_000;

#[derive(Clone, Debug, Default)]
struct Tally {
    workloads: u64,
    moments: u64,
    /// Images that differ from all others.
    images: u64,
    /// Looked at: the same image again where more had been acknowledged meanwhile.
    looks: u64,
    /// With a write of which some sectors arrived.
    torn: u64,
    /// While a checkpoint was writing to the database file.
    in_checkpoint: u64,
    /// After the power went a second time, while the store was opened again.
    opening: u64,
    acknowledged: u64,
    present: u64,
    absent: u64,
    lost: u64,
    broken: u64,
    /// The first flaw of each kind.
    flaws: Vec<Flaw>,
}

/// A run over many workloads.
struct Rig {
    durability: Durability,
    seed: u64,
    images: u64,
    workloads: AtomicU64,
    seen: Mutex<HashSet<u64>>,
    tally: Mutex<Tally>,
}

#[test]
fn a_power_loss_loses_nothing_that_was_acknowledged() {
    let images = number("ANNALIST_IMAGES", 5_000u64);
    let tally = Rig::run("power_loss", Durability::Full, images);
    assert_eq!(tally.flaws, []);
    assert!(tally.images >= images);
    let met = [
        tally.torn,
        tally.in_checkpoint,
        tally.opening,
        tally.present,
        tally.absent,
    ];
    assert!(images < 1_000 || !met.contains(&0), "something was not met");
}

#[test]
fn a_log_that_is_not_flushed_loses_commits_and_nothing_worse() {
    let tally = Rig::run("power_loss_normal", Durability::Normal, 500);
    assert!(tally.lost > 0, "a rig that finds no loss proves nothing");
    assert_eq!(tally.broken, 0, "{:?}", tally.flaws);
}

#[test]
fn a_file_that_is_never_flushed_is_lost_or_damaged() {
    let tally = Rig::run("power_loss_off", Durability::Off, 500);
    assert!(tally.lost > 0, "a rig that finds no loss proves nothing");
    assert!(
        tally.broken > 0,
        "a rig that finds no damage proves nothing"
    );
}

impl Rig {
    fn run(test: &str, durability: Durability, images: u64) -> Tally {
        let rig = Self {
            durability,
            seed: seed(test),
            images,
            workloads: AtomicU64::new(0),
            seen: Mutex::default(),
            tally: Mutex::default(),
        };
        let threads = 2 * thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| while rig.workload() {});
            }
        });
        let tally = rig.tally.into_inner().expect("nobody panicked");
        let shown = Tally {
            flaws: Vec::new(),
            ..tally.clone()
        };
        println!("{test}: {durability:?}: {shown:?}");
        tally
    }

    /// Runs one workload and looks at what its disk may hold; whether more are needed.
    fn workload(&self) -> bool {
        let number = self.workloads.fetch_add(1, Ordering::Relaxed);
        let mut dice = Dice(Dice(self.seed.wrapping_add(number)).roll());
        let size = Size {
            phases: 1 + dice.below(3),
            callers: 2 + dice.below(4),
            acts: 6 + dice.below(8),
            streams: 3 + dice.below(6),
        };
        let plan = Plan::draw(&mut dice, size);
        let mut options = SqliteOptions::default();
        options.durability = self.durability;
        options.readers = 1;
        options.checkpoint_pages = *dice.pick(&[1, 5, 20, 60, 4_000]);
        // Small caches spill to the log before the commit.
        options.writer_cache_bytes = *dice.pick(&[64 * 1024, 64 * 1024 * 1024]);
        options.commit_thread = *dice.pick(&[CommitThread::Writer, CommitThread::CallerIfIdle]);
        let at = folder();
        let recording = runtime().block_on(drive::run(&plan, at.path(), &options));
        let tally = self.look_at(&plan, &recording.log(), &mut dice);
        self.add(number, tally)
    }

    fn look_at(&self, plan: &Plan, log: &[Op], dice: &mut Dice) -> Tally {
        let mut tally = Tally {
            workloads: 1,
            ..Tally::default()
        };
        let variants = 5;
        let moments = IMAGES_OF_WORKLOAD / variants;
        let mut disk = Disk::new(FailedSync::Kept);
        let mut ledger = Ledger::default();
        let images = folder();
        let runtime = runtime();
        for op in log {
            disk.apply(op);
            if let Op::Note(note) = op {
                ledger.take(note);
            }
            if dice.below(log.len() as u64) >= moments {
                continue;
            }
            tally.moments += 1;
            let in_checkpoint = disk.pending(drive::FILE) > 0;
            for variant in 0..variants {
                let mut image = disk.image(kept(dice, variant));
                let mut torn = image.torn;
                let again = dice.percent(4);
                if again {
                    image = runtime.block_on(opening(images.path(), &image, dice));
                    torn += image.torn;
                }
                let (is_new, is_worth) = self.is_new(&image, ledger.answers);
                tally.images += u64::from(is_new);
                if !is_worth {
                    continue;
                }
                tally.looks += 1;
                tally.torn += u64::from(torn > 0);
                tally.in_checkpoint += u64::from(in_checkpoint);
                tally.opening += u64::from(again);
                let at = images.path().join(tally.looks.to_string());
                image.write_to(&at);
                let looked = runtime.block_on(check(&at, plan, &ledger));
                fs::remove_dir_all(&at).expect("a folder of ours");
                tally.count(looked);
            }
        }
        tally
    }

    /// Whether an image differs from all others, and whether it is worth a look: the same
    /// one may be wrong once more was acknowledged.
    fn is_new(&self, image: &Image, answers: u64) -> (bool, bool) {
        let digest = image.digest();
        let mut seen = self.seen.lock().expect("nobody panicked");
        let is_new = seen.insert(digest);
        let is_worth = seen.insert(digest ^ (answers + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (is_new, is_worth)
    }

    /// Adds up; whether more workloads are needed.
    fn add(&self, number: u64, other: Tally) -> bool {
        let mut all = self.tally.lock().expect("nobody panicked");
        if let Some(flaw) = other.flaws.first()
            && self.durability == Durability::Full
        {
            let seed = self.seed.wrapping_add(number);
            println!("with ANNALIST_SEED={seed}: {flaw:?}");
        }
        let before = all.images;
        all.add(other);
        if before / PROGRESS_IMAGES < all.images / PROGRESS_IMAGES {
            let lost = all.lost + all.broken;
            println!("power_loss: {} images so far, {lost} flaws", all.images);
        }
        all.images < self.images
    }
}

/// Which changes are found, of the so many'th image of a moment.
fn kept(dice: &mut Dice, variant: u64) -> Kept {
    match variant {
        0 => Kept::Nothing,
        1 => Kept::Everything,
        _ => {
            let percent = *dice.pick(&[10, 50, 90]);
            Kept::Some(Dice(dice.roll()), percent)
        }
    }
}

/// What may be found if the power goes again while the store is opened on an image.
async fn opening(images: &Path, image: &Image, dice: &mut Dice) -> Image {
    let at = images.join("opening");
    image.write_to(&at);
    let recording = Recording::start_on(&at, image);
    if let Ok(store) = Store::open(at.join(drive::FILE)).await {
        store.close().await.expect("a clean close");
    }
    let log = recording.log();
    let mut disk = Disk::of(image);
    let end = dice.below(log.len() as u64 + 1) as usize;
    log[..end].iter().for_each(|op| disk.apply(op));
    fs::remove_dir_all(&at).expect("a folder of ours");
    let variant = dice.below(4);
    disk.image(kept(dice, variant))
}

impl Tally {
    fn count(&mut self, looked: Result<Found, Flaw>) {
        match looked {
            Ok(found) => {
                self.acknowledged += found.acknowledged;
                self.present += found.present;
                self.absent += found.absent;
            }
            Err(flaw) => {
                match flaw {
                    Flaw::Lost(_) => self.lost += 1,
                    Flaw::Broken(_) => self.broken += 1,
                }
                self.flaws.push(flaw);
                self.flaws.truncate(3);
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.workloads += other.workloads;
        self.moments += other.moments;
        self.images += other.images;
        self.looks += other.looks;
        self.torn += other.torn;
        self.in_checkpoint += other.in_checkpoint;
        self.opening += other.opening;
        self.acknowledged += other.acknowledged;
        self.present += other.present;
        self.absent += other.absent;
        self.lost += other.lost;
        self.broken += other.broken;
        self.flaws.extend(other.flaws);
    }
}
