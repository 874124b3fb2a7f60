//! Builds that are made beside the one that is read, and take its place.

use super::{Lanes, Lead};
use crate::follow::ledger::Trouble;
use crate::store::{Build, OldBuild};

impl Lead {
    /// Begins a build beside the one that is read.
    pub(super) async fn begin(&self, old: OldBuild) -> Result<Build, Trouble> {
        let head = self.fresh_head().await?;
        let start = self.start().await?;
        let now = self.options.clock.now();
        self.ledger.begin(start, (head, old), now).await
    }

    /// Fills a new build beside the one that is read.
    pub(super) async fn rebuild(&self, lanes: &mut Lanes, old: OldBuild) -> Result<u32, Trouble> {
        let build = self.begin(old).await?;
        let number = build.build;
        lanes.old = old;
        lanes.halted = false;
        lanes.beside = Some(self.lane(build).await?);
        Ok(number)
    }

    /// Makes the build beside the one that is read, once it holds as much.
    pub(super) async fn change_over(&self, lanes: &mut Lanes) -> Result<(), Trouble> {
        let Some(lane) = lanes.beside.as_ref().filter(|lane| lane.is_at_end()) else {
            return Ok(());
        };
        let live = lanes.live.as_ref().filter(|_| !lanes.waits);
        let held = live.map(|live| live.build.checkpoint.position);
        if self.paused
            || lanes.halted
            || held.is_some_and(|held| held > lane.build.checkpoint.position)
        {
            return Ok(());
        }
        let (build, now) = (lane.build.clone(), self.options.clock.now());
        let build = match self.ledger.go_live(&build, lanes.old, now).await {
            // The one that is read can go on, and does.
            Err(trouble @ Trouble::Invalid(_)) if held.is_some() => {
                return self.settle_beside(Err(trouble), lanes).await;
            }
            gone_live => gone_live?,
        };
        if let Some(mut lane) = lanes.beside.take() {
            lane.build = build;
            lane.unsaved = false;
            lanes.live = Some(lane);
        }
        (lanes.waits, lanes.older) = (false, None);
        lanes.old = OldBuild::default();
        Ok(())
    }

    /// Stays the runner, and writes down checkpoints that have moved.
    pub(super) async fn save(&self, lanes: &mut Lanes) -> Result<Option<OldBuild>, Trouble> {
        let lanes = [&mut lanes.live, &mut lanes.beside];
        let mut unsaved: Vec<_> = lanes
            .into_iter()
            .flatten()
            .filter(|lane| lane.unsaved)
            .collect();
        let idle = unsaved.iter().map(|lane| lane.build.clone()).collect();
        match self.ledger.renew(self.options.clock.now(), idle).await {
            Ok(asked) => {
                for lane in &mut unsaved {
                    lane.unsaved = false;
                    lane.build.written = lane.build.checkpoint;
                }
                Ok(asked)
            }
            // It is tried again with the next one.
            Err(trouble) if trouble.may_pass() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}
