//! The tables that some code fills, under the names that they have in one of its builds.
//!
//! A projection says which tables it fills and writes its SQL with those names. Each
//! build of it fills tables of its own, so that a new one can be filled beside the one
//! that is read; what runs its SQL asks here for the statement with the names of the
//! build. Nothing here touches a database, and nothing may fail on what it cannot read:
//! a statement that is no SQL is handed on as it is, for the database to refuse.

mod lexer;
mod place;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;
use std::sync::Arc;

use lexer::{Kind, Token, Tokens};
use place::{Place, Role};

/// The tables that some code fills, in one of its builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    names: Arc<Names>,
}

#[derive(Debug, PartialEq, Eq)]
struct Names {
    declared: Vec<String>,
    /// In the order of `declared`.
    physical: Vec<String>,
    suffix: String,
}

impl Tables {
    /// Bytes that a declared name has at most.
    pub(crate) const NAME_BYTES_MAX: usize = 100;

    /// # Errors
    ///
    /// [`InvalidTables`] for the first name that cannot be declared.
    pub(crate) fn new(
        declared: impl IntoIterator<Item: Into<String>>,
        build: u32,
    ) -> Result<Self, InvalidTables> {
        let suffix = format!("__r{build}");
        let mut names: Vec<String> = Vec::new();
        for name in declared {
            let name = name.into();
            let flaw = flaw(&name).or_else(|| {
                let known = names.iter().any(|known| known.eq_ignore_ascii_case(&name));
                known.then_some("is declared twice")
            });
            match flaw {
                Some(flaw) => return Err(InvalidTables { name, flaw }),
                None => names.push(name),
            }
        }
        Ok(Self {
            names: Arc::new(Names {
                physical: names.iter().map(|name| name.clone() + &suffix).collect(),
                declared: names,
                suffix,
            }),
        })
    }

    /// The names that the code knows.
    pub(crate) fn declared(&self) -> &[String] {
        &self.names.declared
    }

    /// The name that a declared table has in this build: `balances__r3`.
    pub(crate) fn physical(&self, declared: &str) -> String {
        let known = self.known(declared).map(str::to_owned);
        known.unwrap_or_else(|| format!("{declared}{}", self.names.suffix))
    }

    /// Each declared name with the one that it has in this build.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let physical = self.names.physical.iter().map(String::as_str);
        self.declared().iter().map(String::as_str).zip(physical)
    }

    /// Whether this is a table of the build, or what a virtual table keeps beside it.
    pub(crate) fn owns(&self, table: &str) -> bool {
        self.names.physical.iter().any(|physical| {
            after(table, physical).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
    }

    /// Whether this may be an index or a trigger of the build, of which only the end of the
    /// name is known; whose table it is on is for [`owns`](Self::owns) to say.
    pub(crate) fn may_own(&self, beside: &str) -> bool {
        // An index that SQLite makes for a key is named after its table.
        let of_key = after(beside, "sqlite_autoindex_");
        of_key.is_some_and(|table| self.owns(table)) || self.is_of_build(beside)
    }

    /// The name that code knows a column by, which was renamed if it is called like one of
    /// the tables.
    pub(crate) fn column<'a>(&'a self, name: &'a str) -> &'a str {
        let renamed = self.pairs().find(|(_, physical)| *physical == name);
        renamed.map_or(name, |(declared, _)| declared)
    }

    /// The statement as it is run for this build.
    ///
    /// Every name that is declared becomes the physical one, but for columns after a
    /// dot; and so do indexes and triggers, which stand beside the tables.
    pub(crate) fn rewrite<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        if self.declared().is_empty() {
            return Cow::Borrowed(sql);
        }
        let mut place = Place::default();
        let mut tokens = Tokens::new(sql);
        let mut written = String::new();
        // What stands before here is in `written`.
        let mut copied = 0;
        while let Some(token) = tokens.next() {
            let role = place.role(token, &tokens);
            let Some(renamed) = self.renamed(token, role) else {
                continue;
            };
            let end = sql.len() - tokens.rest().len();
            let between = sql.get(copied..end - token.text.len());
            written.push_str(between.unwrap_or_default());
            written.push_str(&renamed);
            copied = end;
        }
        match copied {
            0 => Cow::Borrowed(sql),
            _ => Cow::Owned(written + sql.get(copied..).unwrap_or_default()),
        }
    }

    /// What stands in the place of a token, if it is renamed. Quotes stay.
    fn renamed(&self, token: Token<'_>, role: Role) -> Option<String> {
        let name = token.name()?;
        let renamed = match role {
            Role::Table => self.known(name)?.to_owned(),
            // One that bears the build's name already was taken from the database.
            Role::Beside if self.is_of_build(name) => return None,
            Role::Beside => self.physical(name),
            Role::Other => return None,
        };
        let quotes = token.text.chars().next().zip(token.text.chars().last());
        Some(match quotes {
            Some((open, close)) if token.kind == Kind::Quoted => format!("{open}{renamed}{close}"),
            _ => renamed,
        })
    }

    fn known(&self, name: &str) -> Option<&str> {
        let mut pairs = self.pairs();
        let found = pairs.find(|(declared, _)| declared.eq_ignore_ascii_case(name));
        found.map(|(_, physical)| physical)
    }

    fn is_of_build(&self, name: &str) -> bool {
        let suffix = &self.names.suffix;
        let end = name.len().checked_sub(suffix.len());
        end.and_then(|end| name.get(end..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    }
}

/// What follows a beginning, in whatever case it is written.
fn after<'a>(name: &'a str, beginning: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(beginning.len())?;
    start.eq_ignore_ascii_case(beginning).then_some(rest)
}

/// What keeps a name from being declared.
fn flaw(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_digit = |c: char| c.is_ascii_digit();
    let begins = |beginning| after(name, beginning).is_some();
    let stem = name.trim_end_matches(is_digit);
    if name.is_empty() || name.starts_with(is_digit) || !name.chars().all(is_plain) {
        Some("is no letter or _ with letters, digits and _ behind it")
    } else if name.len() > Tables::NAME_BYTES_MAX {
        Some("is too long")
    } else if begins("annalist_") || begins("sqlite_") {
        Some("begins like the tables of the store or of the database")
    } else if stem.len() < name.len() && stem.to_ascii_lowercase().ends_with("__r") {
        Some("ends like the name of a table in one build")
    } else if words::is_word(name) {
        Some("is a word of SQL")
    } else if holds_build(name) {
        Some("reads like the name of what stands beside a table in one build")
    } else {
        None
    }
}

/// Whether it holds `__r3_` or the like, behind which stands what a virtual table keeps.
fn holds_build(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split("__r").skip(1).any(|rest| {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.len() < rest.len() && digits.starts_with('_')
    })
}

/// A table that cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table name {name:?} {flaw}")]
#[non_exhaustive]
pub struct InvalidTables {
    /// The name.
    pub name: String,
    /// What keeps it from being declared.
    pub flaw: &'static str,
}
