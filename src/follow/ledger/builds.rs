//! Which builds a runner fills: those that it finds, the first if there is none, and one
//! that is to take the place of another.

use chrono::{DateTime, Utc};

use super::{Ledger, Opened, Rebuilds, Trouble, advance};
use crate::store::{BoxError, Build, BuildState, Checkpoint, Derivation, OldBuild, Tx, builds};
use crate::version::Position;

impl Ledger {
    /// Finds the builds to fill, and makes the first.
    pub(crate) async fn open(
        &self,
        start: Checkpoint,
        head: Position,
        now: DateTime<Utc>,
    ) -> Result<Opened, Trouble> {
        let (holds, code) = (self.holds(now), self.code.clone());
        self.transact(move |name, tx| {
            let code = code.clone();
            Box::pin(async move {
                holds.renew(name, tx).await?;
                open(&code, start, head, tx).await
            })
        })
        .await
    }

    /// Begins a build beside the one that is read, in the place of one that was begun, and
    /// writes down what becomes of the one that is read.
    pub(crate) async fn begin(
        &self,
        start: Checkpoint,
        (head, old): (Position, OldBuild),
        now: DateTime<Utc>,
    ) -> Result<Build, Trouble> {
        let (holds, code) = (self.holds(now), self.code.clone());
        self.transact(move |name, tx| {
            let code = code.clone();
            Box::pin(async move {
                holds.renew(name, tx).await?;
                let all = builds(name, tx).await?;
                refuse(&code, live(&all))?;
                Rebuilds::begin(name, old, tx).await?;
                begin(&code, &all, start, head, tx).await
            })
        })
        .await
    }

    /// Makes a build the one that is read.
    pub(crate) async fn go_live(
        &self,
        build: &Build,
        old: OldBuild,
        now: DateTime<Utc>,
    ) -> Result<Build, Trouble> {
        let (holds, build) = (self.holds(now), build.clone());
        self.transact(move |name, tx| {
            let mut build = build.clone();
            Box::pin(async move {
                holds.renew(name, tx).await?;
                Rebuilds::end(name, tx).await?;
                advance(&build, &build.checkpoint, tx).await?;
                build.written = build.checkpoint;
                build.go_live(&builds(name, tx).await?, old, tx).await?;
                Ok(build)
            })
        })
        .await
    }
}

fn of_state(all: &[Build], state: BuildState) -> Option<&Build> {
    all.iter().rfind(|build| build.state == state)
}

fn live(all: &[Build]) -> Option<&Build> {
    of_state(all, BuildState::Live)
}

/// Refuses to fill anything where what is read is filled by somebody else for good.
fn refuse(code: &Derivation, live: Option<&Build>) -> Result<(), BoxError> {
    match live {
        Some(newer) if newer.version > code.version => {
            Err(code.is_older_than(newer.version).into())
        }
        Some(live) if live.inline => {
            Err("it is filled inline in this store; a runner cannot fill it, too".into())
        }
        _ => Ok(()),
    }
}

async fn open(
    code: &Derivation,
    start: Checkpoint,
    head: Position,
    tx: &mut Tx<'_>,
) -> Result<Opened, BoxError> {
    let mut all = builds(&code.name, tx).await?;
    for stopped in all.iter_mut().filter(|build| build.problem.is_some()) {
        // It is tried once more.
        stopped.note_problem(None, tx).await?;
        stopped.problem = None;
    }
    let live = live(&all);
    refuse(code, live)?;
    let fits = |build: &&Build| build.version == code.version && code.declares(&build.declared);
    let begun = of_state(&all, BuildState::Building).filter(fits);
    let older = live.filter(|live| !fits(live)).cloned();
    if begun.is_none()
        && older
            .as_ref()
            .is_some_and(|old| old.version == code.version)
    {
        return Err(
            "it declares other tables than it was built with; raise its VERSION, or rebuild it"
                .into(),
        );
    }
    let (live, beside) = match (live, live.filter(fits), begun) {
        // Nothing is read yet that the first one could stand beside.
        (None, _, None) => {
            let mut first = begin(code, &all, start, head, tx).await?;
            first.go_live(&all, OldBuild::Drop, tx).await?;
            (Some(first), None)
        }
        (Some(_), None, None) => (None, Some(begin(code, &all, start, head, tx).await?)),
        (_, live, begun) => (live.cloned(), begun.cloned()),
    };
    Ok(Opened {
        live,
        beside,
        older,
        rebuilds: Rebuilds::read(&code.name, tx).await?,
    })
}

/// Begins a build beside those that there are; others that were begun are no more.
async fn begin(
    code: &Derivation,
    all: &[Build],
    start: Checkpoint,
    head: Position,
    tx: &mut Tx<'_>,
) -> Result<Build, BoxError> {
    for begun in all
        .iter()
        .filter(|build| build.state == BuildState::Building)
    {
        begun.remove(tx).await?;
    }
    let new = Build::beside(all, code, start, head);
    new.insert(tx).await?;
    code.set_up(&new.tables()?, tx).await?;
    Ok(new)
}
