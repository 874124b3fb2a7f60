//! Who is the runner: one over all processes, known by a token that grows.

use chrono::{DateTime, Utc};

use super::{Ledger, Overtaken, Trouble, advance};
use crate::follow::lane::unreadable;
use crate::store::{BoxError, Build, OldBuild, Tx, builds};
use crate::version::Position;

impl Ledger {
    /// Becomes the runner, unless there is one.
    pub(crate) async fn acquire_if_free(&mut self, now: DateTime<Utc>) -> Result<bool, Trouble> {
        let (now, until) = (now.timestamp_micros(), self.until(now));
        // Nobody waits for a read.
        let sql = "SELECT 1 FROM annalist_runners WHERE name = $1 AND lease_until > $2";
        let params = [self.code.name.as_ref().into(), now.into()];
        let held = self.database.query(sql, &params, |_| ()).await;
        if !held.map_err(unreadable)?.is_empty() {
            return Ok(false);
        }
        let acquired = self.transact(move |name, tx| {
            Box::pin(async move {
                let sql = "INSERT INTO annalist_runners (name, fence, lease_until) \
                           VALUES ($1, 1, $2) ON CONFLICT (name) DO UPDATE \
                           SET fence = fence + 1, lease_until = $2 WHERE lease_until <= $3 \
                           RETURNING fence";
                let rows = tx
                    .query(sql, &[name.into(), until.into(), now.into()])
                    .await?;
                Ok(rows.first().and_then(|row| row.get("fence")?.as_i64()))
            })
        });
        match acquired.await? {
            Some(fence) => {
                self.fence = fence;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Whether another runner has come further than this with the build that is read.
    pub(crate) async fn is_passed(&self, build: u32, at: Position) -> Result<bool, Trouble> {
        let sql = "SELECT 1 FROM annalist_runners AS runner \
                   JOIN annalist_followers AS seen ON seen.name = runner.name \
                   WHERE seen.name = $1 AND fence <> $2 AND state = 'live' \
                   AND (build, position) > ($3, $4)";
        let name = self.code.name.as_ref();
        let params = [name.into(), self.fence.into(), build.into(), at.into()];
        let passed = self.database.query(sql, &params, |_| ()).await;
        Ok(!passed.map_err(unreadable)?.is_empty())
    }

    /// Stays the runner, and writes down how far the builds have come of which nothing was
    /// written because nothing was for them. Answers what another process has asked for.
    pub(crate) async fn renew(
        &self,
        now: DateTime<Utc>,
        idle: Vec<Build>,
    ) -> Result<Option<OldBuild>, Trouble> {
        let holds = self.holds(now);
        self.transact(move |name, tx| {
            let idle = idle.clone();
            Box::pin(async move {
                holds.renew(name, tx).await?;
                for build in idle {
                    advance(&build, &build.checkpoint, tx).await?;
                }
                let sql = "SELECT rebuild FROM annalist_runners WHERE name = $1";
                let rows = tx.query(sql, &[name.into()]).await?;
                let asked = rows.first().and_then(|row| row.get("rebuild")?.as_str());
                Ok(asked.map(|old| match old {
                    "keep" => OldBuild::Keep,
                    _ => OldBuild::Drop,
                }))
            })
        })
        .await
    }

    /// Asks whoever is the runner to rebuild, and answers which build is the first that can
    /// be made for that.
    pub(crate) async fn ask_rebuild(&self, old: OldBuild) -> Result<u32, Trouble> {
        self.transact(move |name, tx| {
            Box::pin(async move {
                let old = match old {
                    OldBuild::Drop => "drop",
                    OldBuild::Keep => "keep",
                };
                let sql = "UPDATE annalist_runners SET rebuild = $2 WHERE name = $1";
                tx.execute(sql, &[name.into(), old.into()]).await?;
                let last = builds(name, tx)
                    .await?
                    .iter()
                    .map(|build| build.build)
                    .max();
                Ok(last.unwrap_or(0).saturating_add(1))
            })
        })
        .await
    }

    /// Lets somebody else be the runner at once.
    pub(crate) async fn release(&self) -> Result<(), Trouble> {
        let fence = self.fence;
        self.transact(move |name, tx| {
            Box::pin(async move {
                let sql =
                    "UPDATE annalist_runners SET lease_until = 0 WHERE name = $1 AND fence = $2";
                tx.execute(sql, &[name.into(), fence.into()]).await?;
                Ok(())
            })
        })
        .await
    }

    pub(super) fn holds(&self, now: DateTime<Utc>) -> Holds {
        Holds {
            fence: self.fence,
            until: self.until(now),
        }
    }

    fn until(&self, now: DateTime<Utc>) -> i64 {
        let lease = i64::try_from(self.lease.as_micros()).unwrap_or(i64::MAX);
        now.timestamp_micros().saturating_add(lease)
    }
}

/// That a runner is the runner, and until when.
#[derive(Clone, Copy)]
pub(super) struct Holds {
    fence: i64,
    until: i64,
}

impl Holds {
    /// Fails where it is overtaken.
    pub(super) async fn renew(self, name: &str, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        let sql = "UPDATE annalist_runners SET lease_until = $3 WHERE name = $1 AND fence = $2";
        let params = [name.into(), self.fence.into(), self.until.into()];
        match tx.execute(sql, &params).await? {
            0 => Err(Overtaken.into()),
            _ => Ok(()),
        }
    }
}
