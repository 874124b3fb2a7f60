//! The search for an order that explains a history.
//!
//! Wing and Gong's: from the first state on, place any operation that began before
//! every unplaced one was over, and go back where none fits. Lowe's memory: whoever
//! has placed the same operations and reached the same state need not go on again.
//! It keeps its path in a list, so a long history cannot overflow the stack.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;

use super::record::{History, Operation};
use super::story::{Refutation, Story};

/// What objects do that are used by one client at a time.
pub trait Model {
    /// Names an object; each is judged alone.
    type Object: Clone + Eq + Hash + fmt::Display;
    /// What an object holds.
    type State: Clone + Eq + Hash + fmt::Debug;
    /// What is called.
    type Op: fmt::Display;
    /// What is answered.
    type Answer: fmt::Display;

    /// The object that an operation is about; none where it is about no single one,
    /// so that it is left out of the search.
    fn object(&self, op: &Self::Op) -> Option<Self::Object>;

    /// What every object holds at first.
    fn initial(&self) -> Self::State;

    /// What the object holds after the operation, if it can be answered so; none if
    /// it cannot. Where the answer is not known: what it holds if the operation takes
    /// effect, none if it would have none.
    fn step(
        &self,
        state: &Self::State,
        op: &Self::Op,
        answer: Option<&Self::Answer>,
    ) -> Option<Self::State>;
}

/// Steps of the model that [`check`] takes at most for one object.
pub const STEPS_MAX: u64 = 1_000_000;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a history that was checked may have been refused"]
pub enum Verdict {
    /// There is an order of the operations on each object that explains all answers
    /// and keeps to real time.
    Linearizable,
    /// There is none for at least one object; this tells of the first of them.
    NotLinearizable(Box<Refutation>),
    /// The search was given up; no object is known to be without an order.
    TooLarge {
        /// The first object that took too many steps.
        object: String,
        /// The bound.
        steps_max: u64,
    },
}

impl Verdict {
    /// Whether an order was found for every object.
    #[must_use]
    pub const fn is_linearizable(&self) -> bool {
        matches!(self, Self::Linearizable)
    }

    /// The story of the object for which there is no order.
    #[must_use]
    pub const fn refutation(&self) -> Option<&Refutation> {
        match self {
            Self::NotLinearizable(refutation) => Some(refutation),
            Self::Linearizable | Self::TooLarge { .. } => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linearizable => f.write_str("linearizable"),
            Self::NotLinearizable(refutation) => refutation.fmt(f),
            Self::TooLarge { object, steps_max } => write!(
                f,
                "{object}: not judged within {steps_max} steps; record shorter histories, or allow more steps"
            ),
        }
    }
}

/// Judges a history, each object alone, in at most [`STEPS_MAX`] steps for each.
///
/// ```
/// use std::fmt;
/// use annalist::testkit::history::{History, Model, check};
///
/// /// A number that is written and read.
/// struct Register;
///
/// enum Op { Write(u32), Read }
/// # impl fmt::Display for Op {
/// #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
/// #         match self { Op::Write(number) => write!(f, "write {number}"), Op::Read => f.write_str("read") }
/// #     }
/// # }
///
/// impl Model for Register {
///     type Object = &'static str;
///     type State = u32;
///     type Op = Op;
///     type Answer = u32; // what is held afterwards
///
///     fn object(&self, _: &Op) -> Option<&'static str> { Some("the register") }
///     fn initial(&self) -> u32 { 0 }
///     fn step(&self, held: &u32, op: &Op, answer: Option<&u32>) -> Option<u32> {
///         let after = match op { Op::Write(number) => *number, Op::Read => *held };
///         answer.is_none_or(|answer| *answer == after).then_some(after)
///     }
/// }
///
/// let mut history = History::default();
/// let write = history.invoke(0, Op::Write(7)); // under way during both reads
/// for read in [7, 0] {
///     let call = history.invoke(1, Op::Read);
///     history.complete(call, read);
/// }
/// history.complete(write, 7);
///
/// // Once the 7 was seen, nothing explains the 0.
/// let verdict = check(&Register, &history);
/// let refutation = verdict.refutation().unwrap();
/// assert_eq!(refutation.refused.to_string(), "client 1   [4, 5]  read -> 0");
/// ```
pub fn check<M: Model>(model: &M, history: &History<M::Op, M::Answer>) -> Verdict {
    check_within(model, history, STEPS_MAX)
}

/// The same with a bound of the caller's on the steps for each object. What the search
/// remembers grows with the steps.
pub fn check_within<M: Model>(
    model: &M,
    history: &History<M::Op, M::Answer>,
    steps_max: u64,
) -> Verdict {
    let mut too_large = None;
    for (object, operations) in by_object(model, history) {
        let mut search = Search::new(model, operations);
        match search.run(steps_max) {
            Found::Order => {}
            Found::None => {
                return Verdict::NotLinearizable(Box::new(search.refutation(object)));
            }
            Found::TooManySteps => too_large = too_large.or(Some(object)),
        }
    }
    match too_large {
        None => Verdict::Linearizable,
        Some(object) => Verdict::TooLarge { object, steps_max },
    }
}

type Operations<'a, M> = Vec<&'a Operation<<M as Model>::Op, <M as Model>::Answer>>;

/// The history of each object, in the order of their first operations.
fn by_object<'a, M: Model>(
    model: &M,
    history: &'a History<M::Op, M::Answer>,
) -> Vec<(String, Operations<'a, M>)> {
    let mut places = HashMap::new();
    let mut objects: Vec<(String, Operations<'a, M>)> = Vec::new();
    for operation in history.operations() {
        let Some(object) = model.object(&operation.op) else {
            continue;
        };
        let name = object.to_string();
        let place = *places.entry(object).or_insert_with(|| {
            objects.push((name, Vec::new()));
            objects.len() - 1
        });
        if let Some((_, operations)) = objects.get_mut(place) {
            operations.push(operation);
        }
    }
    objects
}

enum Found {
    Order,
    None,
    TooManySteps,
}

struct Search<'a, M: Model> {
    model: &'a M,
    /// In the order of their invocations; named by their index in this list.
    operations: Operations<'a, M>,
    /// When the answered ones were over, and which, in that order.
    completions: Vec<(u64, usize)>,
    placed: Placed,
    path: Vec<Node<M::State>>,
    /// What was placed before, and the state that it led to.
    known: HashSet<(Placed, M::State)>,
    /// The path that got furthest in real time.
    best: Best<M::State>,
}

/// Where the search stands after the operations placed so far.
struct Node<S> {
    state: S,
    /// What was placed to get here; nothing at the root.
    by: Option<usize>,
    /// How many completions, from the first on, are all of placed operations.
    over: usize,
    /// How many of the placed ones were answered.
    answered: usize,
    /// Every operation before this one is placed.
    first: usize,
    /// The operation to try next.
    next: usize,
}

struct Best<S> {
    over: usize,
    answered: usize,
    order: Vec<usize>,
    state: Option<S>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, operations: Operations<'a, M>) -> Self {
        let answered = (0..).zip(&operations).filter_map(|(index, operation)| {
            let completed = operation.completed.as_ref()?;
            Some((completed.at, index))
        });
        let mut completions: Vec<_> = answered.collect();
        completions.sort_unstable();
        Self {
            placed: Placed::none_of(operations.len()),
            path: vec![Node {
                state: model.initial(),
                by: None,
                over: 0,
                answered: 0,
                first: 0,
                next: 0,
            }],
            known: HashSet::new(),
            best: Best {
                over: 0,
                answered: 0,
                order: Vec::new(),
                state: None,
            },
            model,
            operations,
            completions,
        }
    }

    fn run(&mut self, steps_max: u64) -> Found {
        let mut steps_left = steps_max;
        while let Some(node) = self.path.last_mut() {
            // Whoever is over first must be placed before anything that began later.
            // Operations without an answer need not be placed at all.
            let Some(&(deadline, _)) = self.completions.get(node.over) else {
                return Found::Order;
            };
            let index = node.next;
            let Some(operation) = self.operations.get(index) else {
                self.go_back();
                continue;
            };
            if operation.invoked > deadline {
                self.go_back();
                continue;
            }
            node.next += 1;
            if self.placed.contains(index) {
                continue;
            }
            let Some(left) = steps_left.checked_sub(1) else {
                return Found::TooManySteps;
            };
            steps_left = left;
            let answer = operation.answer();
            let after = self.model.step(&node.state, &operation.op, answer);
            let Some(after) = after else { continue };
            // Placing what nobody was told of and what changes nothing explains nothing.
            if answer.is_some() || after != node.state {
                self.go_on(index, after);
            }
        }
        Found::None
    }

    /// Places an operation, unless the search has been there.
    fn go_on(&mut self, index: usize, state: M::State) {
        self.placed.insert(index);
        if !self.known.insert((self.placed.clone(), state.clone())) {
            self.placed.remove(index);
            return;
        }
        let (over, answered, first) = match self.path.last() {
            Some(node) => (node.over, node.answered, node.first),
            None => (0, 0, 0),
        };
        let operation = self.operations.get(index);
        let is_answered = operation.is_some_and(|operation| operation.completed.is_some());
        let is_placed = |index: &usize| self.placed.contains(*index);
        let later = self.completions.iter().skip(over);
        let over = over + later.take_while(|(_, index)| is_placed(index)).count();
        let first = first + (first..self.operations.len()).take_while(is_placed).count();
        self.path.push(Node {
            state,
            by: Some(index),
            over,
            answered: answered + usize::from(is_answered),
            first,
            next: first,
        });
    }

    /// Takes back what was placed last.
    fn go_back(&mut self) {
        let Some(node) = self.path.last() else {
            return;
        };
        let best = &mut self.best;
        // Of two that got as far, the one without operations that do not help.
        let placed = self.path.len() - 1;
        let got = (node.over, node.answered, Reverse(placed));
        let further = got > (best.over, best.answered, Reverse(best.order.len()));
        if further || best.state.is_none() {
            (best.over, best.answered) = (node.over, node.answered);
            best.order = self.path.iter().filter_map(|node| node.by).collect();
            best.state = Some(node.state.clone());
        }
        if let Some(index) = self.path.pop().and_then(|node| node.by) {
            self.placed.remove(index);
        }
    }

    fn refutation(&self, object: String) -> Refutation {
        let refused = self.completions.get(self.best.over);
        let state = self.best.state.as_ref();
        Story {
            object,
            operations: &self.operations,
            order: &self.best.order,
            refused: refused.map_or(0, |(_, index)| *index),
            state: state.map(|state| format!("{state:?}")).unwrap_or_default(),
        }
        .tell()
    }
}

/// A set of operations.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Placed(Box<[u64]>);

impl Placed {
    fn none_of(operations: usize) -> Self {
        Self(vec![0; operations.div_ceil(64)].into())
    }

    fn contains(&self, index: usize) -> bool {
        let word = self.0.get(index / 64);
        word.is_some_and(|word| word & bit(index) != 0)
    }

    fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= bit(index);
        }
    }

    fn remove(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !bit(index);
        }
    }
}

const fn bit(index: usize) -> u64 {
    1 << (index % 64)
}
