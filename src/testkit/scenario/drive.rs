//! Runs a scenario to its end where nobody awaits. The bus waits between attempts, so a
//! runtime with timers is needed, of which a test should know nothing.

use std::panic::resume_unwind;
use std::thread;

use tokio::runtime::{Builder, Handle};

/// Runs a future here, or beside the runtime that this thread is running.
#[track_caller]
pub(super) fn to_the_end<T: Send>(future: impl Future<Output = T> + Send) -> T {
    if Handle::try_current().is_err() {
        return alone(future);
    }
    let joined = thread::scope(|scope| scope.spawn(|| alone(future)).join());
    joined.unwrap_or_else(|panic| resume_unwind(panic))
}

fn alone<T>(future: impl Future<Output = T>) -> T {
    match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("no runtime for the scenario: {error}"),
    }
}
