//! The targets of the store's speed, each a ratio against a baseline of the same run.
//!
//! ```text
//! cargo bench --bench targets                      # all of them
//! cargo bench --bench targets -- queued optimistic # those whose names hold one of these
//! cargo bench --bench targets -- --quick           # each once, a tenth of the events: within 50 s
//! cargo bench --bench targets -- --json            # a line of JSON for each
//! ```
//!
//! Ratios travel between machines, figures per second do not. Durable means WAL and
//! `synchronous=FULL`; both sides of a ratio write to the same disk with the same pragmas.

mod appends;
mod bank;
mod contention;
mod file;
mod loads;
mod measure;
mod million;
mod naive;
mod snapshots;
mod subscribers;
#[path = "../feed/told.rs"]
mod told;

use std::cell::OnceCell;
use std::time::Duration;

use measure::{Bench, Better, Measure, median};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let others_part =
        async { told::is_done_as_other_process().await || file::is_done_as_reader().await };
    if runtime.block_on(others_part) {
        return;
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let names: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let (is_quick, is_json) = (has("--quick"), has("--json"));
    let (rounds, length) = match is_quick {
        true => (1, Duration::from_millis(300)),
        false => (5, Duration::from_millis(1_500)),
    };
    let bench = Bench {
        runtime,
        length,
        is_quick,
        file: OnceCell::new(),
    };
    let wanted = |measure: &&Measure| {
        names.is_empty()
            || names
                .iter()
                .any(|name| measure.name.contains(name.as_str()))
    };
    if !is_json {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        println!(
            "{cores} cores, SQLite {}; medians of {rounds} rounds of {length:?}",
            rusqlite::version()
        );
        println!(
            "{:20} {:>8} {:>8}  {:6}  settings",
            "measure", "ratio", "target", ""
        );
    }
    let groups: [(&[Measure], usize); 7] = [
        (&appends::MEASURES, rounds),
        (&loads::MEASURES, rounds),
        (&snapshots::MEASURES, rounds),
        (&contention::MEASURES, rounds),
        (&subscribers::MEASURES, rounds),
        (&file::MEASURES, rounds),
        // Long enough for the noise to cancel out within one.
        (&million::MEASURES, 1),
    ];
    for (measures, rounds) in groups {
        for measure in measures.iter().filter(wanted) {
            let ratio = median((0..rounds).map(|_| (measure.round)(&bench)));
            say(measure, ratio, is_json);
        }
    }
}

fn say(measure: &Measure, ratio: f64, is_json: bool) {
    let Measure {
        name,
        target,
        better,
        settings,
        ..
    } = measure;
    if is_json {
        let better = match better {
            Better::More => "more",
            Better::Less => "less",
        };
        let line = serde_json::json!({
            "measure": name, "ratio": ratio, "target": target, "better": better,
            "settings": settings,
        });
        return println!("{line}");
    }
    let is_met = match better {
        Better::More => ratio >= *target,
        Better::Less => ratio <= *target,
    };
    let verdict = match is_met {
        true => "met",
        false if ratio.is_nan() => "?",
        false => "missed",
    };
    println!("{name:20} {ratio:8.2} {target:8.2}  {verdict:6}  {settings}");
}
