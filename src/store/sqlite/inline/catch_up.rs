//! Catching up: a read model that is new, behind or of an older version comes to the end of
//! the store, page by page, each with its checkpoint in one transaction.
//!
//! Called at opening, and by the writer when it finds that others have written.

use std::time::Duration;

use rusqlite::Connection;
use uuid::Uuid;

use super::{Inline, invalid};
use crate::store::checkpoint::Checkpoint;
use crate::store::database::BoxError;
use crate::store::derived::{At, Derivation, Step};
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::feed::{FeedItem, FeedPage, FeedQuery};
use crate::store::filter::Filter;
use crate::store::followers::{self, Build, BuildState, DamagedBuild, OldBuild};
use crate::store::scan::PageBounds;
use crate::store::sqlite::code::{Failed, UserCode};
use crate::store::sqlite::fault::{corrupt, fault};
use crate::store::sqlite::identity::store_id;
use crate::store::sqlite::lock::write_lock;
use crate::store::sqlite::names::Names;
use crate::store::sqlite::positions::read_feed;
use crate::store::tx::{Rights, Tx};
use crate::version::Position;

/// Whether there is more to catch up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Some,
    Nothing,
    /// More than there was: what was done is to be undone, and the build begun anew.
    Everything,
}

/// Which build one goes on with while it catches up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    WhereItWas,
    /// A new one: what was begun cannot be gone on with.
    Anew,
}

impl Inline {
    /// Events that are applied in one transaction while one catches up.
    const PAGE: PageBounds = PageBounds {
        events_max: 2_048,
        bytes_max: 4 * 1024 * 1024,
        scan_max: 16 * 1024,
    };

    /// Brings every one of them to the end of the store, each in transactions of its own.
    pub(in crate::store::sqlite) fn catch_up(
        &mut self,
        conn: &Connection,
        code: &mut UserCode<'_>,
        busy_timeout: Duration,
    ) -> Result<(), StoreError> {
        let doing = |error| fault(error, "catching up with inline projections");
        let store = store_id(conn).map_err(doing)?;
        for index in 0..self.models.len() {
            let (mut verified, mut start) = (false, Start::WhereItWas);
            loop {
                let transaction = write_lock(conn, busy_timeout).map_err(doing)?;
                let left = self.step((index, conn), code, (store, start), &mut verified)?;
                start = Start::WhereItWas;
                match left {
                    Left::Everything => {
                        transaction.rollback().map_err(doing)?;
                        self.forget();
                        start = Start::Anew;
                    }
                    Left::Some => transaction.commit().map_err(doing)?,
                    Left::Nothing => {
                        transaction.commit().map_err(doing)?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies the next page to one of them.
    fn step(
        &mut self,
        (index, conn): (usize, &Connection),
        code: &mut UserCode<'_>,
        (store, start): (Uuid, Start),
        verified: &mut bool,
    ) -> Result<Left, StoreError> {
        let Self { names, models, .. } = self;
        let Some(model) = models.get_mut(index) else {
            return Ok(Left::Nothing);
        };
        let (name, at) = (&model.code.name.clone(), At::default());
        let told = |failed: Failed| stopped(failed, name, &at);
        let head = feed(conn, names, Position::MAX)?.head;
        let mut tx = Tx::new(Rights::Ours);
        let chosen = code.run(&mut tx, |tx| {
            Box::pin(choose(&model.code, (store, start), head, tx))
        });
        let (mut build, others) = chosen.map_err(told)?;
        if !*verified {
            verify(conn, names, &build.checkpoint, store)?;
            *verified = true;
        }
        model.tables = build
            .tables()
            .map_err(|error| invalid(&model.code, error))?;
        model.begins_after = build.begins_after;
        let page = feed(conn, names, build.checkpoint.position)?;
        let mut steps = Vec::new();
        for item in page.items.iter().filter(|item| model.code.wants(item)) {
            match item {
                FeedItem::Event(event) => steps.push(Step::Apply(event)),
                // It was removed before this build began to read.
                FeedItem::Removed(marker) if marker.position <= build.began_at => {}
                FeedItem::Removed(marker) => {
                    model.take(&steps, &at, code).map_err(told)?;
                    steps.clear();
                    let stream = (marker.position, &marker.stream);
                    match model.forget(conn, names, stream, (&at, code)) {
                        Err(failed) if failed.needs_rebuild() => return Ok(Left::Everything),
                        forgotten => forgotten.map_err(told)?,
                    }
                }
            }
        }
        model.take(&steps, &at, code).map_err(told)?;
        let done = page
            .scanned
            .is_none_or(|scanned| scanned.position >= page.head);
        if let Some(scanned) = page.scanned {
            build.checkpoint = Checkpoint::new(store, scanned.position, scanned.event);
        }
        let mut tx = Tx::new(Rights::Ours);
        code.run(&mut tx, |tx| {
            Box::pin(move_on(&mut build, &others, done, tx))
        })
        .map_err(told)?;
        build.written = build.checkpoint;
        model.build = Some(build);
        Ok(if done { Left::Nothing } else { Left::Some })
    }
}

/// A page of everything that happened after a position.
fn feed(conn: &Connection, names: &mut Names, after: Position) -> Result<FeedPage, StoreError> {
    let query = FeedQuery {
        after,
        filter: Filter::default(),
        bounds: Inline::PAGE,
    };
    read_feed(conn, names, &query)
}

/// Compares the store with a checkpoint of its own file: it may have been mended by hand.
fn verify(
    conn: &Connection,
    names: &mut Names,
    checkpoint: &Checkpoint,
    store: Uuid,
) -> Result<(), StoreError> {
    let mismatch = |mismatch| {
        let kind = StoreErrorKind::CheckpointMismatch(mismatch);
        StoreError::new(kind, "catching up with inline projections")
    };
    checkpoint.is_of(store).map_err(mismatch)?;
    let page = read_feed(conn, names, &FeedQuery::at(checkpoint.position))?;
    page.confirms(checkpoint).map_err(mismatch)
}

/// The build to fill, made if there is none, and all that there are.
async fn choose(
    code: &Derivation,
    (store, start): (Uuid, Start),
    head: Position,
    tx: &mut Tx<'_>,
) -> Result<(Build, Vec<Build>), BoxError> {
    let mut builds = followers::builds(&code.name, tx).await?;
    let is_useless = |build: &Build| {
        let other = build.version != code.version || !code.declares(&build.declared);
        build.state == BuildState::Building && (other || start == Start::Anew)
    };
    let of_state = |state| builds.iter().rfind(|build| build.state == state);
    let live = of_state(BuildState::Live);
    if let Some(newer) = live.filter(|live| live.version > code.version) {
        return Err(code.is_older_than(newer.version).into());
    }
    let live = live.filter(|live| live.version == code.version);
    if live.is_some_and(|live| !code.declares(&live.declared)) {
        return Err("it declares other tables than it was built with; raise its VERSION".into());
    }
    let begun = of_state(BuildState::Building).filter(|begun| !is_useless(begun));
    let fits = match (start, live) {
        // It could not go on, and is made again beside.
        (Start::Anew, _) => None,
        (Start::WhereItWas, Some(live)) if live.inline => Some(live),
        (Start::WhereItWas, live) => begun.or(live),
    };
    let build = match fits.cloned() {
        Some(build) => {
            if !build.inline {
                build.refuse_parked(tx).await?;
            }
            build
        }
        None => {
            for useless in builds.iter().filter(|build| is_useless(build)) {
                useless.remove(tx).await?;
            }
            builds.retain(|build| !is_useless(build));
            let new = Build::beside(&builds, code, Checkpoint::start(store), head);
            new.insert(tx).await?;
            code.set_up(&new.tables()?, tx).await?;
            new
        }
    };
    Ok((build, builds))
}

/// Writes down how far a build has come, and that it is filled by the writer once that is
/// to the end.
async fn move_on(
    build: &mut Build,
    others: &[Build],
    done: bool,
    tx: &mut Tx<'_>,
) -> Result<(), BoxError> {
    if done && build.state != BuildState::Live {
        build.go_live(others, OldBuild::Drop, tx).await?;
    }
    if done && !build.inline {
        build.become_inline(tx).await?;
    }
    let to = build.checkpoint;
    match build.advance(&to, tx).await? {
        true => Ok(()),
        false => Err("somebody else fills it since; open the store again".into()),
    }
}

/// Why one has not caught up.
fn stopped(failed: Failed, name: &str, at: &At) -> StoreError {
    if failed.is::<DamagedBuild>() {
        let doing = format!("looking for the inline projection {name}");
        return corrupt(None, doing).with_source(DamagedBuild);
    }
    let error = failed.of(name.to_owned()).into_store_error();
    if error.kind() != StoreErrorKind::Invalid {
        return error;
    }
    let doing = match at.get() {
        Some(at) => format!("catching up with the inline projection {name}, at position {at}"),
        None => format!("catching up with the inline projection {name}"),
    };
    StoreError::new(StoreErrorKind::Invalid, doing).with_source(error)
}
