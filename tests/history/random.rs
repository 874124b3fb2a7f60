//! Random histories of every store that is right.

use std::time::Instant;

use annalist::Store;

use crate::backend::{Fault, Slow};
use crate::clients::{Size, Tally, Turns, refusal, run};
use crate::{HISTORIES_VARIABLE, Random, SEED_VARIABLE, first_seed, variable};

/// Over all stores.
const HISTORIES: u64 = 1_000;

/// Where the histories are run.
#[derive(Clone, Copy, Debug)]
enum Place {
    Memory(Turns),
    #[cfg(feature = "sqlite")]
    Sqlite,
}

impl Place {
    /// Which part of all histories is run here.
    fn histories(self) -> u64 {
        let all = variable(HISTORIES_VARIABLE).unwrap_or(HISTORIES);
        let share = match self {
            Self::Memory(Turns::Together) => all / 2,
            _ => all / 4,
        };
        share.max(1)
    }

    fn turns(self) -> Turns {
        match self {
            Self::Memory(turns) => turns,
            #[cfg(feature = "sqlite")]
            Self::Sqlite => Turns::Spawned,
        }
    }
}

/// A store for the next history; files are shared by many.
struct Stores {
    place: Place,
    #[cfg(feature = "sqlite")]
    file: Option<(tempfile::TempDir, Store, u64)>,
}

impl Stores {
    const fn of(place: Place) -> Self {
        Self {
            place,
            #[cfg(feature = "sqlite")]
            file: None,
        }
    }

    async fn next(&mut self, random: Random) -> Store {
        match self.place {
            Place::Memory(_) => Slow::store(&Store::memory(), Fault::None, random),
            #[cfg(feature = "sqlite")]
            Place::Sqlite => self.next_in_file().await,
        }
    }

    #[cfg(feature = "sqlite")]
    async fn next_in_file(&mut self) -> Store {
        use annalist::store::sqlite::{Durability, SqliteOptions};

        /// Enough that opening costs nothing, few enough for a small file.
        const HISTORIES_PER_FILE: u64 = 1_000;

        if let Some((_, store, histories)) = &mut self.file {
            if *histories < HISTORIES_PER_FILE {
                *histories += 1;
                return store.clone();
            }
            store.close().await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let mut options = SqliteOptions::default();
        options.durability = Durability::Off;
        let path = folder.path().join("store.db");
        let store = Store::open_with(path, options).await.unwrap();
        self.file = Some((folder, store.clone(), 1));
        store
    }
}

async fn histories_are_linearizable(place: Place) {
    let (mut tally, begin) = (Tally::default(), Instant::now());
    let mut stores = Stores::of(place);
    let first = first_seed(&format!("{place:?}"));
    for seed in (0..place.histories()).map(|number| first.wrapping_add(number)) {
        let mut random = Random(seed);
        let size = Size::any(&mut random);
        let store = stores.next(random.split()).await;
        let history = run(&store, seed, size, place.turns()).await;
        tally.count(&history);
        if let Some(refusal) = refusal(&history) {
            panic!("{place:?}, {SEED_VARIABLE}={seed}, {size:?}:\n{refusal}");
        }
    }
    println!("{place:?}: {tally}; {:.1} s", begin.elapsed().as_secs_f64());
    if tally.histories >= 100 {
        tally.assert_full();
    }
}

#[tokio::test]
async fn histories_in_memory_are_linearizable() {
    histories_are_linearizable(Place::Memory(Turns::Together)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_in_memory_on_two_threads_are_linearizable() {
    histories_are_linearizable(Place::Memory(Turns::Spawned)).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_in_sqlite_are_linearizable() {
    histories_are_linearizable(Place::Sqlite).await;
}

#[tokio::test]
async fn the_same_seed_is_the_same_history() {
    for seed in 0..10 {
        let once = || async {
            let size = Size::any(&mut Random(seed));
            let store = Slow::store(&Store::memory(), Fault::None, Random(seed));
            run(&store, seed, size, Turns::Together).await
        };
        assert_eq!(once().await, once().await);
    }
}
