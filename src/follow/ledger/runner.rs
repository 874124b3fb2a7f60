//! Who is the runner: one over all processes, known by a token that grows.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Ledger, Overtaken, Rebuilds, Trouble, advance};
use crate::follow::lane::unreadable;
use crate::store::{BoxError, Build, OldBuild, SqlRow, Tx, builds};
use crate::version::Position;

/// What a runner has last said of itself, and when that was first seen here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    fence: i64,
    until: i64,
    since: Instant,
}

impl Ledger {
    /// Becomes the runner, unless there is one.
    pub(crate) async fn acquire_if_free(&mut self, now: DateTime<Utc>) -> Result<bool, Trouble> {
        let (now, until) = (now.timestamp_micros(), self.until(now));
        // Nobody waits for a read.
        let sql = "SELECT fence, lease_until FROM annalist_runners \
                   WHERE name = $1 AND lease_until > $2";
        let params = [self.code.name.as_ref().into(), now.into()];
        let holds = |row: &SqlRow| {
            let number = |column| row.get(column)?.as_i64();
            number("fence").zip(number("lease_until"))
        };
        let held = self.database.query(sql, &params, holds).await;
        let held = held.map_err(unreadable)?.into_iter().flatten().next();
        if held.is_some_and(|held| !self.is_silent(held)) {
            return Ok(false);
        }
        // No runner has this one.
        let (silent, its_until) = held.unwrap_or((0, 0));
        let acquired = self.transact(move |name, tx| {
            Box::pin(async move {
                let sql = "INSERT INTO annalist_runners (name, fence, lease_until) \
                           VALUES ($1, 1, $2) ON CONFLICT (name) DO UPDATE \
                           SET fence = fence + 1, lease_until = $2 \
                           WHERE lease_until <= $3 OR (fence = $4 AND lease_until = $5) \
                           RETURNING fence";
                let (silent, its_until) = (silent.into(), its_until.into());
                let params = [name.into(), until.into(), now.into(), silent, its_until];
                let rows = tx.query(sql, &params).await?;
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

    /// Whether a runner has said nothing new for as long as a lease lasts. Clocks differ and
    /// jump: one that was killed while its own was ahead would be the runner for ever.
    fn is_silent(&mut self, (fence, until): (i64, i64)) -> bool {
        let same = |heard: &Heard| (heard.fence, heard.until) == (fence, until);
        let heard = *match self.heard.filter(same) {
            Some(heard) => self.heard.insert(heard),
            None => self.heard.insert(Heard {
                fence,
                until,
                since: Instant::now(),
            }),
        };
        heard.since.elapsed() >= self.lease
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
                Ok(Rebuilds::read(name, tx).await?.asked)
            })
        })
        .await
    }

    /// Asks whoever is the runner to rebuild, and answers which build is the first that can
    /// be made for that.
    pub(crate) async fn ask_rebuild(&self, old: OldBuild) -> Result<u32, Trouble> {
        self.transact(move |name, tx| {
            Box::pin(async move {
                Rebuilds::ask(name, old, tx).await?;
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
