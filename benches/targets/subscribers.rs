//! How soon a subscriber is told, against when the caller of the append is answered.

use crate::measure::{Bench, Better, Measure};
use crate::told::{Round, told_here, told_there};

const fn told(
    name: &'static str,
    target: f64,
    settings: &'static str,
    round: fn(&Bench) -> f64,
) -> Measure {
    Measure {
        name,
        target,
        better: Better::Less,
        settings,
        round,
    }
}

const HERE: &str =
    "median time until a subscriber in the process has an event, against its acknowledgement";
const THERE: &str =
    "median time until a subscriber in another process has an event, against its acknowledgement";

/// The number is that of the callers who append.
pub(crate) const MEASURES: [Measure; 4] = [
    told("told_1", 1.25, HERE, |bench| here(bench, 1)),
    told("told_64", 1.25, HERE, |bench| here(bench, 64)),
    told("told_there_1", 1.5, THERE, |bench| there(bench, 1)),
    told("told_there_64", 1.5, THERE, |bench| there(bench, 64)),
];

fn here(bench: &Bench, callers: usize) -> f64 {
    p50(bench.run(told_here(callers, bench.length)))
}

fn there(bench: &Bench, callers: usize) -> f64 {
    p50(bench.run(told_there(callers, bench.length)))
}

fn p50(Round { ack, told }: Round) -> f64 {
    told[0] / ack[0]
}
