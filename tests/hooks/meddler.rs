//! A hook that does what its events tell it to, and counts those that it lets pass.

use annalist::RecordedEvent;
use annalist::store::{CommitHook, HookResult, Removed, Tx, TxError};
use futures_util::future::{BoxFuture, FutureExt};
use serde::Deserialize;

/// Counts events and removals; before that it does what an event of type `Meddled` says.
pub(crate) struct Meddler;

#[derive(Deserialize)]
struct Said {
    say: String,
}

pub(crate) const TABLES: [&str; 5] = [
    "CREATE TABLE IF NOT EXISTS counts (type TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS seen (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER) STRICT",
    "CREATE TABLE IF NOT EXISTS meddled (word TEXT UNIQUE) STRICT",
    "CREATE VIEW IF NOT EXISTS known AS SELECT name FROM annalist_streams",
    "CREATE TRIGGER IF NOT EXISTS sly AFTER INSERT ON meddled WHEN new.word = 'sly' \
     BEGIN DELETE FROM annalist_events; END",
];

impl CommitHook for Meddler {
    fn name(&self) -> &str {
        "meddler"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            for table in TABLES {
                tx.execute(table, &[]).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn on_events<'a>(
        &'a self,
        events: &'a [RecordedEvent],
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        if events
            .iter()
            .any(|event| event.event_type.as_str() == "PanickedAtOnce")
        {
            panic!("at once");
        }
        async move {
            for event in events {
                count(event.event_type.as_str(), tx).await?;
                let seen = "INSERT INTO seen VALUES ($1, $2, $3)";
                let row = [
                    event.position.into(),
                    (&event.stream).into(),
                    event.version.into(),
                ];
                tx.execute(seen, &row).await?;
                if event.event_type.as_str() == "Meddled" {
                    let Said { say } = event.payload.decode()?;
                    meddle(&say, tx).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn on_removal<'a>(
        &'a self,
        removed: &'a Removed,
        tx: &'a mut Tx<'_>,
    ) -> BoxFuture<'a, HookResult> {
        async move {
            count("removals", tx).await?;
            match removed.stream.category() {
                "kept" => Err("it is kept".into()),
                "cursed" => panic!("while removing"),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

async fn count(what: &str, tx: &mut Tx<'_>) -> Result<(), TxError> {
    let count = "INSERT INTO counts VALUES ($1, 1) ON CONFLICT DO UPDATE SET n = n + 1";
    tx.execute(count, &[what.into()]).await?;
    Ok(())
}

async fn meddle(say: &str, tx: &mut Tx<'_>) -> HookResult {
    match say {
        "refuse" => return Err("no such meddling".into()),
        "panic" => panic!("on purpose"),
        "suspend" => std::future::pending().await,
        "sleep" => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
        // What it says is run; a failure is swallowed if it begins with a question mark.
        sql => match sql.strip_prefix('?') {
            Some(sql) => drop(tx.execute(sql, &[]).await),
            None => drop(tx.execute(sql, &[]).await?),
        },
    }
    Ok(())
}
