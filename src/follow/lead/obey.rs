//! What a follower's task does when it is told to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Lanes, Lead};
use crate::event::RecordedEvent;
use crate::follow::command::{Command, Retried};
use crate::follow::lane::{Lane, unreadable};
use crate::follow::ledger::Trouble;
use crate::follow::parked;
use crate::store::FeedItem;
use crate::version::Position;

/// Why what acts on events is not made anew from them.
const ACTS: &str = "it has acted upon the events, and would act once more";

impl Lead {
    pub(super) async fn obey(
        &mut self,
        command: Command,
        lanes: &mut Lanes,
    ) -> Result<(), Trouble> {
        match command {
            Command::Pause(answer) => {
                lanes.paused = true;
                self.tell(lanes);
                let _ = answer.send(Ok(()));
            }
            Command::Resume(answer) => {
                lanes.paused = false;
                self.tell(lanes);
                let _ = answer.send(Ok(()));
            }
            Command::Rebuild { answer, .. } if self.before.is_some() => {
                let _ = answer.send(Err(ACTS.to_owned()));
            }
            Command::Rebuild { old, answer } => {
                let build = self.rebuild(lanes, old).await?;
                let _ = answer.send(Ok(build));
            }
            Command::ListParked(answer) => {
                let listed = match &lanes.live {
                    Some(lane) => parked::list(&self.ledger.database, &lane.build, Position::ZERO)
                        .await
                        .map_err(|error| error.to_string()),
                    None => Ok(Vec::new()),
                };
                let _ = answer.send(listed);
            }
            Command::RetryParked(answer) => {
                let Some(lane) = &mut lanes.live else {
                    let _ = answer.send(Err("there is no build to take it in".to_owned()));
                    return Ok(());
                };
                let retried = self.retry_parked(lane).await?;
                let _ = answer.send(Ok(retried));
            }
            Command::DropParked(position, answer) => {
                let Some(lane) = &mut lanes.live else {
                    let _ = answer.send(Err("there is no build to drop it of".to_owned()));
                    return Ok(());
                };
                let now = self.options.clock.now();
                self.ledger.unpark(&lane.build, position, None, now).await?;
                lane.parked = parked::streams(&self.ledger.database, &lane.build)
                    .await
                    .map_err(unreadable)?;
                let _ = answer.send(Ok(()));
            }
            // Met where it is received.
            Command::Stop => {}
        }
        Ok(())
    }

    /// Tries what was put aside once more, each stream in its order until one fails.
    async fn retry_parked(&self, lane: &mut Lane) -> Result<Retried, Trouble> {
        let mut retried = Retried::default();
        let mut failed = BTreeSet::new();
        let mut after = Position::ZERO;
        loop {
            let page = parked::list(&self.ledger.database, &lane.build, after).await;
            let page = page.map_err(unreadable)?;
            let Some(last) = page.last() else { break };
            after = last.position;
            for parked in page {
                if failed.contains(&parked.stream) {
                    continue;
                }
                let event = self.event_at(parked.position).await?;
                let (build, now) = (&lane.build, self.options.clock.now());
                if let (Some(before), Some(event)) = (&self.before, &event) {
                    match before.before(&[event.as_ref()], &self.ledger).await {
                        Ok(()) => {}
                        Err(Trouble::Poison { why, .. }) => {
                            let still = self.ledger.still_parked(build, parked.position, why, now);
                            still.await?;
                            retried.failed += 1;
                            failed.insert(parked.stream);
                            continue;
                        }
                        Err(trouble) => return Err(trouble),
                    }
                }
                match self.ledger.unpark(build, parked.position, event, now).await {
                    Ok(()) => retried.taken_in += 1,
                    Err(Trouble::Poison { why, .. }) => {
                        let still = self.ledger.still_parked(build, parked.position, why, now);
                        still.await?;
                        retried.failed += 1;
                        failed.insert(parked.stream);
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
        }
        lane.parked = parked::streams(&self.ledger.database, &lane.build)
            .await
            .map_err(unreadable)?;
        Ok(retried)
    }

    /// The event at a position, unless it was removed.
    async fn event_at(&self, position: Position) -> Result<Option<Arc<RecordedEvent>>, Trouble> {
        let before = position.get().saturating_sub(1);
        let page = self.look(Position::new(before)).await?;
        let item = page.items.into_iter().next();
        Ok(match item {
            Some(FeedItem::Event(event)) if event.position == position => Some(Arc::new(event)),
            _ => None,
        })
    }
}
