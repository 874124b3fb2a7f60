//! Cases that broke a law once, one a line: run again before any new one is made.

use std::path::{Path, PathBuf};

use super::case::Case;
use super::error::HuntError;
use super::files;
use super::story::CounterExample;
use crate::domain::Domain;

/// A case that was kept, and where.
pub(super) struct Kept {
    pub(super) at: String,
    pub(super) case: Case,
}

/// The file of a category.
pub(super) fn file(folder: &Path, category: &str) -> PathBuf {
    files::of_category(folder, category, "jsonl")
}

/// The kept cases of a category.
pub(super) fn read(folder: &Path, category: &str, domain: &Domain) -> Result<Vec<Kept>, HuntError> {
    let path = file(folder, category);
    let text = files::read(&path)?.unwrap_or_default();
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let read = lines.map(|(number, line)| {
        let at = format!("{}:{}", path.display(), number + 1);
        match Case::read(domain, line) {
            Ok(case) if case.mine.category() != category => Err(HuntError::Unreadable {
                at,
                line: line.to_owned(),
                why: format!("it is of {}", case.mine.category()),
            }),
            Ok(case) => Ok(Kept { at, case }),
            Err(why) => Err(HuntError::Unreadable {
                at,
                line: line.to_owned(),
                why,
            }),
        }
    });
    read.collect()
}

/// Keeps a new one, and says so. That it cannot be kept does not hide what was found.
pub(super) fn keep(folder: &Path, found: CounterExample) -> CounterExample {
    let path = file(folder, &found.category);
    let Some(case) = found.case.clone() else {
        return found;
    };
    match files::append(&path, &case) {
        Ok(()) => found.note(format!(
            "kept in {}: it is run first from now on",
            path.display()
        )),
        Err(error) => found.note(format!("it could not be kept: {error}")),
    }
}
