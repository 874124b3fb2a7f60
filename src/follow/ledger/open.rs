//! Which builds a runner fills: those that it finds, and the first if there is none.

use super::Opened;
use crate::store::{BoxError, Build, BuildState, Checkpoint, Derivation, OldBuild, Tx, builds};
use crate::version::Position;

pub(super) async fn open(
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
    let of_state = |state| all.iter().rfind(|build| build.state == state);
    let live = of_state(BuildState::Live);
    if let Some(newer) = live.filter(|live| live.version > code.version) {
        return Err(code.is_older_than(newer.version).into());
    }
    if live.is_some_and(|live| live.inline) {
        return Err("it is filled inline in this store; a runner cannot fill it, too".into());
    }
    let fits = |build: &&Build| build.version == code.version;
    let begun = of_state(BuildState::Building).filter(fits);
    let older = live.filter(|live| live.version < code.version).cloned();
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
    })
}

/// Begins a build beside those that there are; others that were begun are no more.
pub(super) async fn begin(
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
