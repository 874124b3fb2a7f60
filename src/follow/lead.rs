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
use super::status::{FollowState, FollowStatus, RebuildStatus};
use super::{Before, FollowOptions};
use crate::store::{
    Build, Checkpoint, FeedPage, FeedQuery, Filter, OldBuild, PageBounds, SqlRow, Store,
};
use crate::version::Position;

mod next;
mod obey;

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
    /// What becomes of the one that is read when the other one takes its place.
    old: OldBuild,
    paused: bool,
    /// The build that is read cannot go on before the other one takes its place.
    waits: bool,
}

impl Lead {
    /// How often one that stands by looks whether it is needed.
    const STAND_BY: Duration = Duration::from_millis(100);

    pub(super) async fn run(mut self) {
        loop {
            if let Err(End::Told) = self.stand_by().await {
                break;
            }
            let end = self.lead().await;
            if let End::Told = end {
                // If it cannot be told, it runs out.
                let _ = self.ledger.release().await;
                break;
            }
        }
        self.board
            .send_modify(|status| status.state = FollowState::Stopped);
    }

    /// Waits until nobody else is the runner, and becomes it.
    async fn stand_by(&mut self) -> Result<(), End> {
        loop {
            let now = self.options.clock.now();
            match self.ledger.acquire(now).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(_)) => self.look_on().await,
                Err(trouble) => self.tell_problem(FollowState::StandingBy, &trouble),
            }
            let rest = Instant::now() + Self::STAND_BY;
            loop {
                let next = next(&mut self.commands, (None, None, Turn::Live), rest).await;
                match next {
                    Next::Command(None | Some(Command::Stop)) => return Err(End::Told),
                    Next::Command(Some(Command::Rebuild { old, answer }))
                        if self.before.is_none() =>
                    {
                        let asked = self.ledger.ask_rebuild(old).await;
                        let next = asked.map(|live| live.saturating_add(1));
                        let _ = answer.send(next.map_err(|trouble| trouble.to_string()));
                    }
                    // It is for the runner to do.
                    Next::Command(Some(command)) => command.refuse("another process fills it"),
                    _ => break,
                }
            }
        }
    }

    /// Tells how far the other runner has come.
    async fn look_on(&self) {
        let sql = "SELECT build, position, problem FROM annalist_followers \
                   WHERE name = $1 AND state = 'live'";
        let read = |row: &SqlRow| {
            let number = |column| row.get(column)?.as_i64();
            let problem = row.get("problem").and_then(|problem| problem.as_str());
            Some((
                u32::try_from(number("build")?).ok()?,
                Position::new(u64::try_from(number("position")?).ok()?),
                problem.map(str::to_owned),
            ))
        };
        let name = self.ledger.code.name.as_ref();
        let found = self.ledger.database.query(sql, &[name.into()], read).await;
        let head = self.store.head().await;
        self.board.send_modify(|status| {
            status.state = FollowState::StandingBy;
            status.rebuild = None;
            if let Ok(Some(Some((build, position, problem)))) =
                found.map(|rows| rows.into_iter().next())
            {
                (status.build, status.position, status.problem) = (build, position, problem);
            }
            if let Ok(head) = head {
                status.head = head;
            }
        });
    }

    /// Fills what there is to fill, as long as it is the runner.
    async fn lead(&mut self) -> End {
        loop {
            let trouble = match self.open_and_fill().await {
                Ok(end) => return end,
                Err(Trouble::Overtaken) => return End::Overtaken,
                Err(trouble) => trouble,
            };
            if let Err(end) = self.stopped(trouble).await {
                return end;
            }
        }
    }

    async fn open_and_fill(&mut self) -> Result<End, Trouble> {
        let mut lanes = self.open().await?;
        let end = self.fill(&mut lanes).await;
        self.tell(&lanes);
        end
    }

    /// It cannot go on: says so, and waits until whoever has mended what was wrong asks it
    /// to.
    async fn stopped(&mut self, trouble: Trouble) -> Result<(), End> {
        self.tell_problem(FollowState::Stopped, &trouble);
        loop {
            match self.commands.recv().await {
                Some(Command::Stop) | None => return Err(End::Told),
                Some(Command::Resume(answer)) => {
                    self.tell_goes_on();
                    let _ = answer.send(Ok(()));
                    return Ok(());
                }
                // It may be what mends it.
                Some(Command::Rebuild { old, answer }) if self.before.is_none() => {
                    match self.begin().await {
                        Ok(build) => {
                            self.options.old = old;
                            self.tell_goes_on();
                            let _ = answer.send(Ok(build.build));
                            return Ok(());
                        }
                        Err(trouble) => drop(answer.send(Err(trouble.to_string()))),
                    }
                }
                Some(other) => other.refuse("it has stopped; resume it first"),
            }
        }
    }

    fn tell_goes_on(&self) {
        self.board.send_modify(|status| {
            status.state = FollowState::CatchingUp;
            status.problem = None;
        });
    }

    /// Finds what to fill.
    async fn open(&mut self) -> Result<Lanes, Trouble> {
        let head = self.fresh_head().await?;
        let start = self.start().await?;
        let opened = self.ledger.open(start, head, self.options.clock.now());
        let Opened { live, beside } = opened.await?;
        let mut lanes = Lanes {
            old: self.options.old,
            // Another version has filled it.
            waits: live.is_none(),
            ..Lanes::default()
        };
        if let Some(build) = live {
            lanes.live = Some(self.lane(build).await?);
        }
        if let Some(build) = beside {
            lanes.beside = Some(self.lane(build).await?);
        }
        Ok(lanes)
    }

    /// Where one begins that was never run.
    async fn start(&self) -> Result<Checkpoint, Trouble> {
        let (store, after) = (self.store.id(), self.options.begin_after);
        let Some(before) = after.get().checked_sub(1) else {
            return Ok(Checkpoint::start(store));
        };
        let page = self.look(Position::new(before)).await?;
        match page.scanned {
            Some(scanned) => Ok(Checkpoint::new(store, after, scanned.event)),
            None => Err(Trouble::Invalid(format!(
                "it is to begin after position {after}, but the store ends at {}",
                page.head
            ))),
        }
    }

    /// Looks at the one position after this one.
    async fn look(&self, after: Position) -> Result<FeedPage, Trouble> {
        let query = FeedQuery {
            after,
            filter: Filter::default(),
            bounds: PageBounds {
                scan_max: 1,
                ..PageBounds::default()
            },
        };
        let page = self.store.backend().read_feed(query).await;
        page.map_err(Trouble::Database)
    }

    /// Begins a build beside the one that is read.
    async fn begin(&self) -> Result<Build, Trouble> {
        let head = self.fresh_head().await?;
        let start = Checkpoint::start(self.store.id());
        self.ledger
            .begin(start, head, self.options.clock.now())
            .await
    }

    /// Where the store ends, all that was read before forgotten: what was removed by then
    /// is not met again.
    async fn fresh_head(&self) -> Result<Position, Trouble> {
        let head = self.store.head().await.map_err(Trouble::Database)?;
        if let Some(shared) = &self.shared {
            shared.forget().await;
        }
        Ok(head)
    }

    async fn lane(&self, build: Build) -> Result<Lane, Trouble> {
        Lane::new(build, &self.store, self.options.batch, &self.ledger).await
    }

    async fn fill(&mut self, lanes: &mut Lanes) -> Result<End, Trouble> {
        let beat = self.ledger.lease / 3;
        let mut tick = Instant::now() + beat;
        let mut turn = Turn::Live;
        loop {
            self.tell(lanes);
            turn = turn.other();
            let running = !lanes.paused;
            let live = lanes.live.as_mut().filter(|_| running && !lanes.waits);
            let beside = lanes.beside.as_mut().filter(|_| running);
            match next(&mut self.commands, (live, beside, turn), tick).await {
                Next::Command(None | Some(Command::Stop)) => {
                    self.save(lanes).await?;
                    return Ok(End::Told);
                }
                Next::Command(Some(command)) => self.obey(command, lanes).await?,
                Next::Tick => {
                    if let Some(old) = self.save(lanes).await? {
                        self.rebuild(lanes, old).await?;
                    }
                    tick = Instant::now() + beat;
                }
                Next::Live(ready) => {
                    let done = match (ready, &mut lanes.live) {
                        (Ok(()), Some(lane)) => lane.go_on(self.means()).await,
                        (ready, _) => ready,
                    };
                    match done {
                        Err(Trouble::NeedsRebuild) => {
                            lanes.waits = true;
                            if lanes.beside.is_none() {
                                lanes.beside = Some(self.lane(self.begin().await?).await?);
                            }
                        }
                        done => {
                            self.settle(done, lanes.live.as_ref().map(|lane| lane.build.clone()))
                                .await?
                        }
                    }
                }
                Next::Beside(ready) => {
                    let done = match (ready, &mut lanes.beside) {
                        (Ok(()), Some(lane)) => lane.go_on(self.means()).await,
                        (ready, _) => ready,
                    };
                    match done {
                        // More was removed meanwhile.
                        Err(Trouble::NeedsRebuild) => {
                            lanes.beside = Some(self.lane(self.begin().await?).await?);
                        }
                        done => {
                            self.settle(done, lanes.beside.as_ref().map(|lane| lane.build.clone()))
                                .await?
                        }
                    }
                    self.change_over(lanes).await?;
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

    /// Goes on where it may, and writes down why where it may not.
    async fn settle(&self, done: Result<(), Trouble>, build: Option<Build>) -> Result<(), Trouble> {
        let trouble = match done {
            Ok(()) => {
                self.board
                    .send_if_modified(|status| status.problem.take().is_some());
                return Ok(());
            }
            Err(trouble) => trouble,
        };
        match &trouble {
            trouble if trouble.may_pass() => {
                let problem = trouble.to_string();
                self.board
                    .send_modify(|status| status.problem = Some(problem));
                return Ok(());
            }
            Trouble::Poison { .. } => {
                if let Some(build) = build {
                    let (problem, now) = (trouble.to_string(), self.options.clock.now());
                    self.ledger.stop(&build, &problem, now).await?;
                }
            }
            _ => {}
        }
        Err(trouble)
    }

    /// Makes the build beside the one that is read, once it holds as much.
    async fn change_over(&mut self, lanes: &mut Lanes) -> Result<(), Trouble> {
        let Some(lane) = &lanes.beside else {
            return Ok(());
        };
        let held = lanes
            .live
            .as_ref()
            .map(|live| live.build.checkpoint.position);
        let at = lane.build.checkpoint.position;
        if !lane.is_at_end() || held.is_some_and(|held| held > at) {
            return Ok(());
        }
        let (build, now) = (lane.build.clone(), self.options.clock.now());
        let build = self.ledger.go_live(&build, lanes.old, now).await?;
        if let Some(mut lane) = lanes.beside.take() {
            lane.build = build;
            lane.unsaved = false;
            lanes.live = Some(lane);
        }
        lanes.waits = false;
        lanes.old = OldBuild::default();
        self.options.old = OldBuild::default();
        Ok(())
    }

    /// Stays the runner, and writes down checkpoints that have moved.
    async fn save(&self, lanes: &mut Lanes) -> Result<Option<OldBuild>, Trouble> {
        let idle: Vec<Build> = [&lanes.live, &lanes.beside]
            .into_iter()
            .flatten()
            .filter(|lane| lane.unsaved)
            .map(|lane| lane.build.clone())
            .collect();
        match self.ledger.renew(self.options.clock.now(), idle).await {
            Ok(asked) => {
                for lane in [&mut lanes.live, &mut lanes.beside].into_iter().flatten() {
                    lane.unsaved = false;
                }
                Ok(asked)
            }
            // It is tried again with the next one.
            Err(Trouble::Database(error)) if error.is_retryable() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Fills a new build beside the one that is read.
    async fn rebuild(&self, lanes: &mut Lanes, old: OldBuild) -> Result<u32, Trouble> {
        let build = self.begin().await?;
        let number = build.build;
        lanes.old = old;
        lanes.beside = Some(self.lane(build).await?);
        Ok(number)
    }

    fn tell(&self, lanes: &Lanes) {
        let clock = self.options.clock.as_ref();
        self.board.send_modify(|status| {
            let rebuild = lanes.beside.as_ref();
            status.rebuild = rebuild.map(|lane| RebuildStatus {
                build: lane.build.build,
                position: lane.build.checkpoint.position,
                positions_per_second: lane.gauge.per_second(),
            });
            if let Some(lane) = &lanes.live {
                status.build = lane.build.build;
                status.position = lane.build.checkpoint.position;
                status.positions_per_second = lane.gauge.per_second();
                status.behind = lane.behind(clock);
                status.parked_streams = lane.parked.len();
            }
            let heads = [&lanes.live, &lanes.beside].into_iter().flatten();
            status.head = heads.map(|lane| lane.head).max().unwrap_or(status.head);
            status.state = match &lanes.live {
                _ if lanes.paused => FollowState::Paused,
                Some(lane) if lane.is_at_end() => FollowState::Live,
                _ => FollowState::CatchingUp,
            };
        });
    }

    fn tell_problem(&self, state: FollowState, trouble: &Trouble) {
        let problem = trouble.to_string();
        self.board.send_modify(|status| {
            status.state = state;
            status.problem = Some(problem);
        });
    }
}
