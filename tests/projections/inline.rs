//! In the transaction of the commit: there when the append is answered, and gone with it.

use std::sync::Arc;

use annalist::projection::{self, Projection, ProjectionResult};
use annalist::store::sqlite::SqliteOptions;
use annalist::store::{CommitHook, Filter, HookResult, Tx};
use annalist::{Commit, ExpectedVersion, RecordedEvent, Version};
use futures_util::future::{BoxFuture, join_all};

use crate::{BALANCES, Place, TYPES, append, balances, is_whole, moved, said, stream, told, types};

#[tokio::test]
async fn what_is_made_of_an_event_is_there_when_the_append_is_answered() {
    let place = Place::new();
    let store = place.open(vec![balances(), types()]).await;
    let database = store.database().expect("a database");
    for n in 1..=20 {
        append(&store, "account-1", moved(5))
            .await
            .expect("a receipt");
        let balance = BALANCES
            .get("account-1", &database)
            .await
            .expect("an answer");
        assert_eq!(balance, Some((5 * n, n as u64)));
        place.all_are_at_the_head();
    }
    let moved = TYPES.get("Moved", &database).await.expect("an answer");
    assert_eq!((moved.count, moved.sum), (20, 100));
    assert_eq!(
        BALANCES
            .get("account-2", &database)
            .await
            .expect("an answer"),
        None
    );
}

#[tokio::test]
async fn one_that_fails_refuses_its_append_alone() {
    let place = Place::new();
    let store = place.open(vec![types(), balances()]).await;
    let sayings = [
        "refuse",
        "panic",
        "wait",
        "nonsense",
        "DELETE FROM annalist_events",
    ];
    for round in 0..10 {
        let store = &store;
        let jobs = (0..60).map(|n| async move {
            let to = format!("account-{}", n % 7);
            match sayings.get(n % 6) {
                Some(say) => (true, append(store, &to, said(say)).await),
                None => (false, append(store, &to, moved(1)).await),
            }
        });
        for (fails, answer) in join_all(jobs).await {
            match answer {
                Ok(_) => assert!(!fails),
                Err(error) => {
                    assert!(fails, "{}", told(&error));
                    assert_eq!(error.code(), "hook_failed");
                    assert!(told(&error).contains("balances"), "{}", told(&error));
                }
            }
        }
        let counted = "SELECT (SELECT sum(document ->> 1) FROM balances), \
                       (SELECT number FROM types), (SELECT count(*) FROM types), \
                       (SELECT count(*) FROM annalist_events)";
        let landed = 10 * (round + 1);
        assert_eq!(
            place.rows(counted),
            [format!("{landed}|{landed}|1|{landed}")]
        );
        place.all_are_at_the_head();
    }
    is_whole(&store).await;
}

#[tokio::test]
async fn why_an_append_was_refused_is_told() {
    let place = Place::new();
    let store = place.open(vec![balances()]).await;
    for (say, why) in [
        ("refuse", "as it does"),
        ("panic", "panicked"),
        ("wait", "waits"),
        ("nonsense", "nonsense"),
    ] {
        let refused = append(&store, "account-1", said(say)).await;
        let told = told(&refused.expect_err(say));
        assert!(told.contains(why) && told.contains("balances"), "{told}");
    }
    assert_eq!(place.rows("SELECT * FROM balances"), [""; 0]);
}

#[tokio::test]
async fn a_refused_commit_and_a_replay_are_not_applied() {
    let place = Place::new();
    let store = place.open(vec![balances(), types()]).await;
    let event = moved(7);
    let to = stream("account-1");
    for _ in 0..3 {
        let sent = store.append(&to, Version::ZERO, [event.clone()]).await;
        sent.expect("a receipt");
        let stale = store.append(&to, Version::ZERO, [moved(9)]).await;
        stale.expect_err("stale");
        let twice = [
            store.append(&to, ExpectedVersion::Any, [event.clone()]),
            store.append(&to, ExpectedVersion::Any, [event.clone()]),
        ];
        join_all(twice)
            .await
            .into_iter()
            .for_each(|sent| drop(sent.expect("a receipt")));
        assert_eq!(place.rows("SELECT * FROM balances"), ["account-1|[7,1]"]);
        assert_eq!(place.rows("SELECT * FROM types"), ["Moved|1|7"]);
        place.all_are_at_the_head();
    }
}

#[tokio::test]
async fn a_commit_to_several_streams_is_applied_whole_or_not_at_all() {
    let place = Place::new();
    let store = place.open(vec![balances()]).await;
    let transfer = |last| {
        Commit::new()
            .append(
                stream("account-1"),
                ExpectedVersion::Any,
                [moved(-5), moved(-1)],
            )
            .append(stream("account-2"), ExpectedVersion::Any, [last])
    };
    store.commit(transfer(moved(6))).await.expect("a receipt");
    let expected = ["account-1|[-6,2]", "account-2|[6,1]"];
    assert_eq!(place.rows("SELECT * FROM balances"), expected);
    store
        .commit(transfer(said("refuse")))
        .await
        .expect_err("refused");
    assert_eq!(place.rows("SELECT * FROM balances"), expected);
    assert_eq!(place.number("SELECT last_position FROM annalist_head"), 3);
    place.all_are_at_the_head();
}

#[tokio::test]
async fn a_key_that_is_left_open_refuses_its_commit_and_tells_whose_it_is() {
    struct Owing;
    impl Projection for Owing {
        const NAME: &'static str = "owing";
        fn tables(&self) -> Vec<String> {
            vec!["owing".to_owned()]
        }
        async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
            let table = "CREATE TABLE owing (id INTEGER PRIMARY KEY, \
                         whom REFERENCES owing DEFERRABLE INITIALLY DEFERRED)";
            tx.execute(table, &[]).await?;
            Ok(())
        }
        async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
            let whom: i64 = event.payload.decode()?;
            let row = [event.position.into(), whom.into()];
            tx.execute("INSERT INTO owing VALUES ($1, $2)", &row)
                .await?;
            Ok(())
        }
    }
    let place = Place::new();
    let owing = || projection::inline(Owing).expect("a projection");
    let store = place.open(vec![types(), owing()]).await;
    let sent = [1, 99, 2, 98].map(|whom| append(&store, "account-1", moved(whom)));
    for (n, sent) in join_all(sent).await.into_iter().enumerate() {
        match n % 2 {
            0 => drop(sent.expect("a receipt")),
            _ => {
                let told = told(&sent.expect_err("nobody is owed"));
                assert!(
                    told.contains("owing") && told.contains("foreign key"),
                    "{told}"
                );
            }
        }
    }
    assert_eq!(place.rows("SELECT * FROM owing"), ["1|1", "2|2"]);
    place.all_are_at_the_head();
}

/// Keeps what it is told for full-text search.
struct Words;

impl CommitHook for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        Box::pin(async {
            let table = "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(word)";
            tx.execute(table, &[]).await?;
            Ok(())
        })
    }

    fn on_events<'a>(
        &'a self,
        events: &'a [RecordedEvent],
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        Box::pin(async move {
            for event in events {
                let word = [event.event_type.as_str().into()];
                tx.execute("INSERT INTO words VALUES ($1)", &word).await?;
            }
            Ok(())
        })
    }
}

/// Writes several rows at once.
struct Twice;

impl Projection for Twice {
    const NAME: &'static str = "twice";

    fn tables(&self) -> Vec<String> {
        vec!["twice".to_owned()]
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        tx.execute("CREATE TABLE twice (position INTEGER PRIMARY KEY)", &[])
            .await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let rows = "INSERT INTO twice SELECT 2 * $1 UNION ALL SELECT 2 * $1 + 1";
        tx.execute(rows, &[event.position.into()]).await?;
        Ok(())
    }
}

#[tokio::test]
async fn hooks_write_before_projections_and_keep_nothing_back() {
    let place = Place::new();
    let mut options = SqliteOptions::default();
    options.hooks.push(Arc::new(Words));
    options
        .inline
        .push(projection::inline(Twice).expect("a projection"));
    let store = annalist::Store::open_with(place.path(), options)
        .await
        .expect("a store");
    for n in 1..=3 {
        let sent = append(&store, "account-1", moved(1)).await;
        sent.unwrap_or_else(|error| panic!("{}", told(&error)));
        assert_eq!(place.number("SELECT count(*) FROM twice"), 2 * n);
        assert_eq!(
            place.number("SELECT count(*) FROM words WHERE words MATCH 'moved'"),
            n
        );
    }
}

/// Notes the events of one category and type in the order in which it hears of them.
struct Notes;

impl Projection for Notes {
    const NAME: &'static str = "notes";

    fn tables(&self) -> Vec<String> {
        vec!["notes".to_owned()]
    }

    fn filter(&self) -> Filter {
        Filter {
            categories: ["account".to_owned()].into(),
            types: ["Said".parse().expect("a type")].into(),
            ..Filter::default()
        }
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        let table = "CREATE TABLE notes (n INTEGER PRIMARY KEY AUTOINCREMENT, position, say)";
        tx.execute(table, &[]).await?;
        Ok(())
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let say: String = event.payload.decode()?;
        let note = "INSERT INTO notes (position, say) VALUES ($1, $2)";
        tx.execute(note, &[event.position.into(), say.into()])
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn what_the_filter_keeps_out_is_not_applied_but_counts_as_seen() {
    let place = Place::new();
    let notes = || vec![projection::inline(Notes).expect("a projection")];
    let store = place.open(Vec::new()).await;
    let send = async |store: &annalist::Store| {
        for (to, event) in [
            ("account-1", said("one")),
            ("account-1", moved(1)),
            ("other-1", said("two")),
            ("account-2", said("three")),
            ("other-1", moved(1)),
        ] {
            append(store, to, event).await.expect("a receipt");
        }
    };
    send(&store).await;
    store.close().await.expect("closed");
    let store = place.open(notes()).await;
    place.all_are_at_the_head();
    send(&store).await;
    place.all_are_at_the_head();
    assert_eq!(
        place.rows("SELECT * FROM notes"),
        ["1|1|one", "2|4|three", "3|6|one", "4|9|three"]
    );
    // What it never took in, it need not forget.
    let other = store.delete(&stream("other-1"), ExpectedVersion::Any).await;
    other.expect("deleted");
    place.all_are_at_the_head();
}

#[tokio::test]
async fn opening_again_goes_on_where_it_was() {
    let place = Place::new();
    for n in 1..=4 {
        let store = place.open(vec![balances(), types()]).await;
        append(&store, "account-1", moved(1))
            .await
            .expect("a receipt");
        assert_eq!(
            place.rows("SELECT * FROM balances"),
            [format!("account-1|[{n},{n}]")]
        );
        place.all_are_at_the_head();
        store.close().await.expect("closed");
    }
    assert_eq!(place.number("SELECT max(build) FROM annalist_followers"), 1);
}

#[tokio::test]
async fn two_of_one_name_or_with_one_table_are_refused_at_once() {
    let place = Place::new();
    let twice = place.try_open(vec![balances(), balances()]).await;
    let told_twice = told(&twice.expect_err("the same name"));
    assert!(told_twice.contains("balances"), "{told_twice}");

    /// Another one, with the same table in other letters.
    struct Other;
    impl Projection for Other {
        const NAME: &'static str = "other";
        fn tables(&self) -> Vec<String> {
            vec!["Balances".to_owned()]
        }
        async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
            tx.execute("CREATE TABLE IF NOT EXISTS Balances (key, document)", &[])
                .await?;
            Ok(())
        }
        async fn apply(&self, _: &RecordedEvent, _: &mut Tx<'_>) -> ProjectionResult {
            Ok(())
        }
    }
    let other = || projection::inline(Other).expect("a projection");
    let both = place.try_open(vec![balances(), other()]).await;
    let told_both = told(&both.expect_err("the same table"));
    assert!(
        told_both.contains("other") && told_both.contains("balances"),
        "{told_both}"
    );
    // One that the file has got already.
    let store = place.open(vec![balances()]).await;
    append(&store, "account-1", moved(1))
        .await
        .expect("a receipt");
    let later = place.try_open(vec![balances(), other()]).await;
    let told_later = told(&later.expect_err("the same table"));
    assert!(
        told_later.contains("other") && told_later.contains("balances"),
        "{told_later}"
    );
    append(&store, "account-1", moved(1))
        .await
        .expect("a receipt");
    assert_eq!(place.rows("SELECT * FROM balances"), ["account-1|[2,2]"]);
}
