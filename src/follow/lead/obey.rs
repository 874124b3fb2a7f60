//! What a follower's task does when it is told to.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::{Lanes, Lead};
use crate::follow::command::{Command, Retried};
use crate::follow::lane::{Lane, unreadable};
use crate::follow::ledger::Trouble;
use crate::follow::parked;
use crate::store::Build;
use crate::version::Position;

/// Answers who has asked what came of it, and hands on what went wrong.
fn answer<T>(
    done: Result<T, Trouble>,
    to: oneshot::Sender<Result<T, String>>,
) -> Result<(), Trouble> {
    // Who has asked may be gone.
    match done {
        Ok(done) => drop(to.send(Ok(done))),
        Err(trouble) => {
            let _ = to.send(Err(trouble.to_string()));
            return Err(trouble);
        }
    }
    Ok(())
}

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
                let going_on = self.take_up(lanes).await;
                return answer(going_on, done);
            }
            Command::Rebuild { old, answer: to } => {
                let begun = match self.rebuild(lanes, old).await {
                    Err(Trouble::Overtaken) => {
                        // Whoever is the runner now does it.
                        let asked = self.ledger.ask_rebuild(old).await;
                        answer(asked, to)?;
                        return Err(Trouble::Overtaken);
                    }
                    begun => answer(begun, to),
                };
                return match begun {
                    // It cannot be begun; what is read goes on as it was.
                    Err(Trouble::Invalid(_)) if lanes.live.is_some() => Ok(()),
                    begun => begun,
                };
            }
            Command::ListParked(to) => {
                let listed = parked::list_live(&self.ledger.database, &self.ledger.code.name);
                let _ = to.send(listed.await.map_err(|error| error.to_string()));
            }
            Command::RetryParked(to) => {
                let Some(lane) = &mut lanes.live else {
                    let _ = to.send(Err("there is no build to take it in".to_owned()));
                    return Ok(());
                };
                return answer(self.retry_parked(lane).await, to);
            }
            Command::DropParked(position, to) => match self.drop_parked(lanes, position).await {
                Ok(false) => {
                    let nothing = format!("nothing at position {position} was put aside");
                    let _ = to.send(Err(nothing));
                }
                dropped => return answer(dropped.map(drop), to),
            },
            // Met where it is received.
            Command::Stop => {}
        }
        Ok(())
    }

    /// Tries the build that is halted once more.
    async fn take_up(&self, lanes: &mut Lanes) -> Result<(), Trouble> {
        if lanes.halted
            && let Some(lane) = lanes.beside.take()
        {
            // Its subscription may have ended with what went wrong.
            let mut build = lane.build;
            build.checkpoint = build.written;
            lanes.beside = Some(self.lane(build).await?);
        }
        lanes.halted = false;
        Ok(())
    }

    /// Drops one event that was put aside. False if there is none.
    async fn drop_parked(&self, lanes: &mut Lanes, position: Position) -> Result<bool, Trouble> {
        let now = self.options.clock.now();
        if !self.ledger.drop_parked(position, now).await? {
            return Ok(false);
        }
        for lane in [&mut lanes.live, &mut lanes.beside].into_iter().flatten() {
            lane.dropped.insert(position);
            let waiting = parked::streams(&self.ledger.database, &lane.build).await;
            lane.parked = waiting.map_err(unreadable)?;
        }
        Ok(true)
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
