//! Where in a statement a name stands, and so what it may stand for.
//!
//! [`Tables`](super::Tables) asks for each token in turn. This is no grammar: it follows
//! just the few words that lead to the name of an index or a trigger, and the dots.

use super::lexer::{Kind, Token, Tokens};

/// What a name may stand for where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A table, or anything else: it counts if it is declared.
    Table,
    /// An index or a trigger.
    Beside,
    /// A column of what stands before its dot, a schema, or no name at all.
    Other,
}

/// Where in a statement the next token stands.
#[derive(Debug, Default)]
pub(super) struct Place<'a> {
    before: Before<'a>,
    awaits: Awaits,
}

/// What the token before was.
#[derive(Clone, Copy, Debug, Default)]
enum Before<'a> {
    #[default]
    Other,
    Name(&'a str),
    /// The dot after a schema, which a table may follow.
    SchemaDot,
    /// Any other dot: a column follows.
    Dot,
}

/// What the words before lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaits {
    /// The first word of a statement.
    #[default]
    Statement,
    /// What it is that is created or dropped.
    Sort,
    /// The `BY` of `INDEXED BY`.
    By,
    /// The name of an index or a trigger.
    Name,
    Nothing,
}

impl<'a> Place<'a> {
    /// What a token stands for, and goes on behind it.
    pub(super) fn role(&mut self, token: Token<'a>, following: &Tokens<'a>) -> Role {
        let before = match token.kind {
            Kind::Blank => return Role::Other,
            _ => std::mem::take(&mut self.before),
        };
        let Some(name) = token.name() else {
            self.pass(token, before);
            return Role::Other;
        };
        let is_free = !matches!(before, Before::Dot | Before::SchemaDot);
        if is_free {
            self.before = Before::Name(name);
        }
        if self.awaits == Awaits::Name && !token.is_any(BEFORE_NAMES) {
            let is_schema = following.peek().is_some_and(|next| next.kind == Kind::Dot);
            if is_schema {
                return Role::Other;
            }
            self.awaits = Awaits::Nothing;
            // PostgreSQL makes up a name where there is none.
            return match token.is_any(&["on"]) {
                true => Role::Other,
                false => Role::Beside,
            };
        }
        if is_free {
            self.awaits = self.awaits.past(token);
        }
        match before {
            Before::Dot => Role::Other,
            _ => Role::Table,
        }
    }

    /// Goes on behind a token that is no name.
    fn pass(&mut self, token: Token<'a>, before: Before<'a>) {
        let is_schema = |name: &str| {
            ["main", "temp"]
                .iter()
                .any(|s| s.eq_ignore_ascii_case(name))
        };
        match token.kind {
            Kind::Dot => {
                self.before = match before {
                    Before::Name(name) if is_schema(name) => Before::SchemaDot,
                    _ => Before::Dot,
                };
            }
            _ if token.text == ";" => self.awaits = Awaits::Statement,
            _ => self.awaits = Awaits::Nothing,
        }
    }
}

/// What may stand between `INDEX` or `TRIGGER` and the name of it.
const BEFORE_NAMES: &[&str] = &["if", "not", "exists", "concurrently", "index", "table"];

impl Awaits {
    /// What is awaited behind a word that is no name of an index or a trigger.
    fn past(self, word: Token<'_>) -> Self {
        const BEFORE_SORTS: &[&str] =
            &["unique", "temp", "temporary", "or", "replace", "constraint"];
        match self {
            Self::Name => Self::Name,
            Self::Sort if word.is_any(BEFORE_SORTS) => Self::Sort,
            Self::Sort if word.is_any(&["index", "trigger"]) => Self::Name,
            Self::By if word.is_any(&["by"]) => Self::Name,
            // Elsewhere it may be a column's name.
            Self::Statement if word.is_any(&["reindex"]) => Self::Name,
            _ if word.is_any(&["create", "drop"]) => Self::Sort,
            _ if word.is_any(&["indexed"]) => Self::By,
            _ => Self::Nothing,
        }
    }
}
