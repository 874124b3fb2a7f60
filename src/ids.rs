//! The names of things: which stream, which event, which command.
//!
//! Everyone uses these. A name is checked once, when it is made, so that no
//! later room has to ask whether it is well formed. How long a name may be is
//! the store's business ([`Limits`](crate::store::Limits)), not this module's.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of one stream: `category-key`, such as `account-42`.
///
/// The category ends at the first `-`, so it holds none; the key is any text
/// that is not empty, further `-` included. Control characters are refused
/// anywhere. Streams order by the bytes of their name. Cloning is cheap.
///
/// ```
/// use annalist::StreamId;
///
/// let stream: StreamId = "account-42".parse()?;
/// assert_eq!(stream.category(), "account");
/// assert_eq!(stream.key(), "42");
/// assert_eq!(stream, StreamId::new("account", "42")?);
/// assert!("account".parse::<StreamId>().is_err());
/// # Ok::<(), annalist::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// Names the stream of `key` in `category`.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when the category is empty or holds a `-`, when the key
    /// is empty, or when either holds a control character.
    pub fn new(category: &str, key: impl fmt::Display) -> Result<Self, InvalidName> {
        if category.contains('-') {
            return Err(InvalidName::new(
                "category",
                category,
                "it holds a `-`, which is where the key begins",
            ));
        }
        format!("{category}-{key}").parse()
    }

    /// The part before the first `-`: what kind of aggregate this is.
    #[must_use]
    pub fn category(&self) -> &str {
        self.split().0
    }

    /// The part after the first `-`: which aggregate of its category this is.
    #[must_use]
    pub fn key(&self) -> &str {
        self.split().1
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once('-').unwrap_or((&self.0, ""))
    }
}

impl FromStr for StreamId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let refuse = |problem| Err(InvalidName::new("stream id", text, problem));
        match text.split_once('-') {
            None => refuse("it has no `-`; write it as `category-key`"),
            Some(("", _)) => refuse("its category, before the first `-`, is empty"),
            Some((_, "")) => refuse("its key, after the first `-`, is empty"),
            Some(_) if text.contains(char::is_control) => refuse("it holds a control character"),
            Some(_) => Ok(Self(text.into())),
        }
    }
}

/// What an event says happened, such as `Deposited`: the name under which a
/// reader knows how to decode its payload.
///
/// Any text that is not empty and holds no control character. Cloning is cheap.
///
/// ```
/// let deposited: annalist::EventType = "Deposited".parse()?;
/// assert_eq!(deposited.as_str(), "Deposited");
/// # Ok::<(), annalist::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(Arc<str>);

impl EventType {
    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventType {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        checked("event type", text).map(Self)
    }
}

/// The name that a caller gives to one command, so that it is recognised when
/// it is sent again.
///
/// Any text that is not empty and holds no control character; a store keeps at
/// most 255 bytes of it. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(Arc<str>);

impl CommandId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CommandId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        checked("command id", text).map(Self)
    }
}

fn checked(what: &'static str, text: &str) -> Result<Arc<str>, InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::new(what, text, "it is empty"));
    }
    if text.contains(char::is_control) {
        let problem = "it holds a control character";
        return Err(InvalidName::new(what, text, problem));
    }
    Ok(text.into())
}

/// What the three names have in common: they are text, and are made from text
/// only through their check.
macro_rules! name {
    ($name:ident) => {
        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(text: &str) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

name!(StreamId);
name!(EventType);
name!(CommandId);

/// The identity of one event, unique within its stream for ever.
///
/// It is what makes sending an event twice harmless: the store recognises the
/// id and answers the first receipt again. New ids are UUIDs of version 7, which
/// sort by the time they were made and so keep the store's index compact; ids of
/// any version are accepted.
///
/// ```
/// use annalist::EventId;
///
/// // An import derives its ids from what it imports: running it again writes nothing.
/// let line = EventId::derived("fines.jsonl", "line 7");
/// assert_eq!(line, EventId::derived("fines.jsonl", "line 7"));
/// assert_ne!(line, EventId::new());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// A fresh id: a UUID of version 7 (RFC 9562, section 5.7).
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "each is another; a default is not"
    )]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id that always belongs to `name` in `namespace`: a UUID of version 5
    /// (RFC 9562, section 5.5).
    #[must_use]
    pub fn derived(namespace: &str, name: &str) -> Self {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, namespace.as_bytes());
        Self(Uuid::new_v5(&namespace, name.as_bytes()))
    }

    /// Takes a UUID of the caller's.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl FromStr for EventId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let uuid = text.parse().map_err(|_| {
            let problem = "it is not a UUID, such as 0195e7c1-5b1e-7cc4-8a35-6a9f0d3c2b10";
            InvalidName::new("event id", text, problem)
        })?;
        Ok(Self(uuid))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stream id, event type or command id that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be a {what}: {problem}")]
#[non_exhaustive]
pub struct InvalidName {
    /// Which kind of name was asked for.
    pub what: &'static str,
    /// The text that was refused; of a long one, the beginning.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl InvalidName {
    const SHOWN_CHARS_MAX: usize = 80;

    fn new(what: &'static str, text: &str, problem: &'static str) -> Self {
        let text = text.chars().take(Self::SHOWN_CHARS_MAX).collect();
        Self {
            what,
            text,
            problem,
        }
    }

    /// The stable name of this error: `invalid_name`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_name"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_id_splits_at_its_first_dash() {
        let stream: StreamId = "order-2026-11-0001".parse().unwrap();
        assert_eq!((stream.category(), stream.key()), ("order", "2026-11-0001"));
    }

    #[test]
    fn odd_but_printable_names_are_accepted() {
        for text in ["a-/", "a-%_'\"", "☃-🎉", "a--", "a- "] {
            assert_eq!(text.parse::<StreamId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn malformed_stream_ids_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "no `-`"),
            ("account", "no `-`"),
            ("-42", "category"),
            ("account-", "key"),
            ("account-4\0", "control"),
            ("account-4\n", "control"),
            ("account-4\u{85}", "control"),
        ] {
            let error = text.parse::<StreamId>().unwrap_err();
            assert!(error.problem.contains(reason), "{text:?}: {error}");
        }
        assert!(StreamId::new("a-b", 1).is_err());
        assert!(StreamId::new("a\u{7f}", 1).is_err());
        assert!("".parse::<EventType>().is_err());
        assert!("a\u{1}".parse::<CommandId>().is_err());
    }

    #[test]
    fn a_refused_name_is_shown_short_and_escaped() {
        let error = format!("account-{}\u{1b}[2J", "x".repeat(10_000));
        let error = error.parse::<StreamId>().unwrap_err().to_string();
        assert!(error.len() < 200 && !error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn an_event_id_is_read_as_it_is_shown() {
        let id = EventId::new();
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        assert!("7".parse::<EventId>().is_err());
    }

    #[test]
    fn names_survive_serde_and_are_checked_by_it() {
        let stream: StreamId = serde_json::from_str("\"account-42\"").unwrap();
        assert_eq!(serde_json::to_string(&stream).unwrap(), "\"account-42\"");
        assert!(serde_json::from_str::<StreamId>("\"account\"").is_err());
    }
}
