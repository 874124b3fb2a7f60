//! SQL cut into the few kinds of tokens that matter to whoever looks for names in it.
//!
//! [`Tables`](super::Tables) reads statements through it. It knows the text of SQLite
//! and of PostgreSQL and no grammar of either; it never loses a byte: the tokens, put
//! together again, are the statement.

/// What a token is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whitespace or a comment.
    Blank,
    /// A keyword or a bare name.
    Word,
    /// A name in quotes of any kind.
    Quoted,
    /// What stands between a table and its column.
    Dot,
    /// A literal, a number, a parameter, an operator.
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

impl<'a> Token<'a> {
    /// The name alone, if it is one.
    pub(super) fn name(&self) -> Option<&'a str> {
        match self.kind {
            Kind::Word => Some(self.text),
            Kind::Quoted => self.text.get(1..self.text.len().checked_sub(1)?),
            Kind::Blank | Kind::Dot | Kind::Other => None,
        }
    }

    /// Whether it is one of these keywords, given in lower case.
    pub(super) fn is_any(&self, keywords: &[&str]) -> bool {
        let is = |keyword: &&str| self.text.eq_ignore_ascii_case(keyword);
        self.kind == Kind::Word && keywords.iter().any(is)
    }
}

/// The tokens of a text, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// Whether a `[` here would ask for an element of what was just read. That is
    /// PostgreSQL; the names in brackets of SQLite stand free.
    is_indexed: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            is_indexed: false,
        }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// The next token that says something.
    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.clone().find(|token| token.kind != Kind::Blank)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let first = self.rest.chars().next()?;
        // What is opened and never closed reaches to the end, where no name is read.
        let (kind, bytes) = match first {
            '[' if self.is_indexed => (Kind::Other, 1),
            first => measure(self.rest, first).unwrap_or((Kind::Other, self.rest.len())),
        };
        let (text, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        self.is_indexed = matches!(kind, Kind::Word | Kind::Quoted) || [")", "]"].contains(&text);
        Some(Token { kind, text })
    }
}

/// The kind and the length of the first token of a text; nothing when it is not closed.
fn measure(text: &str, first: char) -> Option<(Kind, usize)> {
    let follows = |from: usize| text.get(from..).unwrap_or_default();
    let (kind, bytes) = match first {
        c if c.is_ascii_whitespace() => (Kind::Blank, span(text, |c| c.is_ascii_whitespace())),
        '-' if text.starts_with("--") => (Kind::Blank, span(text, |c| c != '\n')),
        '/' if text.starts_with("/*") => (Kind::Blank, 4 + follows(2).find("*/")?),
        '\'' => (Kind::Other, quoted(text, '\'', Escape::None)?),
        '"' | '`' => (Kind::Quoted, quoted(text, first, Escape::None)?),
        '[' => (Kind::Quoted, 1 + text.find(']')?),
        // X'00' and its like are literals from their first letter on.
        'b' | 'B' | 'n' | 'N' | 'x' | 'X' if follows(1).starts_with('\'') => {
            (Kind::Other, 1 + quoted(follows(1), '\'', Escape::None)?)
        }
        'e' | 'E' if follows(1).starts_with('\'') => {
            let literal = quoted(follows(1), '\'', Escape::Backslash)?;
            (Kind::Other, 1 + literal)
        }
        '$' => (Kind::Other, dollar(text)?),
        // Two colons are a cast: what follows them is no parameter.
        ':' if text.starts_with("::") => (Kind::Other, 2),
        ':' | '@' | '?' => (Kind::Other, 1 + span(follows(1), is_in_word)),
        '.' => (Kind::Dot, 1),
        c if c.is_ascii_digit() => (Kind::Other, span(text, |c| is_in_word(c) || c == '.')),
        c if is_in_word(c) => (Kind::Word, span(text, is_in_word)),
        c => (Kind::Other, c.len_utf8()),
    };
    Some((kind, bytes))
}

/// Whether a bare name may have it after its beginning.
fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// How many bytes at the beginning are of a kind.
fn span(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Backslash,
}

/// The length of what begins with a quote and ends with the next that is not doubled.
fn quoted(text: &str, quote: char, escape: Escape) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escape == Escape::Backslash {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + c.len_utf8());
        }
    }
    None
}

/// The length of a parameter such as `$1`, or of a literal such as `$body$..$body$`.
fn dollar(text: &str) -> Option<usize> {
    let after = text.get(1..)?;
    let tag = span(after, |c| is_in_word(c) && c != '$');
    let numbered = after.starts_with(|c: char| c.is_ascii_digit());
    match after.get(tag..)?.starts_with('$') && !numbered {
        true => {
            let (delimiter, body) = text.split_at_checked(tag + 2)?;
            Some(2 * delimiter.len() + body.find(delimiter)?)
        }
        false => Some(1 + span(after, is_in_word)),
    }
}
