//! How answers are printed: for a person, or as JSON lines.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use serde::Serialize;

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
            true => {
                serde_json::to_writer(&mut *self.out, item)?;
                self.out.write_all(b"\n")
            }
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
