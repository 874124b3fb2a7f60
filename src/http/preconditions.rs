//! Whether a request goes ahead, by what it says of the state that it was made for.
//!
//! One pure function, asked by whoever serves a resource, with the current token in hand and
//! before anything is done. What it answers holds only for that token: a change hands on what
//! [`Expecting`] says, so that the store has the last word.

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, Method};

use super::etag::EntityTags;
use super::malformed::MalformedHeader;
use crate::token::VersionToken;

/// Whether a resource wants to be told, by every request that changes it, which state that
/// was made for.
///
/// ```
/// use annalist::VersionToken;
/// use annalist::http::{Checked, Expecting, EntityTag, Preconditions};
/// use http::{HeaderMap, Method, header};
///
/// let current: VersionToken = "04a83a72cfe4966aded774acf27d5ece".parse()?;
/// let mut headers = HeaderMap::new();
/// let check = |headers: &_| Preconditions::Required.check(&Method::POST, headers, Some(current));
/// assert!(matches!(check(&headers)?, Checked::Required)); // 428
///
/// headers.insert(header::IF_MATCH, EntityTag::from(current).into());
/// match check(&headers)? {
///     Checked::Proceed { expecting: Expecting::Token(token) } => {
///         // bus.dispatch(key, command).expecting_token(token)
///         assert!(token.is_same_as(&current));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preconditions {
    /// A request without one takes its chance.
    #[default]
    Optional,
    /// A request without one that would change something is answered 428: [RFC 6585,
    /// section 3](https://www.rfc-editor.org/rfc/rfc6585#section-3).
    Required,
}

/// What a request's preconditions come to.
#[derive(Clone, Debug)]
pub enum Checked {
    /// Do what it asks for.
    Proceed {
        /// What the change is to demand of the stream.
        expecting: Expecting,
    },
    /// 304: the client has it already.
    NotModified,
    /// 412: it is not as the client believes.
    Failed {
        /// The header that does not hold.
        field: PreconditionField,
        /// The state that the client acted on, where it names exactly one. Sent along with
        /// [`expecting_token`](crate::Dispatch::expecting_token) all the same, a command that
        /// took effect before is recognised by its id, and any other is told its conflict.
        claimed: Option<VersionToken>,
    },
    /// 428: it says nothing, and it must.
    Required,
}

/// What a change demands of its stream, so that a race that is lost after the check is told
/// as what it is: a precondition that does not hold any more, 412 and not 409.
#[derive(Clone, Copy, Debug)]
pub enum Expecting {
    /// Nothing: what a conflict means is the command's to say.
    Nothing,
    /// The state that the token was minted for, by
    /// [`expecting_token`](crate::Dispatch::expecting_token).
    ///
    /// Where the client lists several tags it is the one that holds, since none of the
    /// others can come to hold again. For `*` it is the one that is there: were it deleted
    /// meanwhile, the change would bring back what the client must not bring back.
    Token(VersionToken),
    /// That there is nothing, by [`expecting`](crate::Dispatch::expecting) the version at
    /// which there is nothing: 0, or that of the deletion.
    Absent,
}

impl Expecting {
    /// Whether the client has stated a precondition that may still come not to hold.
    #[must_use]
    pub const fn is_precondition(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// A header that states a precondition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PreconditionField {
    /// `If-Match`.
    IfMatch,
    /// `If-None-Match`.
    IfNoneMatch,
}

impl PreconditionField {
    /// The header's name.
    #[must_use]
    pub const fn header(self) -> HeaderName {
        match self {
            Self::IfMatch => IF_MATCH,
            Self::IfNoneMatch => IF_NONE_MATCH,
        }
    }
}

impl Preconditions {
    /// Judges a request, given the token of the resource as it is; none of one that is not
    /// there.
    ///
    /// Preconditions come last: what would be refused without them is refused as if they were
    /// not there ([RFC 9110, section 13.2.1][when]), but for a header that cannot be read.
    ///
    /// # Errors
    ///
    /// [`MalformedHeader`] where a header is not what [section 8.8.3][etag] says, status 400.
    /// Guessing what it may mean could lose an update.
    ///
    /// [when]: https://www.rfc-editor.org/rfc/rfc9110#section-13.2.1
    /// [etag]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3
    pub fn check(
        self,
        method: &Method,
        headers: &HeaderMap,
        current: Option<VersionToken>,
    ) -> Result<Checked, MalformedHeader> {
        let anyhow = Checked::Proceed {
            expecting: Expecting::Nothing,
        };
        // 13.2.1: must be ignored by methods that neither select nor change what is there.
        if matches!(*method, Method::CONNECT | Method::OPTIONS | Method::TRACE) {
            return Ok(anyhow);
        }
        let if_match = EntityTags::of(&IF_MATCH, headers)?;
        let if_none_match = EntityTags::of(&IF_NONE_MATCH, headers)?;
        let reads = matches!(*method, Method::GET | Method::HEAD);
        // 13.2.1: must be ignored where the answer would be 404 or 410 without them.
        if reads && current.is_none() {
            return Ok(anyhow);
        }
        let says_nothing = if_match.is_none() && if_none_match.is_none();
        // RFC 6585, 3: it is about updates that are lost, and reading loses none.
        if self == Self::Required && says_nothing && !reads {
            return Ok(Checked::Required);
        }
        // 13.2.2, step 1: `If-Match` comes first, and if it is false, 412.
        if let Some(tags) = &if_match
            && !tags.hold_strongly(current.as_ref())
        {
            return Ok(Checked::Failed {
                field: PreconditionField::IfMatch,
                claimed: tags.claimed(),
            });
        }
        // 13.2.2, step 3: `If-None-Match` next, and if it is false, 304 for GET and HEAD
        // (15.4.5), 412 for the others.
        if let Some(tags) = &if_none_match
            && tags.hold_weakly(current.as_ref())
        {
            return Ok(match reads {
                true => Checked::NotModified,
                false => Checked::Failed {
                    field: PreconditionField::IfNoneMatch,
                    claimed: None,
                },
            });
        }
        // Steps 2, 4 and 5 are of headers that are ignored here. 13.2.2, step 6: go on.
        let expecting = match (if_match, current, if_none_match) {
            (Some(_), Some(current), _) => Expecting::Token(current),
            (_, _, Some(EntityTags::Any)) => Expecting::Absent,
            // What is not one of the listed states now cannot become one.
            _ => Expecting::Nothing,
        };
        Ok(Checked::Proceed { expecting })
    }
}

impl EntityTags {
    /// 13.1.1: `*` is true if there is anything, a list if one of it is like the current tag
    /// by strong comparison.
    fn hold_strongly(&self, current: Option<&VersionToken>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Listed(tags), Some(current)) => {
                tags.iter().any(|tag| tag.matches_strongly(current))
            }
        }
    }

    /// 13.1.2: the same by weak comparison; `If-None-Match` is true if this is not.
    fn hold_weakly(&self, current: Option<&VersionToken>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Listed(tags), Some(current)) => {
                tags.iter().any(|tag| tag.matches_weakly(current))
            }
        }
    }

    /// The state that is named, if it is exactly one.
    fn claimed(&self) -> Option<VersionToken> {
        match self {
            Self::Listed(tags) => match tags.as_slice() {
                [tag] if !tag.is_weak() => tag.token(),
                _ => None,
            },
            Self::Any => None,
        }
    }
}
