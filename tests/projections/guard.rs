//! What a projection may touch: its own tables, and nothing else.

use annalist::projection::{self, Projection, ProjectionResult};
use annalist::store::{Derivation, Tx};
use annalist::{RecordedEvent, Store};

use crate::{Place, append, balances, is_whole, moved, ran, told};

/// Runs statements in `set_up`, and what its events say.
struct Runs {
    tables: Vec<&'static str>,
    set_up: Vec<&'static str>,
}

impl Projection for Runs {
    const NAME: &'static str = "runs";

    fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|&name| name.to_owned()).collect()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        for sql in &self.set_up {
            tx.execute(sql, &[]).await?;
        }
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        if event.event_type.as_str() == "Ran" {
            let sql: String = event.payload.decode()?;
            tx.execute(&sql, &[]).await?;
        }
        Ok(())
    }
}

fn runs(tables: &[&'static str], set_up: &[&'static str]) -> Derivation {
    let runs = Runs {
        tables: tables.to_vec(),
        set_up: set_up.to_vec(),
    };
    projection::inline(runs).expect("a projection")
}

const MINE: &str = "CREATE TABLE mine (id INTEGER PRIMARY KEY, what)";

/// What nobody may do, wherever.
const NEVER: &[&str] = &[
    "DELETE FROM annalist_events",
    "UPDATE annalist_head SET last_position = 0",
    "INSERT INTO annalist_types VALUES (99, 'x')",
    "UPDATE annalist_followers SET position = 0",
    "DELETE FROM main.Annalist_Followers",
    "DROP TABLE annalist_events",
    "CREATE INDEX by_what ON annalist_events (payload)",
    "CREATE TRIGGER sly AFTER INSERT ON annalist_events BEGIN DELETE FROM mine; END",
    "CREATE TABLE annalist_more (x)",
    "INSERT INTO balances VALUES ('x', 'y')",
    "INSERT INTO balances__r1 VALUES ('x', 'y')",
    "DELETE FROM \"balances__r1\"",
    "DROP TABLE balances__r1",
    "DROP VIEW balances",
    "CREATE INDEX by_document ON balances__r1 (document)",
    "CREATE TRIGGER sly AFTER INSERT ON balances__r1 BEGIN DELETE FROM mine; END",
    "INSERT INTO theirs VALUES (1)",
    "CREATE TABLE other (x)",
    "CREATE TABLE mine__r2 (x)",
    "CREATE TABLE mine_too (x)",
    "CREATE TEMP TABLE mine (x)",
    "CREATE TEMP TABLE other (x)",
    "CREATE VIEW seen AS SELECT * FROM mine",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE TEMP TRIGGER sly AFTER INSERT ON mine BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE other USING fts5(x)",
    "CREATE VIRTUAL TABLE mine_words USING fts5(x)",
    "ALTER TABLE mine RENAME TO annalist_mine",
    "ALTER TABLE mine RENAME TO theirs_too",
    "ATTACH ':memory:' AS beside",
    "DETACH main",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 3",
    "UPDATE sqlite_schema SET sql = 'x'",
    "DELETE FROM sqlite_schema",
    "COMMIT",
    "END",
    "ROLLBACK",
    "BEGIN",
    "SAVEPOINT here",
    "RELEASE annalist_commit",
    "ROLLBACK TO annalist_commit",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "ANALYZE",
    "SELECT load_extension('x')",
    "REINDEX balances__r1",
    "REINDEX annalist_events",
];

/// What is refused once the tables are made.
const AFTER_SET_UP: &[&str] = &[
    "CREATE INDEX by_what ON mine (what)",
    "CREATE TRIGGER noted AFTER INSERT ON mine BEGIN SELECT 1; END",
    "DROP TABLE mine",
    "ALTER TABLE mine ADD COLUMN more",
];

/// Everything that must stay as it is.
fn all(place: &Place) -> Vec<String> {
    let mut all = place.rows("SELECT type, name, sql FROM sqlite_schema ORDER BY name");
    for table in [
        "annalist_events",
        "annalist_types",
        "annalist_head",
        "balances",
        "theirs",
    ] {
        all.extend(place.rows(&format!("SELECT * FROM {table}")));
    }
    all
}

async fn with_others(place: &Place) -> Store {
    let store = place.open(vec![balances()]).await;
    append(&store, "account-1", moved(1))
        .await
        .expect("a receipt");
    place
        .connect()
        .execute_batch("CREATE TABLE theirs (x)")
        .expect("a table");
    store
}

#[tokio::test]
async fn applying_writes_what_is_its_own_and_nothing_else() {
    let place = Place::new();
    with_others(&place).await.close().await.expect("closed");
    let store = place.open(vec![balances(), runs(&["mine"], &[MINE])]).await;
    let before = all(&place);
    for sql in NEVER.iter().chain(AFTER_SET_UP) {
        let refused = append(&store, "do-1", ran(sql)).await;
        let refused = refused.expect_err(sql);
        assert_eq!(refused.code(), "hook_failed", "{sql}: {}", told(&refused));
        assert!(told(&refused).contains("runs"), "{}", told(&refused));
        assert_eq!(all(&place), before, "{sql}");
    }
    for sql in [
        "INSERT INTO mine (what) VALUES ('a'), ('b')",
        "INSERT INTO mine (what) SELECT payload FROM annalist_events",
        "INSERT INTO mine (what) SELECT document FROM balances",
        "UPDATE Mine SET what = 'c' WHERE id = 1",
        "REPLACE INTO \"mine\" VALUES (1, 'd')",
        "DELETE FROM main.mine WHERE id = 2",
        "WITH x AS (SELECT 1) INSERT INTO mine (what) SELECT * FROM x",
    ] {
        let sent = append(&store, "do-1", ran(sql)).await;
        sent.unwrap_or_else(|error| panic!("{sql}: {}", told(&error)));
    }
    place.all_are_at_the_head();
    is_whole(&store).await;
}

#[tokio::test]
async fn setting_up_makes_what_is_declared_and_nothing_else() {
    let place = Place::new();
    let _store = with_others(&place).await;
    let before = all(&place);
    for sql in NEVER {
        let set_up = runs(&["mine"], &[MINE, sql]);
        let refused = place.try_open(vec![balances(), set_up]).await;
        let refused = refused.expect_err(sql);
        assert_eq!(refused.code(), "invalid", "{sql}: {}", told(&refused));
        assert!(told(&refused).contains("runs"), "{}", told(&refused));
        assert_eq!(all(&place), before, "{sql}");
    }
    let undeclared = place
        .try_open(vec![runs(&["mine"], &[MINE, "CREATE TABLE other (x)"])])
        .await;
    let told = told(&undeclared.expect_err("undeclared"));
    assert!(told.contains("declare"), "{told}");
}

#[tokio::test]
async fn a_trigger_does_no_more_than_who_fires_it() {
    let place = Place::new();
    with_others(&place).await.close().await.expect("closed");
    for (body, why) in [
        ("DELETE FROM annalist_events", "the store's"),
        ("DELETE FROM balances__r1", "another one's"),
        ("INSERT INTO theirs VALUES (1)", "the application's"),
    ] {
        let trigger = format!("CREATE TRIGGER sly AFTER INSERT ON mine BEGIN {body}; END");
        let trigger: &'static str = Box::leak(trigger.into_boxed_str());
        let inline = vec![balances(), runs(&["mine"], &[MINE, trigger])];
        // Making it may be refused, or firing it.
        if let Ok(store) = place.try_open(inline).await {
            let before = all(&place);
            let fired = append(&store, "do-1", ran("INSERT INTO mine VALUES (1, 2)")).await;
            assert_eq!(fired.expect_err(why).code(), "hook_failed");
            assert_eq!(all(&place), before, "{why}");
            store.close().await.expect("closed");
            let conn = place.connect();
            conn.execute_batch(
                "DELETE FROM annalist_followers WHERE name = 'runs'; DROP VIEW mine; DROP TABLE mine__r1",
            )
            .expect("undone");
        }
    }
}

#[tokio::test]
async fn a_key_that_refers_to_what_is_not_its_own_is_refused() {
    let place = Place::new();
    let store = with_others(&place).await;
    let before = all(&place);
    for sql in [
        "CREATE TABLE mine (id REFERENCES annalist_removals (stream))",
        "CREATE TABLE mine (id REFERENCES balances__r1 (key) ON DELETE CASCADE)",
        "CREATE TABLE mine (id REFERENCES theirs)",
        "CREATE TABLE mine (id, FOREIGN KEY (id) REFERENCES not_there (id))",
    ] {
        let refused = place
            .try_open(vec![balances(), runs(&["mine"], &[sql])])
            .await;
        let told = told(&refused.expect_err(sql));
        assert!(
            told.contains("runs") && told.contains("foreign key"),
            "{told}"
        );
        assert_eq!(all(&place), before, "{sql}");
    }
    append(&store, "account-1", moved(1))
        .await
        .expect("a receipt");
}

#[tokio::test]
async fn indexes_triggers_and_full_text_search_are_made_for_each_build() {
    struct Rich<const VERSION: u32>;
    impl<const VERSION: u32> Projection for Rich<VERSION> {
        const NAME: &'static str = "rich";
        const VERSION: u32 = VERSION;
        fn tables(&self) -> Vec<String> {
            ["notes", "words", "log"].map(str::to_owned).to_vec()
        }
        async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
            for sql in [
                "CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT UNIQUE)",
                "CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER)",
                "CREATE UNIQUE INDEX by_note ON notes (note, id)",
                "CREATE TRIGGER logged AFTER INSERT ON notes BEGIN \
                   INSERT INTO log (id) VALUES (new.id); \
                   INSERT INTO words (rowid, note) VALUES (new.id, new.note); END",
                "CREATE VIRTUAL TABLE words USING fts5(note)",
            ] {
                tx.execute(sql, &[]).await?;
            }
            Ok(())
        }
        async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
            let note = format!("note number {}", event.position);
            let row = [event.position.into(), note.into()];
            tx.execute("INSERT INTO notes VALUES ($1, $2)", &row)
                .await?;
            let sql = "SELECT rowid FROM words WHERE words MATCH 'number' ORDER BY rank LIMIT 1";
            tx.query(sql, &[]).await?;
            Ok(())
        }
    }
    let rich = |version| match version {
        1 => projection::inline(Rich::<1>).expect("a projection"),
        _ => projection::inline(Rich::<2>).expect("a projection"),
    };
    let place = Place::new();
    for version in [1, 2] {
        // Others that write many rows at once flush what full-text search has kept.
        let store = place
            .open(vec![rich(version), runs(&["mine"], &[MINE])])
            .await;
        let many = "INSERT INTO mine (id, what) SELECT max(ifnull((SELECT max(id) FROM mine), 0)) + 1, 2 \
                    UNION ALL SELECT max(ifnull((SELECT max(id) FROM mine), 0)) + 2, 2";
        for _ in 0..4 {
            let sent = append(&store, "account-1", ran(many)).await;
            sent.unwrap_or_else(|error| panic!("{}", told(&error)));
        }
        let database = store.database().expect("a database");
        let found = "SELECT count(*) AS n FROM words WHERE note MATCH 'number'";
        let found = database
            .query(found, &[], |row| row.get("n").cloned())
            .await;
        assert_eq!(found.expect("rows"), [Some((4 * version).into())]);
        let built = format!(
            "SELECT count(*) FROM words__r{version} WHERE words__r{version} MATCH 'number'"
        );
        assert_eq!(place.number(&built), 4 * i64::from(version));
        assert_eq!(
            place.number("SELECT count(*) FROM log"),
            4 * i64::from(version)
        );
        store.close().await.expect("closed");
    }
    let objects = place.objects();
    for name in [
        "index by_note__r2",
        "trigger logged__r2",
        "table words__r2",
        "view words",
    ] {
        assert!(
            objects.iter().any(|object| object == name),
            "{name}: {objects:?}"
        );
    }
    let old = objects
        .iter()
        .filter(|name| name.contains("__r1") && !name.contains("mine"));
    assert_eq!(old.count(), 0, "{objects:?}");
}

#[tokio::test]
async fn a_declared_table_that_is_not_made_is_told() {
    let place = Place::new();
    let refused = place
        .try_open(vec![runs(&["mine", "forgotten"], &[MINE])])
        .await;
    let told = told(&refused.expect_err("not made"));
    assert!(
        told.contains("forgotten") && told.contains("set_up"),
        "{told}"
    );
    assert_eq!(place.objects(), [""; 0]);
}

#[tokio::test]
async fn a_name_that_the_application_has_given_already_is_told_before_anything_is_read() {
    let place = Place::new();
    let store = with_others(&place).await;
    let conn = place.connect();
    conn.execute_batch("CREATE VIEW shown AS SELECT 1; CREATE TABLE kept__r1 (x)")
        .expect("made");
    let before = place.objects();
    for (tables, sql) in [
        ("theirs", "CREATE TABLE theirs (x)"),
        ("THEIRS", "CREATE TABLE THEIRS (x)"),
        ("shown", "CREATE TABLE shown (x)"),
        ("kept", "CREATE TABLE IF NOT EXISTS kept (x)"),
    ] {
        let refused = place
            .try_open(vec![balances(), runs(&[tables], &[sql])])
            .await;
        let told = told(&refused.expect_err(tables));
        assert!(
            told.contains("runs") && told.contains(&tables.to_lowercase()),
            "{told}"
        );
        assert!(told.contains("rename"), "{told}");
        assert_eq!(place.objects(), before);
    }
    append(&store, "account-1", moved(1))
        .await
        .expect("a receipt");
}
