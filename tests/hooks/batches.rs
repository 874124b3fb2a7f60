//! What is written in batches is what would be written one after the other, whatever the
//! hooks of some of it do: answers, numbers and rows are the same.
//!
//! What may go wrong is what an undone commit leaves behind for the next one of its batch:
//! numbers of streams and types, versions, keys, ids, leases, the count of removals. So the
//! same jobs are sent to two stores, all at once to one, each alone to the other.
//!
//! 1,200 jobs in `cargo test`. The long run:
//!
//! ```text
//! ANNALIST_BATCHES=1000 cargo test --release --test hooks batches -- --nocapture
//! ```

use std::sync::Arc;

use annalist::store::sqlite::{Durability, SqliteOptions};
use annalist::store::{
    CommitHook, FencingToken, HookResult, LeaseAsk, LeaseName, LeaseRequest, Removed, Tx,
};
use annalist::{
    Clock, Commit, EventId, ExpectedVersion, Fence, Fingerprint, Metadata, NewEvent, RecordedEvent,
    Store, StreamId, Version,
};
use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt, join_all};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::stream;

const JOBS: u64 = 40;

/// Notes each event, then does what its actor is called.
struct Moody;

impl CommitHook for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    fn set_up<'a>(&'a self, tx: &'a mut Tx<'_>) -> BoxFuture<'a, HookResult> {
        async {
            for sql in [
                "CREATE TABLE IF NOT EXISTS noted (position INTEGER, what TEXT)",
                "CREATE TABLE IF NOT EXISTS once (a INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)",
                "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(word)",
                "CREATE TRIGGER IF NOT EXISTS away BEFORE INSERT ON once WHEN new.a = 7 \
                 BEGIN SELECT RAISE(ROLLBACK, 'away'); END",
                "INSERT OR IGNORE INTO once VALUES (1)",
            ] {
                tx.execute(sql, &[]).await?;
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
        async move {
            for event in events {
                let what = format!("{} {} {}", event.stream, event.version, event.event_type);
                let noted = "INSERT INTO noted VALUES ($1, $2)";
                let row = [event.position.into(), what.as_str().into()];
                tx.execute(noted, &row).await?;
                tx.execute("INSERT INTO words VALUES ($1)", &[what.into()])
                    .await?;
                match event.metadata.actor.as_deref() {
                    Some("refuses") => return Err("as it does".into()),
                    Some("panics") => panic!("as it does"),
                    Some("waits") => std::future::pending().await,
                    Some("fails") => drop(tx.execute("nonsense", &[]).await),
                    Some("ends") => drop(tx.execute("INSERT INTO once VALUES (1)", &[]).await?),
                    // And goes on as if nothing were.
                    Some("raises") => {
                        let ended = tx.execute("INSERT INTO once VALUES (7)", &[]).await;
                        ended.expect_err("it raises");
                        let after = tx.execute("DELETE FROM noted", &[]).await;
                        after.expect_err("no transaction");
                    }
                    _ => {}
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
            let what = format!("{} removed", removed.stream);
            tx.execute("INSERT INTO noted VALUES (NULL, $1)", &[what.into()])
                .await?;
            match removed.generation.get() % 3 {
                1 if removed.stream.category() == "s1" => Err("not the first time".into()),
                2 if removed.stream.category() == "s2" => panic!("not the second time"),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

/// A clock that stands still, so that two stores tell the same time.
struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

#[derive(Clone, Debug)]
enum Job {
    Commit(Commit),
    Delete(StreamId, ExpectedVersion),
    Truncate(StreamId, Version),
    Lease(LeaseRequest),
}

/// Numbers that look random and follow from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// A stream; every batch has some that are new.
    fn stream(&mut self, batch: u64) -> StreamId {
        stream(&format!("s{}-{}", self.below(4), batch / 2 + self.below(2)))
    }

    fn expected(&mut self) -> ExpectedVersion {
        match self.below(10) {
            0 => ExpectedVersion::NoStream,
            1 => ExpectedVersion::StreamExists,
            2 | 3 => ExpectedVersion::Exact(Version::new(self.below(4))),
            _ => ExpectedVersion::Any,
        }
    }

    fn lease(&mut self) -> LeaseName {
        let name = format!("lease-{}", self.below(2));
        name.parse().expect("a name")
    }

    /// An event whose content follows from its id, and whose actor does not: sent again it
    /// is a repeat, in another mood.
    fn event(&mut self, batch: u64) -> NewEvent {
        let number = batch * 10 + self.below(30);
        let event_type = format!("Type{}", number % 37 + batch / 3);
        let event = NewEvent::json(&event_type, &json!({ "number": number })).expect("an event");
        let event = event.with_id(EventId::derived("batches", &number.to_string()));
        let moods = ["refuses", "panics", "waits", "fails", "ends", "raises"];
        match moods.get(self.below(24) as usize) {
            Some(mood) => event.with_metadata(Metadata::by(*mood)),
            None => event,
        }
    }

    fn job(&mut self, batch: u64) -> Job {
        match self.below(12) {
            0 => Job::Delete(self.stream(batch), self.expected()),
            1 => Job::Truncate(self.stream(batch), Version::new(self.below(5))),
            2 => Job::Lease(LeaseRequest {
                name: self.lease(),
                ask: match self.below(2) {
                    0 => LeaseAsk::Acquire(std::time::Duration::ZERO),
                    _ => LeaseAsk::Release(FencingToken::new(self.below(3))),
                },
            }),
            _ => self.commit(batch),
        }
    }

    fn commit(&mut self, batch: u64) -> Job {
        let first = self.stream(batch);
        let second = self.stream(batch);
        let mut commit = Commit::new();
        for (index, to) in [first.clone(), second].into_iter().enumerate() {
            if index > 0 && (to == first || self.below(3) > 0) {
                continue;
            }
            let mut events: Vec<NewEvent> = Vec::new();
            for _ in 0..self.below(3) {
                let event = self.event(batch);
                if events.iter().all(|other| other.id != event.id) {
                    events.push(event);
                }
            }
            commit = commit.append(to, self.expected(), events);
        }
        if self.below(4) == 0 {
            let (key, fingerprint) = (self.below(9), self.below(2));
            commit = commit.key(
                format!("key-{key}"),
                Fingerprint::of(fingerprint.to_string()),
            );
        }
        if self.below(6) == 0 {
            let token = FencingToken::new(self.below(4));
            let name = self.lease();
            commit = commit.fenced_by(Fence { name, token });
        }
        Job::Commit(commit)
    }
}

struct Side {
    folder: TempDir,
    store: Store,
}

impl Side {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = SqliteOptions::default();
        options.hooks.push(Arc::new(Moody));
        options.durability = Durability::Off;
        options.clock = Arc::new(Still);
        let store = Store::open_with(folder.path().join("store.db"), options).await;
        let store = store.expect("a store");
        Self { folder, store }
    }

    /// The answer as text.
    async fn send(&self, job: Job) -> String {
        match job {
            Job::Commit(commit) => format!("{:?}", self.store.commit(commit).await),
            Job::Delete(stream, expected) => {
                format!("{:?}", self.store.delete(&stream, expected).await)
            }
            Job::Truncate(stream, before) => {
                format!("{:?}", self.store.truncate_before(&stream, before).await)
            }
            Job::Lease(request) => format!("{:?}", self.store.backend().lease(request).await),
        }
    }

    /// Every row of every table but those that are each file's own.
    fn rows(&self) -> Vec<String> {
        let conn = Connection::open(self.folder.path().join("store.db")).expect("a connection");
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' \
                      AND name NOT IN ('annalist_meta', 'annalist_secrets') AND name NOT LIKE 'words_%' ORDER BY name";
        let mut tables = conn.prepare(tables).expect("a statement");
        let tables = tables.query_map([], |row| row.get::<_, String>(0));
        let mut all = Vec::new();
        for table in tables.expect("tables") {
            let table = table.expect("a name");
            let mut rows = conn
                .prepare(&format!("SELECT * FROM {table}"))
                .expect("a statement");
            let columns = rows.column_count();
            let mut rows = rows.query([]).expect("rows");
            while let Some(row) = rows.next().expect("a row") {
                let values: Vec<Value> = (0..columns)
                    .map(|index| row.get(index).expect("a value"))
                    .collect();
                all.push(format!("{table} {values:?}"));
            }
        }
        all
    }

    fn search_is_whole(&self) {
        let conn = Connection::open(self.folder.path().join("store.db")).expect("a connection");
        let check = "INSERT INTO words(words, rank) VALUES ('integrity-check', 1)";
        conn.execute(check, []).expect("an index of what is there");
        let differ = "SELECT (SELECT count(*) FROM words) \
                      - (SELECT count(*) FROM noted WHERE position IS NOT NULL)";
        let differ: i64 = conn
            .query_row(differ, [], |row| row.get(0))
            .expect("a number");
        assert_eq!(differ, 0);
    }
}

#[tokio::test]
async fn batches_are_answered_as_one_after_the_other_would_be() {
    let batches = std::env::var("ANNALIST_BATCHES").map_or(30, |n| n.parse().expect("a number"));
    let seed = std::env::var("ANNALIST_SEED").map_or(7, |n| n.parse().expect("a number"));
    let mut dice = Dice(seed);
    let (together, apart) = (Side::new().await, Side::new().await);
    let (mut stopped, mut written, mut repeated) = (0, 0, 0);
    for batch in 0..batches {
        let mut jobs: Vec<Job> = Vec::new();
        while (jobs.len() as u64) < JOBS {
            // Some are sent twice in one batch.
            let again = jobs.get(dice.below(JOBS * 2) as usize).cloned();
            jobs.push(again.unwrap_or_else(|| dice.job(batch)));
        }
        let at_once = join_all(jobs.iter().map(|job| together.send(job.clone()))).await;
        for (job, answer) in jobs.into_iter().zip(at_once) {
            let told = format!("seed {seed}, batch {batch}: {job:?}");
            assert_eq!(answer, apart.send(job).await, "{told}");
            stopped += u64::from(answer.contains("Hook {"));
            written += u64::from(answer.contains("replayed: false"));
            repeated += u64::from(answer.contains("replayed: true"));
        }
        assert_eq!(together.rows(), apart.rows(), "seed {seed}, batch {batch}");
    }
    for side in [together, apart] {
        let report = side.store.verify().await.expect("a report");
        assert!(report.is_whole(), "{report:?}");
        side.search_is_whole();
    }
    println!(
        "batches: {} jobs, {written} written, {repeated} repeats, {stopped} stopped by the hook",
        batches * JOBS
    );
    assert!(written > 100 && repeated > 20 && stopped > 100);
}
