//! What the statements of user code may do on a connection that writes.
//!
//! SQLite asks while it compiles a statement, and again for what triggers do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::store::tx::Rights;

/// Tells SQLite whose statements are compiled, and whether they are still wanted.
#[derive(Clone)]
pub(super) struct Guard {
    rights: Arc<Mutex<Rights>>,
    /// Held by whoever waits for the query that runs now.
    caller: Arc<Mutex<Option<Weak<()>>>>,
}

impl Guard {
    /// Steps of a query between two looks at whether it is still wanted.
    const STEPS: i32 = 10_000;

    /// Guards a connection that also answers queries, which may never end.
    pub(super) fn set_for_queries(conn: &mut Connection) -> rusqlite::Result<Self> {
        let guard = Self::set(conn)?;
        let caller = Arc::clone(&guard.caller);
        let is_unwanted = move || {
            let caller = locked(&caller);
            let is_gone = |caller: &Weak<()>| caller.strong_count() == 0;
            caller.as_ref().is_some_and(is_gone)
        };
        conn.progress_handler(Self::STEPS, Some(is_unwanted))?;
        Ok(guard)
    }

    /// Guards a connection from now on.
    pub(super) fn set(conn: &mut Connection) -> rusqlite::Result<Self> {
        let rights = Arc::new(Mutex::new(Rights::Ours));
        let seen = Arc::clone(&rights);
        conn.authorizer(Some(move |asked: AuthContext<'_>| {
            match is_allowed(&asked.action, &locked(&seen)) {
                true => Authorization::Allow,
                false => Authorization::Deny,
            }
        }))?;
        Ok(Self {
            rights,
            caller: Arc::default(),
        })
    }

    /// Runs a query that its caller may give up, and which changes nothing.
    pub(super) fn query<T>(&self, caller: Weak<()>, run: impl FnOnce() -> T) -> T {
        *locked(&self.caller) = Some(caller);
        self.now(Rights::Read);
        let answer = run();
        self.now(Rights::Ours);
        *locked(&self.caller) = None;
        answer
    }

    /// One thread at a time compiles the statements of a connection.
    pub(super) fn now(&self, rights: Rights) {
        *locked(&self.rights) = rights;
    }
}

/// No user code runs under the lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names of SQL are the same in upper and lower case.
fn is_ours(name: &str) -> bool {
    const PREFIX: &str = "annalist_";
    let begins = name.get(..PREFIX.len());
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(PREFIX))
}

/// Whether these rights reach to a table.
fn may_touch(table: &str, rights: &Rights) -> bool {
    match rights.tables() {
        Some(tables) => tables.owns(table),
        None => !is_ours(table),
    }
}

/// Whether they reach to an index or a trigger on one.
fn may_touch_beside(name: &str, rights: &Rights) -> bool {
    match rights.tables() {
        Some(tables) => tables.may_own(name),
        None => !is_ours(name),
    }
}

/// What is named here is allowed, all else is not.
fn is_allowed(action: &AuthAction<'_>, rights: &Rights) -> bool {
    use AuthAction as Do;
    let mine = |table: &str| may_touch(table, rights);
    let beside = |name: &str| may_touch_beside(name, rights);
    let set_up = match rights {
        Rights::Ours => return true,
        Rights::SetUp | Rights::SetUpTables(_) => true,
        Rights::Write | Rights::WriteTables(_) => false,
        Rights::Read => return reads(action),
    };
    match action {
        // What a statement that makes something writes there; SQLite guards it else.
        Do::Insert { table_name } | Do::Update { table_name, .. } | Do::Delete { table_name }
            if is_schema(table_name) =>
        {
            set_up || rights.tables().is_none()
        }
        Do::Insert { table_name } | Do::Update { table_name, .. } | Do::Delete { table_name } => {
            mine(table_name)
        }
        // SQLite makes it for itself, where a table counts its rows. No name of a user's.
        Do::CreateTable {
            table_name: "sqlite_sequence",
        } => set_up,
        Do::CreateTable { table_name }
        | Do::DropTable { table_name }
        | Do::CreateVtable { table_name, .. }
        | Do::DropVtable { table_name, .. } => set_up && mine(table_name),
        // What it is renamed to is not told.
        Do::AlterTable { table_name, .. } => {
            set_up && mine(table_name) && rights.tables().is_none()
        }
        Do::CreateIndex {
            index_name: name,
            table_name,
        }
        | Do::DropIndex {
            index_name: name,
            table_name,
        }
        | Do::CreateTrigger {
            trigger_name: name,
            table_name,
        }
        | Do::DropTrigger {
            trigger_name: name,
            table_name,
        } => set_up && mine(table_name) && beside(name),
        // A view reads from one build and is read from any: those of hooks alone.
        Do::CreateView { view_name } | Do::DropView { view_name } => {
            set_up && mine(view_name) && rights.tables().is_none()
        }
        Do::Reindex { index_name } => set_up && beside(index_name),
        other => reads(other),
    }
}

/// What changes nothing.
fn reads(action: &AuthAction<'_>) -> bool {
    use AuthAction as Do;
    match action {
        Do::Select | Do::Recursive | Do::Read { .. } => true,
        Do::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        // What virtual tables, such as those of full-text search, look up for themselves.
        Do::Pragma {
            pragma_name,
            pragma_value: None,
        } => ["data_version", "page_size"].contains(pragma_name),
        _ => false,
    }
}

fn is_schema(table: &str) -> bool {
    ["sqlite_master", "sqlite_schema"]
        .iter()
        .any(|name| table.eq_ignore_ascii_case(name))
}
