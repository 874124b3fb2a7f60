//! A worker process of a test binary: the binary itself, started again to run its ignored
//! test `worker` alone. It is told what to do in a variable of its environment, and says
//! lines of JSON. Nothing here waits for ever, and no process outlives its handle.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a worker's lines begin with, among what the test harness prints.
const MARK: &str = "> ";

/// What this process is told, if it is a worker.
pub(crate) fn spec<S: DeserializeOwned>(variable: &str) -> Option<S> {
    let spec = std::env::var(variable).ok()?;
    // The harness leaves its own line unfinished.
    println!();
    Some(serde_json::from_str(&spec).expect("a spec"))
}

/// Says a line to the parent.
pub(crate) fn say(line: &impl Serialize) {
    let line = serde_json::to_string(line).expect("JSON");
    println!("{MARK}{line}");
}

/// A running worker, which says lines of one type.
pub(crate) struct Process<T> {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<T>,
    patience: Duration,
}

impl<T: DeserializeOwned + Send + 'static> Process<T> {
    /// Starts one that may say nothing for so long.
    pub(crate) fn start(variable: &str, spec: &impl Serialize, patience: Duration) -> Self {
        let binary = std::env::current_exe().expect("this binary");
        let mut child = Command::new(binary)
            .args(["--exact", "worker", "--ignored", "--nocapture"])
            .env(variable, serde_json::to_string(spec).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("its output");
        let (said, lines) = channel();
        thread::spawn(move || listen(stdout, &said));
        Self {
            child,
            stdin,
            lines,
            patience,
        }
    }

    /// The next line; none when the process has ended.
    pub(crate) fn line(&self) -> Option<T> {
        match self.lines.recv_timeout(self.patience) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("a worker said nothing for {:?}", self.patience)
            }
        }
    }

    /// Lets it go on.
    pub(crate) fn go(&mut self) {
        let stdin = self.stdin.as_mut().expect("not stopped yet");
        writeln!(stdin, "go").expect("the worker listens");
    }

    /// Tells it that there is no more to come.
    pub(crate) fn end_input(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn ended(&mut self) {
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "a worker failed: {status}");
    }
}

impl<T> Drop for Process<T> {
    fn drop(&mut self) {
        // It may have ended long ago; what is left to do is not to leave it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on every whole line. One that a kill cut off was never said.
fn listen<T: DeserializeOwned>(stdout: ChildStdout, said: &Sender<T>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    while stdout.read_until(b'\n', &mut line).expect("its output") > 0 {
        let text = str::from_utf8(&line).expect("text");
        if let Some(json) = text.strip_prefix(MARK)
            && text.ends_with('\n')
            && said
                .send(serde_json::from_str(json).expect("a line of a worker"))
                .is_err()
        {
            return;
        }
        line.clear();
    }
}
