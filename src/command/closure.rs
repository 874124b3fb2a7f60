//! A command that is written where it is used. It always surfaces.

use std::error::Error;
use std::marker::PhantomData;

use serde::{Serialize, Serializer};

use super::{Command, EventOf};
use crate::aggregate::Aggregate;

/// A named closure as a command, see [`CommandBus::decide`](crate::CommandBus::decide).
pub struct Decide<F, A, R> {
    name: String,
    decide: F,
    of: PhantomData<fn(&A) -> R>,
}

impl<F, A, R> Decide<F, A, R> {
    pub(super) fn new(name: String, decide: F) -> Self {
        let of = PhantomData;
        Self { name, decide, of }
    }
}

impl<F, A, R> Command for Decide<F, A, R>
where
    F: Fn(&A) -> Result<Vec<A::Event>, R> + Send + Sync + 'static,
    A: Aggregate,
    R: Error + Send + Sync + 'static,
{
    type Aggregate = A;
    type Rejection = R;
    const NAME: &'static str = "decide";

    fn decide(&self, state: &A) -> Result<Vec<EventOf<Self>>, R> {
        (self.decide)(state)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl<F, A, R> Serialize for Decide<F, A, R> {
    /// What a closure has caught is not known: its name is all that tells it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}
