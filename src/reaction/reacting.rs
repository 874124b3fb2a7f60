//! What a reaction works with: commands under ids that are derived, and answers that stay
//! the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::caught::chain;
use crate::command::{Command, CommandBus, Decision, Dispatch, DispatchError};
use crate::conflict::ConflictReason;
use crate::event::{Metadata, RecordedEvent};
use crate::follow::{Ledger, Trouble};
use crate::store::{SqlValue, Store, StoreErrorKind};
use crate::version::Version;

/// What ids of commands are derived under.
const DERIVED: Uuid = Uuid::from_u128(0x5c0f_3c1e_9b7a_4d26_8a51_2f0e_6d94_7b13);

/// An event that is reacted to, and the commands that this leads to.
pub struct Reacting<'a> {
    bus: &'a CommandBus,
    ledger: &'a Ledger,
    event: &'a RecordedEvent,
    /// Why commands took no effect when this event was met before, by their ids.
    replies: BTreeMap<String, String>,
    /// How many commands of a name it has led to so far on an aggregate.
    sent: Mutex<BTreeMap<(String, String), u32>>,
    /// Why it must be met again, whatever the reaction makes of it.
    trouble: Mutex<Option<Trouble>>,
}

/// What came of a command that a reaction has dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It took effect, now or when the event was met before.
    TookEffect {
        /// The version of its aggregate after it.
        version: Version,
    },
    /// It did not, and never will under this event: it was rejected, would break an
    /// invariant, asks for an aggregate that is not there or is, that is closed, or nothing
    /// was left to do.
    NoEffect {
        /// Why not, in the words of the domain.
        why: String,
    },
}

/// Why a reaction cannot go on. Hand it on by `?`: where it may pass, the event is met again
/// after a while.
#[derive(Debug, thiserror::Error)]
#[error("the command {command} on {key:?} could not be dispatched: {why}")]
#[non_exhaustive]
pub struct ReactError {
    /// The command.
    pub command: String,
    /// The key of its aggregate.
    pub key: String,
    /// Why not.
    pub why: String,
}

impl<'a> Reacting<'a> {
    /// Reads what came of the commands when the event was met before.
    pub(super) async fn new(
        bus: &'a CommandBus,
        ledger: &'a Ledger,
        event: &'a RecordedEvent,
    ) -> Result<Self, Trouble> {
        let sql = "SELECT command_id, why FROM annalist_replies WHERE name = $1 AND position = $2";
        let params = [ledger.code.name.as_ref().into(), event.position.into()];
        let read = |row: &crate::store::SqlRow| {
            let text = |column| Some(row.get(column)?.as_str()?.to_owned());
            Some((text("command_id")?, text("why")?))
        };
        let replies = ledger.database.query(sql, &params, read).await;
        Ok(Self {
            bus,
            ledger,
            event,
            replies: replies
                .map_err(crate::follow::unreadable)?
                .into_iter()
                .flatten()
                .collect(),
            sent: Mutex::default(),
            trouble: Mutex::new(None),
        })
    }

    /// The store, to read from. What a reaction decides by that may be otherwise when the
    /// event is met again.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.bus.store()
    }

    /// Dispatches a command, at most once for this event, and tells what came of it. The
    /// events of the command belong to what the event belongs to, and are caused by it.
    ///
    /// # Errors
    ///
    /// [`ReactError`] when it could neither take effect nor be refused: the store cannot
    /// answer, or a conflict surfaced, and the event is met again after a while; or the
    /// command panics, or cannot be written as JSON, and the reaction stops there.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the command taken effect or not, never half. Without
    /// its answer nothing more is dispatched, and the event is met again.
    pub async fn dispatch<C: Command>(
        &self,
        key: impl fmt::Display,
        command: C,
    ) -> Result<Reply, ReactError> {
        self.dispatch_with(key, command, |dispatch| dispatch).await
    }

    /// The same with more to say of it, such as a deadline. The command id is given, and so
    /// is that its outcome is recorded.
    ///
    /// # Errors
    ///
    /// As [`dispatch`](Self::dispatch).
    ///
    /// # Cancel safety
    ///
    /// As [`dispatch`](Self::dispatch).
    pub async fn dispatch_with<C: Command>(
        &self,
        key: impl fmt::Display,
        command: C,
        more: impl FnOnce(Dispatch<C>) -> Dispatch<C>,
    ) -> Result<Reply, ReactError> {
        let (key, name) = (key.to_string(), command.name().to_owned());
        let failed = |why: String| ReactError {
            command: name.clone(),
            key: key.clone(),
            why,
        };
        // What is done now would rest on an answer that may be another one the next time.
        if self.is_to_be_met_again() {
            return Err(failed("one before it has no answer yet".to_owned()));
        }
        let id = self.command_id(format!("{}-{key}", C::Aggregate::CATEGORY), &name);
        let dispatch = more(self.bus.dispatch(&key, command).metadata(self.metadata()))
            .command_id(&id)
            .record_outcome();
        let unanswered = Unanswered(self);
        let answer = self.answer(&id, dispatch).await;
        unanswered.come_to_its_end();
        answer.map_err(|no_answer| {
            let why = no_answer.why;
            if let Some(trouble) = no_answer.trouble {
                self.meet_again(trouble);
            }
            failed(why)
        })
    }

    /// What comes of a command under this id.
    async fn answer<C: Command>(&self, id: &str, dispatch: Dispatch<C>) -> Result<Reply, NoAnswer> {
        let why = match dispatch.await {
            // Its events may have been removed since.
            Ok(outcome) if outcome.position.is_none() => match outcome.decided_by {
                // Written down by the bus, and maybe not here any more.
                Decision::AlreadyApplied => match self.replies.get(id) {
                    Some(why) => return Ok(Reply::NoEffect { why: why.clone() }),
                    None => "it was refused before".to_owned(),
                },
                _ => "nothing was left to do".to_owned(),
            },
            Ok(outcome) => {
                return Ok(Reply::TookEffect {
                    version: outcome.version,
                });
            }
            Err(
                error @ (DispatchError::Rejected(_)
                | DispatchError::InvariantViolated { .. }
                | DispatchError::AlreadyExists { .. }
                | DispatchError::NotFound { .. }),
            ) => refusal(&error),
            // It is closed for ever.
            Err(error) if is_closed(&error) => chain(&error),
            Err(error) => {
                let why = chain(&error);
                let trouble = trouble(&error, &why);
                return Err(NoAnswer { why, trouble });
            }
        };
        // Before the reaction goes on: what it does next rests on this answer.
        let sql = "INSERT OR IGNORE INTO annalist_replies (name, position, command_id, why) \
                   VALUES ($1, $2, $3, $4)";
        let params = vec![
            self.ledger.code.name.as_ref().into(),
            self.event.position.into(),
            SqlValue::from(id),
            why.as_str().into(),
        ];
        let written = self.ledger.write(sql, params, self.ledger.clock.now());
        match written.await {
            Ok(()) => Ok(Reply::NoEffect { why }),
            Err(trouble) => Err(NoAnswer {
                why: trouble.to_string(),
                trouble: Some(trouble),
            }),
        }
    }

    /// The id of the next command of a name on an aggregate: the same whenever the event is
    /// met. Those on other aggregates do not count, since they may be sent side by side.
    fn command_id(&self, aggregate: String, command: &str) -> String {
        let sent = (aggregate.clone(), command.to_owned());
        let mut all = locked(&self.sent);
        let count = all.entry(sent).or_default();
        let name = &self.ledger.code.name;
        let (stream, event) = (&self.event.stream, self.event.id);
        let of = format!("{name}\0{stream}\0{event}\0{aggregate}\0{command}\0{count}");
        *count += 1;
        let id = Uuid::new_v5(&DERIVED, of.as_bytes());
        format!("{name}/{id}")
    }

    fn metadata(&self) -> Metadata {
        let event = self.event;
        let mut metadata = Metadata::default();
        let belongs_to = event.metadata.correlation_id.clone();
        metadata.correlation_id = belongs_to.or_else(|| Some(event.id.to_string()));
        metadata.causation_id = Some(event.id.to_string());
        metadata
    }

    fn meet_again(&self, trouble: Trouble) {
        locked(&self.trouble).get_or_insert(trouble);
    }

    fn is_to_be_met_again(&self) -> bool {
        locked(&self.trouble).is_some()
    }

    /// Why the event must be met again, if it must.
    pub(super) fn into_trouble(self) -> Option<Trouble> {
        let trouble = self.trouble.into_inner();
        trouble.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a dispatch has no answer, and what is to be done about it: nothing where it would be
/// the same the next time.
struct NoAnswer {
    why: String,
    trouble: Option<Trouble>,
}

/// A dispatch under way. Dropped in the middle of it, nobody knows what came of it.
struct Unanswered<'r, 'a>(&'r Reacting<'a>);

impl Unanswered<'_, '_> {
    fn come_to_its_end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_, '_> {
    fn drop(&mut self) {
        let why = "a command was given up before it was answered";
        self.0.meet_again(Trouble::Again(why.to_owned()));
    }
}

/// No user code runs under the lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_closed<C: Command>(error: &DispatchError<C>) -> bool {
    match error {
        DispatchError::Conflict(conflict) => matches!(conflict.reason, ConflictReason::Closed),
        _ => false,
    }
}

/// Why a command is refused, in the words of whoever refuses it.
fn refusal<C: Command>(error: &DispatchError<C>) -> String {
    match error {
        DispatchError::Rejected(rejection) => rejection.to_string(),
        DispatchError::InvariantViolated { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// What is to be done about a dispatch that has no answer: none where it would be the same
/// the next time.
fn trouble<C: Command>(error: &DispatchError<C>, why: &str) -> Option<Trouble> {
    let store = match error {
        // It would be refused whenever the event is met.
        DispatchError::Conflict(conflict) if conflict.reason == ConflictReason::Demanded => {
            return None;
        }
        // Nothing was seen that a new decision would pass over.
        DispatchError::Conflict(_) | DispatchError::DeadlineExceeded { .. } => {
            return Some(Trouble::Again(why.to_owned()));
        }
        error if error.is_retryable() => return Some(Trouble::Again(why.to_owned())),
        DispatchError::Append(crate::AppendError::Store(error)) => error,
        DispatchError::Load(crate::LoadError::Store(error)) => error,
        _ => return None,
    };
    let again = store.again();
    match store.kind() {
        StoreErrorKind::Corrupt { .. } | StoreErrorKind::Invalid => None,
        // It cannot be the event's fault.
        _ => Some(Trouble::Database(again)),
    }
}

impl fmt::Debug for Reacting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reacting")
            .field("event", &self.event.position)
            .field("commands", &locked(&self.sent).values().sum::<u32>())
            .finish_non_exhaustive()
    }
}
