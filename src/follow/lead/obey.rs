//! What a follower's task does when it is told to.

use std::collections::BTreeSet;

use super::{Lanes, Lead};
use crate::follow::command::{Command, Retried};
use crate::follow::lane::{Lane, unreadable};
use crate::follow::ledger::Trouble;
use crate::follow::parked;
use crate::store::Build;
use crate::version::Position;

impl Lead {
    pub(super) async fn obey(
        &mut self,
        command: Command,
        lanes: &mut Lanes,
    ) -> Result<(), Trouble> {
        match command {
            Command::Pause(done) => {
                self.paused = true;
                let _ = done.send(Ok(()));
            }
            Command::Resume(done) => {
                self.paused = false;
                lanes.halted = false;
                let _ = done.send(Ok(()));
            }
            Command::Rebuild { old, answer } => {
                let build = self.rebuild(lanes, old).await?;
                let _ = answer.send(Ok(build));
            }
            Command::ListParked(answer) => {
                let listed = parked::list_live(&self.ledger.database, &self.ledger.code.name);
                let _ = answer.send(listed.await.map_err(|error| error.to_string()));
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
                let dropped = self.ledger.unpark(&lane.build, position, None, now).await?;
                lane.parked = parked::streams(&self.ledger.database, &lane.build)
                    .await
                    .map_err(unreadable)?;
                let _ = answer.send(match dropped {
                    true => Ok(()),
                    false => Err(format!("nothing at position {position} was put aside")),
                });
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
                let (build, now) = (&lane.build, self.options.clock.now());
                match self.take_parked(build, parked.position).await {
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

    /// Takes in one event that was put aside, if it is there still.
    async fn take_parked(&self, build: &Build, position: Position) -> Result<(), Trouble> {
        let event = self.event_at(position).await?;
        if let (Some(before), Some(event)) = (&self.before, &event) {
            before.before(&[event.as_ref()], &self.ledger).await?;
        }
        let now = self.options.clock.now();
        self.ledger.unpark(build, position, event, now).await?;
        Ok(())
    }
}
