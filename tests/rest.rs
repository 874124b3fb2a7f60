//! The example `rest`: its README says what its server answers, and a server that is killed
//! answers as before when it is there again.

#![cfg(unix)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use annalist::{CommandBus, Store};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[path = "../examples/rest/app.rs"]
mod app;
#[path = "../examples/document/domain.rs"]
mod domain;
#[path = "../examples/rest/serve.rs"]
mod serve;
#[expect(
    dead_code,
    reason = "these workers are told everything when they start"
)]
mod worker;

use app::app;
use serve::{ServeOptions, serve};
use worker::Process;

const WORKER: &str = "ANNALIST_REST_WORKER";
const PATIENCE: Duration = Duration::from_secs(60);
const README: &str = include_str!("../examples/rest/README.md");

#[derive(Serialize, Deserialize)]
struct Spec {
    file: PathBuf,
}

/// Serves until it is killed, and says where.
#[tokio::test]
#[ignore = "a worker of the other tests"]
async fn worker() {
    let Some(Spec { file }) = worker::spec::<Spec>(WORKER) else {
        return;
    };
    let store = Store::open(file).await.expect("a store");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    worker::say(&listener.local_addr().expect("an address"));
    let app = app(CommandBus::new(store));
    let served = serve(
        listener,
        app,
        ServeOptions::default(),
        std::future::pending(),
    );
    served.await.expect("a server");
}

/// A server of its own process. Dropped, it is killed as by `kill -9`.
fn server(folder: &Path) -> (Process<SocketAddr>, SocketAddr) {
    let file = folder.join("documents.db");
    let process = Process::start(WORKER, &Spec { file }, PATIENCE);
    let address = process.line().expect("an address");
    (process, address)
}

/// What the README says: commands, each with what it prints.
fn said() -> Vec<(String, String)> {
    let mut said: Vec<(String, String)> = Vec::new();
    let mut is_console = false;
    for line in README.lines() {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => is_console = line == "```console",
            _ if !is_console => {}
            Some(command) => said.push((command.to_owned(), String::new())),
            None => {
                let (_, output) = said.last_mut().expect("a command before its output");
                output.push_str(line);
                output.push('\n');
            }
        }
    }
    said
}

/// The ids and tags of a text, each by where it came first: they are others in each run, but
/// where one is the same as another it always is.
#[derive(Default)]
struct Ids(Vec<String>);

impl Ids {
    fn normal(&mut self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
        let mut normal = String::new();
        for part in text.split_inclusive(|c| !is_part(c)) {
            let word = part.trim_end_matches(|c| !is_part(c));
            let digits = word.chars().filter(char::is_ascii_hexdigit).count();
            if digits != 32 {
                normal.push_str(part);
                continue;
            }
            let known = self.0.iter().position(|known| known == word);
            let number = known.unwrap_or(self.0.len());
            if known.is_none() {
                self.0.push(word.to_owned());
            }
            normal.push_str(&part.replace(word, &format!("<id {number}>")));
        }
        normal
    }
}

fn is_there(program: &str) -> bool {
    let ran = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    ran.is_ok_and(|status| status.success())
}

#[test]
fn the_readme_says_what_is_answered() {
    for program in ["bash", "curl", "jq"] {
        if !is_there(program) {
            println!("skipped: the conversation needs {program}");
            return;
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_server, address) = server(folder.path());
    let said = said();
    assert!(said.len() > 20, "only {} commands are in it", said.len());
    // What each prints ends at a line that none of them prints.
    let script = said.iter().map(|(command, _)| {
        let command = command.replace("127.0.0.1:8080", &address.to_string());
        format!("{command}\nprintf '\\n%s\\n' '== end'\n")
    });
    let ran = Command::new("bash")
        .args(["-c", &script.collect::<String>()])
        .output()
        .expect("bash");
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && errors.is_empty(), "{errors}");
    let printed = String::from_utf8(ran.stdout).expect("text");
    let mut printed = printed.split("\n== end\n");
    let (mut ids, mut ids_said) = (Ids::default(), Ids::default());
    for (command, expected) in &said {
        let printed = printed.next().expect("what it printed");
        assert_eq!(
            ids.normal(printed),
            ids_said.normal(expected),
            "$ {command}"
        );
    }
}

/// What a client is answered, but for the date.
async fn ask(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Heard {
    let mut request = reqwest::Client::new()
        .post(format!("http://{address}/documents/{path}"))
        .header("content-type", "application/json")
        .body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    let header = |name| {
        let value = response.headers().get(name);
        value.map(|value| value.to_str().expect("text").to_owned())
    };
    Heard {
        status: response.status().as_u16(),
        etag: header("etag"),
        location: header("location"),
        body: response.text().await.expect("a body"),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Heard {
    status: u16,
    etag: Option<String>,
    location: Option<String>,
    body: String,
}

/// Effects, rejections and nothing left to do: each is answered to the byte as before, by a
/// server that knows nothing but its file, though the document has moved on since.
#[tokio::test]
async fn a_killed_server_answers_what_was_done_as_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let (killed, address) = server(folder.path());
    let title = r#"{"fields":{"title":"Minutes"}}"#;
    let requests = [
        ("minutes/edit", "k-1", ("if-none-match", "*"), title, 201),
        ("minutes/edit", "k-2", ("x-user", "ann"), title, 200),
        ("minutes/publish", "k-3", ("if-match", "*"), "", 422),
        ("nowhere/publish", "k-4", ("x-user", "ann"), "", 428),
        ("edit", "k-5", ("x-user", "bob"), title, 201),
        (
            "minutes/edit",
            "k-6",
            ("x-user", "ann"),
            r#"{"fields":{"text":"We met."}}"#,
            200,
        ),
    ];
    let mut first = Vec::new();
    for (path, key, header, body, status) in requests {
        let headers = [("idempotency-key", key), header];
        let heard = ask(address, path, &headers, body).await;
        assert_eq!(heard.status, status, "{key}: {heard:?}");
        first.push(heard);
    }
    drop(killed);
    let (_server, address) = server(folder.path());
    for ((path, key, header, body, _), first) in requests.iter().zip(&first) {
        let headers = [("idempotency-key", *key), *header];
        assert_eq!(&ask(address, path, &headers, body).await, first, "{key}");
    }
    let other = [("idempotency-key", "k-1"), ("if-none-match", "*")];
    let heard = ask(address, "other/edit", &other, title).await;
    assert_eq!(heard.status, 422, "{heard:?}");
}
