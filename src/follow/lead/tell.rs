//! What a follower's task tells of itself, and of the runner that it stands by for.

use super::{Lanes, Lead};
use crate::follow::ledger::Trouble;
use crate::follow::status::{FollowState, RebuildStatus};
use crate::store::SqlRow;
use crate::version::Position;

/// One build, as the one who stands by reads of it.
struct Seen {
    build: u32,
    is_live: bool,
    position: Position,
    problem: Option<String>,
    parked_streams: usize,
}

impl Seen {
    const SQL: &str = "SELECT build, state = 'live' AS live, position, problem, \
         (SELECT count(DISTINCT stream) FROM annalist_parked AS parked \
          WHERE parked.name = seen.name AND parked.build = seen.build) AS waiting \
         FROM annalist_followers AS seen WHERE name = $1 AND state <> 'kept' ORDER BY build";

    fn of(row: &SqlRow) -> Option<Self> {
        let number = |column| row.get(column)?.as_i64();
        let problem = row.get("problem").and_then(|problem| problem.as_str());
        Some(Self {
            build: u32::try_from(number("build")?).ok()?,
            is_live: number("live")? != 0,
            position: Position::new(u64::try_from(number("position")?).ok()?),
            problem: problem.map(str::to_owned),
            parked_streams: usize::try_from(number("waiting")?).ok()?,
        })
    }
}

impl Lead {
    /// Tells how far the other runner has come.
    pub(super) async fn look_on(&self) {
        let name = self.ledger.code.name.as_ref();
        let database = &self.ledger.database;
        let seen = database.query(Seen::SQL, &[name.into()], Seen::of).await;
        let head = self.store.head().await;
        self.board.send_modify(|status| {
            status.state = FollowState::StandingBy;
            (status.behind, status.positions_per_second) = (None, 0.0);
            let Ok(seen) = seen else { return };
            (status.rebuild, status.problem) = (None, None);
            for seen in seen.into_iter().flatten() {
                if seen.is_live {
                    (status.build, status.position) = (seen.build, seen.position);
                    status.parked_streams = seen.parked_streams;
                    status.problem = seen.problem;
                } else {
                    status.rebuild = Some(RebuildStatus {
                        build: seen.build,
                        position: seen.position,
                        positions_per_second: 0.0,
                        problem: seen.problem,
                    });
                }
            }
            // Read later, but what was written since may be in the tables.
            status.head = head.unwrap_or(status.head).max(status.position);
        });
    }

    /// Tells how far it has come itself.
    pub(super) fn tell(&self, lanes: &Lanes) {
        let clock = self.options.clock.as_ref();
        self.board.send_modify(|status| {
            let lanes_filled = || [&lanes.live, &lanes.beside].into_iter().flatten();
            status.rebuild = lanes.beside.as_ref().map(|lane| RebuildStatus {
                build: lane.build.build,
                position: lane.build.checkpoint.position,
                positions_per_second: lane.gauge.per_second(),
                problem: lane.problem.clone().filter(|_| lanes.halted),
            });
            if let Some(older) = &lanes.older {
                (status.build, status.position) = (older.build, older.checkpoint.position);
            }
            if let Some(lane) = &lanes.live {
                status.build = lane.build.build;
                status.position = lane.build.checkpoint.position;
                status.positions_per_second = lane.gauge.per_second();
                status.behind = lane.behind(clock);
                status.parked_streams = lane.parked.len();
            }
            let head = lanes_filled().map(|lane| lane.head).max();
            status.head = head.unwrap_or(status.head);
            status.problem = lanes_filled().find_map(|lane| lane.problem.clone());
            status.state = match &lanes.live {
                _ if self.paused => FollowState::Paused,
                Some(lane) if lane.is_at_end() => FollowState::Live,
                _ => FollowState::CatchingUp,
            };
        });
    }

    /// One that is paused reads nothing, and still tells how far the store has come.
    pub(super) async fn look_ahead(&self, lanes: &mut Lanes) {
        // If it cannot be read now, it is told with the next one.
        let Ok(head) = self.store.head().await else {
            return;
        };
        for lane in [&mut lanes.live, &mut lanes.beside].into_iter().flatten() {
            lane.head = lane.head.max(head);
        }
    }

    pub(super) fn tell_problem(&self, state: FollowState, trouble: &Trouble) {
        let problem = trouble.to_string();
        self.board.send_modify(|status| {
            status.state = state;
            status.problem = Some(problem);
        });
    }

    /// It was stopped, and is not any more.
    pub(super) fn tell_goes_on(&self) {
        self.board
            .send_modify(|status| status.state = FollowState::CatchingUp);
    }
}
