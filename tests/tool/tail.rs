//! `tail`: the end of the feed, and what is added to it by another process.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use annalist::{ExpectedVersion, NewEvent, Store, Version};
use serde_json::{Value, json};

use crate::shared::{annalist, lines, store, text};

/// Longer than a busy machine takes; nothing here waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// The positions that a tail prints.
fn tail(path: &Path, arguments: &[&str]) -> Vec<u64> {
    let mut all = vec!["tail", "--json", text(path)];
    all.extend(arguments);
    let ran = annalist(&all);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
    let position = |line: &Value| line["position"].as_u64().unwrap();
    lines(&ran.out).iter().map(position).collect()
}

async fn append(store: &Store, stream: &str, events: u64) {
    let event = |number| NewEvent::json("Counted", &number).unwrap();
    let stream = stream.parse().unwrap();
    let appended = store.append(&stream, ExpectedVersion::Any, (1..=events).map(event));
    appended.await.unwrap();
}

#[tokio::test]
async fn tail_prints_events_and_removals_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    // At 3 stood the event that was deleted at 6.
    assert_eq!(tail(&path, &[]), [1, 2, 4, 5, 6]);

    let ran = annalist(&["tail", text(&path), "-n", "3"]);
    let [order, noted, deleted] = Vec::from_iter(ran.out.lines()).try_into().unwrap();
    assert!(order.starts_with("       4  20"), "{order}");
    assert!(
        order.ends_with(r#"Z  order-1 1  Deposited  {"cents":4}  {"actor":"ann"}"#),
        "{order}"
    );
    // What is stored does not speak to the terminal.
    assert!(
        noted.ends_with(r#"account-1 3  Noted  "\u{9b}2J""#),
        "{noted}"
    );
    assert!(
        deleted.ends_with("Z  account-2 deleted: no event up to version 1 is read any more"),
        "{deleted}"
    );

    let open = Store::open(&path).await.unwrap();
    let stream = "account-1".parse().unwrap();
    let truncated = open.truncate_before(&stream, Version::new(3)).await;
    truncated.unwrap();
    open.close().await.unwrap();
    assert_eq!(tail(&path, &[]), [4, 5, 6, 7]);
    let ran = annalist(&["tail", text(&path), "-n", "2", "--json"]);
    assert!(!ran.out.contains('\u{9b}'));
    let removed = lines(&ran.out);
    let fields = |line: &Value| json!([line["removed"], line["stream"], line["removed_to"]]);
    assert_eq!(fields(&removed[0]), json!(["deleted", "account-2", 1]));
    assert_eq!(fields(&removed[1]), json!(["truncated", "account-1", 2]));
    assert_eq!(removed[1]["generation"], 1);
}

#[tokio::test]
async fn tail_takes_what_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    for (arguments, positions) in [
        (&["--category", "order"][..], &[4][..]),
        (
            &["--category", "order", "--category", "account"],
            &[1, 2, 4, 5, 6],
        ),
        (&["--prefix", "account-1"], &[1, 2, 5]),
        // A removal is of no type.
        (&["--type", "Noted"], &[5, 6]),
        (&["--type", "Deposited", "-n", "2"], &[4, 6]),
        (&["--from", "4"], &[4, 5, 6]),
        (&["--from", "0"], &[1, 2, 4, 5, 6]),
        (&["--from", "2", "-n", "1"], &[6]),
        (&["--from", "4", "-n", "9"], &[4, 5, 6]),
        (&["--from", "7"], &[]),
        (&["--limit", "0"], &[]),
    ] {
        assert_eq!(tail(&path, arguments), positions, "{arguments:?}");
    }
    let ran = annalist(&["tail", text(&path), "--from", "8"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .contains("the store is only at position 6; ask for 7 or less"),
        "{}",
        ran.err
    );
    assert_eq!(annalist(&["tail", text(&path), "--type", ""]).code, 2);
}

#[tokio::test]
async fn tail_finds_the_end_of_a_long_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.db");
    let long = Store::open(&path).await.unwrap();
    append(&long, "rare-1", 1).await;
    append(&long, "often-1", 1500).await;
    append(&long, "rare-1", 1).await;
    append(&long, "often-1", 2000).await;
    long.close().await.unwrap();
    let head = 3502;
    for count in [1, 511, 512, 513, 1536, 1537, 3501, 3502, 9999] {
        let first = head + 1 - count.min(head);
        assert_eq!(
            tail(&path, &["-n", &count.to_string()]),
            Vec::from_iter(first..=head),
            "the last {count}"
        );
    }
    let rare = |count| tail(&path, &["--category", "rare", "-n", count]);
    assert_eq!((rare("1"), rare("2")), (vec![1502], vec![1, 1502]));
    assert_eq!(rare("3"), [1, 1502]);
}

/// A tail that follows. No process outlives it.
struct Following {
    child: Child,
    lines: Receiver<String>,
    told: Receiver<String>,
}

impl Following {
    /// Starts one whose output is closed after so many lines.
    fn start(arguments: &[&str], lines_max: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_annalist"))
            .arg("tail")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let mut err = child.stderr.take().unwrap();
        let ((said, lines), (ended, told)) = (channel(), channel());
        thread::spawn(move || {
            let read = BufReader::new(out).lines().map_while(Result::ok);
            read.take(lines_max).for_each(|line| {
                // Nobody listens any more where the test has failed.
                let _ = said.send(line);
            });
        });
        thread::spawn(move || {
            let mut all = String::new();
            let _ = err.read_to_string(&mut all);
            let _ = ended.send(all);
        });
        Self { child, lines, told }
    }

    /// The next line, however long it takes to come.
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_tail_that_follows_prints_what_another_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let mut following = Following::start(&["-f", text(&path), "-n", "1"], usize::MAX);
    let mut as_json = Following::start(
        &["--json", "--follow", text(&path), "--from", "1"],
        usize::MAX,
    );
    assert!(following.line().contains("account-2 deleted"));

    let open = Store::open(&path).await.unwrap();
    append(&open, "account-1", 2).await;
    assert!(following.line().ends_with("account-1 4  Counted  1"));
    assert!(following.line().ends_with("account-1 5  Counted  2"));
    let stream = "account-1".parse().unwrap();
    let deleted = open.delete(&stream, ExpectedVersion::Any).await;
    deleted.unwrap();
    assert!(following.line().contains("account-1 deleted"));
    append(&open, "order-2", 1).await;
    assert!(following.line().ends_with("order-2 1  Counted  1"));

    // Whenever this one began, it comes there.
    let last: Value = loop {
        let line: Value = serde_json::from_str(&as_json.line()).unwrap();
        if line["stream"] == "order-2" {
            break line;
        }
    };
    assert_eq!(
        (&last["position"], &last["payload"]),
        (&json!(10), &json!("1"))
    );
    for following in [&mut following, &mut as_json] {
        assert!(following.child.try_wait().unwrap().is_none(), "it goes on");
    }
    open.close().await.unwrap();
}

#[tokio::test]
async fn a_tail_that_follows_ends_when_nobody_reads_it_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = store(&folder).await;
    let mut following = Following::start(&["-f", text(&path), "-n", "1"], 1);
    assert!(following.line().contains("account-2 deleted"));
    // The channel is closed after the output is.
    assert!(following.lines.recv_timeout(PATIENCE).is_err());
    let open = Store::open(&path).await.unwrap();
    append(&open, "account-1", 1).await;
    assert_eq!(following.told.recv_timeout(PATIENCE).unwrap(), "");
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
    open.close().await.unwrap();
}
