//! How answers are printed: for a person, or as JSON lines.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::Failure;

/// Where an answer goes, and in which form.
pub(super) struct Answer<'a> {
    out: &'a mut dyn Write,
    json: bool,
}

impl<'a> Answer<'a> {
    pub(super) fn new(out: &'a mut dyn Write, json: bool) -> Self {
        Self { out, json }
    }

    /// Prints one item: as a line of JSON, or as the text that `person` makes.
    pub(super) fn item<T: Serialize>(
        &mut self,
        item: &T,
        person: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        match self.json {
            true => writeln!(self.out, "{}", document(serde_json::to_string(item)?)),
            false => writeln!(self.out, "{}", person(item)),
        }
    }

    /// Prints what only a person wants to read.
    pub(super) fn remark(&mut self, remark: impl fmt::Display) -> io::Result<()> {
        match self.json {
            true => Ok(()),
            false => writeln!(self.out, "{remark}"),
        }
    }

    /// Lets whoever reads see what was printed.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// The text with its control characters escaped: what is stored must not speak to the
/// terminal.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => {
                let _ = write!(plain, "{}", c.escape_unicode());
            }
            false => plain.push(c),
        }
    }
    plain
}

/// A JSON document on several lines, for a person.
pub(super) fn pretty(value: &Value) -> String {
    document(format!("{value:#}"))
}

/// JSON text with all of its control characters escaped: JSON asks it only of some. Others
/// stand in its strings alone, where an escape means the same.
fn document(json: String) -> String {
    let speaks = |c: char| c.is_control() && c != '\n';
    if !json.contains(speaks) {
        return json;
    }
    let mut document = String::with_capacity(json.len());
    for c in json.chars() {
        match speaks(c) {
            true => {
                let _ = write!(document, "\\u{:04x}", u32::from(c));
            }
            false => document.push(c),
        }
    }
    document
}
