//! A header of a request that cannot be read, and where it cannot. The parsers of this room
//! answer it; it quotes nothing of what was sent.

use http::HeaderName;

/// A header of a request that cannot be read: status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {header} cannot be read, line {line}, character {character}: {problem}")]
#[non_exhaustive]
pub struct MalformedHeader {
    /// The header.
    pub header: HeaderName,
    /// Which of the lines of that name, counted from 1.
    pub line: usize,
    /// Which character of that line's value, counted from 1.
    pub character: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

impl MalformedHeader {
    /// Both counted from 0.
    pub(super) fn new(
        header: &HeaderName,
        line: usize,
        byte: usize,
        problem: &'static str,
    ) -> Self {
        Self {
            header: header.clone(),
            line: line + 1,
            character: byte + 1,
            problem,
        }
    }

    /// The stable name of this error: `malformed_header`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "malformed_header"
    }
}
