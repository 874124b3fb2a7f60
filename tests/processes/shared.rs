//! Four processes write the same streams at once: exact versions with a loop on
//! conflicts, `Any`, several events, several streams, and commit keys that every
//! process sends. Nothing is lost, nothing stands twice, each key takes effect once.
//!
//! 2,000 commits for each process in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_PROCESS_APPENDS=10000 cargo test --release --test processes shared -- --nocapture
//! ```

use std::collections::{BTreeMap, HashMap};

use crate::child::{Ack, Figures, Line, Role, Spec, Worker};
use crate::ledger::Ledger;
use crate::plan::{Keys, Name, Rules};
use crate::{Place, number, seed};

const PROCESSES: u32 = 4;
const CALLERS: u32 = 16;

#[tokio::test]
async fn four_processes_on_one_file_lose_nothing_and_write_nothing_twice() {
    let commits = number("ANNALIST_PROCESS_APPENDS", 2_000u32).div_ceil(CALLERS);
    let rules = Rules {
        seed: seed("shared"),
        streams: 64,
        keys: Keys::Shared,
        padding_bytes: 0,
    };
    let place = Place::new();
    let mut workers: Vec<_> = (0..PROCESSES)
        .map(|worker| {
            Worker::start(&Spec {
                path: place.path(),
                role: Role::Load {
                    callers: CALLERS,
                    commits: Some(commits),
                    rest_us_max: 20000,
                },
                rules,
                round: 0,
                worker,
                checkpoint_pages: 1_000,
            })
        })
        .collect();
    workers.iter().for_each(Worker::opened);
    workers.iter_mut().for_each(Worker::go);
    let mut answers: Vec<Ack> = Vec::new();
    let mut met = Figures::default();
    for line in workers.into_iter().flat_map(Worker::finish) {
        match line {
            Line::Ack(ack) => answers.push(ack),
            Line::Done(figures) => {
                met.conflicts += figures.conflicts;
                met.busy += figures.busy;
                met.slowest_ms = met.slowest_ms.max(figures.slowest_ms);
            }
            _ => {}
        }
    }
    assert_eq!(answers.len() as u32, PROCESSES * CALLERS * commits);
    assert!(met.conflicts > 0, "nobody ever lost a race: nothing shown");

    let store = place.open().await;
    let mut ledger = Ledger::default();
    ledger.read_on(&store, &rules).await;
    ledger.assert_streams(&store).await;
    let keys = assert_answers(&answers, &ledger, &rules);
    store.close().await.expect("a clean close");
    place.assert_intact();

    let (events, landed) = ledger.totals();
    let turns = turns(&answers);
    assert!(turns > 50, "{turns} turns are one process after the other");
    println!(
        "shared: {PROCESSES} processes, {} commits answered, {landed} landed with {events} events in {turns} turns, \
         {keys} keys each once, {} conflicts, {} busy, slowest answer {} ms, lost 0, twice 0",
        answers.len(),
        met.conflicts,
        met.busy,
        met.slowest_ms,
    );
}

/// How often the file passed from one process to another.
fn turns(answers: &[Ack]) -> usize {
    let landed = answers.iter().filter(|answer| !answer.known);
    let mut writers: Vec<_> = landed
        .map(|answer| (answer.receipt.position, answer.name().worker))
        .collect();
    writers.sort_unstable();
    writers.dedup_by_key(|(_, worker)| *worker);
    writers.len()
}

/// Every answer is borne out by the file, and the file holds nothing else. Answers
/// how many keys took effect.
fn assert_answers(answers: &[Ack], ledger: &Ledger, rules: &Rules) -> usize {
    let mut by_key: HashMap<String, Vec<&Ack>> = HashMap::new();
    let mut landed = 0;
    for answer in answers {
        let name = answer.name();
        assert_eq!(ledger.holds(name), !answer.known, "commit {name}");
        if !answer.known {
            ledger.assert_stands(name, &answer.receipt);
            landed += 1;
        }
        if let Some(key) = rules.plan(name).key {
            by_key.entry(key).or_default().push(answer);
        }
    }
    assert_eq!(
        ledger.names().count(),
        landed,
        "nobody was told of the rest"
    );
    let mut won: BTreeMap<u32, u32> = BTreeMap::new();
    for (key, answers) in &by_key {
        let first: Vec<&&Ack> = answers.iter().filter(|answer| !answer.known).collect();
        let [first] = first.as_slice() else {
            panic!("key {key} took effect {} times", first.len());
        };
        assert_eq!(answers.len() as u32, PROCESSES, "key {key}");
        for other in answers {
            let receipt = &other.receipt;
            assert_eq!(receipt.replayed, other.known, "key {key}");
            assert_eq!(receipt.appends, first.receipt.appends, "key {key}");
            assert_eq!(receipt.position, first.receipt.position, "key {key}");
        }
        let Name { worker, .. } = first.name();
        *won.entry(worker).or_default() += 1;
    }
    println!("shared: keys won by each process: {won:?}");
    by_key.len()
}
