//! `replay`: the state at a version or a time, by a domain that knows the aggregate and by
//! the binary that knows none.

use std::path::Path;
use std::thread;

use annalist::{Aggregate, Domain, ExpectedVersion, NewEvent, Store, Version};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::shared::{Ran, annalist, lines, store, text};

#[derive(Clone, Serialize, Deserialize)]
enum AccountEvent {
    Deposited { cents: i64 },
    Noted(String),
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
    notes: Vec<String>,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents } => self.balance += cents,
            AccountEvent::Noted(note) => self.notes.push(note.clone()),
        }
    }
}

/// An aggregate that has forgotten what its events were.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Forgetful;

impl Aggregate for Forgetful {
    const CATEGORY: &'static str = "account";
    type Event = Never;

    fn apply(&mut self, _: &Never) {}
}

#[derive(Clone, Serialize, Deserialize)]
enum Never {
    Happened,
}

/// What a user's own binary runs.
fn bank(domain: Domain, path: &Path, arguments: &[&str]) -> Ran {
    let mut all = vec!["bank", "replay", text(path)];
    all.extend(arguments);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // On a thread of its own: it starts a runtime, and a test has one already.
    let code = thread::scope(|scope| {
        let run = scope.spawn(|| annalist::tool::run(&domain, all, &mut out, &mut err));
        run.join().unwrap()
    });
    Ran {
        code: code.into(),
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

fn accounts() -> Domain {
    Domain::new().aggregate::<Account>()
}

/// When the events of a stream were recorded.
fn times(path: &Path, stream: &str) -> Vec<String> {
    let shown = lines(&annalist(&["show", "--json", text(path), stream]).out);
    let time = |event: &Value| event["recorded_at"].as_str().unwrap().to_owned();
    shown.iter().map(time).collect()
}

#[tokio::test]
async fn replay_folds_what_the_domain_knows() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let ran = bank(accounts(), &path, &["account-1", "--at", "2"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let recorded_at = &times(&path, "account-1")[1];
    assert_eq!(
        ran.out,
        format!(
            "account-1 at version 2 of 3, position 2, recorded at {recorded_at}\n{{\n  \"balance\": 3,\n  \"notes\": []\n}}\n"
        )
    );

    let ran = bank(accounts(), &path, &["--json", "account-1"]);
    let replayed = &lines(&ran.out)[0];
    assert_eq!(replayed["state"]["balance"], 3);
    assert_eq!(replayed["state"]["notes"], json!(["\u{9b}2J"]));
    assert_eq!(
        (
            &replayed["version"],
            &replayed["generation"],
            &replayed["position"]
        ),
        (&json!(3), &json!(0), &json!(5))
    );
    assert!(replayed["last_event"].is_string());

    // What is stored does not speak to the terminal, and the state stays JSON.
    let person = bank(accounts(), &path, &["account-1"]);
    for out in [&ran.out, &person.out] {
        assert!(out.contains(r"\u009b") && !out.contains('\u{9b}'), "{out}");
    }
    let (_, state) = person.out.split_once('\n').unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(state).unwrap(),
        replayed["state"]
    );
}

#[tokio::test]
async fn replay_goes_back_to_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let times = times(&path, "account-1");
    // Events that were recorded at one time belong together.
    let as_of = times.iter().filter(|time| **time <= times[1]).count();
    for domain in [accounts(), Domain::new()] {
        let ran = bank(domain, &path, &["account-1", "--as-of", &times[1]]);
        let told = format!("account-1 at version {as_of} of 3");
        assert!(ran.code == 0 && ran.out.contains(&told), "{}", ran.out);
    }

    for domain in [accounts(), Domain::new()] {
        let long_ago = ["account-1", "--as-of", "1999-12-31T23:59:59+01:00"];
        let ran = bank(domain, &path, &long_ago);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        let told = format!(
            "has no event as of 1999-12-31T22:59:59.000000Z: the first is version 1, recorded at {}",
            times[0]
        );
        assert!(ran.err.contains(&told), "{}", ran.err);
    }
    let last_year = |time| annalist(&["replay", text(&path), "account-1", "--as-of", time]);
    let ran = last_year("2025-01-31T18:00:00");
    assert!(
        ran.code == 2 && ran.err.contains("no offset; write 2025-01-31T18:00:00Z"),
        "{}",
        ran.err
    );
    let ran = last_year("yesterday");
    assert!(ran.code == 2 && ran.err.contains("RFC 3339"), "{}", ran.err);
    let ran = annalist(&[
        "replay",
        text(&path),
        "account-1",
        "--at",
        "1",
        "--as-of",
        &times[0],
    ]);
    assert_eq!(ran.code, 2);
}

#[tokio::test]
async fn replay_prints_events_where_no_aggregate_folds_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let shown = annalist(&["show", text(&path), "account-1", "--limit", "2"]);
    let ran = annalist(&["replay", text(&path), "account-1", "--at", "2"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let (events, told) = ran.out.trim_end().rsplit_once('\n').unwrap();
    assert!(shown.out.starts_with(events) && events.lines().count() == 2);
    assert_eq!(
        told,
        r#"account-1 at version 2 of 3; these are its events and not its state: no aggregate has the category "account", none is registered"#
    );
    let ran = bank(accounts(), &path, &["order-1"]);
    assert!(
        ran.out
            .ends_with("no aggregate has the category \"order\", only account\n"),
        "{}",
        ran.out
    );
    // In JSON the documents alone.
    let ran = annalist(&["replay", text(&path), "account-1", "--json"]);
    assert_eq!(
        ran.out,
        annalist(&["show", text(&path), "account-1", "--json"]).out
    );
}

#[tokio::test]
async fn replay_tells_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    for domain in [accounts(), Domain::new()] {
        for (arguments, told) in [
            (&["account-9"][..], "there is no stream account-9"),
            (&["account"], "category-key"),
            (
                &["account-1", "--at", "4"],
                "stream account-1 is only at version 3, not at 4 yet; ask for 3 or less",
            ),
            (
                &["account-2"],
                "no event of stream account-2 can be read: it is deleted at version 1; replay a backup",
            ),
            (&["account-2", "--at", "1"], "it is deleted at version 1"),
        ] {
            let ran = bank(domain.clone(), &path, arguments);
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{arguments:?}");
            assert!(ran.err.contains(told), "{}", ran.err);
        }
        let ran = bank(domain, &path, &["account-1", "--at", "0"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
    }
}

#[tokio::test]
async fn replay_says_that_events_before_were_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let open = Store::open(&path).await.unwrap();
    let stream = "account-1".parse().unwrap();
    let truncated = open.truncate_before(&stream, Version::new(2)).await;
    truncated.unwrap();
    open.close().await.unwrap();

    let ran = bank(accounts(), &path, &["account-1", "--at", "2"]);
    assert!(
        ran.out
            .contains("\nthe events before version 2 were removed\n{\n  \"balance\": 2,"),
        "{}",
        ran.out
    );
    let ran = bank(accounts(), &path, &["account-1", "--json"]);
    let replayed = &lines(&ran.out)[0];
    assert_eq!(
        (&replayed["first_version"], &replayed["generation"]),
        (&json!(2), &json!(1))
    );
    for domain in [accounts(), Domain::new()] {
        let ran = bank(domain.clone(), &path, &["account-1", "--at", "1"]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(
            ran.err
                .contains("before version 2 were removed; ask for 2 or more"),
            "{}",
            ran.err
        );
        let ran = bank(
            domain,
            &path,
            &["account-1", "--as-of", "1999-12-31T23:59:59Z"],
        );
        assert!(
            ran.code == 1
                && ran
                    .err
                    .contains("the first that was not removed is version 2"),
            "{}",
            ran.err
        );
    }
}

#[tokio::test]
async fn replay_exits_with_4_where_the_domain_cannot_read_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let open = Store::open(&path).await.unwrap();
    let stream = "account-1".parse().unwrap();
    let strange = NewEvent::json("Frozen", &1).unwrap();
    let appended = open.append(&stream, ExpectedVersion::Any, [strange]).await;
    appended.unwrap();
    open.close().await.unwrap();

    let ran = bank(accounts(), &path, &["account-1"]);
    assert_eq!((ran.code, ran.out.as_str()), (4, ""));
    assert!(
        ran.err.contains("event 4 of stream account-1, of type"),
        "{}",
        ran.err
    );
    assert!(
        ran.err
            .contains("only Deposited, Noted; add one, or an upcaster"),
        "{}",
        ran.err
    );
    // Up to there it can.
    let ran = bank(accounts(), &path, &["account-1", "--at", "3"]);
    assert_eq!(ran.code, 0, "{}", ran.err);

    // A domain that is none says so.
    let twice = accounts().aggregate::<Forgetful>();
    let ran = bank(twice, &path, &["account-1"]);
    assert!(
        ran.code == 4 && ran.err.contains("both have the category"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn damage_is_told_as_damage_whoever_meets_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let conn = Connection::open(&path).unwrap();
    let sql = "UPDATE annalist_events SET payload = '7' WHERE position = 2";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    for ran in [
        bank(accounts(), &path, &["account-1"]),
        annalist(&["replay", text(&path), "account-1"]),
        annalist(&["tail", text(&path)]),
        annalist(&["tail", "-f", text(&path)]),
    ] {
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.err.contains("position 2"), "{}", ran.err);
    }
    // The end of the store can be read all the same.
    let ran = annalist(&["tail", text(&path), "-n", "2"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{}", ran.err);
}
