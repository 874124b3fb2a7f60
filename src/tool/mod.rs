//! The command line `annalist` as a library: looks into a store file and checks it.
//!
//! No command makes a store or changes the events that one holds. Opening it is what opening
//! is to any process, though: the file must be writable, and one of an older release is
//! brought to this one's schema.
//!
//! The binary of the same name does nothing but call [`main`] with a domain of nothing. It
//! knows no aggregates, so it shows the events of a stream where a state is asked for. A
//! program of your own gives the same command line your [`Domain`]:
//!
//! ```
//! use std::process::ExitCode;
//!
//! use annalist::Domain;
//! # use annalist::Aggregate;
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Serialize, Deserialize)]
//! # enum AccountEvent { Deposited { cents: i64 } }
//! # #[derive(Default, Clone, Serialize, Deserialize)]
//! # struct Account { balance: i64 }
//! # impl Aggregate for Account {
//! #     const CATEGORY: &'static str = "account";
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) { self.balance += cents; }
//! # }
//!
//! # mod bank { use super::*; pub(crate)
//! fn main() -> ExitCode {
//!     let domain = Domain::new().aggregate::<Account>();
//!     annalist::tool::main(domain)
//! }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _: fn() -> ExitCode = bank::main;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("bank.db");
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! #     let store = annalist::Store::open(&path).await?;
//! #     let accounts = annalist::Repository::<Account>::new(store.clone());
//! #     let account = accounts.load("42").await?;
//! #     let deposited = AccountEvent::Deposited { cents: 500 };
//! #     accounts.save(account, vec![deposited]).await.map_err(|error| error.to_string())?;
//! #     store.close().await.map_err(Box::<dyn std::error::Error>::from)
//! # })?;
//! # let domain = Domain::new().aggregate::<Account>();
//! # let arguments = ["bank", "replay", path.to_str().ok_or("a path")?, "account-42"];
//! # let (mut out, mut err) = (Vec::new(), Vec::new());
//! # assert_eq!(annalist::tool::run(&domain, arguments, &mut out, &mut err), 0);
//! # assert!(String::from_utf8(out)?.ends_with("{\n  \"balance\": 500\n}\n"));
//! # Ok(()) }
//! ```
//!
//! `cargo run -- replay bank.db account-42 --at 7` then prints the account as it was.
//!
//! `projections bank.db` lists the read models and how far each has come; `projection rebuild
//! bank.db NAME`, with a domain that knows the projection, makes one anew beside what is read.
//! Interrupted, it goes on where it was when it is run again, or the program runs that has the
//! projection; a process that was killed is taken for the runner as long as its
//! [lease](crate::follow::FollowOptions::lease).
//!
//! `tail -f` goes on until it is interrupted, or nobody reads what it prints: that it hears
//! of with the next line.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done, or whoever reads the answer has seen enough of it |
//! | 1 | the file could not be opened or read, or what was asked for is not in it |
//! | 2 | the arguments make no sense |
//! | 3 | stored data is damaged |
//! | 4 | the domain could not make a state of the events |

use std::ffi::OsString;
use std::future::poll_fn;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;

use clap::Parser;
use futures_core::Stream;

use self::answer::Answer;
use self::arguments::{Arguments, Command, Projection};
use self::failure::Failure;
use self::progress::Screen;
use crate::domain::Domain;
use crate::store::Store;

mod answer;
mod arguments;
mod backup;
mod drop;
mod event;
mod failure;
mod progress;
mod projections;
mod rebuild;
mod replay;
mod show;
mod stats;
mod streams;
mod tail;
mod trace;
mod verify;

/// Runs the tool on the process's arguments, answers on standard output, and tells
/// errors on standard error.
///
/// # Panics
///
/// Inside of a Tokio runtime, such as that of `#[tokio::main]`: it starts its own.
#[must_use]
pub fn main(domain: Domain) -> ExitCode {
    // Not locked: a subscriber of the program's logs may write there, too, from the thread
    // that the store writes on.
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let screen = match err.is_terminal() {
        true => Screen::Terminal,
        false => Screen::Lines,
    };
    let arguments = std::env::args_os();
    ExitCode::from(run_on(&domain, arguments, &mut out, (&mut err, screen)))
}

/// Runs the tool on these arguments, the program's name first, and answers the exit
/// code.
///
/// ```
/// # use annalist::Domain;
/// let (mut out, mut err) = (Vec::new(), Vec::new());
/// let arguments = ["annalist", "stats", "no-such.db"];
/// let code = annalist::tool::run(&Domain::new(), arguments, &mut out, &mut err);
/// assert_eq!(code, 1);
/// assert!(String::from_utf8(err)?.contains("no-such.db"));
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
///
/// # Panics
///
/// Inside of a Tokio runtime: it starts its own.
pub fn run<A: Into<OsString> + Clone>(
    domain: &Domain,
    arguments: impl IntoIterator<Item = A>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    run_on(domain, arguments, out, (err, Screen::Lines))
}

fn run_on<A: Into<OsString> + Clone>(
    domain: &Domain,
    arguments: impl IntoIterator<Item = A>,
    out: &mut dyn Write,
    (err, screen): (&mut dyn Write, Screen),
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is an answer, anything else is told as an error.
            let _ = match error.use_stderr() {
                true => write!(err, "{error}"),
                false => write!(out, "{error}"),
            };
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let mut answer = Answer::new(out, arguments.json);
    let done = runtime().and_then(|runtime| {
        let told: &mut dyn Write = err;
        let command = &arguments.command;
        runtime.block_on(execute(domain, command, &mut answer, (told, screen)))
    });
    // What was answered before a failure is an answer, too.
    match done.and(answer.flush()) {
        Ok(()) => 0,
        // Whoever reads has seen enough, as `head` has.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(failure) => {
            failure.tell(err);
            failure.exit_code()
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_time().build()?)
}

/// The next item of a read.
async fn next<S: Stream + Unpin>(items: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *items).poll_next(cx)).await
}

async fn execute(
    domain: &Domain,
    command: &Command,
    answer: &mut Answer<'_>,
    (err, screen): (&mut dyn Write, Screen),
) -> Result<(), Failure> {
    let file = command.file();
    let store = open(file).await?;
    let done = match command {
        Command::Verify { .. } => verify::verify(&store, answer).await,
        Command::Backup { to, .. } => backup::backup(&store, to, answer).await,
        Command::Show {
            stream,
            backwards,
            limit,
            ..
        } => show::show(&store, stream, *backwards, *limit, answer).await,
        Command::Replay {
            stream, at, as_of, ..
        } => {
            let until = replay::Until::of(*at, *as_of);
            replay::replay(domain, &store, stream, until, answer).await
        }
        Command::Streams {
            category,
            prefix,
            limit,
            ..
        } => {
            let prefix = match category {
                Some(category) => format!("{category}-"),
                None => prefix.clone().unwrap_or_default(),
            };
            streams::streams(&store, &prefix, *limit, answer).await
        }
        Command::Tail(wanted) => tail::tail(&store, wanted, answer, err).await,
        Command::Trace { correlation_id, .. } => trace::trace(&store, correlation_id, answer).await,
        Command::Projections { database, .. } => {
            projections::projections(&store, database.as_deref(), answer).await
        }
        Command::Projection(Projection::Rebuild(wanted)) => {
            rebuild::rebuild(domain, &store, wanted, answer, (err, screen)).await
        }
        Command::Projection(Projection::Drop(wanted)) => drop::drop(&store, wanted, answer).await,
        Command::Stats { .. } => stats::stats(&store, file, answer).await,
    };
    store.close().await?;
    done
}

async fn open(file: &Path) -> Result<Store, Failure> {
    has_content(file)?;
    Ok(Store::open(file).await?)
}

/// Opening would make what is asked for where there is none, and in an empty file.
fn has_content(file: &Path) -> Result<(), Failure> {
    let missing = match std::fs::metadata(file) {
        Err(_) => "there is no file",
        Ok(found) if found.is_file() && found.len() == 0 => "there is no store in",
        Ok(_) => return Ok(()),
    };
    Err(Failure::Told(format!("{missing} {}", file.display())))
}
