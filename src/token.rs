//! A proof of what a client has seen: one stream, at one version and generation.
//!
//! Whoever shows a state mints a token with it, as the strong `ETag` of an HTTP answer;
//! whoever changes the state checks it. The token says nothing of versions and cannot be
//! made up: it is the first half of an HMAC-SHA256 (RFC 2104, section 5). This module
//! never keeps a key.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{EventId, StreamId};
use crate::version::{Generation, Version};

/// What a token stands for. Two are alike only if all of it is.
///
/// A stream that was never written has no last event, and so no token.
#[derive(Clone, Copy, Debug)]
pub struct TokenSubject<'a> {
    /// The identity of the store.
    pub store: Uuid,
    /// The stream.
    pub stream: &'a StreamId,
    /// Its version.
    pub version: Version,
    /// Its generation.
    pub generation: Generation,
    /// The id of its last event.
    pub last_event: EventId,
}

/// The secret that tokens are minted and checked with. Its debug form shows nothing.
///
/// ```
/// use annalist::{EventId, Generation, TokenKey, TokenSubject, Version, VersionToken, uuid};
///
/// let key = TokenKey::from_bytes([7; 32]); // 32 random bytes, kept secret
/// let seen = TokenSubject {
///     store: uuid::Uuid::nil(),
///     stream: &"account-42".parse()?,
///     version: Version::new(3),
///     generation: Generation::ZERO,
///     last_event: EventId::new(),
/// };
/// let etag = key.mint(&seen).to_string();
///
/// let token: VersionToken = etag.parse()?;
/// assert!(key.matches(&token, &seen));
/// let moved_on = TokenSubject { version: Version::new(4), ..seen };
/// assert!(!key.matches(&token, &moved_on));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        // HMAC fills a short key with zeros up to the hash's block, as this does.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = from;
        }
        Self(Hmac::new(&block))
    }

    /// The token of a stream as it is.
    #[must_use]
    pub fn mint(&self, subject: &TokenSubject<'_>) -> VersionToken {
        let digest = self.digest(subject).finalize().into_bytes();
        let mut token = [0; VersionToken::BYTES];
        for (to, from) in token.iter_mut().zip(digest) {
            *to = from;
        }
        VersionToken(token)
    }

    /// Whether the token was minted for exactly this. Takes the same time for every
    /// token.
    #[must_use]
    pub fn matches(&self, token: &VersionToken, subject: &TokenSubject<'_>) -> bool {
        let digest = self.digest(subject);
        digest.verify_truncated_left(&token.0).is_ok()
    }

    /// Feeds every part with its length before it, so that no two subjects read alike.
    fn digest(&self, subject: &TokenSubject<'_>) -> Hmac<Sha256> {
        let parts: [&[u8]; 6] = [
            b"annalist version token 1",
            subject.store.as_bytes(),
            subject.stream.as_str().as_bytes(),
            &subject.version.get().to_be_bytes(),
            &subject.generation.get().to_be_bytes(),
            subject.last_event.as_uuid().as_bytes(),
        ];
        parts.iter().fold(self.0.clone(), |digest, part| {
            let length = part.len() as u64;
            digest.chain_update(length.to_be_bytes()).chain_update(part)
        })
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// Draws 32 bytes for a new key: what two random UUIDs (RFC 9562, version 4) hash to,
/// which hold 244 bits from the operating system.
pub(crate) fn draw_key() -> [u8; 32] {
    let drawn = [Uuid::new_v4(), Uuid::new_v4()];
    Sha256::digest(drawn.map(Uuid::into_bytes).as_flattened()).into()
}

/// Says that a stream is as the client saw it. As text, 32 lower-case hexadecimal digits,
/// which any header or URL takes as they are.
///
/// It cannot be compared with `==`, which would tell a forger by its timing how much he
/// guessed; see [`TokenKey::matches`] and [`is_same_as`](Self::is_same_as).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionToken([u8; Self::BYTES]);

impl VersionToken {
    /// 128 bits: half of the digest, the least that RFC 2104 recommends.
    const BYTES: usize = 16;

    /// No state's: to have made one up that is some state's is as likely as to guess it.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "for the routes"))]
    pub(crate) const OF_NOTHING: Self = Self([0; Self::BYTES]);

    /// Whether both are the same token. Takes the same time whether they are or not, so that
    /// nobody learns from it how much of one he guessed.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let differing = u128::from_be_bytes(self.0) ^ u128::from_be_bytes(other.0);
        std::hint::black_box(differing) == 0
    }
}

impl fmt::Display for VersionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for VersionToken {
    type Err = InvalidToken;

    /// Reads the one form that `Display` writes.
    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 2 * Self::BYTES || !text.bytes().all(is_digit) {
            return Err(InvalidToken);
        }
        let token = u128::from_str_radix(text, 16).map_err(|_| InvalidToken)?;
        Ok(Self(token.to_be_bytes()))
    }
}

impl TryFrom<String> for VersionToken {
    type Error = InvalidToken;

    fn try_from(text: String) -> Result<Self, InvalidToken> {
        text.parse()
    }
}

impl From<VersionToken> for String {
    fn from(token: VersionToken) -> Self {
        token.to_string()
    }
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version token is 32 lower-case hexadecimal digits; send it back as it was received")]
#[non_exhaustive]
pub struct InvalidToken;

impl InvalidToken {
    /// The stable name of this error: `invalid_token`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_token"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const STORE: Uuid = Uuid::from_u128(1);
    const EVENT: EventId = EventId::from_uuid(Uuid::from_u128(2));

    fn key(byte: u8) -> TokenKey {
        TokenKey::from_bytes([byte; 32])
    }

    fn subject(stream: &StreamId) -> TokenSubject<'_> {
        TokenSubject {
            store: STORE,
            stream,
            version: Version::new(3),
            generation: Generation::new(1),
            last_event: EVENT,
        }
    }

    #[test]
    fn a_token_is_the_hmac_of_its_parts() {
        // Computed with Python's hmac and hashlib over the same parts.
        let stream = "account-42".parse().unwrap();
        let token = key(7).mint(&subject(&stream)).to_string();
        assert_eq!(token, "04a83a72cfe4966aded774acf27d5ece");
    }

    #[test]
    fn each_part_of_the_subject_changes_the_token() {
        let (stream, other) = ("a-1".parse().unwrap(), "a-2".parse().unwrap());
        let seen = subject(&stream);
        let id = Uuid::from_u128(3);
        let others = [
            TokenSubject { store: id, ..seen },
            TokenSubject {
                stream: &other,
                ..seen
            },
            TokenSubject {
                version: Version::new(4),
                ..seen
            },
            TokenSubject {
                generation: Generation::new(2),
                ..seen
            },
            TokenSubject {
                last_event: EventId::from_uuid(id),
                ..seen
            },
        ];
        let token = key(7).mint(&seen);
        assert!(key(7).matches(&token, &seen) && token.is_same_as(&key(7).mint(&seen)));
        assert!(!key(8).matches(&token, &seen));
        for other in others {
            assert!(!key(7).matches(&token, &other), "{other:?}");
        }
    }

    #[test]
    fn forgeries_are_refused() {
        let stream = "account-42".parse().unwrap();
        let seen = subject(&stream);
        let (key, genuine) = (key(7), key(7).mint(&seen));
        let mut random = fastrand::Rng::with_seed(1);
        let guessed = (0..10_000).map(|_| random.u128(..).to_be_bytes());
        let flipped =
            (0..128).map(|bit| (u128::from_be_bytes(genuine.0) ^ (1 << bit)).to_be_bytes());
        let foreign = (0..10_000_u64).map(|n| {
            let version = Version::new(n + 4);
            key.mint(&TokenSubject { version, ..seen }).0
        });
        let stolen = (0..=255)
            .filter(|byte| *byte != 7)
            .map(|byte| TokenKey::from_bytes([byte; 32]).mint(&seen).0);
        let mut tried = HashSet::new();
        for bytes in guessed.chain(flipped).chain(foreign).chain(stolen) {
            let forged = VersionToken(bytes);
            assert!(!key.matches(&forged, &seen) && !forged.is_same_as(&genuine));
            tried.insert(bytes);
        }
        assert_eq!(tried.len(), 20_383);
    }

    #[test]
    fn a_token_has_one_text() {
        let stream = "account-42".parse().unwrap();
        let text = key(7).mint(&subject(&stream)).to_string();
        assert_eq!(text.parse::<VersionToken>().unwrap().to_string(), text);
        let zero = "0".repeat(32);
        assert_eq!(zero.parse::<VersionToken>().unwrap().to_string(), zero);
        let plus = format!("+{}", "0".repeat(31));
        let wide = "é".repeat(16);
        for other in [
            "",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}0"),
            &plus,
            &wide,
        ] {
            assert_eq!(other.parse::<VersionToken>().unwrap_err(), InvalidToken);
        }
        let json = serde_json::to_string(&zero.parse::<VersionToken>().unwrap()).unwrap();
        assert_eq!(json, format!("{zero:?}"));
    }

    #[test]
    fn a_key_shows_nothing() {
        assert_eq!(format!("{:?}", key(7)), "TokenKey");
    }
}
