//! The read models that need no SQL.

use annalist::projection::{self, Documents, Projection, ProjectionResult, Totals};
use annalist::store::{Forgotten, Tx};
use annalist::{ExpectedVersion, NewEvent, RecordedEvent, Store, StreamId};

use crate::{Place, TYPES, append, moved, stream, told, types};

/// Tables that are called like their columns.
const ORDERS: Documents<str, serde_json::Value> = Documents::new("orders");
const DOCUMENTS: Documents<i64, Option<String>> = Documents::new("document");
const GROUPS: Totals = Totals::new("total");

/// Puts, or removes, what its events say.
struct Said;

impl Projection for Said {
    const NAME: &'static str = "said, \"it's\" – ünïcode";

    fn tables(&self) -> Vec<String> {
        [ORDERS.tables(), DOCUMENTS.tables(), GROUPS.tables()].concat()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        ORDERS.set_up(tx).await?;
        DOCUMENTS.set_up(tx).await?;
        GROUPS.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        let (key, put): (String, Option<serde_json::Value>) = event.payload.decode()?;
        let number = event.position.get() as i64;
        match put {
            Some(document) => {
                ORDERS.put(key.as_str(), &document, tx).await?;
                assert_eq!(ORDERS.find(key.as_str(), tx).await?, Some(document));
            }
            None => {
                ORDERS.remove(key.as_str(), tx).await?;
                assert_eq!(ORDERS.find(key.as_str(), tx).await?, None);
            }
        }
        let change = |said: &mut Option<String>| *said = Some(format!("{key} {said:?}"));
        DOCUMENTS.update(number % 2, change, tx).await?;
        GROUPS.add(&event.stream, &key, number, tx).await
    }

    async fn forget(&self, stream: &StreamId, tx: &mut Tx<'_>) -> ProjectionResult<Forgotten> {
        GROUPS.forget(stream, tx).await
    }
}

async fn say(store: &Store, key: &str, document: Option<serde_json::Value>) {
    let event = NewEvent::json("Said", &(key, document)).expect("an event");
    append(store, "said-1", event)
        .await
        .unwrap_or_else(|error| panic!("{key}: {}", told(&error)));
}

const KEYS: [&str; 8] = [
    "",
    "'",
    "a\"b",
    "x'; DROP TABLE y; --",
    "ü\u{0}ß",
    "$1",
    "%_",
    "[orders]",
];

#[tokio::test]
async fn any_text_is_a_key_and_a_table_may_be_called_like_a_column() {
    let place = Place::new();
    let store = place
        .open(vec![projection::inline(Said).expect("a projection")])
        .await;
    let database = store.database().expect("a database");
    for (n, key) in KEYS.into_iter().enumerate() {
        let document = serde_json::json!({ "key": key, "n": n, "orders": [null, 0.1, "'"] });
        say(&store, key, Some(document.clone())).await;
        assert_eq!(
            ORDERS.get(key, &database).await.expect("an answer"),
            Some(document)
        );
        let total = GROUPS.get(key, &database).await.expect("an answer");
        assert_eq!((total.count, total.sum), (1, n as i64 + 1));
    }
    let all = ORDERS.all(&database).await.expect("an answer");
    let mut keys = KEYS.map(str::to_owned);
    keys.sort();
    assert_eq!(
        all.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
        keys
    );
    let totals = GROUPS.all(&database).await.expect("an answer");
    assert_eq!(
        totals
            .iter()
            .map(|(key, _)| key.as_str())
            .collect::<Vec<_>>(),
        keys
    );
    say(&store, "'", None).await;
    assert_eq!(ORDERS.get("'", &database).await.expect("an answer"), None);
    assert_eq!(ORDERS.all(&database).await.expect("an answer").len(), 7);
    let said = DOCUMENTS.get(1, &database).await.expect("an answer");
    assert!(
        said.expect("a document")
            .expect("a text")
            .starts_with("' Some(")
    );
    assert_eq!(DOCUMENTS.get(2, &database).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_document_of_another_shape_is_told() {
    const OTHERS: Documents<str, Vec<u8>> = Documents::new("orders");
    let place = Place::new();
    let store = place
        .open(vec![projection::inline(Said).expect("a projection")])
        .await;
    let database = store.database().expect("a database");
    say(&store, "a", Some(serde_json::json!("text"))).await;
    for told in [
        told(&OTHERS.get("a", &database).await.expect_err("no list")),
        told(&OTHERS.all(&database).await.expect_err("no list")),
    ] {
        assert!(
            told.contains("orders") && told.contains("another version"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_sum_beyond_what_fits_refuses_the_append_and_stays_right() {
    let place = Place::new();
    let store = place.open(vec![types()]).await;
    let database = store.database().expect("a database");
    for (edge, over) in [(i64::MAX, 1), (i64::MIN, -1)] {
        append(&store, "a-1", moved(edge)).await.expect("a receipt");
        for over in [over, over * 1_000, edge] {
            for to in ["a-1", "a-2"] {
                let refused = append(&store, to, moved(over)).await.expect_err("too much");
                assert_eq!(refused.code(), "hook_failed");
            }
            let total = TYPES.get("Moved", &database).await.expect("an answer");
            assert_eq!((total.count, total.sum), (1, edge));
        }
        append(&store, "a-2", moved(-over))
            .await
            .expect("a receipt");
        let total = TYPES.get("Moved", &database).await.expect("an answer");
        assert_eq!((total.count, total.sum), (2, edge - over));
        for to in ["a-1", "a-2"] {
            store
                .delete(&stream(to), ExpectedVersion::Any)
                .await
                .expect("deleted");
        }
        assert_eq!(TYPES.all(&database).await.expect("an answer"), []);
        place.all_are_at_the_head();
    }
}

#[tokio::test]
async fn forgetting_takes_out_one_stream_of_every_group() {
    let place = Place::new();
    let store = place
        .open(vec![projection::inline(Said).expect("a projection")])
        .await;
    for key in KEYS {
        say(&store, key, None).await;
    }
    let event = NewEvent::json("Said", &("'", None::<()>)).expect("an event");
    append(&store, "other-1", event).await.expect("a receipt");
    store
        .delete(&stream("said-1"), ExpectedVersion::Any)
        .await
        .expect("deleted");
    let database = store.database().expect("a database");
    let left = GROUPS.all(&database).await.expect("an answer");
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].0.as_str(), left[0].1.count, left[0].1.sum),
        ("'", 1, 9)
    );
    let untouched = GROUPS.get("nobody", &database).await.expect("an answer");
    assert_eq!((untouched.count, untouched.sum), (0, 0));
}
