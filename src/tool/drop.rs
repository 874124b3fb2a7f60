//! `annalist projection drop FILE NAME`: gives up what follows under a name, with its tables.

use serde::Serialize;

use super::answer::{Answer, plain};
use super::projections::open;
use super::{Failure, arguments::Drop};
use crate::follow::{FollowError, give_up};
use crate::store::Store;

/// What was dropped, as it is printed.
#[derive(Serialize)]
struct Dropped<'a> {
    dropped: &'a str,
}

pub(super) async fn drop(
    store: &Store,
    wanted: &Drop,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    let name = wanted.name.as_str();
    let database = match &wanted.database {
        Some(path) => open(path).await?,
        None => store.database()?,
    };
    let was_there = give_up(&database, name)
        .await
        .map_err(|error| match error {
            FollowError::Store(error) => error.into(),
            other => Failure::Follow(other),
        })?;
    // That of a store closes with it.
    database.close().await?;
    if !was_there {
        let told = format!("nothing follows as {name:?}; `annalist projections` lists what does");
        return Err(Failure::Told(told));
    }
    let dropped = Dropped { dropped: name };
    answer.item(&dropped, |dropped| {
        plain(&format!("{} is dropped", dropped.dropped))
    })?;
    Ok(())
}
