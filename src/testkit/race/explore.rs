//! Every schedule of a race, each state of it once.
//!
//! Two runs that stand alike, whichever way they came there, go on alike: the store holds the
//! same, and each command was told the same. So what is behind such a state is explored once
//! and counted as often as it is reached, and the number of schedules that are covered is far
//! larger than that of runs. What is not explored twice is not judged twice either: an ending
//! is judged by what is stored and answered, and not by the way there.

use std::collections::HashMap;

use super::ending::Ending;
use super::judge::{Wrong, judge};
use super::run::Run;
use super::schedule::{Schedule, Turn};
use super::{Contest, Explored};

/// What went wrong, and how.
pub(super) struct Found {
    pub(super) wrong: Wrong,
    pub(super) schedule: Schedule,
    /// Nothing where user code failed so that there is none to tell of.
    pub(super) ending: Option<Ending>,
    /// Whether the schedule was drawn at random.
    pub(super) drawn: bool,
}

/// A state that is not yet explored to its end.
struct Node {
    digest: u64,
    turns: Vec<Turn>,
    /// Which of them is being explored.
    at: usize,
    schedules: u64,
}

/// Explores every schedule; beyond a bound, samples.
pub(super) fn explore(contest: &Contest) -> Result<Explored, Box<Found>> {
    // Where no fault is needed, none is told of.
    let first = Contest {
        faults_max: 0,
        ..contest.clone()
    };
    let mut explored = Explored::default();
    let mut schedules = every(&first, &mut explored)?;
    if contest.faults_max > 0 {
        let before = explored.runs;
        explored = Explored::default();
        schedules = every(contest, &mut explored)?;
        explored.runs += before;
    }
    explored.faults_max = contest.faults_max;
    match schedules {
        Some(schedules) => {
            explored.schedules = schedules;
            Ok(explored)
        }
        None => samples(contest, explored),
    }
}

/// Answers how many schedules there are; nothing where the bound was met before.
fn every(contest: &Contest, explored: &mut Explored) -> Result<Option<u64>, Box<Found>> {
    let mut known: HashMap<u64, u64> = HashMap::new();
    let mut path: Vec<Node> = Vec::new();
    loop {
        if explored.runs >= contest.runs_max.max(1) {
            return Ok(None);
        }
        explored.runs += 1;
        let mut run = begin(contest)?;
        for node in &path {
            if let Some(turn) = node.turns.get(node.at) {
                take(&mut run, *turn)?;
            }
        }
        let mut behind = go_on(contest, &mut run, &mut known, &mut path, explored)?;
        // Back to the last state that has a turn left.
        loop {
            let Some(node) = path.last_mut() else {
                return Ok(Some(behind));
            };
            node.schedules = node.schedules.saturating_add(behind);
            node.at += 1;
            if node.at < node.turns.len() {
                break;
            }
            behind = node.schedules;
            known.insert(node.digest, behind);
            path.pop();
        }
    }
}

/// Goes on to an ending, or to a state that is known. Answers how many schedules are behind it.
fn go_on(
    contest: &Contest,
    run: &mut Run<'_>,
    known: &mut HashMap<u64, u64>,
    path: &mut Vec<Node>,
    explored: &mut Explored,
) -> Result<u64, Box<Found>> {
    loop {
        let digest = run.digest();
        if let Some(behind) = known.get(&digest) {
            return Ok(*behind);
        }
        let turns = run.turns();
        let Some(first) = turns.first().copied() else {
            explored.endings += 1;
            end(contest, run)?;
            known.insert(digest, 1);
            return Ok(1);
        };
        path.push(Node {
            digest,
            turns,
            at: 0,
            schedules: 0,
        });
        take(run, first)?;
    }
}

/// Takes random schedules, a tenth as many as the bound on runs.
fn samples(contest: &Contest, mut explored: Explored) -> Result<Explored, Box<Found>> {
    let mut random = fastrand::Rng::with_seed(contest.seed);
    explored.sampled = contest.runs_max.div_ceil(10).max(1);
    explored.seed = contest.seed;
    for _ in 0..explored.sampled {
        let mut run = begin(contest)?;
        loop {
            let turns = run.turns();
            // A fault is one turn in eight, so that it comes anywhere on the way.
            let calls = turns.iter().filter(|turn| !turn.how.is_fault()).count();
            let among = match random.u8(0..8) {
                0 => turns.len(),
                _ => calls,
            };
            if among == 0 {
                break;
            }
            if let Some(turn) = turns.get(random.usize(0..among)) {
                take(&mut run, *turn)?;
            }
        }
        end(contest, &run).map_err(|mut found| {
            found.drawn = true;
            found
        })?;
    }
    explored.runs += explored.sampled;
    Ok(explored)
}

/// Runs one schedule alone. What it leaves open is gone through in order.
pub(super) fn alone(contest: &Contest, schedule: &Schedule) -> Result<Explored, Box<Found>> {
    let mut run = begin(contest)?;
    for turn in &schedule.0 {
        take(&mut run, *turn)?;
    }
    while let Some(turn) = run.turns().first().copied() {
        if turn.how.is_fault() {
            break;
        }
        take(&mut run, turn)?;
    }
    end(contest, &run)?;
    let faults = run.schedule.0.iter().filter(|turn| turn.how.is_fault());
    Ok(Explored {
        schedules: 1,
        runs: 1,
        endings: 1,
        faults_max: u32::try_from(faults.count()).unwrap_or(u32::MAX),
        ..Explored::default()
    })
}

fn begin(contest: &Contest) -> Result<Run<'_>, Box<Found>> {
    Run::new(contest).map_err(|why| failed(why, Schedule::default()))
}

fn take(run: &mut Run<'_>, turn: Turn) -> Result<(), Box<Found>> {
    let taken = run.take(turn);
    taken.map_err(|why| failed(why, run.schedule.clone()))
}

fn failed(why: String, schedule: Schedule) -> Box<Found> {
    Box::new(Found {
        wrong: Wrong::Unanswered { why },
        schedule,
        ending: None,
        drawn: false,
    })
}

fn end(contest: &Contest, run: &Run<'_>) -> Result<(), Box<Found>> {
    let ending = match Ending::of(contest, run) {
        Ok(ending) => ending,
        Err(error) => return Err(failed(error.to_string(), run.schedule.clone())),
    };
    judge(contest, &ending).map_err(|wrong| {
        Box::new(Found {
            wrong,
            schedule: run.schedule.clone(),
            ending: Some(ending),
            drawn: false,
        })
    })
}
