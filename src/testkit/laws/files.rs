//! The files beside the user's `Cargo.toml`: read whole, written whole or by a line.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::error::HuntError;

/// The file of a category in a folder. A category may hold what a file name may not.
pub(super) fn of_category(folder: &Path, category: &str, extension: &str) -> PathBuf {
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let name: String = category
        .chars()
        .map(|c| {
            if plain(c) {
                c.to_string()
            } else {
                format!("%{:x}", u32::from(c))
            }
        })
        .collect();
    folder.join(format!("{name}.{extension}"))
}

/// The text of a file, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<String>, HuntError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        // Nor is there a file where a folder is missing.
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
            Ok(None)
        }
        Err(error) => Err(failed(path, &error)),
    }
}

/// Writes a file whole, or leaves the one that is there: it may hold what was recorded long
/// ago, and nobody can record it once more.
pub(super) fn write(path: &Path, text: &str) -> Result<(), HuntError> {
    make_folder(path)?;
    // A name of its own, where two tests record at once.
    let aside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::write(&aside, text).and_then(|()| fs::rename(&aside, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&aside);
        failed(path, &error)
    })
}

pub(super) fn append(path: &Path, line: &str) -> Result<(), HuntError> {
    make_folder(path)?;
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    // In one call, so that lines of two tests do not mingle.
    let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.map_err(|error| failed(path, &error))
}

fn make_folder(path: &Path) -> Result<(), HuntError> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))
}

pub(super) fn failed(path: &Path, why: &dyn std::fmt::Display) -> HuntError {
    HuntError::File {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}
