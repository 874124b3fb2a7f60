//! Entity tags as they stand in headers: [RFC 9110, section 8.8.3][etag].
//!
//! A version token is the opaque part of a strong one. What a client sends back is read
//! here, and [`preconditions`](super::preconditions) compares it. It must never take a tag
//! for a token before that has been compared in constant time.
//!
//! [etag]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::malformed::MalformedHeader;
use crate::token::VersionToken;

/// An entity tag. As text it stands in double quotes, `W/` before them if it is weak.
///
/// ```
/// use annalist::VersionToken;
/// use annalist::http::EntityTag;
///
/// let token: VersionToken = "04a83a72cfe4966aded774acf27d5ece".parse()?;
/// let etag = EntityTag::from(token);
/// assert_eq!(etag.to_string(), r#""04a83a72cfe4966aded774acf27d5ece""#);
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert(http::header::ETAG, etag.into());
/// # Ok::<(), annalist::InvalidToken>(())
/// ```
#[derive(Clone, Debug)]
pub struct EntityTag {
    is_weak: bool,
    /// What stands between the quotes: not always a token, nor even UTF-8.
    opaque: Vec<u8>,
}

impl EntityTag {
    /// The tag as it stands in a header.
    fn to_bytes(&self) -> Vec<u8> {
        let prefix: &[u8] = if self.is_weak { b"W/\"" } else { b"\"" };
        [prefix, &self.opaque, b"\""].concat()
    }

    /// The version token that it holds, if it holds one. That says nothing of whose it is.
    #[must_use]
    pub fn token(&self) -> Option<VersionToken> {
        std::str::from_utf8(&self.opaque).ok()?.parse().ok()
    }

    /// Whether it is weak, as what a proxy makes of a tag when it compresses the body.
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        self.is_weak
    }

    /// Strong comparison, [RFC 9110, section 8.8.3.2][compare]: a weak tag is like none.
    ///
    /// [compare]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2
    #[must_use]
    pub fn matches_strongly(&self, current: &VersionToken) -> bool {
        !self.is_weak && self.matches_weakly(current)
    }

    /// Weak comparison, the same section: weak or not, what is between the quotes decides.
    #[must_use]
    pub fn matches_weakly(&self, current: &VersionToken) -> bool {
        let token = self.token();
        token.is_some_and(|token| token.is_same_as(current))
    }
}

impl From<VersionToken> for EntityTag {
    fn from(token: VersionToken) -> Self {
        Self {
            is_weak: false,
            opaque: token.to_string().into_bytes(),
        }
    }
}

impl From<EntityTag> for HeaderValue {
    fn from(tag: EntityTag) -> Self {
        // A tag that was read is made of what a header may hold, and a token is ASCII.
        Self::from_bytes(&tag.to_bytes()).unwrap_or_else(|_| Self::from_static("\"\""))
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

/// What `If-Match` and `If-None-Match` say.
#[derive(Debug)]
pub(super) enum EntityTags {
    /// `*`: whatever there is.
    Any,
    /// One of these.
    Listed(Vec<EntityTag>),
}

impl EntityTags {
    /// How many tags are read.
    pub(super) const TAGS_MAX: usize = 100;

    /// Reads a header, over all lines of its name, which are one list: [RFC 9110, section
    /// 5.3](https://www.rfc-editor.org/rfc/rfc9110#section-5.3). None if it is not there.
    ///
    /// Empty places in a list are passed over, as [section 5.6.1.2][list] asks. A list of
    /// nothing else is refused: it is what is sent by a client that has lost its tag.
    ///
    /// [list]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2
    pub(super) fn of(
        header: &HeaderName,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, MalformedHeader> {
        if !headers.contains_key(header) {
            return Ok(None);
        }
        let mut listed = Vec::new();
        let mut any = false;
        for (line, value) in headers.get_all(header).iter().enumerate() {
            let mut text = Text::new(value.as_bytes());
            let refuse = |at, problem| Err(MalformedHeader::new(header, line, at, problem));
            loop {
                text.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
                let at = text.at;
                match text.peek() {
                    None => break,
                    _ if any => return refuse(at, "`*` stands alone"),
                    Some(b'*') if !listed.is_empty() => return refuse(at, "`*` stands alone"),
                    Some(b'*') => {
                        text.at += 1;
                        any = true;
                    }
                    Some(_) => match text.tag() {
                        Ok(tag) => listed.push(tag),
                        Err(problem) => return refuse(text.at, problem),
                    },
                }
                if listed.len() > Self::TAGS_MAX {
                    return refuse(at, "there are more than 100 tags");
                }
                text.skip(|byte| matches!(byte, b' ' | b'\t'));
                if !matches!(text.peek(), None | Some(b',')) {
                    return refuse(text.at, "a comma stands between two tags");
                }
            }
        }
        match (any, listed.is_empty()) {
            (true, _) => Ok(Some(Self::Any)),
            (false, false) => Ok(Some(Self::Listed(listed))),
            (false, true) => Err(MalformedHeader::new(
                header,
                0,
                0,
                "it names no tag; send the ETag as it was received, or leave the header out",
            )),
        }
    }
}

/// A header's value while it is read.
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Passes over these and answers them.
    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !is_skipped(*byte));
        let (skipped, _) = rest.split_at(length.unwrap_or(rest.len()));
        self.at += skipped.len();
        skipped
    }

    fn takes(&mut self, text: &[u8]) -> bool {
        let starts = self.rest().starts_with(text);
        self.at += if starts { text.len() } else { 0 };
        starts
    }

    /// `entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE`. Nothing is escaped in it, and `W` is
    /// upper case.
    fn tag(&mut self) -> Result<EntityTag, &'static str> {
        let is_weak = self.takes(b"W/");
        if !self.takes(b"\"") {
            return Err(r#"a tag stands in double quotes, as in `"04a8"`"#);
        }
        let opaque = self.skip(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..));
        match self.takes(b"\"") {
            true => Ok(EntityTag {
                is_weak,
                opaque: opaque.to_vec(),
            }),
            false if self.peek().is_none() => Err("the tag's closing quote is missing"),
            false => Err("a tag holds neither spaces nor control characters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::IF_MATCH;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[Vec<u8>]) -> Result<Option<EntityTags>, MalformedHeader> {
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(IF_MATCH, value);
            }
        }
        EntityTags::of(&IF_MATCH, &headers)
    }

    fn tag() -> impl Strategy<Value = EntityTag> {
        let opaque = prop_oneof![Just(0x21_u8), 0x23..=0x7e_u8, 0x80..=0xff_u8];
        (any::<bool>(), vec(opaque, 0..40))
            .prop_map(|(is_weak, opaque)| EntityTag { is_weak, opaque })
    }

    proptest! {
        #[test]
        fn no_value_makes_the_parser_panic(lines in vec(vec(any::<u8>(), 0..60), 0..4)) {
            let _ = read(&lines);
        }

        /// The same with what is nearly a list, which random bytes seldom are.
        #[test]
        fn no_near_list_makes_the_parser_panic(lines in vec(r#"[W/"*, a\t\\]{0,30}"#, 1..4)) {
            let lines: Vec<_> = lines.into_iter().map(String::into_bytes).collect();
            if let Err(malformed) = read(&lines) {
                let line = lines.get(malformed.line - 1).map_or(0, Vec::len);
                prop_assert!(malformed.character <= line + 1, "{malformed}");
            }
        }

        #[test]
        fn what_is_written_is_read_again(
            lines in vec(vec((tag(), "[ \t]{0,2},[, \t]{0,3}"), 1..5), 1..5),
        ) {
            let tags = lines.iter().flatten().map(|(tag, _)| tag.to_bytes());
            let tags: Vec<_> = tags.collect();
            let text = |line: &Vec<(EntityTag, String)>| {
                let parts = line.iter().flat_map(|(tag, comma)| [tag.to_bytes(), comma.clone().into()]);
                parts.collect::<Vec<_>>().concat()
            };
            match read(&lines.iter().map(text).collect::<Vec<_>>()) {
                Ok(Some(EntityTags::Listed(read))) => {
                    let read: Vec<_> = read.iter().map(EntityTag::to_bytes).collect();
                    prop_assert_eq!(read, tags);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
