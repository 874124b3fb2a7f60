//! What becomes of a commit, given what its streams hold: the rules of repeats, and
//! which conflicts are told, as pure functions.
//!
//! Every backend gathers the facts inside its own transaction and asks here; none
//! decides for itself.
//!
//! Per stream that is written, with `v` the version of the first event sent:
//!
//! | of the ids sent | and they | then |
//! |---|---|---|
//! | none is in the stream | | the truth table of [`ExpectedVersion`] |
//! | all are | stand in the sent order, one after the other, and fit the expectation: `Exact(v - 1)`, `NoStream` with `v` = 1 or the stream deleted at `v` - 1, `Any`, `StreamExists` | a repeat: the first receipt again, whatever the stream's state; with another type or payload a duplicate |
//! | otherwise | | a conflict where the truth table says so, else a duplicate |
//!
//! A commit over several streams is a repeat only if each written stream is one;
//! then its checks are not evaluated again. Otherwise a lost lease refuses it, or
//! every conflict is listed, and a duplicate is reported only where there is none.

use crate::conflict::{Conflicts, VersionConflict};
use crate::ids::{EventId, StreamId};
use crate::store::commit::{AppendRequest, CommitKey, Fingerprint};
use crate::store::error::{AppendError, Duplicate};
use crate::store::facts::StreamFacts;
use crate::store::fence::Fence;
use crate::store::receipt::{AppendReceipt, Receipt};
use crate::version::{ExpectedVersion, Position, Version};

/// One stream of a commit, and what the store holds of it.
pub(crate) struct Target<'a> {
    pub(crate) append: &'a AppendRequest,
    pub(crate) facts: StreamFacts,
    /// For each event sent, where its id stands in the stream; empty where none does.
    pub(crate) stored: Vec<Option<StoredEvent>>,
    /// The versions at which the stream was deleted, as far as they matter: where
    /// something is stored already.
    pub(crate) deleted_at: Vec<Version>,
}

/// An event that is in the stream under an id that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    pub(crate) version: Version,
    pub(crate) position: Position,
    pub(crate) same: Sameness,
}

/// How a stored event compares with the one sent under its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sameness {
    Same,
    OtherType,
    OtherPayload,
}

impl Sameness {
    pub(crate) const fn of(same_type: bool, same_payload: bool) -> Self {
        match (same_type, same_payload) {
            (true, true) => Self::Same,
            (false, _) => Self::OtherType,
            (true, false) => Self::OtherPayload,
        }
    }
}

/// What a backend does with a commit.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Write the events.
    Write,
    /// Write nothing: it was written before, or has no events.
    Answer(Receipt),
    /// Write nothing: it cannot be.
    Refuse(AppendError),
}

/// Decides on a whole commit; `lost` is the first lease that its caller has lost.
pub(crate) fn judge(targets: &[Target<'_>], lost: Option<&Fence>) -> Verdict {
    let judged: Vec<Judged> = targets.iter().map(Judged::of).collect();
    if let Some(answer) = repeat(targets, &judged) {
        return answer;
    }
    if let Some(Fence { name, token }) = lost {
        let (name, token) = (name.clone(), *token);
        return Verdict::Refuse(AppendError::LeaseLost { name, token });
    }
    let violations: Vec<_> = targets.iter().filter_map(violation).collect();
    if !violations.is_empty() {
        let conflicts = Conflicts::new(violations, targets.len());
        return Verdict::Refuse(AppendError::of(conflicts));
    }
    let mut pairs = targets.iter().zip(&judged);
    if let Some(duplicate) = pairs.find_map(|(target, judged)| judged.duplicate(target)) {
        return Verdict::Refuse(duplicate);
    }
    match targets.iter().all(|target| target.append.events.is_empty()) {
        true => Verdict::Answer(checked(targets)),
        false => Verdict::Write,
    }
}

/// Decides on a commit whose key took effect before, with this fingerprint and receipt.
pub(crate) fn judge_key(
    sent: &CommitKey,
    stream: &StreamId,
    known: Fingerprint,
    receipt: Receipt,
) -> AppendError {
    let (stream, key) = (stream.clone(), sent.key.clone());
    match known == sent.fingerprint {
        true => AppendError::AlreadyCommitted {
            stream,
            key,
            receipt: Receipt {
                replayed: true,
                ..receipt
            },
        },
        false => AppendError::KeyReused { stream, key },
    }
}

/// The sent events of one stream, compared with the stored ones.
enum Judged {
    /// Nothing is sent.
    Check,
    /// No id is in the stream.
    New,
    /// A repeat of what is stored from this version on.
    Repeat { first: Version, last: StoredEvent },
    /// In the place of a repeat, but this event differs.
    Differs { id: EventId, stored: StoredEvent },
    /// Some ids are in the stream, this the first of them, and it is no repeat.
    Mixed { id: EventId, stored: StoredEvent },
}

impl Judged {
    fn of(target: &Target<'_>) -> Self {
        let events = &target.append.events;
        let mut sent = events.iter().zip(&target.stored);
        let found = sent.find_map(|(event, stored)| stored.map(|stored| (event.id, stored)));
        let Some((id, stored)) = found else {
            return match events.is_empty() {
                true => Self::Check,
                false => Self::New,
            };
        };
        let Some((first, last)) = consecutive(&target.stored) else {
            return Self::Mixed { id, stored };
        };
        if !fits(target.append.expected, first, &target.deleted_at) {
            return Self::Mixed { id, stored };
        }
        let mut sent = events.iter().zip(&target.stored);
        let other = sent.find_map(|(event, stored)| match stored {
            Some(stored) if stored.same != Sameness::Same => Some((event.id, *stored)),
            _ => None,
        });
        match other {
            Some((id, stored)) => Self::Differs { id, stored },
            None => Self::Repeat { first, last },
        }
    }

    fn duplicate(&self, target: &Target<'_>) -> Option<AppendError> {
        let (id, duplicate) = match *self {
            Self::Check | Self::New => return None,
            Self::Repeat { first: version, .. } => {
                let id = target.append.events.first()?.id;
                (id, Duplicate::Stored { version })
            }
            Self::Mixed { id, stored } => {
                let version = stored.version;
                (id, Duplicate::Stored { version })
            }
            Self::Differs { id, stored } => (id, differing(stored)),
        };
        Some(AppendError::DuplicateEvent {
            stream: target.append.stream.clone(),
            id,
            duplicate,
        })
    }
}

const fn differing(stored: StoredEvent) -> Duplicate {
    let version = stored.version;
    match stored.same {
        Sameness::Same => Duplicate::Stored { version },
        Sameness::OtherType => Duplicate::OtherType { version },
        Sameness::OtherPayload => Duplicate::OtherPayload { version },
    }
}

/// The first version and the last event, if all are stored one after the other.
fn consecutive(stored: &[Option<StoredEvent>]) -> Option<(Version, StoredEvent)> {
    let first = stored.first().copied()??.version;
    let mut last = None;
    let mut due = first;
    for event in stored {
        let event = (*event)?;
        if event.version != due {
            return None;
        }
        due = due.next();
        last = Some(event);
    }
    last.map(|last| (first, last))
}

/// Whether events stored from `first` on may have been appended under `expected`.
fn fits(expected: ExpectedVersion, first: Version, deleted_at: &[Version]) -> bool {
    let before = Version::new(first.get().saturating_sub(1));
    match expected {
        ExpectedVersion::Any | ExpectedVersion::StreamExists => true,
        ExpectedVersion::NoStream => before == Version::ZERO || deleted_at.contains(&before),
        ExpectedVersion::Exact(version) => version == before,
    }
}

/// Whether every written stream is a repeat, or stands in the place of one.
fn repeat(targets: &[Target<'_>], judged: &[Judged]) -> Option<Verdict> {
    let mut appends = Vec::new();
    let mut position = None;
    let mut differs = None;
    for (target, judged) in targets.iter().zip(judged) {
        match judged {
            Judged::Check => {}
            Judged::New | Judged::Mixed { .. } => return None,
            Judged::Differs { .. } => differs = differs.or(judged.duplicate(target)),
            Judged::Repeat { first, last } => {
                position = position.max(Some(last.position));
                appends.push(AppendReceipt {
                    stream: target.append.stream.clone(),
                    first: Some(*first),
                    last: last.version,
                });
            }
        }
    }
    match differs {
        Some(duplicate) => Some(Verdict::Refuse(duplicate)),
        None if appends.is_empty() => None,
        None => Some(Verdict::Answer(Receipt {
            appends,
            position,
            replayed: true,
        })),
    }
}

/// The receipt of a commit without events.
fn checked(targets: &[Target<'_>]) -> Receipt {
    let appends = targets.iter().map(|target| AppendReceipt {
        stream: target.append.stream.clone(),
        first: None,
        last: target.facts.version,
    });
    Receipt {
        appends: appends.collect(),
        position: None,
        replayed: false,
    }
}

/// The conflict, if the expectation does not hold.
fn violation(target: &Target<'_>) -> Option<VersionConflict> {
    let AppendRequest {
        stream,
        expected,
        generation,
        ..
    } = target.append;
    let facts = target.facts;
    let same_generation = generation.is_none_or(|generation| generation == facts.generation);
    (!facts.hold(*expected) || !same_generation).then(|| VersionConflict {
        expected_generation: *generation,
        ..facts.conflict(stream, *expected)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_fits_where_it_may_have_been_appended() {
        let (exact, version) = (ExpectedVersion::Exact, Version::new);
        assert!(fits(exact(version(2)), version(3), &[]));
        assert!(!fits(exact(version(3)), version(3), &[]));
        assert!(!fits(exact(Version::MAX), version(1), &[]));
        assert!(fits(ExpectedVersion::NoStream, version(1), &[]));
        assert!(!fits(ExpectedVersion::NoStream, version(4), &[version(2)]));
        assert!(fits(
            ExpectedVersion::NoStream,
            version(4),
            &[version(1), version(3)]
        ));
    }
}
