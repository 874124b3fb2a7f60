//! `annalist projections FILE`: what follows the store, and how far it has come.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::answer::{Answer, plain};
use super::event::time;
use super::{Failure, has_content};
use crate::store::{Build, BuildState, Database, READ_ALL, SqlRow, Store};
use crate::version::Position;

/// A build of what follows, as it is printed.
#[derive(Serialize)]
struct Shown {
    name: String,
    build: u32,
    version: u32,
    state: &'static str,
    /// Who fills it: `inline`, whoever appends; `following`, its runner.
    filled: &'static str,
    position: Position,
    /// The end of the store; none of another store's.
    head: Option<Position>,
    /// Positions that are missing; none where nothing more is taken in.
    lag: Option<u64>,
    /// Events that were put aside, and those that wait behind them.
    parked: u64,
    problem: Option<String>,
    /// Until when its runner is the one, if there is one.
    runner_until: Option<String>,
    /// The store that it follows.
    store: Uuid,
}

/// What the database says of one build.
pub(super) struct Found {
    pub(super) build: Build,
    parked: u64,
    /// When the last word of a runner runs out.
    pub(super) lease: Option<DateTime<Utc>>,
}

pub(super) async fn projections(
    store: &Store,
    database: Option<&Path>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let other = match database {
        Some(path) => Some(open(path).await?),
        None => None,
    };
    let database = match &other {
        Some(database) => database.clone(),
        None => store.database()?,
    };
    let (found, head) = (found(&database).await?, store.head().await?);
    let now = Utc::now();
    if found.is_empty() {
        answer.remark("nothing follows")?;
    }
    for found in found {
        answer.item(&shown(found, store.id(), head, now), line)?;
    }
    if let Some(other) = other {
        other.close().await?;
    }
    Ok(())
}

/// Opens a database beside the store.
pub(super) async fn open(path: &Path) -> Result<Database, Failure> {
    has_content(path)?;
    Ok(Database::open(path).await?)
}

/// Every build, in the order of names, as of one moment.
pub(super) async fn found(database: &Database) -> Result<Vec<Found>, Failure> {
    let sql = format!(
        "SELECT builds.*, annalist_runners.lease_until AS lease_until, \
         (SELECT count(*) FROM annalist_parked AS parked \
          WHERE parked.name = builds.name AND parked.build = builds.build) AS parked \
         FROM ({READ_ALL}) AS builds \
         LEFT JOIN annalist_runners ON annalist_runners.name = builds.name \
         ORDER BY builds.name, builds.build"
    );
    let rows = database.query(&sql, &[], read).await?;
    rows.into_iter().collect()
}

fn read(row: &SqlRow) -> Result<Found, Failure> {
    let number = |column| row.get(column)?.as_i64();
    let build = Build::of(row).map_err(|error| Failure::Told(error.to_string()))?;
    Ok(Found {
        build,
        parked: number("parked").map_or(0, i64::unsigned_abs),
        lease: number("lease_until").and_then(DateTime::from_timestamp_micros),
    })
}

impl Found {
    /// Until when a runner holds it, if one does.
    pub(super) fn held_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.lease
            .filter(|until| *until > now && !self.build.inline)
    }
}

fn shown(found: Found, store: Uuid, head: Position, now: DateTime<Utc>) -> Shown {
    let held = found.held_until(now);
    let Found { build, parked, .. } = found;
    let is_kept = build.state == BuildState::Kept;
    let position = build.checkpoint.position;
    let head = (build.checkpoint.store == store).then_some(head);
    Shown {
        name: build.name,
        build: build.build,
        version: build.version,
        state: build.state.as_str(),
        filled: match build.inline {
            true => "inline",
            false => "following",
        },
        position,
        head,
        lag: head
            .filter(|_| !is_kept)
            .map(|head| head.get().saturating_sub(position.get())),
        parked,
        problem: build.problem,
        runner_until: held.filter(|_| !is_kept).map(time),
        store: build.checkpoint.store,
    }
}

fn line(shown: &Shown) -> String {
    let place = match (shown.head, shown.lag) {
        (None, _) => format!("position {} of another store", shown.position),
        (_, None) => format!("position {}, filled no more", shown.position),
        (Some(head), Some(0)) => format!("position {head}, the end"),
        (Some(head), Some(lag)) => format!("position {} of {head}, lag {lag}", shown.position),
    };
    let runner = match (shown.state, shown.filled, &shown.runner_until) {
        ("kept", ..) => String::new(),
        (_, "inline", _) => "  inline".to_owned(),
        (_, _, Some(until)) => format!("  following, runner until {until}"),
        (_, _, None) => "  following, no runner".to_owned(),
    };
    let mut line = plain(&format!(
        "{}  build {}, version {}, {}  {place}{runner}",
        shown.name, shown.build, shown.version, shown.state
    ));
    if shown.parked > 0 {
        line.push_str(&format!("\n    put aside: {} events", shown.parked));
    }
    if let Some(problem) = &shown.problem {
        line.push_str(&format!("\n    problem: {}", plain(problem)));
    }
    line
}
