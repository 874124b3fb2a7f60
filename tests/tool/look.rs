//! What is in a file: `show`, `streams`, `stats`, `trace`, `verify`, `backup`.

use std::fs;

use annalist::{ExpectedVersion, Metadata, NewEvent, Store};
use rusqlite::Connection;
use serde_json::json;

use crate::shared::{annalist, lines, store, text};

#[tokio::test]
async fn show_prints_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let ran = annalist(&["show", text(&path), "account-1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out
            .contains(r#"Deposited  {"cents":2}  {"actor":"ann"}"#),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("account-1: live at version 3"),
        "{}",
        ran.out
    );
    // What is stored does not speak to the terminal, in JSON no more than in text.
    assert!(
        ran.out.contains(r"\u{9b}") && !ran.out.contains('\u{9b}'),
        "{}",
        ran.out
    );
    let ran = annalist(&["show", text(&path), "account-1", "--json"]);
    assert!(
        ran.out.contains(r"\u009b") && !ran.out.contains('\u{9b}'),
        "{}",
        ran.out
    );
    assert_eq!(lines(&ran.out)[2]["payload"], "\"\u{9b}2J\"");

    let ran = annalist(&[
        "--json",
        "show",
        text(&path),
        "account-1",
        "--backwards",
        "--limit",
        "2",
    ]);
    let shown = lines(&ran.out);
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[1]["version"], 2);
    assert_eq!(shown[1]["payload"], r#"{"cents":2}"#);
    assert_eq!(shown[1]["metadata"]["actor"], "ann");

    let ran = annalist(&["show", text(&path), "account-2"]);
    assert_eq!(ran.out.trim(), "account-2: deleted at version 1");
}

#[tokio::test]
async fn streams_and_stats_tell_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let ran = annalist(&["streams", text(&path)]);
    let listed: Vec<_> = ran.out.lines().map(str::trim).collect();
    assert_eq!(
        listed,
        [
            "3  account-1",
            "1  account-2  deleted",
            "1  order-1  closed"
        ]
    );
    let ran = annalist(&[
        "streams",
        text(&path),
        "--category",
        "account",
        "--limit",
        "1",
        "--json",
    ]);
    let listed = lines(&ran.out);
    assert_eq!(
        (listed.len(), &listed[0]["stream"]),
        (1, &json!("account-1"))
    );
    assert_eq!(listed[0]["state"], "live");

    let ran = annalist(&["stats", text(&path), "--json"]);
    let stats = &lines(&ran.out)[0];
    assert_eq!(stats["events_appended"], 5);
    assert_eq!(stats["head"], 6, "the deletion has a position of its own");
    assert_eq!(
        (&stats["streams_deleted"], &stats["streams_closed"]),
        (&json!(1), &json!(1))
    );
    assert!(
        annalist(&["stats", text(&path)])
            .out
            .contains("events appended  5")
    );
}

#[tokio::test]
async fn verify_tells_damage_and_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let ran = annalist(&["verify", text(&path)]);
    assert_eq!(
        (ran.code, ran.out.trim()),
        (0, "5 events, 3 streams, 1 removals, 0 commit keys: whole")
    );

    let conn = Connection::open(&path).unwrap();
    let sql = "UPDATE annalist_events SET payload = '7' WHERE position = 2";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    let ran = annalist(&["verify", text(&path)]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.out.starts_with("position 2: ") && ran.out.contains("DAMAGED"),
        "{}",
        ran.out
    );
    let ran = annalist(&["verify", "--json", text(&path)]);
    assert_eq!(ran.code, 3);
    assert_eq!(lines(&ran.out)[0]["damages"][0]["position"], 2);
    let ran = annalist(&["show", text(&path), "account-1"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("position 2"), "{}", ran.err);
}

#[tokio::test]
async fn backup_writes_a_copy_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let copy = folder.path().join("copy.db");
    let ran = annalist(&["backup", text(&path), text(&copy)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.ends_with("5 events, 3 streams: whole\n"),
        "{}",
        ran.out
    );
    let shown = |path| annalist(&["show", "--json", text(path), "account-1"]).out;
    assert_eq!(shown(&copy), shown(&path));
    let ran = annalist(&["backup", text(&path), text(&copy)]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("there is one at"), "{}", ran.err);
}

#[tokio::test]
async fn what_cannot_be_done_is_told_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let missing = folder.path().join("missing.db");
    let ran = annalist(&["stats", text(&missing)]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("there is no file") && ran.err.contains("missing.db"),
        "{}",
        ran.err
    );
    assert!(!missing.exists());

    let empty = folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    let ran = annalist(&["stats", text(&empty)]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("there is no store in"), "{}", ran.err);
    assert_eq!(fs::metadata(&empty).unwrap().len(), 0);

    let other = folder.path().join("other.db");
    fs::write(&other, "not a store").unwrap();
    let ran = annalist(&["verify", text(&other)]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("not an Annalist store"), "{}", ran.err);
    assert_eq!(fs::read(&other).unwrap(), b"not a store");

    let ran = annalist(&["show", text(&path), "account-9"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("there is no stream account-9"),
        "{}",
        ran.err
    );
    let ran = annalist(&["show", text(&path), "nonsense"]);
    assert!(
        ran.code == 1 && ran.err.contains("category-key"),
        "{}",
        ran.err
    );
    assert_eq!(annalist(&[]).code, 2);
    assert_eq!(annalist(&["paint"]).code, 2);
    let help = annalist(&["--help"]);
    assert!(
        help.code == 0 && help.out.contains("verify"),
        "{}",
        help.out
    );
}

#[tokio::test]
async fn trace_prints_what_caused_what() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let shop = Store::open(&path).await.unwrap();
    let mut cause = None;
    for (stream, event_type) in [("order-7", "Placed"), ("shelf-1", "Reserved")] {
        let mut metadata = Metadata::default().with_correlation_id("7");
        metadata.causation_id = cause;
        let event = NewEvent::json(event_type, &1).unwrap();
        cause = Some(event.id.to_string());
        let event = event.with_metadata(metadata);
        let stream = stream.parse().unwrap();
        let appended = shop.append(&stream, ExpectedVersion::Any, [event]).await;
        appended.unwrap();
    }
    shop.close().await.unwrap();

    let ran = annalist(&["trace", text(&path), "7"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        "       1  order-7 1 Placed\n       2    shelf-1 1 Reserved\n"
    );
    let ran = annalist(&["--json", "trace", text(&path), "7"]);
    let traced = lines(&ran.out);
    assert_eq!(
        (&traced[0]["depth"], &traced[1]["depth"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(traced[1]["cause"], traced[0]["id"]);
    let ran = annalist(&["trace", text(&path), "8"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("no event has the correlation id \"8\""),
        "{}",
        ran.err
    );
}
