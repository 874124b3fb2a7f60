//! Whatever is kept, lost or mangled: a load is what it is without.

use annalist::{
    Aggregate, ExpectedVersion, LoadError, Loaded, Repository, Store, Version, stream_id,
};
use proptest::prelude::*;

use crate::meter::{Kept, Meter, MeterEvent, Plain, readings};
use crate::watched::{Fate, Watched};

/// What happens to the aggregate, and to what is kept of it.
#[derive(Clone, Debug)]
enum Act {
    /// So many events are saved by one that keeps states.
    Save(u64),
    /// The same, by one that keeps none.
    Pass(u64),
    Load,
    /// A state of another version of the code is kept.
    Other,
    Truncate(u64),
    Delete,
    Compact,
    /// A state that was kept before comes late.
    Late(usize),
    Fate(Fate),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let fate = prop_oneof![Just(Fate::Kept), Just(Fate::Lost), Just(Fate::Mangled)];
    let act = prop_oneof![
        4 => (1_u64..6).prop_map(Act::Save),
        2 => (1_u64..6).prop_map(Act::Pass),
        2 => Just(Act::Load),
        1 => Just(Act::Other),
        2 => (1_u64..12).prop_map(Act::Truncate),
        1 => Just(Act::Delete),
        1 => Just(Act::Compact),
        2 => (0_usize..8).prop_map(Act::Late),
        2 => fate.prop_map(Act::Fate),
    ];
    proptest::collection::vec(act, 1..24)
}

const KEY: &str = "7";

struct World {
    watched: Watched,
    inner: Store,
    /// Written anew each time, so that both save on the version of now.
    written: u64,
}

impl World {
    async fn act(&mut self, act: &Act) {
        let stream = stream_id::<Kept>(KEY).expect("a stream");
        match *act {
            Act::Save(count) => {
                let before = self.watched.count();
                let (from, to) = self.save::<Kept>(count).await;
                // Mostly it is kept before the next thing happens.
                if from / 3 < to / 3 {
                    self.watched.done(before + 1).await;
                }
            }
            Act::Pass(count) => drop(self.save::<Plain>(count).await),
            Act::Load => drop(self.load::<Kept>().await),
            Act::Other => drop(self.load::<Meter<2, 3>>().await),
            Act::Truncate(before) => {
                // Beyond the end, or of nothing: refused, and so it is without.
                let _ = self
                    .inner
                    .truncate_before(&stream, Version::new(before))
                    .await;
            }
            Act::Delete => {
                let deleted = self.inner.delete(&stream, ExpectedVersion::Any).await;
                deleted.expect("deleted");
            }
            Act::Compact => drop(self.inner.compact().await.expect("compacted")),
            Act::Late(index) => {
                if let Some((stream, late)) = self.watched.asked().get(index).cloned() {
                    let kept = self.inner.backend().keep_snapshot(stream, late).await;
                    kept.expect("an answer");
                }
            }
            Act::Fate(fate) => self.watched.set_fate(fate),
        }
    }

    /// The versions before and after.
    async fn save<A>(&mut self, count: u64) -> (u64, u64)
    where
        A: Aggregate<Event = MeterEvent>,
    {
        let meters = Repository::<A>::new(self.watched.store.clone());
        let loaded = meters.load(KEY).await.expect("a state");
        let from = self.written;
        self.written += count;
        let before = loaded.version.get();
        let saved = meters.save(loaded, readings(from..self.written)).await;
        let saved = saved.unwrap_or_else(|error| panic!("{error:?}"));
        (before, saved.version.get())
    }

    async fn load<A: Aggregate>(&self) -> Loaded<A> {
        let meters = Repository::<A>::new(self.watched.store.clone());
        meters.load(KEY).await.expect("a state")
    }

    /// Every load of one that keeps states is that of one that does not.
    async fn agrees(&self) {
        let kept = Repository::<Kept>::new(self.watched.store.clone());
        let plain = Repository::<Plain>::new(self.inner.clone());
        let end = plain.load(KEY).await.expect("a state").version.get();
        assert_eq!(shown(kept.load(KEY).await), shown(plain.load(KEY).await));
        for version in (0..=end + 1).map(Version::new) {
            let (one, other) = (kept.load_at(KEY, version), plain.load_at(KEY, version));
            assert_eq!(shown(one.await), shown(other.await), "at {version}");
        }
    }
}

/// All that a load tells, whatever the type.
fn shown<const VERSION: u32, const EVERY: u64>(
    loaded: Result<Loaded<Meter<VERSION, EVERY>>, LoadError>,
) -> String {
    match loaded {
        Ok(loaded) => {
            let Meter {
                hash,
                readings,
                last,
            } = loaded.state;
            let at = (loaded.version, loaded.generation, loaded.last_event);
            format!("{hash} {readings} {last:?} {at:?}")
        }
        Err(error) => format!("{} {error}", error.code()),
    }
}

async fn run(store: Store, acts: &[Act]) {
    let mut world = World {
        watched: Watched::over(&store),
        inner: store,
        written: 0,
    };
    for act in acts {
        world.act(act).await;
        world.agrees().await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all();
    runtime.build().expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// `PROPTEST_CASES=5000 cargo test --test snapshots equal` for a long run.
    #[test]
    fn a_load_with_any_kept_states_is_the_load_without(acts in acts()) {
        runtime().block_on(run(Store::memory(), &acts));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn the_same_in_a_file(acts in acts()) {
        use annalist::store::sqlite::{Durability, SqliteOptions};

        runtime().block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let mut options = SqliteOptions::default();
            // What the flushes are for is shown elsewhere.
            options.durability = Durability::Off;
            let store = Store::open_with(folder.path().join("store.db"), options).await;
            run(store.expect("a store"), &acts).await;
        });
    }
}
