//! A store with read models is checked and copied like any other.

use annalist::Store;
use annalist::store::sqlite::SqliteOptions;

use crate::{BALANCES, Place, append, balances, fill, is_whole, moved, types};

#[tokio::test]
async fn a_backup_goes_on_as_the_store_would() {
    let place = Place::new();
    let store = place.open(vec![balances(), types()]).await;
    fill(&store, 2_500).await;
    is_whole(&store).await;
    let to = place.folder.path().join("copy.db");
    store.backup(&to).await.expect("a copy");
    append(&store, "account-9", moved(1))
        .await
        .expect("a receipt");

    let without = Store::open(&to).await.expect("a store");
    is_whole(&without).await;
    let refused = append(&without, "account-9", moved(7))
        .await
        .expect_err("it lacks two");
    assert_eq!(refused.code(), "projection_missing");
    let mut options = SqliteOptions::default();
    options.inline = vec![balances(), types()];
    let copy = Store::open_with(&to, options).await.expect("a store");
    append(&copy, "account-9", moved(7))
        .await
        .expect("a receipt");
    for (store, expected) in [(&store, 1), (&copy, 7)] {
        let database = store.database().expect("a database");
        let found = BALANCES
            .get("account-9", &database)
            .await
            .expect("an answer");
        assert_eq!(found, Some((expected, 1)));
        is_whole(store).await;
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_not_what_was_written_is_damage() {
    let place = Place::new();
    let store = place.open(vec![balances()]).await;
    fill(&store, 10).await;
    store.close().await.expect("closed");
    for (damage, mend) in [
        (
            "event_id = zeroblob(16)",
            "event_id = (SELECT event_id FROM annalist_events WHERE position = 10)",
        ),
        (
            "store_id = zeroblob(16)",
            "store_id = (SELECT store_id FROM annalist_meta)",
        ),
        ("position = 11", "position = 10"),
        ("inline = 0", "inline = 1"),
        ("state = 'building'", "state = 'live'"),
        ("version = 2", "version = 1"),
    ] {
        let set = |what| format!("UPDATE annalist_followers SET {what}");
        place
            .connect()
            .execute_batch(&set(damage))
            .expect("damaged");
        let refused = place.try_open(vec![balances()]).await.expect_err(damage);
        assert_eq!(refused.code(), "corrupt", "{damage}");
        // Nor can anybody else write, who does not know of it.
        let other = place.open(Vec::new()).await;
        let refused = append(&other, "account-1", moved(1)).await;
        assert_eq!(refused.expect_err(damage).code(), "corrupt");
        assert!(!other.verify().await.expect("a report").is_whole());
        other.close().await.expect("closed");
        place.connect().execute_batch(&set(mend)).expect("mended");
    }
    is_whole(&place.open(vec![balances()]).await).await;
}
