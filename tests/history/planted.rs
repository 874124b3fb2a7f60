//! Stores with a fault, and whether random histories tell.

use annalist::Store;
use annalist::testkit::history::{Streams, check};

use crate::backend::{Fault, Slow};
use crate::clients::{Size, Turns, refusal, run};
use crate::{HISTORIES_VARIABLE, Random, SEED_VARIABLE, variable};

/// For each fault. The seeds are the same in every run, unless one is set: a fault
/// that shows itself by chance alone would make this a test that fails by chance.
const TRIES: u64 = 100;

const SIZE: Size = Size {
    clients: 4,
    streams: 2,
    calls: 60,
};

/// Runs histories on a store with a fault; all must be refused, or none.
async fn refused(fault: Fault, all: bool) {
    let first = variable(SEED_VARIABLE).unwrap_or(0);
    let tries = variable(HISTORIES_VARIABLE).map_or(TRIES, |all| TRIES.max(all / 20));
    let (mut caught, mut by_search, mut story) = (0, 0, None);
    for seed in (0..tries).map(|number| first.wrapping_add(number)) {
        let store = Slow::store(&Store::memory(), fault, Random(seed).split());
        let history = run(&store, seed, SIZE, Turns::Together).await;
        by_search += u64::from(check(&Streams, &history).refutation().is_some());
        let refusal = refusal(&history);
        caught += u64::from(refusal.is_some());
        assert_eq!(
            refusal.is_some(),
            all,
            "{fault:?}, seed {seed}: {refusal:?}"
        );
        story = story.or(refusal);
    }
    println!("{fault:?}: {caught} of {tries} refused, {by_search} of them by the search alone");
    if let Some(story) = story {
        println!("{story}\n");
    }
}

#[tokio::test]
async fn without_a_fault_nothing_is_refused() {
    refused(Fault::None, false).await;
}

#[tokio::test]
async fn a_version_check_left_out_is_caught() {
    refused(Fault::ChecksNothing, true).await;
}

#[tokio::test]
async fn a_version_check_left_out_and_hidden_is_caught() {
    refused(Fault::ChecksNothingAndHidesIt, true).await;
}

#[tokio::test]
async fn an_answer_before_the_commit_is_caught() {
    refused(Fault::AnswersBeforeItWrites, true).await;
}

#[tokio::test]
async fn an_answer_without_a_commit_is_caught() {
    refused(Fault::AnswersAndForgets, true).await;
}

#[tokio::test]
async fn a_position_told_twice_is_caught() {
    refused(Fault::ReusesPositions, true).await;
}

#[tokio::test]
async fn a_read_of_what_was_is_caught() {
    refused(Fault::ReadsWhatWas, true).await;
}

#[tokio::test]
async fn a_forgotten_event_id_is_caught() {
    refused(Fault::ForgetsIds, true).await;
}
