//! Imports a log of road-traffic fines and proves that all of it arrived.
//!
//! ```text
//! cargo run --release --example traffic_fines                       # the sample
//! cargo run --release --example traffic_fines -- PATH [STORE_FILE]  # a log of yours
//! ```
//!
//! The log is a file of JSON lines, one event a line, in the order of time; see
//! `sample.jsonl` beside this file. Each case becomes an aggregate, each line a command,
//! and workers race for the lines of one case: who loses decides again. Afterwards
//! everything is read back in two ways that must agree, and summed up.
//!
//! Meanwhile a projection follows and sums up by month; its sums must agree, too.
//!
//! Run it on the same log again and nothing changes. Change a fine behind the log's back
//! and the next import that would go on upon it is refused.
//!
//! In the order that the data takes:
//!
//! | file | what it is for |
//! |---|---|
//! | `import.rs` | from the log to the store |
//! | `fine.rs` | the domain: the events, the fine they fold to, and the command |
//! | `months.rs` | the read model that follows: sums by month |
//! | `totals.rs` | from the store back to the fines, and their sums |

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use annalist::follow::Following;
use annalist::projection::Projection;
use annalist::{CommandBus, DispatchError, Store};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::fine::{Fine, FineEvent};
use crate::import::{Log, SAMPLE, import};
use crate::months::{ByMonth, Months, domain};
use crate::totals::{Totals, read_back};

mod fine;
mod import;
mod months;
mod totals;

/// How long the months may take to come to the end of the store.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    // What cannot be a domain is told here, not by the first command that comes by name.
    domain().checked()?;
    let mut args = env::args_os().skip(1).map(PathBuf::from);
    match (args.next(), args.next(), args.next()) {
        (None, ..) => run_sample().await,
        (Some(log), store_file, None) => {
            let store_file = store_file.unwrap_or_else(|| default_store_file(&log));
            run_log(&log, &store_file).await
        }
        _ => Err("too many arguments; expected PATH [STORE_FILE]".into()),
    }
}

/// A log of the user's. The store file stays, for the next run to find.
async fn run_log(path: &Path, store_file: &Path) -> Result<(), Box<dyn Error>> {
    // First the whole log: where a line is bad, no store is touched.
    let log = Log::read(path)?;
    println!("store file: {}", store_file.display());
    let store = Store::open(store_file).await?;
    let months = domain().projection_runner(&store)?.start()?;
    import_with_progress(&store, &log).await?;
    print_totals(&store, &log, &months).await?;
    months.stop().await;
    Ok(store.close().await?)
}

/// The sample, in a store that is gone afterwards: imported twice, then upon a fine that
/// is not as the log left it.
async fn run_sample() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("sample.db")).await?;
    let log = Log::parse("the sample", SAMPLE)?;
    let months = domain().projection_runner(&store)?.start()?;

    println!("-- the sample, imported");
    import_with_progress(&store, &log).await?;
    print_totals(&store, &log, &months).await?;

    println!("\n-- the same once more");
    import_with_progress(&store, &log).await?;

    println!("\n-- a longer log, after someone else wrote to one of its fines");
    show_refusal(&store).await?;
    months.stop().await;
    Ok(store.close().await?)
}

/// A clerk takes a payment for fine S8 that is not in the log. The log's own next
/// event of S8 was not made upon that, so it must not be appended after it.
async fn show_refusal(store: &Store) -> Result<(), Box<dyn Error>> {
    let payment: FineEvent = serde_json::from_value(json!({ "Payment": {
        "at": "2021-04-01T09:30:00Z",
        "payment_cents": 4000,
        "total_paid_cents": 4000,
    }}))?;
    let bus = CommandBus::new(store.clone());
    let pay = move |_: &Fine| Ok::<_, Infallible>(vec![payment.clone()]);
    bus.decide("S8", "pay at the counter", pay).await?;

    let next =
        br#"{"case":"S8","activity":"Send Fine","at":"2021-05-02T00:00:00Z","expense_cents":1250}"#;
    let longer = Log::parse("the longer log", &[SAMPLE, next].concat())?;
    match import(store, &longer, || ()).await {
        Err(DispatchError::Rejected(refusal)) => {
            println!("refused, as it should be: {refusal}");
            Ok(())
        }
        Err(other) => Err(other.into()),
        Ok(_) => Err("the payment behind the log's back went unnoticed".into()),
    }
}

/// A file in the system's folder for temporary files, named after the log: the
/// log's own folder may be read-only.
fn default_store_file(log: &Path) -> PathBuf {
    let stem = log.file_stem().unwrap_or_default().to_string_lossy();
    env::temp_dir().join(format!("annalist-traffic-fines-{stem}.db"))
}

async fn import_with_progress(store: &Store, log: &Log) -> Result<(), Box<dyn Error>> {
    // Shown where standard error is a terminal, and nowhere else.
    let bar = ProgressBar::with_draw_target(Some(log.events), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(
        "{wide_bar} {human_pos}/{human_len} events, {per_sec}",
    )?);
    let start = Instant::now();
    let imported = import(store, log, || bar.inc(1)).await;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let imported = imported?;
    let rate = log.events as f64 / seconds.max(f64::EPSILON);
    println!(
        "{} lines in {seconds:.2} s, {} lines/s",
        HumanCount(log.events),
        HumanCount(rate as u64),
    );
    println!("{imported}");
    if imported.appended == 0 {
        println!("nothing changed: the store holds every event of this log already");
    }
    Ok(())
}

async fn print_totals(store: &Store, log: &Log, months: &Following) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let ledger = read_back(store).await?;
    let seconds = start.elapsed().as_secs_f64();
    println!("read back by position and fine by fine in {seconds:.2} s; both agree\n");
    let totals = Totals::of(&ledger);
    println!("{totals}");
    let head = store.head().await?;
    let start = Instant::now();
    months.wait_for(Months::NAME, head, PATIENCE).await?;
    let waited = start.elapsed().as_secs_f64();
    let months = ByMonth::read(&store.database()?).await?;
    months.check(&totals)?;
    println!("\nby month, as was followed meanwhile and is there after {waited:.2} s; both agree:");
    println!("{months}");
    if totals.events > log.events {
        println!("note: the store holds events that are not in this log; they are counted too");
    }
    Ok(())
}
