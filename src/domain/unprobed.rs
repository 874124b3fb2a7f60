//! Without the test kit, nothing more is asked of a domain than what a program asks.

/// As much as the loop needs to share an aggregate between threads.
pub(crate) trait ProbedAggregate: Send + Sync {}

impl<A: Send + Sync> ProbedAggregate for A {}

/// The same for a command.
pub(crate) trait ProbedCommand: Send + Sync {}

impl<C: Send + Sync> ProbedCommand for C {}

/// The same for a command's type.
pub(crate) trait ProbedKind: Send + Sync {}

impl<K: Send + Sync> ProbedKind for K {}
