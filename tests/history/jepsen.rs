//! A compare-and-set register: histories that Jepsen recorded against etcd, and the
//! verdicts that are known of them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;
use std::{fmt, fs};

use annalist::testkit::history::{Call, History, Model, Verdict, check};

/// A register that holds nothing at first.
pub(crate) struct Register;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Read,
    Write(u32),
    Swap { from: u32, to: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Held(Option<u32>),
    Done,
    /// It held something else.
    Failed,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Model for Register {
    type Object = &'static str;
    type State = Option<u32>;
    type Op = Op;
    type Answer = Answer;

    fn object(&self, _: &Op) -> Option<&'static str> {
        Some("the register")
    }

    fn initial(&self) -> Option<u32> {
        None
    }

    fn step(&self, held: &Option<u32>, op: &Op, answer: Option<&Answer>) -> Option<Option<u32>> {
        let (due, after) = match *op {
            Op::Read => (Answer::Held(*held), *held),
            Op::Write(value) => (Answer::Done, Some(value)),
            Op::Swap { from, to } if *held == Some(from) => (Answer::Done, Some(to)),
            Op::Swap { .. } => (Answer::Failed, *held),
        };
        answer.is_none_or(|answer| *answer == due).then_some(after)
    }
}

fn parsed(log: &str) -> History<Op, Answer> {
    let mut history = History::default();
    let mut under_way: HashMap<usize, (Op, Call)> = HashMap::new();
    for line in log.lines() {
        let operation = line.trim_start_matches("INFO  jepsen.util - ");
        let words: Vec<_> = operation.split_whitespace().collect();
        let [process, state, op, value @ ..] = &words[..] else {
            panic!("not an operation: {line:?}");
        };
        let process = process.parse().unwrap();
        if *state == ":invoke" {
            let op = op_of(op, value);
            let call = history.invoke(process, op);
            assert!(under_way.insert(process, (op, call)).is_none(), "{line:?}");
            continue;
        }
        let (op, call) = under_way.remove(&process).unwrap();
        match (*state, op) {
            (":ok", Op::Read) => history.complete(call, Answer::Held(value[0].parse().ok())),
            (":ok", _) => history.complete(call, Answer::Done),
            (":fail", Op::Swap { .. }) => history.complete(call, Answer::Failed),
            // A read that timed out has no effect, a write that did may have one.
            (":fail", Op::Read) | (":info", _) => {}
            other => panic!("{other:?} in {line:?}"),
        }
    }
    history
}

fn op_of(op: &str, value: &[&str]) -> Op {
    let numbers = value
        .iter()
        .map(|word| word.trim_matches(['[', ']']).parse());
    let numbers: Vec<u32> = numbers.filter_map(Result::ok).collect();
    match (op, &numbers[..]) {
        (":read", []) => Op::Read,
        (":write", [value]) => Op::Write(*value),
        (":cas", [from, to]) => Op::Swap {
            from: *from,
            to: *to,
        },
        other => panic!("not an operation: {other:?}"),
    }
}

#[test]
fn every_history_of_etcd_is_judged_right() {
    let Some(folder) = std::env::var_os("ANNALIST_TEST_DATA") else {
        println!("skipped: ANNALIST_TEST_DATA does not name the folder of the histories");
        return;
    };
    let folder = Path::new(&folder).join("jepsen-etcd");
    let verdicts = fs::read_to_string(folder.join("verdicts.csv")).unwrap();
    let (mut right, mut operations, begin) = (0, 0, Instant::now());
    let mut wrong = Vec::new();
    for line in verdicts.lines() {
        let (name, linearizable) = line.split_once(',').unwrap();
        let history = parsed(&fs::read_to_string(folder.join(name)).unwrap());
        operations += history.operations().len();
        let verdict = check(&Register, &history);
        let is_right = match linearizable {
            "true" => verdict.is_linearizable(),
            "false" => verdict.refutation().is_some(),
            other => panic!("no verdict: {other:?}"),
        };
        match is_right {
            true => right += 1,
            false => wrong.push(format!("{name} is {linearizable}, judged {verdict}")),
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{right} of {} histories, {operations} operations, {seconds:.2} s",
        right + wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(right >= 50, "only {right} histories");
}

#[test]
fn a_log_is_read_as_it_stands() {
    let log = "INFO  jepsen.util - 0\t:invoke\t:write\t4\n\
               INFO  jepsen.util - 1\t:invoke\t:cas\t[4 2]\n\
               INFO  jepsen.util - 0\t:info\t:write\t:timed-out\n\
               INFO  jepsen.util - 1\t:ok\t:cas\t[4 2]\n\
               INFO  jepsen.util - 2\t:invoke\t:read\tnil\n\
               INFO  jepsen.util - 2\t:ok\t:read\t2\n";
    let history = parsed(log);
    assert!(check(&Register, &history).is_linearizable());
    // What nobody wrote cannot be read, whatever the write of unknown outcome did.
    let history = parsed(&log.replace(":read\t2", ":read\t3"));
    let verdict = check(&Register, &history);
    let Verdict::NotLinearizable(refutation) = &verdict else {
        panic!("{verdict}");
    };
    assert_eq!(refutation.order.len(), 2);
    assert_eq!(refutation.refused.op, "Read");
}
