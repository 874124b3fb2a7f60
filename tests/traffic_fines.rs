//! The example `traffic_fines` does what it says: on its sample always, and on the
//! real log where the environment variable `ANNALIST_TEST_DATA` names the folder
//! that holds it.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use annalist::projection::Projection;
use annalist::{CommandBus, Decision, DispatchError, ExpectedVersion, NewEvent, Position, Store};
use serde_json::json;

use crate::fine::domain;
use crate::import::{Imported, Log, LogError, SAMPLE, import};
use crate::months::{ByMonth, Months};
use crate::totals::{ReadBackError, Totals, read_back};

#[path = "../examples/traffic_fines/fine.rs"]
mod fine;
#[path = "../examples/traffic_fines/import.rs"]
mod import;
#[path = "../examples/traffic_fines/months.rs"]
mod months;
#[path = "../examples/traffic_fines/totals.rs"]
mod totals;

const DATA_FOLDER_VARIABLE: &str = "ANNALIST_TEST_DATA";

/// Opens the file, imports the log while the months follow, reads it back in all three ways,
/// which must agree, and closes the file.
async fn import_into(file: &Path, log: &Log) -> (Imported, Totals, ByMonth) {
    let store = Store::open(file).await.unwrap();
    let following = months::domain().projection_runner(&store).unwrap();
    let following = following.start().unwrap();
    let imported = import(&store, log, || ()).await.unwrap();
    let totals = Totals::of(&read_back(&store).await.unwrap());
    assert_eq!(totals.events, log.events);
    let head = store.head().await.unwrap();
    let there = following.wait_for(Months::NAME, head, Duration::from_secs(60));
    there.await.unwrap();
    following.stop().await;
    let months = ByMonth::read(&store.database().unwrap()).await.unwrap();
    months.check(&totals).unwrap();
    store.close().await.unwrap();
    (imported, totals, months)
}

/// Every line has an answer; a second import writes nothing and has nothing to race for.
fn check(imported: &Imported, log: &Log) {
    let Imported {
        appended,
        recognised,
        nothing_to_do,
        conflicts,
        redecided,
    } = *imported;
    assert!(redecided <= conflicts, "{imported:?}");
    match appended {
        0 => {
            assert_eq!(recognised + nothing_to_do, log.events, "{imported:?}");
            assert_eq!(conflicts, 0, "{imported:?}");
            assert_ne!(recognised, 0, "{imported:?}");
        }
        _ => {
            assert_eq!(recognised, 0, "{imported:?}");
            assert_ne!(
                conflicts, 0,
                "workers that share cases collide: {imported:?}"
            );
        }
    }
}

fn activities(totals: &Totals) -> Vec<(&str, u64)> {
    let activities = totals.activities.iter();
    activities
        .map(|(activity, count)| (activity.as_str(), *count))
        .collect()
}

fn sample() -> Log {
    Log::parse("the sample", SAMPLE).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_log_comes_back_to_the_cent_and_only_once() {
    let Some(folder) = std::env::var_os(DATA_FOLDER_VARIABLE) else {
        println!("skipped: {DATA_FOLDER_VARIABLE} does not name the folder of the real log");
        return;
    };
    let log = Log::read(&Path::new(&folder).join("traffic_fines.jsonl")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fines.db");

    for appended in [34_724, 0] {
        let (imported, totals, months) = import_into(&file, &log).await;
        assert_eq!(imported.appended, appended);
        check(&imported, &log);
        assert_eq!(totals.events, 34_724);
        assert_eq!(totals.fines, 10_000);
        assert_eq!(totals.longest_fine_events, 9);
        assert_eq!(
            activities(&totals),
            [
                ("Create Fine", 10_000),
                ("Send Fine", 6_570),
                ("Payment", 4_910),
                ("Add penalty", 4_635),
                ("Insert Fine Notification", 4_635),
                ("Send for Credit Collection", 3_387),
                ("Insert Date Appeal to Prefecture", 232),
                ("Send Appeal to Prefecture", 227),
                ("Receive Result Appeal from Prefecture", 55),
                ("Notify Result Appeal to Offender", 54),
                ("Appeal to Judge", 19),
            ]
        );
        assert_eq!(totals.payments_cents, 22_175_540);
        assert_eq!(totals.final_amounts_cents, 51_286_750);
        assert_eq!(totals.expenses_cents, 8_663_210);
        assert_eq!(totals.flawed_payments.len(), 38);
        // By month it is the same log, however often it is imported.
        let paid = months.0.values().map(|month| month.paid);
        let (count, cents) = paid.fold((0, 0), |(count, cents), paid| {
            (count + paid.count, cents + paid.sum)
        });
        assert_eq!((count, cents), (4_910, 22_175_540));
        let created = months.0.values().map(|month| month.created.count);
        assert_eq!(created.sum::<u64>(), 10_000);
    }
}

#[tokio::test]
async fn the_sample_comes_back_to_the_cent_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sample.db");

    for appended in [40, 0] {
        let (imported, totals, months) = import_into(&file, &sample()).await;
        assert_eq!(imported.appended, appended);
        check(&imported, &sample());
        assert_eq!((totals.events, totals.fines), (40, 12));
        assert_eq!(totals.longest_fine_events, 8);
        assert_eq!(
            activities(&totals)[..4],
            [
                ("Create Fine", 12),
                ("Payment", 7),
                ("Send Fine", 7),
                ("Insert Fine Notification", 5),
            ]
        );
        assert_eq!(totals.activities.len(), 11);
        let month = months.0["2021-03"];
        assert_eq!((month.created.count, month.created.sum), (12, 59_400));
        assert_eq!((month.paid.count, month.paid.sum), (3, 11_000));
        let month = months.0["2021-05"];
        assert_eq!((month.sent.count, month.sent.sum), (1, 1_250));
        assert_eq!(totals.payments_cents, 29_950);
        assert_eq!(totals.final_amounts_cents, 78_600);
        assert_eq!(totals.expenses_cents, 8_750);

        let shown = totals.to_string();
        let flawed = "fine-S5      2021-05-15  the log says 44.50 EUR, the sum is 74.50 EUR";
        assert!(shown.contains("29,950 cents        299.50 EUR"), "{shown}");
        assert!(shown.ends_with(flawed), "{shown}");
    }
}

#[tokio::test]
async fn an_import_goes_on_where_another_one_stopped() {
    let store = Store::memory();
    let half: Vec<u8> = SAMPLE
        .split_inclusive(|byte| *byte == b'\n')
        .take(25)
        .flatten()
        .copied()
        .collect();
    let half = Log::parse("half of the sample", &half).unwrap();
    import(&store, &half, || ()).await.unwrap();

    let imported = import(&store, &sample(), || ()).await.unwrap();
    assert_eq!(imported.appended, 15);
    assert_eq!(read_back(&store).await.unwrap().fines.len(), 12);
}

#[tokio::test]
async fn a_line_that_comes_by_name_is_the_command_of_the_import() {
    let store = Store::memory();
    import(&store, &sample(), || ()).await.unwrap();
    let line = br#"{ "history": [{ "Create Fine": { "at": "2021-03-01T00:00:00Z",
        "amount_cents": 4000, "total_paid_cents": 0, "article": 7, "points": 0,
        "resource": "901", "dismissal": "NIL", "vehicleclass": "A" } }] }"#;

    let bus = CommandBus::new(store);
    let command = domain().decode("record", line).unwrap();
    let dispatch = bus.dispatch_any("S1", command);
    let outcome = dispatch.command_id("traffic-fines/S1/1").await.unwrap();
    assert_eq!(outcome.decided_by, Decision::AlreadyApplied);
}

#[tokio::test]
async fn a_fine_that_someone_else_wrote_to_stops_the_import() {
    let store = Store::memory();
    let stream = "fine-S2".parse().unwrap();
    let details = json!({ "at": "2021-03-01T00:00:00Z", "expense_cents": 900 });
    let foreign = NewEvent::json("Send Fine", &details).unwrap();
    let appending = store.append(&stream, ExpectedVersion::NoStream, [foreign]);
    appending.await.unwrap();

    let refused = import(&store, &sample(), || ()).await.unwrap_err();
    let DispatchError::Rejected(reason) = refused else {
        panic!("{refused}");
    };
    let text = reason.to_string();
    assert!(text.starts_with("event 1 of the fine is not"), "{text}");

    let stream = store.read_stream(&stream).collect().await.unwrap();
    assert_eq!(stream.events.len(), 1, "nothing was written over it");
}

#[tokio::test]
async fn a_log_that_was_changed_is_not_taken_for_the_same() {
    let store = Store::memory();
    import(&store, &sample(), || ()).await.unwrap();
    let head = store.head().await.unwrap();

    let text = std::str::from_utf8(SAMPLE).unwrap();
    let changed = text.replace(r#""payment_cents":5250"#, r#""payment_cents":5251"#);
    let changed = Log::parse("changed", changed.as_bytes()).unwrap();
    let refused = import(&store, &changed, || ()).await.unwrap_err();
    let code = refused.code();
    assert!(
        ["command_id_reused", "rejected"].contains(&code),
        "{refused}"
    );
    assert_eq!(store.head().await.unwrap(), head);
}

#[tokio::test]
async fn an_event_that_is_no_fine_event_is_named_when_it_is_read_back() {
    let store = Store::memory();
    import(&store, &sample(), || ()).await.unwrap();
    let foreign = NewEvent::json("Tow Car", &json!({ "at": "2021-03-01T00:00:00Z" })).unwrap();
    let stream = "fine-S1".parse().unwrap();
    let appending = store.append(&stream, ExpectedVersion::Any, [foreign]);
    assert_eq!(appending.await.unwrap().position, Some(Position::new(41)));

    let error = read_back(&store).await.unwrap_err();
    assert!(matches!(error, ReadBackError::Undecodable { .. }));
    let text = error.to_string();
    assert!(
        text.starts_with(r#"event 3 of stream fine-S1, of type "Tow Car""#),
        "{text}"
    );
}

#[test]
fn a_bad_line_is_named_with_its_number_and_its_problem() {
    for (bad, problem) in [
        (r#"{"case":"B","activity":"#, "EOF while parsing"),
        (r#"["B"]"#, "invalid"),
        ("\u{1}", "expected value at column 1"),
        (r#"{"activity":"Payment"}"#, "missing field `case`"),
        (r#"{"case":"B"}"#, "missing field `activity`"),
        (
            r#"{"case":"","activity":"Payment"}"#,
            "its key, after the first `-`, is empty",
        ),
        (
            r#"{"case":"B","activity":"Tow Car","at":"2021-03-01T00:00:00Z"}"#,
            "unknown variant `Tow Car`",
        ),
        (
            r#"{"case":"B","activity":"Send for Credit Collection"}"#,
            "missing field `at`",
        ),
        (
            r#"{"case":"B","activity":"Send Fine","at":"2021-03-01T00:00:00Z"}"#,
            "missing field `expense_cents`",
        ),
        (
            r#"{"case":"B","activity":"Send Fine","at":"2021-03-01T00:00:00Z","expense_cents":-1}"#,
            "invalid value",
        ),
        (
            r#"{"case":"B","activity":"Send Fine","at":"yesterday","expense_cents":1}"#,
            "invalid characters",
        ),
    ] {
        let good =
            r#"{"case":"A","activity":"Send for Credit Collection","at":"2021-03-01T00:00:00Z"}"#;
        let log = format!("{good}\n\n{bad}\n{good}\n");
        let Err(error) = Log::parse("fines.jsonl", log.as_bytes()) else {
            panic!("{bad} was accepted");
        };
        let text = error.to_string();
        assert!(text.starts_with("fines.jsonl, line 3: "), "{text}");
        assert!(text.contains(problem), "{bad}: {text}");
        assert!(!text.contains("line 1"), "{text}");
    }
}

#[test]
fn a_log_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Log::read(&folder.path().join("none.jsonl")).err().unwrap();
    assert!(matches!(error, LogError::Unreadable { .. }));
    assert!(
        error.to_string().ends_with("none.jsonl cannot be read"),
        "{error}"
    );
}
