//! The process manager: what is requested is withdrawn here, credited there, and goes back
//! if that cannot be.
//!
//! ```text
//! Requested --withdraw--> Withdrawn --credit--> Credited --end--> Completed
//!     |                       |
//!     | refused               | refused
//!     v                       v
//!   Failed <-----end------ Refunded
//! ```
//!
//! Each arrow is a command, sent upon the event where it begins. A process that is killed
//! on the way, wherever that is, sends it again under the same id.

use annalist::reaction::{ProcessManager, Reacting, ReactionResult, Reply};
use annalist::store::Filter;
use annalist::{Aggregate, RecordedEvent};
use serde::{Deserialize, Serialize};

use crate::domain::{
    Account, AccountEvent, Credit, End, Refund, Transfer, TransferEvent, Withdraw,
};

pub(crate) struct MoveMoney;

/// What is known of a transfer: what was requested. How far it is says each event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Known {
    from: String,
    to: String,
    cents: u32,
}

/// What concerns a transfer.
enum Step {
    Requested,
    Withdrawn,
    Credited,
    Refunded,
}

impl ProcessManager for MoveMoney {
    const NAME: &'static str = "move money";
    type State = Known;

    fn filter(&self) -> Filter {
        Filter::category("transfer").or_category("account")
    }

    fn process(&self, event: &RecordedEvent) -> ReactionResult<Option<String>> {
        Ok(step(event)?.map(|(transfer, _)| transfer))
    }

    fn apply(&self, known: &mut Known, event: &RecordedEvent) -> ReactionResult {
        if event.stream.category() == Transfer::CATEGORY {
            for event in event.decode::<Transfer>()? {
                if let TransferEvent::Requested { from, to, cents } = event {
                    *known = Known { from, to, cents };
                }
            }
        }
        Ok(())
    }

    async fn react(
        &self,
        known: &Known,
        event: &RecordedEvent,
        cx: &Reacting<'_>,
    ) -> ReactionResult {
        let Some((transfer, step)) = step(event)? else {
            return Ok(());
        };
        let Known { from, to, cents } = known.clone();
        let end = |failure| End { failure };
        match step {
            Step::Requested => {
                let withdraw = Withdraw {
                    cents,
                    transfer: transfer.clone(),
                };
                if let Reply::NoEffect { why } = cx.dispatch(from, withdraw).await? {
                    cx.dispatch(transfer, end(Some(why))).await?;
                }
            }
            Step::Withdrawn => {
                let credit = Credit {
                    cents,
                    transfer: transfer.clone(),
                };
                if let Reply::NoEffect { .. } = cx.dispatch(to, credit).await? {
                    cx.dispatch(from, Refund { cents, transfer }).await?;
                }
            }
            Step::Credited => {
                cx.dispatch(transfer, end(None)).await?;
            }
            Step::Refunded => {
                let why = "the money could not be credited, and went back".to_owned();
                cx.dispatch(transfer, end(Some(why))).await?;
            }
        }
        Ok(())
    }
}

/// The transfer that an event belongs to, and where that is then.
fn step(event: &RecordedEvent) -> ReactionResult<Option<(String, Step)>> {
    if event.stream.category() == Transfer::CATEGORY {
        let key = event.stream.key().to_owned();
        let mut events = event.decode::<Transfer>()?;
        let requested = events.any(|event| matches!(event, TransferEvent::Requested { .. }));
        return Ok(requested.then_some((key, Step::Requested)));
    }
    let mut step = None;
    for event in event.decode::<Account>()? {
        step = match event {
            AccountEvent::Withdrawn { transfer, .. } => Some((transfer, Step::Withdrawn)),
            AccountEvent::Credited { transfer, .. } => Some((transfer, Step::Credited)),
            AccountEvent::Refunded { transfer, .. } => Some((transfer, Step::Refunded)),
            AccountEvent::Deposited { .. } | AccountEvent::Frozen => step,
        };
    }
    Ok(step)
}
