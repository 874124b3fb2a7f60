//! What is written down of rebuilds, so that whoever is the runner knows: which one is asked
//! for, and what is to become of the build whose place the one under way takes.

use crate::store::{BoxError, OldBuild, Tx, TxError};

/// What is written down of the rebuilds of one follower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rebuilds {
    /// One is asked for and not begun.
    pub(crate) asked: Option<OldBuild>,
    /// One that was asked for is under way.
    pub(crate) under_way: Option<OldBuild>,
}

impl Rebuilds {
    pub(super) async fn read(name: &str, tx: &mut Tx<'_>) -> Result<Self, BoxError> {
        let sql = "SELECT rebuild FROM annalist_runners WHERE name = $1";
        let rows = tx.query(sql, &[name.into()]).await?;
        let written = rows.first().and_then(|row| row.get("rebuild")?.as_str());
        let (asked, under_way) = match written {
            Some("drop") => (Some(OldBuild::Drop), None),
            Some("keep") => (Some(OldBuild::Keep), None),
            Some("dropping") => (None, Some(OldBuild::Drop)),
            Some("keeping") => (None, Some(OldBuild::Keep)),
            _ => (None, None),
        };
        Ok(Self { asked, under_way })
    }

    pub(super) async fn ask(name: &str, old: OldBuild, tx: &mut Tx<'_>) -> Result<(), TxError> {
        let asked = match old {
            OldBuild::Drop => "drop",
            OldBuild::Keep => "keep",
        };
        let sql = "UPDATE annalist_runners SET rebuild = $2 WHERE name = $1";
        tx.execute(sql, &[name.into(), asked.into()])
            .await
            .map(drop)
    }

    /// The one that was asked for is under way, and so is any that was begun before.
    pub(super) async fn begin(name: &str, old: OldBuild, tx: &mut Tx<'_>) -> Result<(), TxError> {
        let begun = match old {
            OldBuild::Drop => "dropping",
            OldBuild::Keep => "keeping",
        };
        let sql = "UPDATE annalist_runners SET rebuild = $2 WHERE name = $1";
        tx.execute(sql, &[name.into(), begun.into()])
            .await
            .map(drop)
    }

    /// The one under way is finished. Another one may be asked for by now.
    pub(super) async fn end(name: &str, tx: &mut Tx<'_>) -> Result<(), TxError> {
        let sql = "UPDATE annalist_runners SET rebuild = NULL \
                   WHERE name = $1 AND rebuild IN ('dropping', 'keeping')";
        tx.execute(sql, &[name.into()]).await.map(drop)
    }
}
