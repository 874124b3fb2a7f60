//! The name that a client gives to a request, so that it is done once however often it is
//! sent: [`Idempotency-Key`][draft].
//!
//! Read here, and turned into the command id that the bus and the store know for ever. What
//! was answered is kept by the routes; nothing is kept here.
//!
//! [draft]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/

use std::fmt;

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use super::malformed::MalformedHeader;

/// The name of a request: 1 to 255 printable ASCII characters.
///
/// The header is a string as in [RFC 9651, section 3.3.3][string], in double quotes; many
/// clients send the key bare, which is the same key. Bare, it holds no space, quote, comma,
/// semicolon or backslash. Parameters are refused: the header has none.
///
/// ```
/// use annalist::http::IdempotencyKey;
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("idempotency-key", r#""8e03978e-40d5-43dd-bc93-6894a57f9324""#.parse()?);
/// let key = IdempotencyKey::of(&headers)?.expect("a key");
/// assert_eq!(key.as_str(), "8e03978e-40d5-43dd-bc93-6894a57f9324");
///
/// // What is sent by somebody else under the same key is something else.
/// assert_ne!(key.command_id("ann"), key.command_id("bob"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [string]: https://www.rfc-editor.org/rfc/rfc9651#section-3.3.3
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The header, which the crate `http` does not name.
    pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

    /// How many characters a key has at most.
    pub const CHARS_MAX: usize = 255;

    /// The key of a request; none if it has none.
    ///
    /// # Errors
    ///
    /// [`MalformedHeader`], status 400: two keys, or one that is none.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, MalformedHeader> {
        let refuse =
            |line, at, problem| Err(MalformedHeader::new(&Self::HEADER, line, at, problem));
        let mut lines = headers.get_all(Self::HEADER).iter();
        let Some(value) = lines.next() else {
            return Ok(None);
        };
        if lines.next().is_some() {
            return refuse(1, 0, "a request has one key");
        }
        let bytes = value.as_bytes();
        let start = bytes.iter().position(|byte| !is_space(*byte));
        let start = start.unwrap_or(0);
        let read = match bytes.trim_ascii() {
            [b'"', rest @ ..] => quoted(rest).map_err(|(at, problem)| (at + 1, problem)),
            bare => plain(bare),
        };
        match read {
            Ok(key) if key.is_empty() => refuse(0, start, "the key is empty"),
            Ok(key) if key.len() > Self::CHARS_MAX => {
                refuse(0, start, "the key is longer than 255 characters")
            }
            Ok(key) => Ok(Some(Self(key))),
            Err((at, problem)) => refuse(0, start + at, problem),
        }
    }

    /// The key as text, without its quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The command id that stands for this key of this principal, the same for ever: `http-`
    /// and 64 hexadecimal digits, the SHA-256 of both. A principal is whoever the server has
    /// found the client to be; two of them never meet under one key.
    #[must_use]
    pub fn command_id(&self, principal: &str) -> String {
        let parts = [principal, self.as_str()];
        format!("http-{}", digest("annalist idempotency key 1", &parts))
    }
}

/// 64 hexadecimal digits that stand for these texts: SHA-256, each with its length before it,
/// so that no two lists read alike.
pub(super) fn digest(what: &str, parts: &[&str]) -> String {
    let start = Sha256::new_with_prefix(what);
    let digest = parts.iter().fold(start, |digest, part| {
        let length = part.len() as u64;
        digest.chain_update(length.to_be_bytes()).chain_update(part)
    });
    let digits = digest.finalize();
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is read, or at which byte it cannot be and why.
type Read = Result<String, (usize, &'static str)>;

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A key in quotes, after the first of them: a quote and a backslash stand behind a backslash.
fn quoted(bytes: &[u8]) -> Read {
    let mut key = String::new();
    let mut bytes = bytes.iter().copied().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                return match bytes.next() {
                    None => Ok(key),
                    Some((at, _)) => Err((at, "nothing stands behind the closing quote")),
                };
            }
            b'\\' => match bytes.next() {
                Some((_, escaped @ (b'"' | b'\\'))) => key.push(char::from(escaped)),
                _ => return Err((at, "a backslash stands before a quote or a backslash")),
            },
            0x20..=0x7e => key.push(char::from(byte)),
            _ => return Err((at, "a key is of printable ASCII characters")),
        }
    }
    Err((key.len(), "the key's closing quote is missing"))
}

/// A key without quotes.
fn plain(bytes: &[u8]) -> Read {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\,;".contains(byte);
    match bytes.iter().position(|byte| !is_plain(byte)) {
        None => Ok(bytes.iter().copied().map(char::from).collect()),
        Some(at) => Err((
            at,
            "write the key in double quotes, in printable ASCII characters",
        )),
    }
}

/// Why a request is not done under its key, or not without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdempotencyRefusal {
    /// It must have one: status 400.
    #[error("send an Idempotency-Key, and the same one if you send the request again")]
    Missing,
    /// The key is held by another request: status 422.
    #[error("the Idempotency-Key was used for another request; give each request a key of its own")]
    OtherRequest,
}

impl IdempotencyRefusal {
    /// The stable name of this refusal, such as `idempotency_key_reused`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "idempotency_key_missing",
            Self::OtherRequest => "idempotency_key_reused",
        }
    }
}
