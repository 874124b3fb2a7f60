//! Events of the domain to events of the store, and back: the only place where events are
//! serialized.
//!
//! Repositories hold a [`Codec`], every other reader calls [`RecordedEvent::decode`]. Both
//! read old events through the aggregate's [`Upcasters`], and neither asks a store.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::caught::caught;
use crate::event::{EventRef, NewEvent, RecordedEvent};
use crate::ids::EventType;
use crate::upcast::{Route, UpcastEvent, Upcasters};

mod decode;
mod encode;
mod error;
mod form;

pub use error::{DecodeError, DecodeErrorKind, EncodeError, FoldError, InvalidAggregate};

/// Writes and reads the events of one aggregate.
///
/// | the variant | its event type | its payload |
/// |---|---|---|
/// | `Opened` | `Opened` | `null` |
/// | `Noted("x".into())` | `Noted` | `"x"` |
/// | `Moved(1, 2)` | `Moved` | `[1,2]` |
/// | `Deposited { cents: 500 }` | `Deposited` | `{"cents":500}` |
///
/// `#[serde(rename = "..")]` names the event type, `alias` another one that is read, and
/// `#[serde(other)]` marks a unit variant that every unknown type is read as, whatever its
/// payload; without it an unknown type stops the read. A unit variant's own payload must be
/// `null`. Fields may be renamed, defaulted, flattened as in any JSON.
///
/// An enum that serde tags in another way (`tag`, `content`, `untagged`) is refused before
/// anything is written, naming the attribute to remove; so is a struct.
///
/// ```
/// use annalist::{Aggregate, Codec};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// enum AccountEvent {
///     Deposited { cents: i64 },
/// }
///
/// #[derive(Default, Clone, Serialize, Deserialize)]
/// struct Account {
///     balance: i64,
/// }
///
/// impl Aggregate for Account {
///     const CATEGORY: &'static str = "account";
///     type Event = AccountEvent;
///
///     fn apply(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) {
///         self.balance += cents;
///     }
/// }
///
/// let event = Codec::<Account>::new().encode(&AccountEvent::Deposited { cents: 500 })?;
/// assert_eq!(event.event_type.as_str(), "Deposited");
/// assert_eq!(event.payload.as_str(), r#"{"cents":500}"#);
/// # Ok::<(), annalist::EncodeError>(())
/// ```
pub struct Codec<A> {
    plan: Arc<Plan>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> Codec<A> {
    /// The codec of an aggregate. Cheap: what it declares is asked once in each thread.
    #[must_use]
    pub fn new() -> Self {
        Self {
            plan: Plan::of::<A>(),
            aggregate: PhantomData,
        }
    }

    /// Writes an event as the store takes it, with a fresh id and no metadata.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the event has no JSON form, or none that would be read back as
    /// the same event.
    pub fn encode(&self, event: &A::Event) -> Result<NewEvent, EncodeError> {
        let Declared {
            upcasters,
            variants,
        } = self.plan.declared()?;
        let (variant, payload) = caught(|| encode::content(event))??;
        let refuse = |problem| EncodeError::NotReadable {
            event_type: variant.to_owned(),
            problem,
        };
        // A hand-written `Deserialize` may name no variants.
        if !variants.is_empty() && !variants.contains(&variant) {
            return Err(refuse("serde reads no variant of that name".to_owned()));
        }
        if let Some(to) = upcasters.renamed_to(variant) {
            return Err(refuse(format!("it is renamed to {to:?}")));
        }
        let event_type: EventType = variant.parse()?;
        let schema_version = upcasters.schema_version(variant);
        Ok(NewEvent::new(event_type, payload).with_schema_version(schema_version))
    }

    /// Reads what the store holds as events of the domain: one, unless an upcaster makes
    /// it several or none.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the type is unknown, the payload does not fit, or an upcaster
    /// fails.
    pub fn decode(&self, event: &RecordedEvent) -> Result<Decoded<A::Event>, DecodeError> {
        self.decode_borrowed(event.borrowed())
    }

    fn decode_borrowed(&self, event: EventRef<'_>) -> Result<Decoded<A::Event>, DecodeError> {
        let read = caught(|| self.read(event)).unwrap_or_else(|panic| Err(panic.into()));
        read.map_err(|kind| DecodeError {
            stream: event.stream.clone(),
            version: event.version,
            event_type: event.event_type.clone(),
            schema_version: event.schema_version,
            kind,
        })
    }

    fn read(&self, event: EventRef<'_>) -> Result<Decoded<A::Event>, DecodeErrorKind> {
        let Declared { upcasters, .. } = self.plan.declared()?;
        let event_type = event.event_type.as_str();
        if let Route::Read(name) = upcasters.route(event_type, event.schema_version)? {
            let event = decode::text(name, event.payload.as_str())?;
            return Ok(Decoded::one(event));
        }
        let payload = serde_json::from_str(event.payload.as_str());
        let payload = payload.map_err(|source| DecodeErrorKind::payload(event_type, source))?;
        let old = UpcastEvent::new(event_type, payload).with_schema_version(event.schema_version);
        let events = upcasters.upcast(old)?;
        let events = events.into_iter().map(decode::upcast);
        Ok(Decoded::many(events.collect::<Result<_, _>>()?))
    }

    /// Applies recorded events to a state, in their order.
    ///
    /// # Errors
    ///
    /// [`FoldError`] when an event cannot be decoded or `apply` panics. The half-changed
    /// state is dropped.
    pub fn fold<'a>(
        &self,
        state: A,
        events: impl IntoIterator<Item = &'a RecordedEvent>,
    ) -> Result<A, FoldError> {
        events.into_iter().try_fold(state, |mut state, event| {
            self.apply(&mut state, event.borrowed())?;
            Ok(state)
        })
    }

    /// Applies one event to a state, which is not to be believed after an error.
    pub(crate) fn apply(&self, state: &mut A, event: EventRef<'_>) -> Result<(), FoldError> {
        let events = self.decode_borrowed(event)?;
        caught(|| events.for_each(|event| state.apply(&event))).map_err(|source| {
            FoldError::Panicked {
                stream: event.stream.clone(),
                version: event.version,
                event_type: event.event_type.clone(),
                source,
            }
        })
    }

    /// What the aggregate declares of its old events. Asked up front, it tells whether the
    /// aggregate can be stored at all.
    ///
    /// # Errors
    ///
    /// [`InvalidAggregate`], which every other call would answer too.
    pub fn upcasters(&self) -> Result<&Upcasters, InvalidAggregate> {
        Ok(&self.plan.declared()?.upcasters)
    }
}

impl<A: Aggregate> Default for Codec<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A> Clone for Codec<A> {
    fn clone(&self) -> Self {
        Self {
            plan: Arc::clone(&self.plan),
            aggregate: PhantomData,
        }
    }
}

impl<A> fmt::Debug for Codec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codec<{}>", std::any::type_name::<A>())
    }
}

impl RecordedEvent {
    /// Reads the event as those of an aggregate: one, unless an upcaster makes it several
    /// or none.
    ///
    /// ```
    /// # use annalist::{Aggregate, ExpectedVersion, NewEvent, Store, StreamId, stream_id};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Clone, Serialize, Deserialize)]
    /// # enum AccountEvent { Deposited { cents: i64 } }
    /// # #[derive(Default, Clone, Serialize, Deserialize)]
    /// # struct Account;
    /// # impl Aggregate for Account {
    /// #     const CATEGORY: &'static str = "account";
    /// #     type Event = AccountEvent;
    /// #     fn apply(&mut self, _: &AccountEvent) {}
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = Store::memory();
    /// # let account = stream_id::<Account>(42)?;
    /// # let deposited = NewEvent::json("Deposited", &serde_json::json!({ "cents": 500 }))?;
    /// # store.append(&account, ExpectedVersion::NoStream, [deposited]).await?;
    /// for recorded in store.read_stream(&account).collect().await?.events {
    ///     for event in recorded.decode::<Account>()? {
    ///         let AccountEvent::Deposited { cents } = event;
    ///         assert_eq!(cents, 500);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Codec::decode`].
    pub fn decode<A: Aggregate>(&self) -> Result<Decoded<A::Event>, DecodeError> {
        Codec::<A>::new().decode(self)
    }
}

/// The events that one recorded event stands for, in their order. An iterator; the usual
/// single event allocates nothing.
#[derive(Clone, Debug)]
pub struct Decoded<E> {
    one: Option<E>,
    many: std::vec::IntoIter<E>,
}

impl<E> Decoded<E> {
    fn one(event: E) -> Self {
        Self {
            one: Some(event),
            many: Vec::new().into_iter(),
        }
    }

    fn many(events: Vec<E>) -> Self {
        Self {
            one: None,
            many: events.into_iter(),
        }
    }
}

impl<E> Iterator for Decoded<E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        self.one.take().or_else(|| self.many.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let length = usize::from(self.one.is_some()) + self.many.len();
        (length, Some(length))
    }
}

impl<E> ExactSizeIterator for Decoded<E> {}
impl<E> FusedIterator for Decoded<E> {}

/// What an aggregate declares of its events, or what is wrong with it.
struct Plan(Result<Declared, InvalidAggregate>);

struct Declared {
    upcasters: Upcasters,
    variants: &'static [&'static str],
}

thread_local! {
    /// One for each thread, so that readers on many threads share no lock.
    static PLANS: RefCell<BTreeMap<TypeId, Arc<Plan>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Plan {
    fn of<A: Aggregate>() -> Arc<Self> {
        let id = TypeId::of::<A>();
        let known = PLANS.try_with(|plans| plans.borrow().get(&id).cloned());
        if let Ok(Some(plan)) = known {
            return plan;
        }
        // User code, which may come by here itself: nothing is borrowed meanwhile.
        let plan = Arc::new(Self(Self::ask::<A>()));
        // A thread that is ending keeps nothing any more.
        let _ = PLANS.try_with(|plans| plans.borrow_mut().insert(id, Arc::clone(&plan)));
        plan
    }

    fn ask<A: Aggregate>() -> Result<Declared, InvalidAggregate> {
        let refuse = |problem| InvalidAggregate {
            aggregate: std::any::type_name::<A>(),
            problem,
        };
        let panicked = |panic| refuse(format!("declaring it panicked: {panic}"));
        let variants = caught(form::variants::<A::Event>).map_err(panicked)?;
        let upcasters = caught(A::upcasters).map_err(panicked)?;
        match upcasters.problem() {
            Some(problem) => Err(refuse(format!("its upcasters contradict: {problem}"))),
            None => Ok(Declared {
                variants: variants.map_err(refuse)?,
                upcasters,
            }),
        }
    }

    fn declared(&self) -> Result<&Declared, InvalidAggregate> {
        self.0.as_ref().map_err(Clone::clone)
    }
}

#[cfg(test)]
mod tests;
