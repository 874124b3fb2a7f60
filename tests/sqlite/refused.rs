//! What is refused at opening is told by name, with what to do, and left as it is: the
//! file and everything beside it. What is created is its owner's alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use annalist::{ExpectedVersion, Store, StoreErrorKind, Version};
use rusqlite::config::DbConfig;
use sha2::{Digest, Sha256};

use crate::{Place, event, stream};

/// The SHA-256 of each file in a folder, but of the index that SQLite keeps of its log and
/// makes anew at will.
fn hashes(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let mut hashes = BTreeMap::new();
    for entry in fs::read_dir(place.0.path()).expect("the folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with("-shm") {
            let bytes = fs::read(entry.path()).expect("a file");
            hashes.insert(name, Sha256::digest(bytes).to_vec());
        }
    }
    hashes
}

async fn assert_refused(place: &Place, kind: StoreErrorKind, says: &str) {
    let before = hashes(place);
    let refused = Store::open(place.path()).await.expect_err(says);
    assert_eq!(refused.kind(), kind, "{refused}");
    let told = refused.to_string();
    assert!(told.contains("store.db") && told.contains(says), "{told}");
    assert_eq!(hashes(place), before, "{told}");
}

/// Runs SQL on a connection that leaves the write-ahead log where it is.
fn leave_in_log(place: &Place, sql: &str) {
    let conn = place.connect();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .expect("an option");
    conn.execute_batch("PRAGMA journal_mode = WAL")
        .expect("the log");
    conn.execute_batch(sql).expect(sql);
    drop(conn);
    let log = fs::metadata(place.0.path().join("store.db-wal")).expect("the log");
    assert!(log.len() > 0, "nothing is in the log");
}

async fn closed_store() -> Place {
    let place = Place::new();
    let store = place.open().await;
    store
        .append(&stream("a-1"), Version::ZERO, [event(1)])
        .await
        .expect("an append");
    store.close().await.expect("a clean close");
    place
}

#[tokio::test]
async fn what_is_no_database_is_left_as_it_is() {
    let long = "not a database, and longer than SQLite's header ".repeat(100);
    for content in [
        long.as_str(),
        "short",
        "SQLite format 3\0 but no more than that",
    ] {
        let place = Place::new();
        fs::write(place.path(), content).expect("a file");
        assert_refused(&place, StoreErrorKind::NotAStore, "name another file").await;
    }
}

#[tokio::test]
async fn a_database_of_somebody_else_is_left_as_it_is() {
    for sql in [
        "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)",
        "PRAGMA application_id = 77",
        "PRAGMA application_id = 77; CREATE TABLE annalist_meta (schema_version)",
        "PRAGMA page_size = 1024; CREATE TABLE mine (x)",
    ] {
        let place = Place::new();
        place.connect().execute_batch(sql).expect(sql);
        assert_refused(&place, StoreErrorKind::NotAStore, "name another file").await;
        // Also where its last changes are still in its log.
        let place = Place::new();
        leave_in_log(&place, sql);
        assert_refused(&place, StoreErrorKind::NotAStore, "name another file").await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_link_leads_to_is_left_as_it_is() {
    let place = Place::new();
    leave_in_log(
        &place,
        "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)",
    );
    let link = place.0.path().join("link.db");
    std::os::unix::fs::symlink(place.path(), &link).expect("a link");
    let before = hashes(&place);
    let refused = Store::open(&link).await.expect_err("not ours");
    assert_eq!(refused.kind(), StoreErrorKind::NotAStore, "{refused}");
    assert_eq!(hashes(&place), before);
}

#[tokio::test]
async fn a_newer_store_is_left_as_it_is() {
    let newer = "UPDATE annalist_meta SET schema_version = 99";
    let kind = StoreErrorKind::NewerSchema {
        found: 99,
        supported: 3,
    };
    let place = closed_store().await;
    place.connect().execute_batch(newer).expect("an update");
    assert_refused(&place, kind, "use a newer release").await;
    let place = closed_store().await;
    leave_in_log(&place, newer);
    assert_refused(&place, kind, "use a newer release").await;
    // It may have left the log for another kind of journal.
    let place = closed_store().await;
    let other = format!("PRAGMA journal_mode = DELETE; {newer}");
    place.connect().execute_batch(&other).expect("an update");
    assert_refused(&place, kind, "use a newer release").await;
}

#[tokio::test]
async fn a_log_that_a_crash_left_is_read_and_moved_into_the_file() {
    let place = closed_store().await;
    leave_in_log(&place, "PRAGMA user_version = 5");
    place.open().await.close().await.expect("a clean close");
    let left = hashes(&place);
    assert!(!left.contains_key("store.db-wal"), "the log is gone");
    assert_eq!(user_version(&place), 5);
}

fn user_version(place: &Place) -> i64 {
    let version = place
        .connect()
        .pragma_query_value(None, "user_version", |row| row.get(0));
    version.expect("a number")
}

#[tokio::test]
async fn the_user_version_is_left_to_the_application() {
    let place = closed_store().await;
    assert_eq!(user_version(&place), 0);
    let set = place.connect().pragma_update(None, "user_version", 42);
    set.expect("an update");
    let store = place.open().await;
    let a = stream("a-1");
    store
        .append(&a, ExpectedVersion::Any, [event(2)])
        .await
        .expect("an append");
    store
        .delete(&a, ExpectedVersion::Any)
        .await
        .expect("a removal");
    store.compact().await.expect("a compaction");
    assert_eq!(user_version(&place), 42);
    store.close().await.expect("a clean close");
    assert_eq!(user_version(&place), 42);
    place.open().await.close().await.expect("a clean close");
    assert_eq!(user_version(&place), 42);
}

#[cfg(unix)]
mod users {
    //! As another user, in a process of its own.

    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    const PATH: &str = "ANNALIST_TEST_OPENS";
    /// "nobody" on most machines; any but root and the one who runs this will do.
    const NOBODY: u32 = 65_534;

    /// Not a test: what the other process runs.
    #[tokio::test]
    #[ignore = "the other tests start it in processes of their own"]
    async fn opener() {
        let Ok(path) = std::env::var(PATH) else {
            return;
        };
        let path = Path::new(&path);
        match Store::open(path).await {
            Err(error) => println!("refused {} {error}", error.code()),
            Ok(store) => {
                store
                    .append(&stream("a-1"), ExpectedVersion::Any, [event(1)])
                    .await
                    .expect("an append");
                let modes = ["", "-wal", "-shm"].map(|beside| {
                    let file = format!("{}{beside}", path.display());
                    let rights = fs::metadata(file).expect("a file").permissions();
                    format!("{:o}", rights.mode() & 0o777)
                });
                println!("opened {}", modes.join(" "));
                store.close().await.expect("a clean close");
            }
        }
    }

    /// What the opener says, run by a shell under a umask, or by another user.
    fn opener_says(place: &Place, umask: &str, user: Option<u32>) -> Option<String> {
        let exe = std::env::current_exe().expect("this program");
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")])
            .arg(exe)
            .args(["--exact", "refused::users::opener"])
            .args(["--ignored", "--nocapture", "--test-threads", "1"])
            .current_dir(place.0.path())
            .env(PATH, place.path());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let output = command.output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer = said.lines().find_map(|line| {
            ["refused ", "opened "]
                .iter()
                .find_map(|word| line.find(word).map(|at| line[at..].to_owned()))
        });
        if answer.is_none() {
            println!("skipped: the opener said {said:?} {output:?}");
        }
        answer
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("rights");
    }

    fn is_root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            println!("skipped: only root can become another user");
        }
        root
    }

    #[test]
    fn what_is_created_is_its_owners_alone_whatever_the_umask() {
        for umask in ["0000", "0022", "0277", "0777"] {
            let place = Place::new();
            let said = opener_says(&place, umask, None).expect("an answer");
            assert_eq!(said, "opened 600 600 600", "umask {umask}");
        }
    }

    #[tokio::test]
    async fn a_file_that_may_only_be_read_is_left_as_it_is() {
        let place = closed_store().await;
        set_mode(&place.path(), 0o444);
        let before = hashes(&place);
        let said = match rustix::process::geteuid().is_root() {
            // Root may write what no one may.
            true => {
                set_mode(place.0.path(), 0o777);
                chown(place.path(), Some(NOBODY), None).expect("a new owner");
                opener_says(&place, "0022", Some(NOBODY))
            }
            false => opener_says(&place, "0022", None),
        };
        if let Some(said) = said {
            assert!(said.starts_with("refused no_access"), "{said}");
            assert!(
                said.contains("store.db") && said.contains("may write"),
                "{said}"
            );
        }
        assert_eq!(hashes(&place), before);
    }

    #[tokio::test]
    async fn a_file_of_another_user_is_left_as_it_is() {
        if !is_root() {
            return;
        }
        let place = closed_store().await;
        // Neither the rights of the file nor those of the folder are in the way.
        set_mode(place.0.path(), 0o777);
        set_mode(&place.path(), 0o666);
        let before = hashes(&place);
        if let Some(said) = opener_says(&place, "0022", Some(NOBODY)) {
            assert!(said.starts_with("refused no_access"), "{said}");
            for part in ["store.db", "user 0", "user 65534", "chown"] {
                assert!(said.contains(part), "{said}");
            }
        }
        assert_eq!(hashes(&place), before);
        // Its own user may, and so may root.
        chown(place.path(), Some(NOBODY), Some(NOBODY)).expect("a new owner");
        if let Some(said) = opener_says(&place, "0022", Some(NOBODY)) {
            assert!(said.starts_with("opened"), "{said}");
        }
        place.open().await.close().await.expect("a clean close");
    }

    #[tokio::test]
    async fn a_folder_that_may_not_be_written_is_told() {
        if !is_root() {
            return;
        }
        let place = closed_store().await;
        chown(place.path(), Some(NOBODY), Some(NOBODY)).expect("a new owner");
        set_mode(place.0.path(), 0o755);
        let before = hashes(&place);
        if let Some(said) = opener_says(&place, "0022", Some(NOBODY)) {
            assert!(said.starts_with("refused no_access"), "{said}");
            assert!(said.contains("store.db"), "{said}");
        }
        assert_eq!(hashes(&place), before);
    }
}
