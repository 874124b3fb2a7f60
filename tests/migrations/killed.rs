//! A process that opens an older file is killed at each step that the file takes: at every
//! write, flush, truncation and removal that it asks the system for. Whatever it had done by
//! then, the file is at the older version or the newer one, nothing stands between, and
//! everything that it held is there.
//!
//! The kills are `strace`'s; where that is not there, the test says that it shows nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use annalist::Store;
use annalist::store::sqlite::{Durability, SqliteOptions};

use crate::SCHEMA_VERSION;
use crate::planted::{Planted, Seen, USER_VERSION, assert_goes_on};

/// The variable of the environment that names the file to open.
const FILE: &str = "ANNALIST_OLDER";

/// What changes a file, or makes a change last.
const CALLS: [&str; 5] = ["pwrite64", "fdatasync", "fsync", "ftruncate", "unlink"];

/// Not a test: what the killed process runs.
#[tokio::test]
#[ignore = "the other test starts it in a process of its own"]
async fn opener() {
    if let Ok(path) = std::env::var(FILE) {
        let store = Store::open(path).await.expect("a store");
        store.close().await.expect("a clean close");
    }
}

/// Opens the file in a process that is killed at its so many'th call. Answers whether it
/// was, and not through before.
fn is_killed(path: &Path, call: &str, at: u32) -> bool {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:signal=KILL:when={at}"))
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", "killed::opener", "--ignored"])
        .env(FILE, path)
        .stdout(Stdio::null())
        .status()
        .expect("a process");
    !status.success()
}

fn can_trace() -> bool {
    let mut traced = Command::new("strace");
    traced.args(["-qq", "-o", "/dev/null", "true"]);
    let ended = traced.stderr(Stdio::null()).status();
    ended.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_process_killed_at_any_step_leaves_one_version_or_the_other() {
    if !can_trace() {
        println!("killed: skipped, since there is no strace to kill with: nothing shown");
        return;
    }
    let planted = Planted::new().await;
    let before = Seen::of(&planted.path());
    let between = {
        let (_folder, path) = planted.copy();
        let conn = rusqlite::Connection::open(&path).expect("a connection");
        conn.execute_batch(include_str!("../../src/store/sqlite/migrations/2.sql"))
            .expect("the first step");
        Seen::of(&path).schema
    };
    let (_folder, path) = planted.copy();
    let store = Store::open(&path).await.expect("a store");
    store.close().await.expect("a clean close");
    let after = Seen::of(&path);

    let (mut older, mut newer) = (0, 0);
    for call in CALLS {
        for at in 1.. {
            let (_folder, path) = planted.copy();
            if !is_killed(&path, call, at) {
                println!("killed: at each of {} calls of {call}", at - 1);
                break;
            }
            let seen = Seen::of(&path);
            let due = match seen.version {
                1 => &before.schema,
                2 => &between,
                _ => &after.schema,
            };
            assert_eq!(&seen.schema, due, "{call} {at}");
            older += u32::from(seen.version == 1);
            newer += u32::from(seen.version == SCHEMA_VERSION);
            // What the flushes are for is shown elsewhere.
            let mut options = SqliteOptions::default();
            options.durability = Durability::Off;
            let store = Store::open_with(&path, options).await.expect("a store");
            assert_goes_on(&store, &planted.holds).await;
            store.close().await.expect("a clean close");
            let seen = Seen::of(&path);
            assert_eq!(seen.schema, after.schema, "{call} {at}");
            assert_eq!(seen.user_version, USER_VERSION);
        }
    }
    println!("killed: {older} left the older version, {newer} the newer one");
    assert!(older > 0 && newer > 0, "no kill came at a bad moment");
}
