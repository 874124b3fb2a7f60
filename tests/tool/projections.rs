//! `projections`, `projection rebuild` and `drop`: what follows, and how one is made anew, by a
//! program that runs it, by one that does not, and by one that does not know it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use annalist::follow::{FollowOptions, FollowState};
use annalist::projection::{self, Documents, Projection, ProjectionResult};
use annalist::store::sqlite::SqliteOptions;
use annalist::store::{Database, Tx};
use annalist::{Domain, ExpectedVersion, NewEvent, RecordedEvent, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shared::{Ran, annalist, lines, text};

const PATIENCE: Duration = Duration::from_secs(60);

const COUNTS: Documents<str, u64> = Documents::new("counts");
const LAST: Documents<str, u64> = Documents::new("last_versions");

struct Counts<const VERSION: u32>;

impl<const VERSION: u32> Projection for Counts<VERSION> {
    const NAME: &'static str = "counts";
    const VERSION: u32 = VERSION;

    fn tables(&self) -> Vec<String> {
        COUNTS.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        COUNTS.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        if event.event_type.as_str() == "Poison" {
            return Err("it cannot be counted".into());
        }
        let stream = event.stream.as_str();
        COUNTS.update(stream, |count| *count += 1, tx).await
    }
}

struct Last;

impl Projection for Last {
    const NAME: &'static str = "last";

    fn tables(&self) -> Vec<String> {
        LAST.tables()
    }

    async fn set_up(&self, tx: &mut Tx<'_>) -> ProjectionResult {
        LAST.set_up(tx).await
    }

    async fn apply(&self, event: &RecordedEvent, tx: &mut Tx<'_>) -> ProjectionResult {
        LAST.put(event.stream.as_str(), &event.version.get(), tx)
            .await
    }
}

/// A runner is heard of often, so that what is asked for is soon done.
fn options() -> FollowOptions {
    let mut options = FollowOptions::default();
    options.lease = Duration::from_millis(900);
    options
}

fn domain() -> Domain {
    Domain::new().projection_with(Counts::<1>, options())
}

/// What a user's own binary runs.
fn bank(domain: &Domain, arguments: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // On a thread of its own: it starts a runtime, and a test has one already.
    let code = thread::scope(|scope| {
        let arguments = ["bank"].iter().chain(arguments);
        let run = scope.spawn(|| annalist::tool::run(domain, arguments, &mut out, &mut err));
        run.join().unwrap()
    });
    Ran {
        code: code.into(),
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

async fn append(store: &Store, stream: &str, event_type: &str) {
    let event = NewEvent::json(event_type, &1).unwrap();
    let stream = stream.parse().unwrap();
    let appended = store.append(&stream, ExpectedVersion::Any, [event]);
    appended.await.unwrap();
}

/// A store of so many events, without anything that follows.
async fn store_of(folder: &TempDir, events: u64) -> (PathBuf, Store) {
    let path = folder.path().join("bank.db");
    let store = Store::open(&path).await.unwrap();
    for number in 0..events {
        append(&store, &format!("account-{}", number % 3), "Counted").await;
    }
    (path, store)
}

fn listed(path: &Path, more: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["projections", "--json", text(path)];
    arguments.extend(more);
    let ran = annalist(&arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    lines(&ran.out)
}

/// Some fields of each build that is listed.
fn builds(path: &Path) -> Vec<Value> {
    let fields =
        |line: &Value| json!([line["name"], line["build"], line["version"], line["state"]]);
    listed(path, &[]).iter().map(fields).collect()
}

#[tokio::test]
async fn what_follows_is_listed_with_how_far_it_has_come_and_why_it_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = store_of(&folder, 4).await;
    assert_eq!(
        annalist(&["projections", text(&path)]).out,
        "nothing follows\n"
    );
    store.close().await.unwrap();

    let mut inline = SqliteOptions::default();
    inline.inline.push(projection::inline(Last).unwrap());
    let store = Store::open_with(&path, inline).await.unwrap();
    let running = domain().projection_runner(&store).unwrap().start().unwrap();
    let head = store.head().await.unwrap();
    running.wait_for("counts", head, PATIENCE).await.unwrap();

    let both = listed(&path, &[]);
    let [counts, last] = both.as_slice() else {
        panic!("{both:?}")
    };
    assert!(counts["runner_until"].is_string(), "{counts}");
    for (shown, name, filled) in [(counts, "counts", "following"), (last, "last", "inline")] {
        for (field, expected) in [
            ("name", json!(name)),
            ("build", json!(1)),
            ("version", json!(1)),
            ("state", json!("live")),
            ("filled", json!(filled)),
            ("position", json!(4)),
            ("head", json!(4)),
            ("lag", json!(0)),
            ("parked", json!(0)),
            ("problem", Value::Null),
        ] {
            assert_eq!(shown[field], expected, "{name}: {field}");
        }
    }
    append(&store, "account-1", "Poison").await;
    let mut status = running.watch("counts").unwrap();
    let stopped = status.wait_for(|status| status.problem.is_some());
    stopped.await.unwrap();
    append(&store, "account-1", "Counted").await;
    running.stop().await;
    let ran = annalist(&["projections", text(&path)]);
    let told = "counts  build 1, version 1, live  position 4 of 6, lag 2  following, no runner\n    \
                problem: the event at position 5 cannot be taken in: ";
    assert!(ran.out.starts_with(told), "{}", ran.out);
    let last = "last  build 1, version 1, live  position 6, the end  inline\n";
    assert!(ran.out.ends_with(last), "{}", ran.out);
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_was_put_aside_is_counted_also_in_a_database_beside_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = store_of(&folder, 3).await;
    for event_type in ["Poison", "Counted"] {
        append(&store, "account-1", event_type).await;
    }
    let other = folder.path().join("read.db");
    let database = Database::open(&other).await.unwrap();
    let mut options = options();
    options.database = Some(database.clone());
    options.on_poison = annalist::follow::OnPoison::Park;
    let domain = Domain::new().projection_with(Counts::<1>, options);
    let running = domain.projection_runner(&store).unwrap().start().unwrap();
    let head = store.head().await.unwrap();
    running.wait_for("counts", head, PATIENCE).await.unwrap();
    running.stop().await;

    assert_eq!(listed(&path, &[]), [Value::Null; 0]);
    let beside = listed(&path, &["--database", text(&other)]);
    assert_eq!(
        (&beside[0]["parked"], &beside[0]["lag"]),
        (&json!(2), &json!(0))
    );
    let ran = annalist(&["projections", text(&path), "--database", text(&other)]);
    assert!(
        ran.out.ends_with("    put aside: 2 events\n"),
        "{}",
        ran.out
    );
    let none = folder.path().join("none.db");
    let ran = annalist(&["projections", text(&path), "--database", text(&none)]);
    assert_eq!((ran.code, none.exists()), (1, false), "{}", ran.err);
    database.close().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_projection_is_rebuilt_by_the_program_that_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = store_of(&folder, 5).await;
    store.close().await.unwrap();
    let rebuild = ["projection", "rebuild", text(&path), "counts"];
    for build in [1, 2, 3] {
        let ran = bank(&domain(), &rebuild);
        let told = format!("counts: build {build} is live, at position 5, after ");
        assert!(ran.out.starts_with(&told), "{}{}", ran.out, ran.err);
        assert_eq!(builds(&path), [json!(["counts", build, 1, "live"])]);
    }
    let ran = bank(
        &domain(),
        &[rebuild.as_slice(), &["--keep-old", "--json"]].concat(),
    );
    let [made] = Vec::from_iter(lines(&ran.out)).try_into().unwrap();
    assert_eq!((&made["build"], &made["position"]), (&json!(4), &json!(5)));
    let kept = [
        json!(["counts", 3, 1, "kept"]),
        json!(["counts", 4, 1, "live"]),
    ];
    assert_eq!(builds(&path), kept);

    // A newer version is what its runner makes by itself.
    let newer = Domain::new().projection_with(Counts::<2>, options());
    let ran = bank(&newer, &rebuild);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.starts_with("counts: build 5 is live"),
        "{}",
        ran.out
    );
    assert_eq!(builds(&path)[1], json!(["counts", 5, 2, "live"]));
    let ran = bank(&domain(), &rebuild);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("run the newer program"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_a_projection_is_asked_to_rebuild_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = store_of(&folder, 5).await;
    let running = domain().projection_runner(&store).unwrap().start().unwrap();
    let head = store.head().await.unwrap();
    running.wait_for("counts", head, PATIENCE).await.unwrap();

    let ran = bank(&domain(), &["projection", "rebuild", text(&path), "counts"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.starts_with("counts: build 2 is live"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("by another process"), "{}", ran.err);
    // It is the one that has made it.
    let mut status = running.watch("counts").unwrap();
    let made = status.wait_for(|status| status.build == 2).await.unwrap();
    assert_ne!(made.state, FollowState::StandingBy);
    drop(made);

    let newer = Domain::new().projection_with(Counts::<2>, options());
    let ran = bank(&newer, &["projection", "rebuild", text(&path), "counts"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("stop that one first"), "{}", ran.err);
    running.stop().await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_rebuild_that_was_begun_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = store_of(&folder, 3).await;
    let running = domain().projection_runner(&store).unwrap().start().unwrap();
    let head = store.head().await.unwrap();
    running.wait_for("counts", head, PATIENCE).await.unwrap();
    // It has no time to fill what it begins.
    running.pause("counts").await.unwrap();
    let begun = running.clone();
    let begun = tokio::spawn(async move { begun.rebuild("counts", Default::default()).await });
    let mut status = running.watch("counts").unwrap();
    let beside = status.wait_for(|status| status.rebuild.is_some());
    beside.await.unwrap();
    running.stop().await;
    begun.await.unwrap().unwrap_err();
    store.close().await.unwrap();
    let both = [
        json!(["counts", 1, 1, "live"]),
        json!(["counts", 2, 1, "building"]),
    ];
    assert_eq!(builds(&path), both);

    let ran = bank(&domain(), &["projection", "rebuild", text(&path), "counts"]);
    assert!(
        ran.err.contains("build 2 is under way, going on with it"),
        "{}",
        ran.err
    );
    assert!(
        ran.out.starts_with("counts: build 2 is live"),
        "{}",
        ran.out
    );
    assert_eq!(builds(&path), [json!(["counts", 2, 1, "live"])]);
}

#[tokio::test]
async fn a_rebuild_that_cannot_be_says_what_to_do_instead() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = store_of(&folder, 2).await;
    store.close().await.unwrap();
    let mut inline = SqliteOptions::default();
    inline.inline.push(projection::inline(Last).unwrap());
    let store = Store::open_with(&path, inline).await.unwrap();
    append(&store, "account-1", "Poison").await;
    store.close().await.unwrap();

    let rebuild = |name| vec!["projection", "rebuild", text(&path), name];
    for (ran, told) in [
        (
            annalist(&rebuild("counts")),
            "`annalist::tool::main(domain)`",
        ),
        (
            bank(&domain(), &rebuild("count")),
            r#"no projection "count", only counts"#,
        ),
        (annalist(&rebuild("last")), "raise its VERSION above 1"),
        (bank(&domain(), &rebuild("counts")), "it cannot be counted"),
    ] {
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
        assert!(ran.err.contains(told), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_projection_is_dropped_unless_it_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = store_of(&folder, 3).await;
    let running = domain().projection_runner(&store).unwrap().start().unwrap();
    let head = store.head().await.unwrap();
    running.wait_for("counts", head, PATIENCE).await.unwrap();

    let drop = |name| annalist(&["projection", "drop", text(&path), name]);
    let ran = drop("counts");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("it has a runner, until"), "{}", ran.err);
    running.stop().await;
    let ran = drop("counts");
    assert_eq!((ran.code, ran.out.as_str()), (0, "counts is dropped\n"));
    assert_eq!(listed(&path, &[]), [Value::Null; 0]);
    let ran = drop("counts");
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains(r#"nothing follows as "counts""#),
        "{}",
        ran.err
    );
    let gone = COUNTS.get("account-1", &store.database().unwrap()).await;
    assert!(gone.is_err(), "{gone:?}");
    store.close().await.unwrap();
}
