//! A request under an `Idempotency-Key` is held to what it was sent for first, before it is
//! done: the only part of `http` that writes to a store, apart from the routes.
//!
//! What is kept is a commit key of a stream without events, whose commits nobody ever reads:
//! so the store's own rules tell two requests under one key apart, on every backend, after a
//! restart, and however many race. It must never keep what was sent or answered.

use super::idempotency::{IdempotencyKey, IdempotencyRefusal, digest};
use crate::domain::{AnyCommand, AnyDispatchError};
use crate::ids::StreamId;
use crate::store::{AppendError, Commit, Fingerprint, Store};
use crate::version::ExpectedVersion;

/// The category of the streams that the keys belong to. They never have events.
const CATEGORY: &str = "annalist_requests";

/// Why a request is not reserved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// The key stands for another request.
    #[error(transparent)]
    Refused(#[from] IdempotencyRefusal),
    /// The command has no JSON form.
    #[error(transparent)]
    Command(Box<AnyDispatchError>),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] AppendError),
}

impl ReserveError {
    /// The stable name of this error, such as `idempotency_key_reused`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Command(error) => &error.code,
            Self::Store(error) => error.code(),
        }
    }

    /// Whether the same may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Refused(_) | Self::Command(_) => false,
        }
    }
}

impl IdempotencyKey {
    /// Holds the key, of this principal, to one command on one stream, for ever. Sent again
    /// for the same it is ok; and so are ten at once, all of which may go on to dispatch
    /// under [`command_id`](Self::command_id): the command takes effect once.
    ///
    /// ```
    /// # use annalist::{Aggregate, AnyCommand, Command, CommandBus, Store};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Clone, Serialize, Deserialize)]
    /// # enum SeatEvent { Booked }
    /// # #[derive(Default, Clone, Serialize, Deserialize)]
    /// # struct Seat { taken: bool }
    /// # impl Aggregate for Seat {
    /// #     const CATEGORY: &'static str = "seat";
    /// #     type Event = SeatEvent;
    /// #     fn apply(&mut self, SeatEvent::Booked: &SeatEvent) { self.taken = true; }
    /// # }
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Book;
    /// # impl Command for Book {
    /// #     type Aggregate = Seat;
    /// #     type Rejection = std::convert::Infallible;
    /// #     const NAME: &'static str = "book";
    /// #     fn decide(&self, _: &Seat) -> Result<Vec<SeatEvent>, Self::Rejection> {
    /// #         Ok(vec![SeatEvent::Booked])
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use annalist::http::IdempotencyKey;
    /// use http::HeaderMap;
    ///
    /// let store = Store::memory();
    /// let mut headers = HeaderMap::new();
    /// headers.insert(IdempotencyKey::HEADER, "book-1".parse()?);
    /// let key = IdempotencyKey::of(&headers)?.expect("a key");
    ///
    /// let (here, there) = ("seat-12a".parse()?, "seat-12b".parse()?);
    /// let book = AnyCommand::new(Book);
    /// key.reserve(&store, "ann", &here, &book).await?;
    /// key.reserve(&store, "ann", &here, &book).await?;
    /// key.reserve(&store, "bob", &there, &book).await?;
    /// assert!(key.reserve(&store, "ann", &there, &book).await.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReserveError::Refused`] when the key stands for another command, another payload or
    /// another stream, or the error of the command or the store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the key held or not.
    pub async fn reserve(
        &self,
        store: &Store,
        principal: &str,
        stream: &StreamId,
        command: &AnyCommand,
    ) -> Result<(), ReserveError> {
        let of = command.fingerprint().map_err(ReserveError::Command)?;
        // A stream id holds no NUL, so the two do not run together.
        let request = [stream.as_str().as_bytes(), &[0], of.as_bytes()].concat();
        let requests = StreamId::new(CATEGORY, digest("annalist principal 1", &[principal]));
        // Digits are a key. If they were none, the key would be held for this stream alone.
        let requests = requests.unwrap_or_else(|_| stream.clone());
        let nothing = Commit::new()
            .append(requests, ExpectedVersion::Any, [])
            .key(self.as_str(), Fingerprint::of(request));
        match store.commit(nothing).await {
            Ok(_) | Err(AppendError::AlreadyCommitted { .. }) => Ok(()),
            Err(AppendError::KeyReused { .. }) => Err(IdempotencyRefusal::OtherRequest.into()),
            Err(error) => Err(error.into()),
        }
    }
}
