//! A refused history, told so that a reader sees what went wrong.

use std::fmt;

use super::record::Operation;

/// Why there is no order: how far the best one got, and what does not fit after it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refutation {
    /// The object.
    pub object: String,
    /// How many operations it has in the history.
    pub operations: usize,
    /// The order that got furthest in real time.
    pub order: Vec<Told>,
    /// What the object holds after these.
    pub state: String,
    /// The operation that was over next, and could be placed neither here nor after
    /// any of those under way.
    pub refused: Told,
    /// What else had begun before that one was over, and is not placed either.
    pub under_way: Vec<Told>,
}

/// One operation in words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// Who called.
    pub client: usize,
    /// What was called.
    pub op: String,
    /// What was answered; none where that is not known.
    pub answer: Option<String>,
    /// When it was called.
    pub invoked: u64,
    /// When it was answered.
    pub completed: Option<u64>,
}

impl Told {
    pub(super) fn of<O: fmt::Display, A: fmt::Display>(operation: &Operation<O, A>) -> Self {
        let completed = operation.completed.as_ref();
        Self {
            client: operation.client,
            op: operation.op.to_string(),
            answer: completed.map(|completed| completed.answer.to_string()),
            invoked: operation.invoked,
            completed: completed.map(|completed| completed.at),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            client,
            op,
            answer,
            invoked,
            completed,
        } = self;
        write!(f, "client {client:<3} [{invoked}, ")?;
        match completed {
            Some(completed) => write!(f, "{completed}]  {op}")?,
            None => write!(f, "..)  {op}")?,
        }
        write!(f, " -> {}", answer.as_deref().unwrap_or("unknown"))
    }
}

/// Operations at the end of the order that are shown; those before seldom matter.
const SHOWN_MAX: usize = 12;

impl fmt::Display for Refutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            object,
            operations,
            order,
            state,
            refused,
            under_way,
        } = self;
        writeln!(f, "{object} is not linearizable.")?;
        let placed = order.len();
        writeln!(
            f,
            "The best order places {placed} of {operations} operations:"
        )?;
        let hidden = placed.saturating_sub(SHOWN_MAX);
        if hidden > 0 {
            writeln!(f, "  ({hidden} before)")?;
        }
        for told in order.iter().skip(hidden) {
            writeln!(f, "  {told}")?;
        }
        writeln!(f, "That leaves: {state}")?;
        writeln!(f, "What comes next cannot be placed:")?;
        write!(f, "  {refused}")?;
        if !under_way.is_empty() {
            write!(f, "\nnor after any of these, under way meanwhile:")?;
        }
        for told in under_way {
            write!(f, "\n  {told}")?;
        }
        Ok(())
    }
}

/// What a search knows when it has tried everything.
pub(super) struct Story<'a, O, A> {
    pub(super) object: String,
    pub(super) operations: &'a [&'a Operation<O, A>],
    /// Indices of `operations`, like `refused`.
    pub(super) order: &'a [usize],
    pub(super) refused: usize,
    pub(super) state: String,
}

impl<O: fmt::Display, A: fmt::Display> Story<'_, O, A> {
    pub(super) fn tell(self) -> Refutation {
        let told = |index: &usize| {
            self.operations
                .get(*index)
                .map(|operation| Told::of(operation))
        };
        let refused = told(&self.refused);
        let refused = refused.unwrap_or_else(|| unreachable!("a search names its own operations"));
        let meanwhile = (0..self.operations.len()).filter(|index| {
            let operation = self.operations.get(*index);
            let begun =
                operation.is_some_and(|operation| Some(operation.invoked) < refused.completed);
            begun && *index != self.refused && !self.order.contains(index)
        });
        Refutation {
            operations: self.operations.len(),
            order: self.order.iter().filter_map(told).collect(),
            state: self.state,
            under_way: meanwhile.filter_map(|index| told(&index)).collect(),
            object: self.object,
            refused,
        }
    }
}
