//! A command without its type, and its way to the bus. The loop is the bus's: what is
//! said here is handed to the [`Dispatch`](crate::Dispatch) of the command's own type.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::answer::{AnyDispatchError, AnyOutcome, Telling};
use super::error::DomainError;
use super::probe::{ProbedCommand, ProbedKind};
use crate::aggregate::{Aggregate, stream_id};
use crate::caught::caught;
use crate::command::{
    Command, CommandBus, DispatchError, DispatchOptions, InvalidDispatch, dispatch_options,
    fingerprint,
};
use crate::conflict::ConflictReport;
use crate::store::Fingerprint;

/// A command whose type is not known any more, as [`Domain::decode`](super::Domain::decode)
/// answers it. A clone is the same command: kept, it can be sent again.
#[derive(Clone)]
pub struct AnyCommand {
    name: String,
    category: &'static str,
    pub(super) command: Arc<dyn Erased>,
}

impl AnyCommand {
    /// Forgets the type of a command.
    #[must_use]
    pub fn new<C: Command>(command: C) -> Self {
        Self {
            name: command.name().to_owned(),
            category: C::Aggregate::CATEGORY,
            command: Arc::new(command),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The category of its aggregates.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        self.category
    }

    /// What its command id stands for: its name and its JSON.
    ///
    /// # Errors
    ///
    /// [`AnyDispatchError`] where it has no JSON form, as sending it would answer.
    pub fn fingerprint(&self) -> Result<Fingerprint, Box<AnyDispatchError>> {
        self.command.fingerprint(&self.name)
    }
}

impl fmt::Debug for AnyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.category)
    }
}

impl CommandBus {
    /// Sends a command whose type is not known to an aggregate of its category, by the key
    /// of its stream. Await what it answers; before that, say more about it.
    ///
    /// ```
    /// # use annalist::{Aggregate, Command, CommandBus, Store};
    /// # use annalist::domain::AnyCommand;
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
    /// # #[derive(Debug, thiserror::Error)]
    /// # #[error("the seat is taken")]
    /// # struct Taken;
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Book;
    /// # impl Command for Book {
    /// #     type Aggregate = Seat;
    /// #     type Rejection = Taken;
    /// #     const NAME: &'static str = "book";
    /// #     fn decide(&self, seat: &Seat) -> Result<Vec<SeatEvent>, Taken> {
    /// #         if seat.taken { Err(Taken) } else { Ok(vec![SeatEvent::Booked]) }
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = CommandBus::new(Store::memory());
    /// bus.dispatch_any("12a", AnyCommand::new(Book)).await?;
    ///
    /// let refused = bus.dispatch_any("12a", AnyCommand::new(Book)).await.unwrap_err();
    /// assert_eq!(refused.code, "rejected");
    /// assert_eq!(refused.rejection.as_deref(), Some("the seat is taken"));
    /// # Ok(()) }
    /// ```
    pub fn dispatch_any(&self, key: impl fmt::Display, command: AnyCommand) -> AnyDispatch {
        AnyDispatch {
            bus: self.clone(),
            key: key.to_string(),
            command,
            options: DispatchOptions::default(),
            telling: Telling::default(),
        }
    }
}

/// A command whose type is not known, about to be sent: [`Dispatch`](crate::Dispatch)
/// without the type. It is sent when it is awaited.
///
/// # Errors
///
/// Awaiting it answers [`AnyDispatchError`] when there is no outcome.
///
/// # Cancel safety
///
/// As that of [`Dispatch`](crate::Dispatch).
#[must_use = "a command is sent when it is awaited"]
pub struct AnyDispatch {
    bus: CommandBus,
    key: String,
    command: AnyCommand,
    options: DispatchOptions,
    telling: Telling,
}

dispatch_options!(impl AnyDispatch);

impl AnyDispatch {
    /// Lets a conflict tell the payloads of the unseen events and the current state, for
    /// whoever may see them.
    pub fn report_in_full(mut self) -> Self {
        self.telling = Telling::InFull;
        self
    }
}

impl IntoFuture for AnyDispatch {
    type Output = Result<AnyOutcome, AnyDispatchError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self {
            bus,
            key,
            command,
            options,
            telling,
        } = self;
        let AnyCommand { name, command, .. } = command;
        // It is told as a report, and one more than it lists says that there are more.
        let options = DispatchOptions {
            unseen_max: Some(ConflictReport::UNSEEN_MAX as u64 + 1),
            ..options
        };
        command.send(name, bus, key, options, telling)
    }
}

impl fmt::Debug for AnyDispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {:?}", self.command.name, self.key)
    }
}

/// What can be asked of a command's type before there is a command.
pub(super) trait Kind: ProbedKind {
    fn decode(&self, json: &[u8]) -> Result<AnyCommand, DomainError>;
}

/// A command's type.
pub(super) struct OfCommand<C>(PhantomData<fn() -> C>);

impl<C: Command + DeserializeOwned> OfCommand<C> {
    pub(super) const NEW: &'static dyn Kind = &Self(PhantomData);
}

impl<C: Command + DeserializeOwned> Kind for OfCommand<C> {
    fn decode(&self, json: &[u8]) -> Result<AnyCommand, DomainError> {
        let command = caught(|| serde_json::from_slice::<C>(json))?;
        let malformed = |source| DomainError::Malformed {
            command: C::NAME,
            field: field_of::<C>(json),
            source,
        };
        command.map(AnyCommand::new).map_err(malformed)
    }
}

/// Which field of a JSON it is that does not fit, as a JSON Pointer (RFC 6901); none where it
/// is the whole. Read a second time for it, so that what fits is read without.
fn field_of<C: DeserializeOwned>(json: &[u8]) -> Option<String> {
    let read = || {
        let mut json = serde_json::Deserializer::from_slice(json);
        serde_path_to_error::deserialize::<_, C>(&mut json).err()
    };
    let error = caught(read).ok().flatten()?;
    let missing = missing_field(&error.inner().to_string());
    let mut field = String::new();
    for segment in error.path() {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => break,
        };
        field.push('/');
        field.push_str(&escaped(&name));
    }
    if let Some(missing) = missing {
        field.push('/');
        field.push_str(&missing);
    }
    (!field.is_empty()).then_some(field)
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The field that is not there: the path leads to where it is missing, and only serde's own
/// words for it, `serde::de::Error::missing_field`, name it.
fn missing_field(said: &str) -> Option<String> {
    let rest = said.strip_prefix("missing field `")?;
    let (name, _) = rest.split_once('`')?;
    Some(escaped(name))
}

/// A command, as far as it can be sent.
pub(super) trait Erased: ProbedCommand {
    fn fingerprint(&self, name: &str) -> Result<Fingerprint, Box<AnyDispatchError>>;

    fn send(
        self: Arc<Self>,
        name: String,
        bus: CommandBus,
        key: String,
        options: DispatchOptions,
        telling: Telling,
    ) -> BoxFuture<'static, Result<AnyOutcome, AnyDispatchError>>;
}

impl<C: Command> Erased for C {
    fn fingerprint(&self, name: &str) -> Result<Fingerprint, Box<AnyDispatchError>> {
        let telling = Telling::default();
        let told = |error| AnyDispatchError::new(name.to_owned(), None, &error, telling);
        fingerprint(self).map_err(|error| told(error).into())
    }

    fn send(
        self: Arc<Self>,
        name: String,
        bus: CommandBus,
        key: String,
        options: DispatchOptions,
        telling: Telling,
    ) -> BoxFuture<'static, Result<AnyOutcome, AnyDispatchError>> {
        Box::pin(async move {
            let stream = match stream_id::<C::Aggregate>(&key) {
                Ok(stream) => stream,
                Err(error) => {
                    let error = DispatchError::<Arc<C>>::Invalid(InvalidDispatch::Name(error));
                    return Err(AnyDispatchError::new(name, None, &error, telling));
                }
            };
            let mut dispatch = bus.dispatch(key, self);
            dispatch.options = options;
            match dispatch.await {
                Ok(outcome) => Ok(AnyOutcome::new(stream, &outcome)),
                Err(error) => Err(AnyDispatchError::new(name, Some(stream), &error, telling)),
            }
        })
    }
}
