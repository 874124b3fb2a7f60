//! The search says what trying every order of every choice of operations says.

use annalist::testkit::history::{Call, History, Model, Operation, check};

use crate::jepsen::{Answer, Op, Register};
use crate::{Random, first_seed};

const HISTORIES: u64 = 3_000;

/// Few values, so that answers fit by chance about as often as not.
const VALUES: usize = 2;

fn op(random: &mut Random) -> Op {
    let mut value = || u32::try_from(random.below(VALUES)).unwrap();
    let (from, to) = (value(), value());
    match random.below(3) {
        0 => Op::Read,
        1 => Op::Write(to),
        _ => Op::Swap { from, to },
    }
}

fn answer(op: Op, random: &mut Random) -> Answer {
    match op {
        Op::Read => Answer::Held(
            u32::try_from(random.below(VALUES + 1))
                .unwrap()
                .checked_sub(1),
        ),
        Op::Swap { .. } if random.once_in(2) => Answer::Failed,
        Op::Write(_) | Op::Swap { .. } => Answer::Done,
    }
}

/// Up to six operations of three clients, answered at random or not at all.
fn history(random: &mut Random) -> History<Op, Answer> {
    let mut history = History::default();
    let mut under_way: [Option<(Op, Call)>; 3] = Default::default();
    let mut left = 2 + random.below(5);
    while left > 0 {
        let client = random.below(3);
        match under_way[client].take() {
            Some((op, call)) => {
                // Where it is not told, the client gives up and goes on.
                if !random.once_in(5) {
                    history.complete(call, answer(op, random));
                }
            }
            None => {
                let op = op(random);
                under_way[client] = Some((op, history.invoke(client, op)));
                left -= 1;
            }
        }
    }
    for (op, call) in under_way.into_iter().flatten() {
        if random.once_in(2) {
            history.complete(call, answer(op, random));
        }
    }
    history
}

/// Whether any order of all answered and some of the other operations explains them.
fn any_order(history: &History<Op, Answer>) -> bool {
    let (answered, unknown): (Vec<_>, Vec<_>) = history
        .operations()
        .iter()
        .partition(|operation| operation.completed.is_some());
    (0..1 << unknown.len()).any(|choice: usize| {
        let chosen = (0..unknown.len()).filter(|index| choice >> index & 1 == 1);
        let mut operations = answered.clone();
        operations.extend(chosen.map(|index| unknown[index]));
        any_permutation(&mut operations, 0)
    })
}

fn any_permutation(operations: &mut [&Operation<Op, Answer>], fixed: usize) -> bool {
    if fixed == operations.len() {
        return explains(operations);
    }
    (fixed..operations.len()).any(|next| {
        operations.swap(fixed, next);
        let found = any_permutation(operations, fixed + 1);
        operations.swap(fixed, next);
        found
    })
}

fn explains(order: &[&Operation<Op, Answer>]) -> bool {
    let keeps_time = (0..order.len()).all(|later| {
        let mut before = order[..later].iter();
        before.all(|earlier| !order[later].precedes(earlier))
    });
    let mut operations = order.iter();
    keeps_time
        && operations
            .try_fold(Register.initial(), |state, operation| {
                Register.step(&state, &operation.op, operation.answer())
            })
            .is_some()
}

#[test]
fn the_search_agrees_with_trying_every_order() {
    let mut random = Random(first_seed("every order"));
    let mut linearizable = 0;
    for _ in 0..HISTORIES {
        let history = history(&mut random);
        let (verdict, expected) = (check(&Register, &history), any_order(&history));
        assert_eq!(
            verdict.is_linearizable(),
            expected,
            "{history:#?}\n{verdict}"
        );
        assert_eq!(verdict.refutation().is_some(), !expected);
        linearizable += u64::from(expected);
    }
    println!("{linearizable} of {HISTORIES} are linearizable");
    let share = 100 * linearizable / HISTORIES;
    assert!(
        (10..90).contains(&share),
        "{share} % are linearizable, so little was shown"
    );
}
