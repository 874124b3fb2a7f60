//! The command line `annalist` as a library: looks into a store file and checks it.
//!
//! The binary of the same name does nothing but call [`main`]. No command makes a store
//! or changes what one holds. Opening it is what opening is to any process, though: the
//! file must be writable, and one of an older release is brought to this one's schema.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | the file could not be opened or read, or there is no such stream or trace |
//! | 2 | the arguments make no sense |
//! | 3 | stored data is damaged |

use std::ffi::OsString;
use std::future::poll_fn;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use futures_core::Stream;

use crate::store::{Store, StoreError, StoreErrorKind};

mod answer;
mod backup;
mod show;
mod stats;
mod streams;
mod trace;
mod verify;

/// Looks into Annalist store files and checks them.
#[derive(Debug, Parser)]
#[command(name = "annalist", version, arg_required_else_help = true)]
struct Arguments {
    /// Answer in JSON, one document a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every row; exit code 3 if something is damaged.
    Verify {
        /// The store file.
        file: PathBuf,
    },
    /// Copy the store to a new file while it is in use, and check the copy.
    Backup {
        /// The store file.
        file: PathBuf,
        /// The file to write; there must be none yet.
        to: PathBuf,
    },
    /// Print the events of a stream.
    Show {
        /// The store file.
        file: PathBuf,
        /// The stream, such as account-42.
        stream: String,
        /// Begin with the last event.
        #[arg(long)]
        backwards: bool,
        /// Print so many events at most.
        #[arg(long, value_name = "EVENTS")]
        limit: Option<u64>,
    },
    /// List the streams.
    Streams {
        /// The store file.
        file: PathBuf,
        /// Only streams of this category.
        #[arg(long, conflicts_with = "prefix")]
        category: Option<String>,
        /// Only streams that begin so.
        #[arg(long)]
        prefix: Option<String>,
        /// List so many streams at most.
        #[arg(long, value_name = "STREAMS")]
        limit: Option<u64>,
    },
    /// Print what has one correlation id, each event under the one that caused it.
    Trace {
        /// The store file.
        file: PathBuf,
        /// The correlation id.
        correlation_id: String,
    },
    /// Print how much the store holds.
    Stats {
        /// The store file.
        file: PathBuf,
    },
}

/// What a command could not do.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("writing the answer")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Told(String),
    /// The answer is already printed.
    #[error("damaged")]
    Damaged,
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged => 3,
            Self::Store(error) if matches!(error.kind(), StoreErrorKind::Corrupt { .. }) => 3,
            _ => 1,
        }
    }
}

/// Runs the tool on the process's arguments, answers on standard output, and tells
/// errors on standard error.
#[must_use]
pub fn main() -> ExitCode {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    ExitCode::from(run(std::env::args_os(), &mut out, &mut err))
}

/// Runs the tool on these arguments, the program's name first, and answers the exit
/// code.
///
/// ```
/// let (mut out, mut err) = (Vec::new(), Vec::new());
/// let code = annalist::tool::run(["annalist", "stats", "no-such.db"], &mut out, &mut err);
/// assert_eq!(code, 1);
/// assert!(String::from_utf8(err)?.contains("no-such.db"));
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
pub fn run<A: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = A>,
    out: &mut dyn Write,
    err: &mut dyn Write,
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
    let done = runtime().and_then(|runtime| runtime.block_on(execute(&arguments, out)));
    match done {
        Ok(()) => 0,
        // Whoever reads has seen enough, as `head` has.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(failure) => {
            tell(&failure, err);
            failure.exit_code()
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_time().build()?)
}

fn tell(failure: &Failure, err: &mut dyn Write) {
    if matches!(failure, Failure::Damaged) {
        return;
    }
    let _ = writeln!(err, "annalist: {}", answer::plain(&failure.to_string()));
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        let _ = writeln!(err, "  because: {}", answer::plain(&error.to_string()));
        cause = error.source();
    }
}

/// The next item of a read.
async fn next<S: Stream + Unpin>(items: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *items).poll_next(cx)).await
}

async fn execute(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let Arguments { json, command } = arguments;
    let mut answer = answer::Answer::new(out, *json);
    let file = match command {
        Command::Verify { file }
        | Command::Backup { file, .. }
        | Command::Show { file, .. }
        | Command::Streams { file, .. }
        | Command::Trace { file, .. }
        | Command::Stats { file } => file,
    };
    // Opening would make a store where there is none, and in an empty file.
    let missing = match std::fs::metadata(file) {
        Err(_) => Some("there is no file"),
        Ok(found) if found.is_file() && found.len() == 0 => Some("there is no store in"),
        Ok(_) => None,
    };
    if let Some(missing) = missing {
        return Err(Failure::Told(format!("{missing} {}", file.display())));
    }
    let store = Store::open(file).await?;
    let done = match command {
        Command::Verify { .. } => verify::verify(&store, &mut answer).await,
        Command::Backup { to, .. } => backup::backup(&store, to, &mut answer).await,
        Command::Show {
            stream,
            backwards,
            limit,
            ..
        } => show::show(&store, stream, *backwards, *limit, &mut answer).await,
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
            streams::streams(&store, &prefix, *limit, &mut answer).await
        }
        Command::Trace { correlation_id, .. } => {
            trace::trace(&store, correlation_id, &mut answer).await
        }
        Command::Stats { .. } => stats::stats(&store, file, &mut answer).await,
    };
    store.close().await?;
    done
}
