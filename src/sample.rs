//! A value of any type that serde can read, made of a sequence of numbers: the type's own
//! `Deserialize` is driven, and each thing it asks for is drawn from the next numbers.
//!
//! The test kit makes commands this way, for which nobody has written a generator. Zeros make
//! the simplest value, and smaller numbers make simpler ones, so that a failing value is made
//! small by making its numbers small.
//!
//! A type that reads a date from a text does not say so: it only refuses what is none. Each
//! refusal teaches one lesson for its place, and the value is made anew. It must never run for
//! ever, nor panic, whatever a type does.

mod access;
mod draw;
mod learned;
mod lesson;
mod place;
mod read;
mod refusal;
#[cfg(test)]
mod tests;
mod texts;

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

pub(crate) use learned::Learned;

use draw::Run;
use place::Place;
use read::Drawing;

/// Deeper than this, only what is simple is made: none, nothing, the first variant.
const DEPTH_SIMPLE: usize = 8;
/// Deeper than this, nothing is made.
const DEPTH_MAX: usize = 32;
/// Of a larger value, nothing is made either.
const DRAWN_MAX: usize = 10_000;
/// How often one value is begun. All but the last taught something.
const ATTEMPTS_MAX: usize = 512;

/// There is no such value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no value{} can be made: {message}", if path.is_empty() { String::new() } else { format!(" for `{path}`") })]
pub(crate) struct NoSample {
    /// Where it failed, such as `lines[].due`; empty for the value itself.
    pub(crate) path: String,
    /// What the type said.
    pub(crate) message: String,
}

/// Makes a value. Choices that run out count as zeros. The same choices make the same value
/// if the same was learned before; the first few values of a type teach nearly all.
///
/// # Errors
///
/// If the type refuses what is made, and its refusals teach nothing more.
pub(crate) fn sample<T: DeserializeOwned>(
    choices: &[u64],
    learned: &Learned,
) -> Result<T, NoSample> {
    let place = Place::root();
    let mut attempt = 1;
    loop {
        let lessons = learned.lessons();
        let run = Run::new(choices, &lessons);
        let root = Drawing {
            run: &run,
            place: &place,
        };
        let refusal = match root.read(PhantomData::<T>) {
            Ok(value) => {
                learned.take(&lessons, &run.into_drawn());
                return Ok(value);
            }
            Err(refusal) => refusal,
        };
        let is_taught = learned.learn(&lessons, &run.into_drawn(), &refusal);
        if !is_taught || attempt == ATTEMPTS_MAX {
            let (path, message) = refusal.into_parts();
            return Err(NoSample { path, message });
        }
        attempt += 1;
    }
}
