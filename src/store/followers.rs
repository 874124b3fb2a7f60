//! What a database keeps of those who follow the log and write what they make of it there:
//! how far each has come, and which of its builds is read.
//!
//! Plain SQL, run within the transaction that writes what was made of the events, so that
//! both are there or neither is.

use crc32fast::Hasher;
use uuid::Uuid;

use crate::ids::EventId;
use crate::store::checkpoint::Checkpoint;
use crate::store::database::BoxError;
use crate::store::derived::Derivation;
use crate::store::tables::Tables;
use crate::store::tx::{SqlRow, SqlValue, Tx, TxError};
use crate::version::Position;

/// One build of a follower's tables.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) build: u32,
    /// Of the code that fills it.
    pub(crate) version: u32,
    pub(crate) state: BuildState,
    /// Whether the writer of the store fills it.
    pub(crate) inline: bool,
    /// The names that its tables are declared under.
    pub(crate) declared: Vec<String>,
    pub(crate) checkpoint: Checkpoint,
    /// The one that is written down.
    pub(crate) written: Checkpoint,
    /// The last position when it was begun: what was removed by then it never saw.
    pub(crate) began_at: Position,
    /// What stands up to here was never for it.
    pub(crate) begins_after: Position,
    /// Why it has stopped.
    pub(crate) problem: Option<String>,
}

/// What becomes of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuildState {
    /// It is being filled, beside the one that is read.
    Building,
    /// It is the one that is read.
    Live,
    /// It was live, and is kept as it was.
    Kept,
}

impl BuildState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Live => "live",
            Self::Kept => "kept",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Building, Self::Live, Self::Kept]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What becomes of the build that was live before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldBuild {
    /// Its tables are dropped.
    #[default]
    Drop,
    /// It stays, and is filled no more. Its tables keep the name of their build, such as
    /// `balances__r3`.
    Keep,
}

const COLUMNS: &str = "name, build, version, state, inline, tables, store_id, position, event_id, \
                       began_at, begins_after, problem, checksum";

/// Reads every build that the database holds, in the order of their names.
pub(crate) const READ_ALL: &str = "SELECT name, build, version, state, inline, tables, store_id, \
     position, event_id, began_at, begins_after, problem, checksum FROM annalist_followers \
     ORDER BY name, build";

/// The builds of one follower, the oldest first.
pub(crate) async fn builds(name: &str, tx: &mut Tx<'_>) -> Result<Vec<Build>, BoxError> {
    let sql = format!("SELECT {COLUMNS} FROM annalist_followers WHERE name = $1 ORDER BY build");
    let rows = tx.query(&sql, &[name.into()]).await?;
    rows.iter().map(Build::of).collect()
}

/// A row is not as it was written.
#[derive(Debug, thiserror::Error)]
#[error(
    "a row of annalist_followers is not as it was written; restore the database, or delete the \
     row, its tables and their views to build the read model anew"
)]
pub(crate) struct DamagedBuild;

impl Build {
    /// Reads a row of [`READ_ALL`].
    pub(crate) fn of(row: &SqlRow) -> Result<Self, BoxError> {
        read(row).ok_or_else(|| DamagedBuild.into())
    }

    /// The first build of a follower, or one beside those that there are.
    pub(crate) fn beside(
        others: &[Self],
        code: &Derivation,
        start: Checkpoint,
        began_at: Position,
    ) -> Self {
        let last = others.iter().map(|other| other.build).max();
        Self {
            name: code.name.to_string(),
            build: last.unwrap_or(0).saturating_add(1),
            version: code.version,
            state: BuildState::Building,
            inline: false,
            declared: code.declared().to_vec(),
            checkpoint: start,
            written: start,
            began_at,
            begins_after: start.position,
            problem: None,
        }
    }

    /// Writes it down, unless the names of its tables are somebody else's.
    pub(crate) async fn insert(&self, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        self.refuse_taken(tx).await?;
        let sql = format!(
            "INSERT INTO annalist_followers ({COLUMNS}) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        );
        let params = [
            self.name.as_str().into(),
            self.build.into(),
            self.version.into(),
            self.state.as_str().into(),
            self.inline.into(),
            self.declared_json().into(),
            self.checkpoint.store.as_bytes().as_slice().into(),
            self.checkpoint.position.into(),
            event(self.checkpoint.event),
            self.began_at.into(),
            self.begins_after.into(),
            self.problem.clone().into(),
            self.checksum().into(),
        ];
        tx.execute(&sql, &params).await?;
        Ok(())
    }

    /// Refuses names that another follower or the application has given to something.
    async fn refuse_taken(&self, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        let taken = |name: &str, by: &str| {
            let told = format!(
                "the projection {} cannot take the name {name}, which {by} has; rename that, or \
                 the projection's table",
                self.name
            );
            Err(told.into())
        };
        let rows = tx.query(READ_ALL, &[]).await?;
        let all: Vec<_> = rows.iter().map(Self::of).collect::<Result<_, _>>()?;
        let has = |build: &Self, name: &str| {
            build
                .declared
                .iter()
                .any(|declared| declared.eq_ignore_ascii_case(name))
        };
        let sql =
            "SELECT type, name FROM sqlite_schema WHERE lower(name) IN (lower($1), lower($2))";
        for (declared, physical) in self.tables()?.pairs() {
            let mut others = all.iter().filter(|other| other.name != self.name);
            if let Some(other) = others.find(|other| has(other, declared)) {
                return taken(declared, &format!("the projection {}", other.name));
            }
            let mine = all.iter().filter(|build| build.state == BuildState::Live);
            let is_shown = mine.into_iter().any(|build| has(build, declared));
            for found in tx.query(sql, &[declared.into(), physical.into()]).await? {
                let [SqlValue::Text(sort), SqlValue::Text(name)] = found.values() else {
                    continue;
                };
                if !is_shown || !name.eq_ignore_ascii_case(declared) {
                    return taken(name, &format!("a {sort} of this database"));
                }
            }
        }
        Ok(())
    }

    /// Refuses to fill it otherwise than by its runner as long as it lacks what that has put
    /// aside: nobody else would ever take it in.
    pub(crate) async fn refuse_parked(&self, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        let sql = "SELECT count(*) FROM annalist_parked WHERE name = $1 AND build = $2";
        let rows = tx
            .query(sql, &[self.name.as_str().into(), self.build.into()])
            .await?;
        let count = rows.first().and_then(|row| row.values().first()?.as_i64());
        match count {
            Some(0) => Ok(()),
            count => Err(format!(
                "its runner has put aside {} events, which would never be taken in; have it retry \
                 or drop them first",
                count.unwrap_or_default()
            )
            .into()),
        }
    }

    /// Moves its checkpoint. False if that is not where it was left: somebody else fills it,
    /// it was removed, or it was moved by a transaction whose end its caller has not seen.
    pub(crate) async fn advance(&self, to: &Checkpoint, tx: &mut Tx<'_>) -> Result<bool, TxError> {
        let moved = Self {
            checkpoint: *to,
            problem: None,
            ..self.clone()
        };
        moved.update(self, tx).await
    }

    /// Writes down why it has stopped, or that it has no more.
    pub(crate) async fn note_problem(
        &self,
        problem: Option<&str>,
        tx: &mut Tx<'_>,
    ) -> Result<bool, TxError> {
        let noted = Self {
            problem: problem.map(str::to_owned),
            // What it holds is what is written down, whatever it has looked at since.
            checkpoint: self.written,
            ..self.clone()
        };
        noted.update(self, tx).await
    }

    /// Writes down what has changed since it was written as this.
    async fn update(&self, was: &Self, tx: &mut Tx<'_>) -> Result<bool, TxError> {
        let sql = "UPDATE annalist_followers \
                   SET state = $3, inline = $4, position = $5, event_id = $6, problem = $7, \
                       checksum = $8 \
                   WHERE name = $1 AND build = $2 AND inline = $9 AND position = $10";
        let params = [
            self.name.as_str().into(),
            self.build.into(),
            self.state.as_str().into(),
            self.inline.into(),
            self.checkpoint.position.into(),
            event(self.checkpoint.event),
            self.problem.clone().into(),
            self.checksum().into(),
            was.inline.into(),
            was.written.position.into(),
        ];
        Ok(tx.execute(sql, &params).await? == 1)
    }

    /// Makes it the one that is read: from here on its views show its tables.
    pub(crate) async fn go_live(
        &mut self,
        others: &[Self],
        old: OldBuild,
        tx: &mut Tx<'_>,
    ) -> Result<(), BoxError> {
        for other in others.iter().filter(|other| other.build != self.build) {
            match (other.state, old) {
                (BuildState::Kept, _) => {}
                (BuildState::Live, OldBuild::Keep) => {
                    other.drop_views(tx).await?;
                    other.clone().become_state(BuildState::Kept, tx).await?;
                }
                _ => other.remove(tx).await?,
            }
        }
        let tables = self.tables()?;
        for (declared, physical) in tables.pairs() {
            let columns = columns(&tables, physical, tx).await?;
            let view =
                format!("CREATE VIEW \"{declared}\" ({columns}) AS SELECT * FROM \"{physical}\"");
            tx.execute(&view, &[]).await.map_err(|source| {
                format!(
                    "the projection {} cannot take the name {declared}: {}; rename what has it \
                     now, or the projection's table",
                    self.name,
                    told(&source)
                )
            })?;
        }
        self.become_state(BuildState::Live, tx).await?;
        Ok(())
    }

    /// From here on the writer of the store fills it.
    pub(crate) async fn become_inline(&mut self, tx: &mut Tx<'_>) -> Result<(), TxError> {
        let was = self.clone();
        self.inline = true;
        self.checkpoint = was.written;
        self.update(&was, tx).await?;
        self.checkpoint = was.checkpoint;
        Ok(())
    }

    /// Drops it with all that it holds.
    pub(crate) async fn remove(&self, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        if self.state == BuildState::Live {
            self.drop_views(tx).await?;
        }
        // They may refer to each other, and go together.
        tx.execute("PRAGMA defer_foreign_keys = ON", &[]).await?;
        let dropped = self.drop_tables(tx).await;
        tx.execute("PRAGMA defer_foreign_keys = OFF", &[]).await?;
        dropped?;
        for table in ["annalist_followers", "annalist_parked"] {
            let sql = format!("DELETE FROM {table} WHERE name = $1 AND build = $2");
            let params = [self.name.as_str().into(), self.build.into()];
            tx.execute(&sql, &params).await?;
        }
        Ok(())
    }

    /// Its tables, under the names that they have in this build.
    pub(crate) fn tables(&self) -> Result<Tables, BoxError> {
        Ok(Tables::new(self.declared.iter().cloned(), self.build)?)
    }

    async fn drop_tables(&self, tx: &mut Tx<'_>) -> Result<(), BoxError> {
        for (_, physical) in self.tables()?.pairs() {
            tx.execute(&format!("DROP TABLE IF EXISTS \"{physical}\""), &[])
                .await?;
        }
        Ok(())
    }

    async fn drop_views(&self, tx: &mut Tx<'_>) -> Result<(), TxError> {
        for declared in &self.declared {
            tx.execute(&format!("DROP VIEW IF EXISTS \"{declared}\""), &[])
                .await?;
        }
        Ok(())
    }

    async fn become_state(&mut self, state: BuildState, tx: &mut Tx<'_>) -> Result<(), TxError> {
        let was = self.clone();
        self.state = state;
        self.checkpoint = was.written;
        self.update(&was, tx).await?;
        self.checkpoint = was.checkpoint;
        Ok(())
    }

    fn declared_json(&self) -> String {
        serde_json::Value::from(self.declared.clone()).to_string()
    }

    /// Covers every column.
    pub(crate) fn checksum(&self) -> u32 {
        let mut crc = Hasher::new();
        let mut add = |bytes: &[u8]| {
            crc.update(&(bytes.len() as u64).to_le_bytes());
            crc.update(bytes);
        };
        add(self.name.as_bytes());
        add(&self.build.to_le_bytes());
        add(&self.version.to_le_bytes());
        add(self.state.as_str().as_bytes());
        add(&[self.inline.into()]);
        add(self.declared_json().as_bytes());
        add(self.checkpoint.store.as_bytes());
        add(&self.checkpoint.position.get().to_le_bytes());
        let event = self.checkpoint.event;
        add(event.as_ref().map_or(&[], |id| id.as_uuid().as_bytes()));
        add(&self.began_at.get().to_le_bytes());
        add(&self.begins_after.get().to_le_bytes());
        add(&[self.problem.is_some().into()]);
        add(self.problem.as_deref().unwrap_or_default().as_bytes());
        crc.finalize()
    }
}

/// The columns of a table under the names that code knows them by.
async fn columns(tables: &Tables, physical: &str, tx: &mut Tx<'_>) -> Result<String, TxError> {
    // Those that `*` stands for.
    let sql = "SELECT name FROM pragma_table_xinfo($1) WHERE hidden <> 1 ORDER BY cid";
    let rows = tx.query(sql, &[physical.into()]).await?;
    let column = |row: &SqlRow| {
        let name = row
            .values()
            .first()
            .and_then(SqlValue::as_str)
            .unwrap_or_default();
        format!("\"{}\"", tables.column(name).replace('"', "\"\""))
    };
    Ok(rows.iter().map(column).collect::<Vec<_>>().join(", "))
}

/// What the database said, in one line.
fn told(error: &TxError) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

fn event(event: Option<EventId>) -> SqlValue {
    event.map(|id| id.as_uuid().as_bytes().to_vec()).into()
}

fn read(row: &SqlRow) -> Option<Build> {
    let number = |column| row.get(column)?.as_i64();
    let small = |column| u32::try_from(number(column)?).ok();
    let position = |column| Some(Position::new(u64::try_from(number(column)?).ok()?));
    let text = |column| row.get(column)?.as_str();
    let store = Uuid::from_slice(row.get("store_id")?.as_bytes()?).ok()?;
    let event = match row.get("event_id")? {
        SqlValue::Null => None,
        id => Some(EventId::from_uuid(Uuid::from_slice(id.as_bytes()?).ok()?)),
    };
    let checkpoint = Checkpoint::new(store, position("position")?, event);
    let build = Build {
        name: text("name")?.to_owned(),
        build: small("build")?,
        version: small("version")?,
        state: BuildState::of(text("state")?)?,
        inline: number("inline")? != 0,
        declared: serde_json::from_str(text("tables")?).ok()?,
        checkpoint,
        written: checkpoint,
        began_at: position("began_at")?,
        begins_after: position("begins_after")?,
        problem: text("problem").map(str::to_owned),
    };
    (small("checksum")? == build.checksum()).then_some(build)
}
