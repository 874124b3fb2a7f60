//! What was made of removed events goes with them, in the transaction that removes them.

use annalist::projection::{self, Projection, ProjectionResult};
use annalist::store::{Forgotten, Tx};
use annalist::{ExpectedVersion, RecordedEvent, StreamId, Version};

use crate::catching_up::Keen;
use crate::{Place, append, balances, is_whole, moved, stream, told, types};

const BOTH: &str = "SELECT key, document FROM balances \
                    UNION ALL SELECT category, number || ' ' || total FROM types \
                    UNION ALL SELECT stream, number || ' ' || total FROM types_parts";

#[tokio::test]
async fn a_deleted_stream_leaves_nothing_and_begins_anew() {
    let place = Place::new();
    let store = place.open(vec![balances(), types()]).await;
    for (to, cents) in [("account-1", 1), ("account-2", 20), ("account-1", 300)] {
        append(&store, to, moved(cents)).await.expect("a receipt");
    }
    let to = stream("account-1");
    store
        .delete(&to, ExpectedVersion::Any)
        .await
        .expect("deleted");
    let left = ["account-2|[20,1]", "Moved|1 20", "account-2|1 20"];
    assert_eq!(place.rows(BOTH), left);
    place.all_are_at_the_head();
    // A repeat removes nothing, and is told to nobody.
    store
        .delete(&to, ExpectedVersion::Any)
        .await
        .expect("deleted");
    store.compact().await.expect("compacted");
    assert_eq!(place.rows(BOTH), left);
    place.all_are_at_the_head();
    append(&store, "account-1", moved(4_000))
        .await
        .expect("a receipt");
    let anew = [
        "account-1|[4000,1]",
        "account-2|[20,1]",
        "Moved|2 4020",
        "account-1|1 4000",
        "account-2|1 20",
    ];
    assert_eq!(place.rows(BOTH), anew);
    place.all_are_at_the_head();
    is_whole(&store).await;
}

#[tokio::test]
async fn what_is_left_of_a_truncated_stream_is_applied_again() {
    let place = Place::new();
    let store = place.open(vec![balances(), types()]).await;
    let to = stream("account-1");
    // More than are read back at once.
    for chunk in 0..5 {
        let events = (0..500).map(|n| moved(chunk * 500 + n + 1));
        store
            .append(&to, ExpectedVersion::Any, events)
            .await
            .expect("a receipt");
    }
    append(&store, "account-2", moved(20))
        .await
        .expect("a receipt");
    for before in [2, 100, 100, 1_500, 2_500] {
        store
            .truncate_before(&to, Version::new(before))
            .await
            .expect("truncated");
        let (count, sum) = (2_501 - before, (before..=2_500).sum::<u64>());
        let expected = [
            format!("account-1|[{sum},{count}]"),
            "account-2|[20,1]".to_owned(),
            format!("Moved|{} {}", count + 1, sum + 20),
            format!("account-1|{count} {sum}"),
            "account-2|1 20".to_owned(),
        ];
        assert_eq!(place.rows(BOTH), expected, "before {before}");
        place.all_are_at_the_head();
        store.compact().await.expect("compacted");
        assert_eq!(place.rows(BOTH), expected, "before {before}, compacted");
    }
    store
        .close_stream(&to, ExpectedVersion::Any)
        .await
        .expect("closed");
    place.all_are_at_the_head();
    append(&store, "account-2", moved(1))
        .await
        .expect("a receipt");
    place.all_are_at_the_head();
}

#[tokio::test]
async fn what_is_left_is_not_applied_again_with_a_gap() {
    let place = Place::new();
    let store = place.open(vec![balances()]).await;
    for _ in 0..4 {
        append(&store, "account-1", moved(1))
            .await
            .expect("a receipt");
    }
    let gap = "DELETE FROM annalist_events WHERE version = 3";
    place.connect().execute_batch(gap).expect("damaged");
    let cut = store
        .truncate_before(&stream("account-1"), Version::new(2))
        .await;
    let refused = cut.expect_err("damaged");
    assert_eq!(refused.code(), "corrupt", "{}", told(&refused));
    assert_eq!(place.rows("SELECT * FROM balances"), ["account-1|[4,4]"]);
}

#[tokio::test]
async fn removals_in_the_middle_of_a_batch_see_what_came_before_them() {
    let place = Place::new();
    let store = place.open(vec![balances(), types()]).await;
    let to = stream("account-1");
    for _ in 0..20 {
        let (one, cut, two, gone, three) = tokio::join!(
            store.append(&to, ExpectedVersion::Any, [moved(1), moved(2)]),
            store.truncate_before(&to, Version::new(2)),
            append(&store, "account-2", moved(1)),
            store.delete(&to, ExpectedVersion::Any),
            store.append(&to, ExpectedVersion::Any, [moved(4)]),
        );
        one.expect("a receipt");
        cut.expect("truncated");
        two.expect("a receipt");
        gone.expect("deleted");
        three.expect("a receipt");
        place.all_are_at_the_head();
        assert_eq!(
            place.rows("SELECT document FROM balances LIMIT 1"),
            ["[4,1]"]
        );
        let types = place.rows("SELECT number, total FROM types_parts WHERE stream = 'account-1'");
        assert_eq!(types, ["1|4"]);
    }
}

#[tokio::test]
async fn one_that_cannot_forget_refuses_the_removal_and_says_what_to_do() {
    let place = Place::new();
    let keen = projection::inline(Keen::new(u64::MAX)).expect("a projection");
    let store = place.open(vec![balances(), keen]).await;
    for cents in 1..=3 {
        append(&store, "account-1", moved(cents))
            .await
            .expect("a receipt");
    }
    let before = place.rows("SELECT * FROM balances");
    let to = stream("account-1");
    let (deleted, appended) = tokio::join!(
        store.delete(&to, ExpectedVersion::Any),
        append(&store, "account-2", moved(1)),
    );
    appended.expect("a receipt");
    let truncated = store.truncate_before(&to, Version::new(2)).await;
    for refused in [
        deleted.expect_err("refused"),
        truncated.expect_err("refused"),
    ] {
        assert_eq!(refused.code(), "hook_failed");
        let told = told(&refused);
        assert!(told.contains("keen") && told.contains("`forget`"), "{told}");
        assert!(told.contains("inline"), "{told}");
    }
    assert_eq!(
        place.rows("SELECT * FROM balances WHERE key = 'account-1'"),
        before
    );
    assert_eq!(place.number("SELECT count(*) FROM annalist_markers"), 0);
    let slice = store.read_stream(&to).collect().await.expect("events");
    assert_eq!(slice.events.len(), 3);
    // A stream that is closed loses nothing.
    store
        .close_stream(&to, ExpectedVersion::Any)
        .await
        .expect("closed");
    place.all_are_at_the_head();
    is_whole(&store).await;
}

#[tokio::test]
async fn one_that_fails_while_it_forgets_refuses_the_removal() {
    /// Panics when it forgets one stream, and when it takes what is left of another.
    struct Sore;
    impl Projection for Sore {
        const NAME: &'static str = "sore";
        fn tables(&self) -> Vec<String> {
            vec!["sore".to_owned()]
        }
        async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
            tx.execute(
                "CREATE TABLE sore (position INTEGER PRIMARY KEY, stream)",
                &[],
            )
            .await?;
            tx.execute("CREATE TABLE IF NOT EXISTS sore (x)", &[])
                .await?;
            Ok(())
        }
        async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
            let row = [event.position.into(), (&event.stream).into()];
            let forgot = "SELECT 1 FROM sore WHERE stream = 'forgot'";
            if !tx.query(forgot, &[]).await?.is_empty() {
                return Err("what is left is too much".into());
            }
            tx.execute("INSERT INTO sore VALUES ($1, $2)", &row).await?;
            Ok(())
        }
        async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
            let gone = "DELETE FROM sore WHERE stream = $1";
            tx.execute(gone, &[stream.into()]).await?;
            if stream.key() == "2" {
                panic!("it will not");
            }
            tx.execute("INSERT INTO sore VALUES (-1, 'forgot')", &[])
                .await?;
            Ok(Forgotten::Done)
        }
    }
    let place = Place::new();
    let sore = projection::inline(Sore).expect("a projection");
    let store = place.open(vec![balances(), sore]).await;
    for to in ["a-1", "a-2", "a-1", "a-2"] {
        append(&store, to, moved(1)).await.expect("a receipt");
    }
    let (first, second) = (stream("a-1"), stream("a-2"));
    let (one, two) = tokio::join!(
        store.truncate_before(&first, Version::new(2)),
        store.delete(&second, ExpectedVersion::Any),
    );
    assert!(told(&one.expect_err("refused")).contains("too much"));
    assert!(told(&two.expect_err("refused")).contains("it will not"));
    assert_eq!(
        place.rows("SELECT * FROM sore"),
        ["1|a-1", "2|a-2", "3|a-1", "4|a-2"]
    );
    assert_eq!(
        place.rows("SELECT * FROM balances"),
        ["a-1|[2,2]", "a-2|[2,2]"]
    );
    append(&store, "a-3", moved(1)).await.expect("a receipt");
    place.all_are_at_the_head();
}
