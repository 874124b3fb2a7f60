//! `annalist projection rebuild FILE NAME`: makes a projection anew beside the one that is
//! read, and ends when it is read instead.
//!
//! It runs the projection itself if nobody does, and asks who does otherwise. How far it
//! has come it reads from the database, so that it tells the same in both cases.

use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Serialize;

use super::answer::{Answer, plain};
use super::event::time;
use super::progress::{Progress, Screen};
use super::projections::{Found, found, open};
use super::{Failure, arguments::Rebuild};
use crate::domain::Domain;
use crate::follow::{FollowError, FollowState, Follower, Following};
use crate::projection::ProjectionRunner;
use crate::store::{BuildState, Database, OldBuild, Store};
use crate::version::Position;

/// What was made, as it is printed.
#[derive(Serialize)]
struct Made {
    name: String,
    build: u32,
    version: u32,
    position: Position,
    seconds: f64,
}

/// How it is gone about, as the database was found.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// There is no build yet, and the runner makes the first.
    First,
    /// This one is under way, or will be as soon as the runner begins: it is waited for.
    GoOn(u32),
    /// A new one is asked for.
    Anew,
}

/// How often it is looked how far it has come.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn rebuild(
    domain: &Domain,
    store: &Store,
    wanted: &Rebuild,
    answer: &mut Answer<'_>,
    (err, screen): (&mut dyn Write, Screen),
) -> Result<(), Failure> {
    let begun = Instant::now();
    let name = wanted.name.as_str();
    let known = domain
        .projection_named(name)
        .map_err(crate::DomainError::from)?;
    let (database, is_ours) = database(store, known.as_ref(), wanted.database.as_deref()).await?;
    let all = builds(&database, name).await?;
    if let Some(inline) = live(&all).filter(|live| live.build.inline) {
        return Err(Failure::Told(format!(
            "{name} is filled inline, by whoever appends, and is not rebuilt while it is; raise \
             its VERSION above {} and open the store with it, which fills it anew",
            inline.build.version
        )));
    }
    let mut follower = known.ok_or_else(|| unknown(domain, name))?;
    let old = match wanted.keep_old {
        true => OldBuild::Keep,
        false => OldBuild::Drop,
    };
    follower.options.old = old;
    follower.options.database = Some(database.clone());
    let way = way(&follower, &all)?;

    let following = ProjectionRunner::of(store, vec![follower]).start();
    let following = following.map_err(told)?;
    let mut progress = Progress::new(name, err, screen);
    if let Way::GoOn(build) = way {
        progress.remark(&format!("build {build} is under way, going on with it"));
    }
    let ended = watch(
        &following,
        store,
        (&database, name),
        (way, old),
        &mut progress,
    )
    .await;
    progress.end();
    following.stop().await;
    ended?;
    let all = builds(&database, name).await?;
    let made = live(&all).ok_or_else(|| Failure::Told(format!("{name} is not there any more")))?;
    let made = Made {
        name: name.to_owned(),
        build: made.build.build,
        version: made.build.version,
        position: made.build.checkpoint.position,
        seconds: begun.elapsed().as_secs_f64(),
    };
    answer.item(&made, |made| {
        plain(&format!(
            "{}: build {} is live, at position {}, after {:.1} s",
            made.name, made.build, made.position, made.seconds
        ))
    })?;
    if is_ours {
        database.close().await?;
    }
    Ok(())
}

/// Where its tables are, and whether it was opened for this.
async fn database(
    store: &Store,
    known: Option<&Follower>,
    named: Option<&Path>,
) -> Result<(Database, bool), Failure> {
    if let Some(path) = named {
        return Ok((open(path).await?, true));
    }
    match known.and_then(|follower| follower.options.database.clone()) {
        Some(database) => Ok((database, false)),
        None => Ok((store.database()?, false)),
    }
}

async fn builds(database: &Database, name: &str) -> Result<Vec<Found>, Failure> {
    let mut all = found(database).await?;
    all.retain(|found| found.build.name == name);
    Ok(all)
}

fn live(all: &[Found]) -> Option<&Found> {
    all.iter()
        .find(|found| found.build.state == BuildState::Live)
}

/// What there is decides what is to be done.
fn way(follower: &Follower, all: &[Found]) -> Result<Way, Failure> {
    let version = follower.code.version;
    let Some(live) = live(all) else {
        return Ok(Way::First);
    };
    let is_other = live.build.version != version;
    if let Some(until) = live.held_until(Utc::now()).filter(|_| is_other) {
        return Err(Failure::Told(format!(
            "{} is run by a program that has it in version {}, until {} at least, and this one \
             has version {version}; stop that one first",
            follower.code.name,
            live.build.version,
            time(until)
        )));
    }
    let begun = all
        .iter()
        .find(|found| found.build.state == BuildState::Building && found.build.version == version);
    Ok(match begun {
        Some(begun) => Way::GoOn(begun.build.build),
        // Its runner makes a new one by itself.
        None if is_other => Way::GoOn(live.build.build.saturating_add(1)),
        None => Way::Anew,
    })
}

/// Waits for its end, and tells how far it has come meanwhile.
async fn watch(
    following: &Following,
    store: &Store,
    (database, name): (&Database, &str),
    (way, old): (Way, OldBuild),
    progress: &mut Progress<'_>,
) -> Result<(), Failure> {
    let head = store.head().await?;
    let mut done = pin!(async {
        match way {
            Way::First => following.wait_for(name, head, Duration::MAX).await,
            Way::GoOn(build) => is_live(following, name, build).await,
            Way::Anew => following.rebuild(name, old).await,
        }
    });
    loop {
        if let Ok(done) = tokio::time::timeout(LOOK, done.as_mut()).await {
            return done.map_err(told);
        }
        let (all, head) = (builds(database, name).await?, store.head().await?);
        let building = all
            .iter()
            .find(|found| found.build.state == BuildState::Building);
        let filled = match way {
            Way::First => live(&all),
            Way::GoOn(_) | Way::Anew => building,
        };
        let status = following.status(name).map_err(told)?;
        let is_elsewhere = status.state == FollowState::StandingBy;
        match filled {
            Some(found) => progress.tell(found.build.checkpoint.position, head, is_elsewhere),
            None => progress.waits(is_elsewhere),
        }
    }
}

/// Waits until a build is the one that is read, or a later one is.
async fn is_live(following: &Following, name: &str, build: u32) -> Result<(), FollowError> {
    let mut status = following.watch(name)?;
    let done =
        status.wait_for(|status| status.build >= build || status.state == FollowState::Stopped);
    let ended = match done.await {
        Ok(status) => status.clone(),
        Err(_) => following.status(name)?,
    };
    match ended.build >= build {
        true => Ok(()),
        false => Err(FollowError::Stopped {
            name: ended.name,
            position: ended.position,
            problem: ended.problem.unwrap_or_default(),
        }),
    }
}

fn unknown(domain: &Domain, name: &str) -> Failure {
    let known: Vec<_> = domain.projections().map(|known| known.name).collect();
    Failure::Told(match known.is_empty() {
        true => format!(
            "this program knows no projections, so it cannot rebuild {name:?}; build one of your \
             own, whose `main` calls `annalist::tool::main(domain)` with your projections"
        ),
        false => format!(
            "this program knows no projection {name:?}, only {}; register it with \
             `Domain::projection`",
            known.join(", ")
        ),
    })
}

fn told(error: FollowError) -> Failure {
    match error {
        FollowError::Store(error) => error.into(),
        other => Failure::Follow(other),
    }
}
