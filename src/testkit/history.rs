//! Records what concurrent clients were answered, and judges whether a store that
//! does one thing at a time could have answered so.
//!
//! For tests that race: they need not know which order was taken, only that there
//! was one. A [`Recorder`] notes when each call began and ended; [`check`] looks for
//! an order that explains all answers and keeps to real time; [`check_positions`]
//! judges the order over all streams, which no search is needed for. Nothing here
//! asks the store how it decides: the rules are stated once more, in [`Streams`].
//!
//! ```
//! use annalist::testkit::history::{Recorder, Streams, check, check_positions};
//! use annalist::{ExpectedVersion, NewEvent, Position, Store};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::memory();
//! let account = "account-1".parse()?;
//! let deposited = NewEvent::json("Deposited", &500)?;
//!
//! let recorder = Recorder::default();
//! let (mut ann, mut bob) = (recorder.client(), recorder.client());
//! let (receipt, _) = tokio::join!(
//!     ann.append(&store, &account, ExpectedVersion::NoStream, [deposited]),
//!     bob.read_stream(&store, &account),
//! );
//! receipt?;
//! bob.read_all(&store, Position::ZERO).await?;
//!
//! let history = recorder.history();
//! let verdict = check(&Streams, &history);
//! assert!(verdict.is_linearizable(), "{verdict}");
//! check_positions(&history)?;
//! # Ok(()) }
//! ```
//!
//! A call that was dropped, or ended as [`Unknown`](crate::StoreErrorKind::Unknown),
//! may have taken effect at any time since it began, or never: both are tried.
//!
//! The search is that of Wing and Gong (Testing and Verifying Concurrent Objects,
//! 1993) with the memory of Lowe (Testing for Linearizability, 2017). It judges each
//! object alone, since a history is linearizable exactly if that of each object is
//! (Herlihy and Wing, Linearizability, 1990).

mod calls;
mod positions;
mod record;
mod search;
mod story;
mod streams;

pub use calls::{Placed, StoreAnswer, StoreCall};
pub use positions::{Misplaced, check_positions};
pub use record::{Call, Client, Completed, History, Operation, Recorder};
pub use search::{Model, STEPS_MAX, Verdict, check, check_within};
pub use story::{Refutation, Told};
pub use streams::{StreamLog, Streams};
