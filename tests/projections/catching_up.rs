//! At opening: what is new, behind or of an older version comes to the end of the store
//! before anything is appended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annalist::projection::{self, Projection, ProjectionResult};
use annalist::store::{Derivation, Forgotten, Tx};
use annalist::{ExpectedVersion, RecordedEvent, StreamId, Version};

use crate::{
    Balances, Place, TYPES, Types, append, balances, fill, is_whole, moved, stream, told, types,
};

/// The sum over all documents, and of how many events.
const SUM: &str = "SELECT sum(document ->> 0), sum(document ->> 1) FROM balances";

#[tokio::test]
async fn a_new_one_takes_in_what_is_there_page_by_page() {
    let place = Place::new();
    let store = place.open(Vec::new()).await;
    fill(&store, 5_000).await;
    store.close().await.expect("closed");
    let store = place.open(vec![balances(), types()]).await;
    let sum = (0..5_000).sum::<i64>();
    assert_eq!(place.rows(SUM), [format!("{sum}|5000")]);
    assert_eq!(
        place.rows("SELECT * FROM types"),
        [format!("Moved|5000|{sum}")]
    );
    place.all_are_at_the_head();
    append(&store, "account-9", moved(1))
        .await
        .expect("a receipt");
    assert_eq!(place.rows(SUM), [format!("{}|5001", sum + 1)]);
    place.all_are_at_the_head();
    is_whole(&store).await;
}

#[tokio::test]
async fn what_was_removed_before_is_never_told_to_a_new_one() {
    let place = Place::new();
    let store = place.open(Vec::new()).await;
    fill(&store, 2_500).await;
    let gone = store
        .delete(&stream("account-0"), ExpectedVersion::Any)
        .await;
    gone.expect("deleted");
    let cut = store
        .truncate_before(&stream("account-1"), Version::new(100))
        .await;
    cut.expect("truncated");
    fill(&store, 2_500).await;
    store.compact().await.expect("compacted");
    store.close().await.expect("closed");
    // `Keen` cannot forget: it must not be asked to.
    let keen = || projection::inline(Keen::new(u64::MAX)).expect("a projection");
    let store = place.open(vec![balances(), types(), keen()]).await;
    let left = store.read_all().collect().await.expect("events");
    let count = left.len() as i64;
    assert_eq!(
        place.number("SELECT sum(document ->> 1) FROM balances"),
        count
    );
    assert_eq!(place.number("SELECT number FROM types"), count);
    assert_eq!(place.number("SELECT count(*) FROM keen"), count);
    place.all_are_at_the_head();
}

#[tokio::test]
async fn a_raised_version_is_built_beside_and_takes_the_place_of_the_older() {
    let place = Place::new();
    let store = place.open(vec![balances(), types()]).await;
    fill(&store, 3_000).await;
    store.close().await.expect("closed");
    let raised = || {
        let balances = projection::inline(Balances::<2>);
        let types = projection::inline(Types::<7>);
        vec![
            balances.expect("a projection"),
            types.expect("a projection"),
        ]
    };
    let before = place.rows("SELECT * FROM balances");
    let store = place.open(raised()).await;
    assert_eq!(place.rows("SELECT * FROM balances"), before);
    assert_eq!(
        place.objects(),
        [
            "view balances",
            "table balances__r2",
            "view types",
            "table types__r2",
            "view types_parts",
            "table types_parts__r2",
        ]
    );
    assert_eq!(
        place.checkpoints(),
        [
            "balances v2 live 1 at 3000|1",
            "events by type v7 live 1 at 3000|1"
        ]
    );
    append(&store, "account-1", moved(0))
        .await
        .expect("a receipt");
    let database = store.database().expect("a database");
    let total = TYPES.get("Moved", &database).await.expect("an answer");
    assert_eq!(total.count, 3_001);
    store.close().await.expect("closed");
    // The same again builds nothing.
    let _store = place.open(raised()).await;
    assert_eq!(place.number("SELECT max(build) FROM annalist_followers"), 2);
}

#[tokio::test]
async fn an_older_version_is_refused_and_told_so() {
    let place = Place::new();
    let newer = projection::inline(Balances::<3>).expect("a projection");
    let store = place.open(vec![newer.clone()]).await;
    append(&store, "account-1", moved(5))
        .await
        .expect("a receipt");
    store.close().await.expect("closed");
    let refused = place.try_open(vec![balances()]).await.expect_err("older");
    assert_eq!(refused.code(), "invalid");
    let told = told(&refused);
    for word in ["balances", "version 3", "version 1", "newer"] {
        assert!(told.contains(word), "{told}");
    }
    assert_eq!(place.rows("SELECT * FROM balances"), ["account-1|[5,1]"]);
    place.open(vec![newer]).await;
}

#[tokio::test]
async fn other_tables_take_another_version() {
    /// Of one table, or of two.
    struct Sized<const VERSION: u32>(usize);
    impl<const VERSION: u32> Projection for Sized<VERSION> {
        const NAME: &'static str = "sized";
        const VERSION: u32 = VERSION;
        fn tables(&self) -> Vec<String> {
            (0..self.0).map(|n| format!("sized_{n}")).collect()
        }
        async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
            for table in self.tables() {
                tx.execute(&format!("CREATE TABLE {table} (position)"), &[])
                    .await?;
            }
            Ok(())
        }
        async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
            for table in self.tables() {
                let sql = format!("INSERT INTO {table} VALUES ($1)");
                tx.execute(&sql, &[event.position.into()]).await?;
            }
            Ok(())
        }
    }
    let place = Place::new();
    let first = projection::inline(Sized::<1>(3)).expect("a projection");
    let store = place.open(vec![first]).await;
    fill(&store, 3).await;
    store.close().await.expect("closed");
    let before = place.objects();
    let same = projection::inline(Sized::<1>(2)).expect("a projection");
    let refused = place.try_open(vec![same]).await.expect_err("other tables");
    let told = told(&refused);
    assert!(told.contains("sized") && told.contains("VERSION"), "{told}");
    assert_eq!(place.objects(), before);
    let raised = projection::inline(Sized::<2>(2)).expect("a projection");
    let _store = place.open(vec![raised]).await;
    assert_eq!(
        place.objects(),
        [
            "view sized_0",
            "table sized_0__r2",
            "view sized_1",
            "table sized_1__r2"
        ]
    );
    assert_eq!(place.rows("SELECT * FROM sized_1"), ["1", "2", "3"]);
}

/// Notes every event, until it has had enough. It does not know how to forget.
pub(crate) struct Keen {
    left: Arc<AtomicU64>,
}

impl Keen {
    pub(crate) fn new(left: u64) -> Self {
        let left = Arc::new(AtomicU64::new(left));
        Self { left }
    }

    fn derivation(left: u64) -> Derivation {
        projection::inline(Self::new(left)).expect("a projection")
    }
}

impl Projection for Keen {
    const NAME: &'static str = "keen";

    fn tables(&self) -> Vec<String> {
        vec!["keen".to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        tx.execute(
            "CREATE TABLE keen (position INTEGER PRIMARY KEY, stream)",
            &[],
        )
        .await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let row = [event.position.into(), (&event.stream).into()];
        tx.execute("INSERT INTO keen VALUES ($1, $2)", &row).await?;
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            0 => Err("it has had enough".into()),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn one_that_fails_on_the_way_is_told_and_resumes_where_it_was() {
    let place = Place::new();
    let store = place.open(vec![types()]).await;
    fill(&store, 5_000).await;
    store.close().await.expect("closed");
    let failed = place.try_open(vec![types(), Keen::derivation(4_321)]).await;
    let told = told(&failed.expect_err("it fails"));
    assert!(
        told.contains("keen") && told.contains("had enough"),
        "{told}"
    );
    assert!(told.contains("4322"), "where it failed: {told}");
    // Whole pages are kept, and nothing is shown.
    assert_eq!(place.number("SELECT count(*) FROM keen__r1"), 4_096);
    assert_eq!(
        place.checkpoints(),
        [
            "events by type v1 live 1 at 5000|1",
            "keen v1 building 0 at 4096|1"
        ]
    );
    assert!(!place.objects().contains(&"view keen".to_owned()));
    // Nobody has to wait for it meanwhile.
    let without = place.open(vec![types()]).await;
    append(&without, "account-1", moved(1))
        .await
        .expect("a receipt");
    let _store = place.open(vec![types(), Keen::derivation(905)]).await;
    assert_eq!(place.number("SELECT count(*) FROM keen"), 5_001);
    place.all_are_at_the_head();
}

#[tokio::test]
async fn one_that_cannot_forget_begins_anew_when_events_went_while_it_was_built() {
    let place = Place::new();
    let store = place.open(Vec::new()).await;
    fill(&store, 5_000).await;
    let failed = place.try_open(vec![Keen::derivation(4_321)]).await;
    failed.expect_err("it fails");
    let to = stream("account-0");
    store
        .delete(&to, ExpectedVersion::Any)
        .await
        .expect("deleted");
    let left = place.number("SELECT 5000 - removed_to FROM annalist_removals");
    let _store = place.open(vec![Keen::derivation(u64::MAX)]).await;
    assert_eq!(place.number("SELECT count(*) FROM keen"), left);
    assert_eq!(place.objects(), ["view keen", "table keen__r1"]);
    place.all_are_at_the_head();
}

#[tokio::test]
async fn events_that_went_while_it_was_built_are_forgotten() {
    let place = Place::new();
    let store = place.open(Vec::new()).await;
    fill(&store, 5_000).await;
    let failing = projection::inline(Failing(Keen::new(4_321))).expect("a projection");
    place.try_open(vec![failing]).await.expect_err("it fails");
    let to = stream("account-0");
    store
        .delete(&to, ExpectedVersion::Any)
        .await
        .expect("deleted");
    let cut = store
        .truncate_before(&stream("account-1"), Version::new(700))
        .await;
    cut.expect("truncated");
    append(&store, "account-0", moved(1))
        .await
        .expect("a receipt");
    let all = place.number(
        "SELECT count(*) FROM annalist_events e LEFT JOIN annalist_removals r \
         ON r.stream = e.stream WHERE version > ifnull(removed_to, 0)",
    );
    let mended = projection::inline(Failing(Keen::new(u64::MAX))).expect("a projection");
    let _store = place.open(vec![mended]).await;
    assert_eq!(place.number("SELECT count(*) FROM keen"), all);
    assert_eq!(place.objects(), ["view keen", "table keen__r1"]);
}

/// The same, which knows how to forget.
struct Failing(Keen);

impl Projection for Failing {
    const NAME: &'static str = Keen::NAME;

    fn tables(&self) -> Vec<String> {
        self.0.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        self.0.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        self.0.apply(event, tx).await
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        tx.execute("DELETE FROM keen WHERE stream = $1", &[stream.into()])
            .await?;
        Ok(Forgotten::Done)
    }
}

#[tokio::test]
async fn tables_that_refer_to_each_other_are_swapped() {
    /// A parent that is declared before its children, and one of another branch.
    struct Family<const VERSION: u32>;
    impl<const VERSION: u32> Projection for Family<VERSION> {
        const NAME: &'static str = "family";
        const VERSION: u32 = VERSION;
        fn tables(&self) -> Vec<String> {
            ["parents", "children", "lonely"]
                .map(str::to_owned)
                .to_vec()
        }
        async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
            for sql in [
                "CREATE TABLE parents (id INTEGER PRIMARY KEY, eldest REFERENCES children (id))",
                "CREATE TABLE children (id INTEGER PRIMARY KEY, parent REFERENCES parents (id))",
                "CREATE TABLE lonely (id INTEGER PRIMARY KEY, friend REFERENCES lonely (id))",
            ] {
                tx.execute(sql, &[]).await?;
            }
            Ok(())
        }
        async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
            let id = [event.position.into()];
            tx.execute("INSERT INTO parents VALUES ($1, NULL)", &id)
                .await?;
            tx.execute("INSERT INTO children VALUES ($1, $1)", &id)
                .await?;
            tx.execute("UPDATE parents SET eldest = $1 WHERE id = $1", &id)
                .await?;
            tx.execute("INSERT INTO lonely VALUES ($1, $1)", &id)
                .await?;
            Ok(())
        }
    }
    let place = Place::new();
    let first = projection::inline(Family::<1>).expect("a projection");
    let store = place.open(vec![first]).await;
    fill(&store, 3).await;
    store.close().await.expect("closed");
    let second = projection::inline(Family::<2>).expect("a projection");
    let _store = place.open(vec![second]).await;
    assert_eq!(place.rows("SELECT * FROM parents"), ["1|1", "2|2", "3|3"]);
    assert!(!place.objects().iter().any(|name| name.ends_with("__r1")));
    place.all_are_at_the_head();
}
