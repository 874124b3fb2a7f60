//! What was answered to requests under a key, kept until their time is over: sent again, a
//! request is answered to the byte as before, whatever has become of the aggregate or of the
//! code since.
//!
//! A request is held before it is done, and its answer kept before it is told. Whoever holds
//! it does it; the others wait for the answer. One who takes too long is overtaken, which is
//! safe, since the command id is kept with whatever comes of it, a refusal too: of two answers
//! the one that is kept is told to both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hashlink::LruCache;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::answer::Answered;
use crate::clock::{Clock, SystemClock};
use crate::ids::StreamId;
use crate::store::{Store, StoreError};

#[cfg_attr(not(feature = "sqlite"), path = "answers/nowhere.rs")]
mod database;

use database::Kept;

/// Where the answers to requests under an `Idempotency-Key` are kept, and for how long: in
/// the table `http_answers` beside the events, where the store has tables, and in memory
/// otherwise. Cloning it is cheap, and every clone is the same.
///
/// An answer holds what its client was told of the aggregate: whoever has to remove that
/// everywhere [forgets](Self::forget) the answers, too.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Of stores without tables, which are gone when the process is.
    memory: Arc<Mutex<LruCache<String, Held>>>,
    kept_for: TimeDelta,
}

impl Default for Answers {
    fn default() -> Self {
        Self::kept_for(Duration::from_secs(7 * 24 * 60 * 60))
    }
}

impl Answers {
    /// How many are kept in memory, those that came last. In tables they are as many as come
    /// within their time.
    pub const IN_MEMORY_MAX: usize = 65_536;

    /// How long a request may take before the same request, sent again, is tried beside it.
    const HELD_FOR: TimeDelta = TimeDelta::seconds(10);

    /// Keeps answers for so long after their requests came, at least twenty seconds. Default:
    /// seven days. A command
    /// that took effect is recognised for ever; after that time it is answered anew.
    #[must_use]
    pub fn kept_for(time: Duration) -> Self {
        Self {
            memory: Arc::new(Mutex::new(LruCache::new(Self::IN_MEMORY_MAX))),
            kept_for: TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX),
        }
    }

    /// Forgets the answers to requests to one stream, and tells how many they were. Of each of
    /// those requests it is still known whether it took effect or came to nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the table cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves them forgotten or not.
    pub async fn forget(&self, store: &Store, stream: &StreamId) -> Result<u64, StoreError> {
        if let Some(kept) = Kept::of(store) {
            return kept.forget(stream).await;
        }
        self.in_memory(|held| {
            let before = held.len();
            held.retain(|_, held| held.stream != *stream);
            Ok((before - held.len()) as u64)
        })
    }

    /// Holds a request, unless it was answered, or another is under its key.
    pub(super) async fn begin(
        &self,
        store: &Store,
        request: &Requested,
    ) -> Result<Begun, StoreError> {
        let claim = Uuid::new_v4();
        let now = SystemClock.now();
        let new = Held {
            request: request.digest.clone(),
            stream: request.stream.clone(),
            claim: Some(claim),
            held_until: now + Self::HELD_FOR,
            // Never before whoever holds it may be done.
            kept_until: now
                .checked_add_signed(self.kept_for.max(Self::HELD_FOR * 2))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
            answer: None,
        };
        if let Some(kept) = Kept::of(store) {
            return kept.begin(&request.key, new, now).await;
        }
        self.in_memory(|held| {
            let (begun, row) = begin(held.get(&request.key).cloned(), new, now);
            if let Some(row) = row {
                held.insert(request.key.clone(), row);
            }
            Ok(begun)
        })
    }

    /// Keeps the answer to a request that is held. False if another one was kept, or may be.
    pub(super) async fn finish(
        &self,
        store: &Store,
        request: &Requested,
        claim: Uuid,
        answer: Option<KeptAnswer>,
    ) -> Result<bool, StoreError> {
        if let Some(kept) = Kept::of(store) {
            return kept.finish(&request.key, claim, answer).await;
        }
        self.in_memory(|held| {
            let row = finish(held.get(&request.key).cloned(), claim, answer);
            let is_mine = row.is_some();
            if let Some(row) = row {
                held.insert(request.key.clone(), row);
            }
            Ok(is_mine)
        })
    }

    fn in_memory<T>(&self, run: impl FnOnce(&mut LruCache<String, Held>) -> T) -> T {
        run(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request under a key.
pub(super) struct Requested {
    /// Stands for the key and its principal.
    pub(super) key: String,
    /// Stands for what is to be done.
    pub(super) digest: String,
    pub(super) stream: StreamId,
}

/// What becomes of a request that comes.
pub(super) enum Begun {
    /// It is held under this claim, to be done.
    Mine(Uuid),
    /// It was answered.
    Answered(KeptAnswer),
    /// Somebody else is doing it.
    Held,
    /// Another request is under its key.
    Another,
}

/// An answer as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptAnswer {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: String,
}

/// What is known of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    request: String,
    stream: StreamId,
    claim: Option<Uuid>,
    held_until: DateTime<Utc>,
    kept_until: DateTime<Utc>,
    answer: Option<KeptAnswer>,
}

/// What becomes of a request, and what is written down of it if that changes.
fn begin(held: Option<Held>, new: Held, now: DateTime<Utc>) -> (Begun, Option<Held>) {
    let mine = new.claim.map_or(Begun::Held, Begun::Mine);
    let Some(held) = held.filter(|held| held.kept_until > now) else {
        return (mine, Some(new));
    };
    if held.request != new.request || held.stream != new.stream {
        return (Begun::Another, None);
    }
    match held.answer {
        Some(answer) => (Begun::Answered(answer), None),
        None if held.claim.is_some() && held.held_until > now => (Begun::Held, None),
        // Nobody does it, or has done so for too long.
        None => (mine, Some(new)),
    }
}

/// What is written down when a request has come to its end under a claim: its answer, or
/// that it may be tried again. None if the claim is not the last one.
fn finish(held: Option<Held>, claim: Uuid, answer: Option<KeptAnswer>) -> Option<Held> {
    let held = held.filter(|held| held.claim == Some(claim) && held.answer.is_none())?;
    Some(Held {
        claim: None,
        answer,
        ..held
    })
}

/// Whether an answer is the end of its request: an effect, nothing to do, or what the domain
/// says no to. Whatever else there is has done nothing, or is not known to have.
pub(super) fn is_end(answered: &Answered) -> bool {
    const ENDS: [&str; 5] = [
        "already_exists",
        "answer_lost",
        "invariant_violated",
        "not_found",
        "rejected",
    ];
    match answered {
        Ok(_) => true,
        Err(problem) => ENDS.contains(&problem.code.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(request: &str, at: i64) -> Held {
        let time = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        Held {
            request: request.to_owned(),
            stream: "account-1".parse().expect("an id"),
            claim: Some(Uuid::from_u128(at.unsigned_abs().into())),
            held_until: time(at + 10),
            kept_until: time(at + 100),
            answer: None,
        }
    }

    fn answer() -> Option<KeptAnswer> {
        Some(KeptAnswer {
            status: 200,
            etag: None,
            location: None,
            body: "{}".to_owned(),
        })
    }

    fn told(first: Option<Held>, request: &str, at: i64) -> &'static str {
        let now = DateTime::from_timestamp(at, 0).expect("a time");
        let (begun, written) = begin(first, held(request, at), now);
        let is_mine = matches!(begun, Begun::Mine(_));
        assert_eq!(is_mine, written.is_some());
        match begun {
            Begun::Mine(_) => "mine",
            Begun::Answered(_) => "answered",
            Begun::Held => "held",
            Begun::Another => "another",
        }
    }

    #[test]
    fn a_request_is_held_by_one_until_it_takes_too_long() {
        assert_eq!(told(None, "a", 0), "mine");
        assert_eq!(told(Some(held("a", 0)), "a", 9), "held");
        assert_eq!(told(Some(held("a", 0)), "a", 10), "mine");
        assert_eq!(told(Some(held("a", 0)), "b", 50), "another");
        assert_eq!(told(Some(held("a", 0)), "b", 100), "mine");
    }

    #[test]
    fn only_the_last_claim_finishes_and_only_once() {
        let first = held("a", 1);
        let overtaken = finish(Some(held("a", 2)), Uuid::from_u128(1), answer());
        assert!(overtaken.is_none());
        let done = finish(Some(first.clone()), Uuid::from_u128(1), answer());
        assert_eq!(told(done.clone(), "a", 50), "answered");
        assert_eq!(told(done.clone(), "b", 50), "another");
        assert!(finish(done, Uuid::from_u128(1), answer()).is_none());
        let given_up = finish(Some(first), Uuid::from_u128(1), None);
        assert_eq!(told(given_up, "a", 2), "mine");
    }
}
