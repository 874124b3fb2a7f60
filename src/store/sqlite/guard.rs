//! What the statements of user code may do on the connection that writes.
//!
//! SQLite asks while it compiles a statement, and again for what triggers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Whose statements are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Whose {
    /// The store's own, which may do everything.
    Ours,
    /// A hook's, while the store is opened.
    SetUp,
    /// A hook's, in the middle of a commit.
    Hook,
}

/// Tells SQLite whose statements are compiled.
pub(super) struct Guard(Arc<AtomicU8>);

impl Guard {
    /// Nobody's statements but the store's own are ever compiled.
    pub(super) fn none() -> Self {
        Self(Arc::new(AtomicU8::new(Whose::Ours as u8)))
    }

    /// Guards a connection from now on.
    pub(super) fn set(conn: &mut Connection) -> rusqlite::Result<Self> {
        let Self(whose) = Self::none();
        let seen = Arc::clone(&whose);
        conn.authorizer(Some(move |asked: AuthContext<'_>| {
            let whose = seen.load(Ordering::Relaxed);
            let allowed = whose == Whose::Ours as u8
                || is_allowed(&asked.action, whose == Whose::SetUp as u8);
            match allowed {
                true => Authorization::Allow,
                false => Authorization::Deny,
            }
        }))?;
        Ok(Self(whose))
    }

    /// One thread compiles all statements of a connection.
    pub(super) fn now(&self, whose: Whose) {
        self.0.store(whose as u8, Ordering::Relaxed);
    }
}

/// Names of SQL are the same in upper and lower case.
fn is_ours(name: &str) -> bool {
    const PREFIX: &str = "annalist_";
    let begins = name.get(..PREFIX.len());
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(PREFIX))
}

/// What is named here is allowed, all else is not.
fn is_allowed(action: &AuthAction<'_>, set_up: bool) -> bool {
    use AuthAction as Do;
    match action {
        Do::Select | Do::Recursive | Do::Read { .. } => true,
        Do::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        Do::Insert { table_name } | Do::Update { table_name, .. } | Do::Delete { table_name } => {
            !is_ours(table_name)
        }
        // What virtual tables, such as those of full-text search, look up for themselves.
        Do::Pragma {
            pragma_name,
            pragma_value: None,
        } => ["data_version", "page_size"].contains(pragma_name),
        Do::CreateTable { table_name }
        | Do::DropTable { table_name }
        | Do::AlterTable { table_name, .. }
        | Do::CreateVtable { table_name, .. }
        | Do::DropVtable { table_name, .. } => set_up && !is_ours(table_name),
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
        } => set_up && !is_ours(name) && !is_ours(table_name),
        Do::CreateView { view_name } | Do::DropView { view_name } => set_up && !is_ours(view_name),
        Do::Reindex { index_name } => set_up && !is_ours(index_name),
        _ => false,
    }
}
