//! Gives a follower up: nothing of it is left.

use chrono::{DateTime, Utc};

use super::FollowError;
use crate::caught::chain;
use crate::clock::{Clock, SystemClock};
use crate::store::{Database, TransactError, builds};

/// Removes a follower from a database: the tables of all its builds, the views that show
/// them, how far it has come, and what it has put aside. Answers whether there was one.
///
/// An inline projection that is given up need not be there to append any more. A process
/// that has it still makes it anew.
///
/// # Errors
///
/// [`FollowError::Refused`] while it has a runner: stop that first.
///
/// # Cancel safety
///
/// Dropping the future leaves it given up or not, never half.
pub async fn give_up(database: &Database, name: &str) -> Result<bool, FollowError> {
    let refused = |why| FollowError::Refused {
        name: name.to_owned(),
        why,
    };
    let (wanted, now) = (name.to_owned(), SystemClock.now().timestamp_micros());
    let given_up = database.transact(name, move |tx| {
        let name = wanted.clone();
        Box::pin(async move {
            let name = name.as_str();
            let sql = "SELECT lease_until FROM annalist_runners WHERE name = $1";
            let rows = tx.query(sql, &[name.into()]).await?;
            let held = rows
                .first()
                .and_then(|row| row.get("lease_until")?.as_i64())
                .filter(|until| *until > now)
                .and_then(DateTime::from_timestamp_micros);
            if let Some(until) = held {
                return Ok(Err(until));
            }
            // One that sleeps finds itself overtaken when it wakes.
            let sql =
                "UPDATE annalist_runners SET fence = fence + 1, rebuild = NULL WHERE name = $1";
            tx.execute(sql, &[name.into()]).await?;
            let all = builds(name, tx).await?;
            for build in &all {
                build.remove(tx).await?;
            }
            for table in ["annalist_dropped", "annalist_processes", "annalist_replies"] {
                let sql = format!("DELETE FROM {table} WHERE name = $1");
                tx.execute(&sql, &[name.into()]).await?;
            }
            Ok(Ok(!all.is_empty()))
        })
    });
    match given_up.await {
        Ok(Ok(there)) => Ok(there),
        Ok(Err(until)) => Err(refused(is_held(until))),
        Err(TransactError::Database(error)) => Err(FollowError::Store(error)),
        Err(TransactError::Code(error)) => Err(refused(chain(&error))),
    }
}

fn is_held(until: DateTime<Utc>) -> String {
    format!(
        "it has a runner, until {} at least; stop that first",
        until.to_rfc3339()
    )
}
