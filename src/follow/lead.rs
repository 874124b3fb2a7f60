//! The task of one follower: it becomes the one runner over all processes, fills the build
//! that is read and the one beside it, and does what it is told meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::command::Command;
use super::lane::{Lane, Means};
use super::ledger::{Ledger, Opened, Trouble};
use super::shared::SharedFeed;
use super::status::{FollowState, FollowStatus};
use super::{Before, FollowOptions};
use crate::store::{Build, OldBuild, Store};
use crate::version::Position;

mod look;
mod next;
mod obey;
mod stand_by;
mod swap;
mod tell;

use next::{Next, Turn, next};

/// One follower and its task.
pub(super) struct Lead {
    pub(super) ledger: Ledger,
    pub(super) store: Store,
    /// What the followers of a runner share, if there are several.
    pub(super) shared: Option<Arc<SharedFeed>>,
    pub(super) options: FollowOptions,
    pub(super) before: Option<Arc<dyn Before>>,
    pub(super) board: watch::Sender<FollowStatus>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Whether it was told to.
    pub(super) paused: bool,
}

/// Why a runner is not the runner any more.
enum End {
    /// Somebody else is.
    Overtaken,
    /// It was told to stop, or nobody is left to tell it anything.
    Told,
}

/// What a runner fills.
#[derive(Default)]
struct Lanes {
    live: Option<Lane>,
    beside: Option<Lane>,
    /// The build that is read, if code in an older version has filled it.
    older: Option<Build>,
    /// What becomes of the one that is read when the other one takes its place.
    old: OldBuild,
    /// The build that is read cannot go on before the other one takes its place.
    waits: bool,
    /// The other one cannot go on; the one that is read can.
    halted: bool,
}

impl Lead {
    pub(super) async fn run(mut self) {
        while let Ok(()) = self.stand_by().await {
            if let End::Told = self.lead().await {
                // If it cannot be told, it runs out.
                let _ = self.ledger.release().await;
                break;
            }
        }
        self.board
            .send_modify(|status| status.state = FollowState::Stopped);
    }

    /// Fills what there is to fill, as long as it is the runner.
    async fn lead(&mut self) -> End {
        loop {
            let filled = match self.open().await {
                Ok(lanes) => self.fill(lanes).await,
                Err(trouble) => Err(trouble),
            };
            let goes_on = match filled {
                Ok(()) => return End::Told,
                Err(Trouble::Overtaken) => return End::Overtaken,
                Err(trouble) if trouble.may_pass() => self.rest(&trouble).await,
                Err(trouble) => self.stopped(&trouble).await,
            };
            if let Err(end) = goes_on {
                return end;
            }
        }
    }

    /// Finds what to fill.
    async fn open(&mut self) -> Result<Lanes, Trouble> {
        let head = self.fresh_head().await?;
        let start = self.start().await?;
        let opened = self.ledger.open(start, head, self.options.clock.now());
        let Opened {
            live,
            beside,
            older,
            rebuilds,
        } = opened.await?;
        let by_version = older.as_ref().map(|_| self.options.old);
        let mut lanes = Lanes {
            older,
            old: rebuilds.under_way.or(by_version).unwrap_or_default(),
            ..Lanes::default()
        };
        if let Some(build) = live {
            lanes.live = Some(self.lane(build).await?);
        }
        if let Some(build) = beside {
            lanes.beside = Some(self.lane(build).await?);
        }
        if let Some(old) = rebuilds.asked {
            // At once: it may be what mends the one that cannot go on.
            self.rebuild(&mut lanes, old).await?;
        }
        Ok(lanes)
    }

    async fn lane(&self, build: Build) -> Result<Lane, Trouble> {
        Lane::new(build, &self.store, self.options.batch, &self.ledger).await
    }

    /// Where the store ends, all that was read before forgotten: what was removed by then
    /// is not met again.
    async fn fresh_head(&self) -> Result<Position, Trouble> {
        let head = self.store.head().await?;
        if let Some(shared) = &self.shared {
            shared.forget();
        }
        Ok(head)
    }

    /// How often a runner says that it is one still. Neither so often that it does nothing
    /// else, nor so rarely that what it is asked for by others waits for long.
    fn beat(&self) -> Duration {
        (self.ledger.lease / 3).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }

    /// Takes in what comes until it is told to stop.
    async fn fill(&mut self, mut lanes: Lanes) -> Result<(), Trouble> {
        let mut tick = Instant::now() + self.beat();
        let mut turn = Turn::Live;
        loop {
            self.change_over(&mut lanes).await?;
            self.tell(&lanes);
            turn = turn.other();
            let running = !self.paused;
            let live = lanes.live.as_mut().filter(|_| running && !lanes.waits);
            let beside = lanes.beside.as_mut();
            let beside = beside.filter(|_| running && !lanes.halted);
            match next(&mut self.commands, (live, beside, turn), tick).await {
                Next::Command(None | Some(Command::Stop)) => {
                    // It is only taken in once more, if it cannot be written down.
                    let _ = self.save(&mut lanes).await;
                    return Ok(());
                }
                Next::Command(Some(command)) => self.obey(command, &mut lanes).await?,
                Next::Tick => {
                    if let Some(old) = self.save(&mut lanes).await? {
                        self.rebuild(&mut lanes, old).await?;
                    }
                    if self.paused {
                        self.look_ahead(&mut lanes).await;
                    }
                    tick = Instant::now() + self.beat();
                }
                Next::Live(ready) => {
                    let done = match (ready, &mut lanes.live) {
                        (Ok(()), Some(lane)) => lane.go_on(self.means()).await,
                        (ready, _) => ready,
                    };
                    self.settle_live(done, &mut lanes).await?;
                }
                Next::Beside(ready) => {
                    let done = match (ready, &mut lanes.beside) {
                        (Ok(()), Some(lane)) => lane.go_on(self.means()).await,
                        (ready, _) => ready,
                    };
                    self.settle_beside(done, &mut lanes).await?;
                }
            }
        }
    }

    fn means(&self) -> Means<'_> {
        Means {
            ledger: &self.ledger,
            before: self.before.as_ref(),
            on_poison: self.options.on_poison,
            clock: self.options.clock.as_ref(),
        }
    }

    async fn settle_live(
        &self,
        done: Result<(), Trouble>,
        lanes: &mut Lanes,
    ) -> Result<(), Trouble> {
        match done {
            Err(Trouble::NeedsRebuild) if lanes.beside.is_none() || lanes.halted => {
                lanes.waits = true;
                self.rebuild(lanes, lanes.old).await?;
            }
            // A new one is made: what keeps this one is no matter any more.
            Err(trouble) if lanes.beside.is_some() && !lanes.halted && trouble.is_of_build() => {
                lanes.waits = true;
                if let Some(lane) = &mut lanes.live {
                    lane.problem = Some(trouble.to_string());
                }
            }
            done => self.settle(done, lanes.live.as_mut()).await?,
        }
        Ok(())
    }

    async fn settle_beside(
        &self,
        done: Result<(), Trouble>,
        lanes: &mut Lanes,
    ) -> Result<(), Trouble> {
        match done {
            // More was removed meanwhile.
            Err(Trouble::NeedsRebuild) => {
                self.rebuild(lanes, lanes.old).await?;
                Ok(())
            }
            done => match self.settle(done, lanes.beside.as_mut()).await {
                Err(trouble) if lanes.live.is_some() && !lanes.waits && trouble.is_of_build() => {
                    lanes.halted = true;
                    if let Some(lane) = &mut lanes.beside {
                        lane.problem = Some(trouble.to_string());
                    }
                    Ok(())
                }
                settled => settled,
            },
        }
    }

    /// Goes on where it may, and writes down why where it may not.
    async fn settle(
        &self,
        done: Result<(), Trouble>,
        lane: Option<&mut Lane>,
    ) -> Result<(), Trouble> {
        let (Err(trouble), Some(lane)) = (&done, lane) else {
            return done;
        };
        let problem = trouble.to_string();
        if trouble.may_pass() {
            lane.problem = Some(problem);
            return Ok(());
        }
        if !matches!(trouble, Trouble::Overtaken) {
            let now = self.options.clock.now();
            // If it cannot be written down, only this process can tell.
            if let Err(Trouble::Overtaken) = self.ledger.stop(&lane.build, &problem, now).await {
                return Err(Trouble::Overtaken);
            }
        }
        done
    }
}
