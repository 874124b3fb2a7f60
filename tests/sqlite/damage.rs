//! Stored data that is not what was written is never answered as if it were.

use annalist::{
    AppendError, Commit, EventId, ExpectedVersion, Fingerprint, Metadata, NewEvent, Store,
    StoreErrorKind, Version,
};

use crate::{Place, event, stream};

/// A file of four events in two streams, changed behind the library's back.
async fn damaged(sql: &str) -> (Place, Store) {
    let place = Place::new();
    let store = place.open().await;
    for (name, number) in [("a-1", 1), ("b-1", 2), ("a-1", 3), ("b-1", 4)] {
        let event = event(number)
            .with_id(EventId::derived("damage", &number.to_string()))
            .with_metadata(Metadata::by("ann"));
        store
            .append(&stream(name), ExpectedVersion::Any, [event])
            .await
            .expect("an append");
    }
    store.close().await.expect("a clean close");
    let changed = place.connect().execute(sql, []).expect("an update");
    assert_eq!(changed, 1, "{sql}");
    let store = place.open().await;
    (place, store)
}

/// The position that a read over everything names as damaged.
async fn named(sql: &str) -> Option<u64> {
    let (_place, store) = damaged(sql).await;
    let error = store.read_all().collect().await.expect_err("damage");
    match error.kind() {
        StoreErrorKind::Corrupt { position } => position.map(|position| position.get()),
        _ => panic!("{sql}: {error}"),
    }
}

#[tokio::test]
async fn a_change_to_any_column_is_found_and_named() {
    for change in [
        "payload = '{\"number\":4}'",
        "payload = replace(payload, '3', '7')",
        "metadata = NULL",
        "metadata = '{\"actor\":\"eve\"}'",
        "recorded_at = recorded_at + 1",
        "schema_version = 2",
        "version = 7",
        "stream = 2, version = 9",
        "stream = 77",
        "type = 2",
        "event_id = randomblob(16)",
        "event_id = x''",
        "checksum = checksum + 1",
        "checksum = -1",
    ] {
        let sql = format!("UPDATE annalist_events SET {change} WHERE position = 3");
        assert_eq!(named(&sql).await, Some(3), "{change}");
        // Behind a filter that would leave it out, too.
        let (_place, store) = damaged(&sql).await;
        let none = || "Nothing".parse().expect("a type");
        let read = store.read_all().event_type(none()).collect().await;
        assert_eq!(read.expect_err("damage").code(), "corrupt", "{change}");
        // A row that went to another stream is missing in none of its own.
        if change.starts_with("stream") {
            continue;
        }
        let read = store
            .read_stream(&stream("a-1"))
            .event_type(none())
            .collect()
            .await;
        assert_eq!(read.expect_err("damage").code(), "corrupt", "{change}");
    }
}

#[tokio::test]
async fn a_changed_name_is_found_and_named() {
    assert_eq!(
        named("UPDATE annalist_streams SET name = 'a-2' WHERE name = 'a-1'").await,
        Some(1)
    );
    assert_eq!(
        named("UPDATE annalist_streams SET name = 'bad' WHERE name = 'b-1'").await,
        Some(2)
    );
    assert_eq!(
        named("UPDATE annalist_types SET name = 'Voted'").await,
        Some(1)
    );
    assert_eq!(named("DELETE FROM annalist_types").await, Some(1));
}

#[tokio::test]
async fn a_missing_row_is_found_and_named() {
    for position in 1..=4 {
        let sql = format!("DELETE FROM annalist_events WHERE position = {position}");
        assert_eq!(named(&sql).await, Some(position), "{position}");
    }
    let (_place, store) = damaged("DELETE FROM annalist_events WHERE position = 1").await;
    let read = store.read_stream(&stream("a-1")).collect().await;
    assert_eq!(read.expect_err("version 1 is missing").code(), "corrupt");
    // Damage is found behind a filter too, and reading backwards.
    let read = store.read_all().category("b").collect().await;
    assert_eq!(read.expect_err("position 1 is missing").code(), "corrupt");
    let read = store.read_all().backwards().collect().await;
    assert_eq!(read.expect_err("position 1 is missing").code(), "corrupt");
    // What is whole can still be read.
    let read = store.read_stream(&stream("b-1")).collect().await;
    assert_eq!(read.expect("stream b is whole").events.len(), 2);
}

#[tokio::test]
async fn a_repeat_of_a_damaged_event_is_not_answered_from_it() {
    let sql = "UPDATE annalist_events SET payload = '{\"number\":9}' WHERE position = 3";
    let (_place, store) = damaged(sql).await;
    let again = event(9).with_id(EventId::derived("damage", "3"));
    let answer = store.append(&stream("a-1"), Version::new(1), [again]).await;
    let error = answer.expect_err("damage");
    assert!(
        matches!(&error, AppendError::Store(_)) && error.code() == "corrupt",
        "{error}"
    );
    // Others go on.
    store
        .append(&stream("b-1"), Version::new(2), [event(5)])
        .await
        .expect("an append");
}

#[tokio::test]
async fn damage_to_what_was_removed_is_never_answered_from() {
    for sql in [
        "UPDATE annalist_head SET removals = 0",
        "UPDATE annalist_markers SET deleted = 0",
        "UPDATE annalist_markers SET removed_to = 0",
        "UPDATE annalist_markers SET stream = 1",
        "DELETE FROM annalist_markers",
        "UPDATE annalist_removals SET removed_to = 0",
    ] {
        let place = Place::new();
        let store = place.open().await;
        let sent = event(1);
        let a = stream("a-1");
        store
            .append(&stream("b-1"), ExpectedVersion::Any, [event(0)])
            .await
            .expect("an append");
        store
            .append(&a, Version::ZERO, [event(0)])
            .await
            .expect("an append");
        store.delete(&a, Version::new(1)).await.expect("a removal");
        store
            .append(&a, ExpectedVersion::NoStream, [sent.clone()])
            .await
            .expect("an append");
        store.close().await.expect("a clean close");
        assert_eq!(place.connect().execute(sql, []).expect(sql), 1, "{sql}");
        let store = place.open().await;
        let repeat = store.append(&a, ExpectedVersion::NoStream, [sent]).await;
        assert_eq!(repeat.expect_err(sql).code(), "corrupt", "{sql}");
        let read = store.read_all().collect().await;
        assert_eq!(read.expect_err(sql).code(), "corrupt", "{sql}");
    }
}

#[tokio::test]
async fn compaction_leaves_nothing_of_what_was_removed_in_the_file() {
    let place = Place::new();
    let store = place.open().await;
    for number in 0..40 {
        // Short ones share pages, long ones have pages of their own.
        let text = format!(
            "TOPSECRET{}",
            "x".repeat(if number % 2 == 0 { 10 } else { 9_000 })
        );
        let secret = NewEvent::json("Noted", &text).expect("an event");
        let secret = secret.with_metadata(Metadata::by("TOPSECRET"));
        for name in ["a-1", "b-1"] {
            let event = if name == "a-1" {
                secret.clone()
            } else {
                event(number)
            };
            store
                .append(&stream(name), ExpectedVersion::Any, [event])
                .await
                .expect("an append");
        }
    }
    let count = || {
        let folder = std::fs::read_dir(place.0.path()).expect("the folder");
        let files = folder.map(|file| std::fs::read(file.expect("a file").path()).expect("a file"));
        files
            .map(|bytes| {
                bytes
                    .windows(9)
                    .filter(|bytes| bytes == b"TOPSECRET")
                    .count()
            })
            .sum::<usize>()
    };
    assert!(count() >= 80);
    store
        .delete(&stream("a-1"), ExpectedVersion::Any)
        .await
        .expect("a removal");
    assert_eq!(store.compact().await.expect("a compaction").events, 40);
    assert_eq!(count(), 0, "in the file or its log while it is open");
    store.close().await.expect("a clean close");
    assert_eq!(count(), 0, "in the file after closing");
}

/// What a check of everything names as damaged.
async fn verified(sql: &str) -> Vec<String> {
    let place = Place::new();
    let store = place.open().await;
    for (name, number) in [("a-1", 1), ("b-1", 2), ("a-1", 3), ("b-1", 4)] {
        let keyed = Commit::new()
            .append(stream(name), ExpectedVersion::Any, [event(number)])
            .key(format!("key-{number}"), Fingerprint::of("f"));
        store.commit(keyed).await.expect("an append");
    }
    store
        .truncate_before(&stream("a-1"), Version::new(2))
        .await
        .expect("a removal");
    store
        .close_stream(&stream("b-1"), ExpectedVersion::Any)
        .await
        .expect("a removal");
    store.compact().await.expect("a compaction");
    let report = store.verify().await.expect("a check");
    assert_eq!(report.damages, []);
    assert_eq!(
        (report.events, report.streams, report.removals, report.keys),
        (4, 2, 1, 4)
    );
    store.close().await.expect("a clean close");
    let conn = place.connect();
    // Behind the back of every guard.
    conn.execute_batch("PRAGMA ignore_check_constraints = ON")
        .expect("a pragma");
    assert_eq!(conn.execute(sql, []).expect(sql), 1, "{sql}");
    let report = place.open().await.verify().await.expect("a check");
    report.damages.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_check_of_everything_names_each_damage() {
    for (sql, named) in [
        (
            "UPDATE annalist_events SET payload = '1' WHERE position = 3",
            "position 3",
        ),
        (
            "UPDATE annalist_events SET payload = '1' WHERE position = 1",
            "position 1",
        ),
        (
            "UPDATE annalist_events SET metadata = '{}' WHERE position = 4",
            "position 4",
        ),
        (
            "UPDATE annalist_events SET version = 7 WHERE position = 4",
            "stream b-1",
        ),
        (
            "DELETE FROM annalist_events WHERE position = 1",
            "position 1: is missing",
        ),
        (
            "DELETE FROM annalist_events WHERE position = 4",
            "position 4: is missing",
        ),
        ("DELETE FROM annalist_markers", "position 5: is missing"),
        ("UPDATE annalist_markers SET removed_to = 0", "position 5"),
        ("UPDATE annalist_markers SET recorded_at = 1", "position 5"),
        (
            "DELETE FROM annalist_removals WHERE closed = 0",
            "stream a-1",
        ),
        (
            "UPDATE annalist_removals SET closed = 0 WHERE closed = 1",
            "stream b-1",
        ),
        (
            "UPDATE annalist_removals SET compacted_to = 0 WHERE closed = 0",
            "stream a-1",
        ),
        (
            "UPDATE annalist_removals SET removed_to = 2 WHERE closed = 0",
            "stream a-1",
        ),
        (
            "UPDATE annalist_streams SET name = 'c-1' WHERE name = 'b-1'",
            "position 2",
        ),
        ("UPDATE annalist_types SET name = 'Voted'", "position 1"),
        (
            "UPDATE annalist_keys SET fingerprint = zeroblob(16) WHERE key = 'key-1'",
            "key-1",
        ),
        (
            "UPDATE annalist_keys SET last_version = 9 WHERE key = 'key-2'",
            "key-2",
        ),
        (
            "UPDATE annalist_keys SET stream = 9 WHERE key = 'key-3'",
            "key-3",
        ),
        ("UPDATE annalist_head SET removals = 0", "the head"),
        ("UPDATE annalist_head SET last_position = 4", "position 5"),
        (
            "UPDATE annalist_head SET last_position = 6",
            "position 6: is missing",
        ),
    ] {
        let damages = verified(sql).await;
        assert!(
            damages.iter().any(|damage| damage.contains(named)),
            "{sql}: {damages:?}"
        );
    }
}

#[tokio::test]
async fn a_check_under_load_takes_no_new_key_for_damage() {
    let place = Place::new();
    let (store, kept) = (place.open().await, stream("a-1"));
    for _ in 0..10 {
        let events = (0..500).map(event);
        let sent = store.append(&kept, ExpectedVersion::Any, events);
        sent.await.expect("an append");
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    let appending = async {
        let mut appended = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            appended += 1;
            let commit = Commit::new()
                .append(stream("a-2"), ExpectedVersion::Any, [event(appended)])
                .key(format!("key {appended}"), Fingerprint::of("the same"));
            store.commit(commit).await.expect("a commit");
        }
        appended
    };
    let checking = async {
        for _ in 0..10 {
            let report = store.verify().await.expect("a check");
            assert_eq!(report.damages, []);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (appended, ()) = futures_util::future::join(appending, checking).await;
    assert!(appended > 10, "hardly anything was appended meanwhile");
}

#[tokio::test]
async fn a_key_of_version_tokens_that_is_damaged_is_told_while_the_store_is_open() {
    let spoils = [
        "UPDATE annalist_secrets SET checksum = checksum + 1",
        "UPDATE annalist_secrets SET secret = zeroblob(31)",
        "DELETE FROM annalist_secrets",
        "UPDATE annalist_meta SET store_id = zeroblob(16)",
    ];
    for spoil in spoils {
        let place = Place::new();
        let store = place.open().await;
        place.connect().execute(spoil, []).expect("an update");
        let damages = store.verify().await.expect("a check").damages;
        assert_eq!(damages.len(), 1, "{spoil}: {damages:?}");
        // Neither it nor a copy of it could be opened.
        let copy = place.0.path().join("copy.db");
        store.backup(&copy).await.expect_err("damaged");
        store.close().await.expect("a clean close");
        let refused = Store::open(place.path()).await.expect_err("damaged");
        let kind = StoreErrorKind::Corrupt { position: None };
        assert_eq!(refused.kind(), kind, "{spoil}: {refused}");
    }
}

#[tokio::test]
async fn a_table_or_index_that_is_gone_or_none_of_the_stores_is_named() {
    for (spoil, object) in [
        (
            "DROP INDEX annalist_events_by_id",
            "index annalist_events_by_id",
        ),
        ("DROP VIEW annalist_log", "view annalist_log"),
        (
            "CREATE INDEX annalist_mine ON annalist_events (type)",
            "index annalist_mine",
        ),
    ] {
        let place = Place::new();
        let store = place.open().await;
        place.connect().execute(spoil, []).expect("a change");
        let damages = store.verify().await.expect("a check").damages;
        let named = damages.iter().any(|damage| damage.what.contains(object));
        assert!(named, "{spoil}: {damages:?}");
    }
}
