//! What proves that a client has seen a stream as it is.

use uuid::Uuid;

use super::Store;
use crate::ids::{EventId, StreamId};
use crate::store::backend::StreamInfo;
use crate::store::error::StoreError;
use crate::token::{TokenKey, TokenSubject, VersionToken};
use crate::version::{Generation, Version};

impl Store {
    /// The store's id, for as long as it exists; a backup has the same.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.identity.id
    }

    /// The same store with version tokens under this key, such as one that several servers
    /// share, in place of the one that is kept in the store.
    #[must_use]
    pub fn with_token_key(mut self, key: TokenKey) -> Self {
        self.identity.token_key = key;
        self
    }

    /// The version token of a stream as it is; none of one that was never written or is
    /// deleted.
    #[must_use]
    pub fn token(&self, info: &StreamInfo) -> Option<VersionToken> {
        let subject = self.subject(info)?;
        Some(self.identity.token_key.mint(&subject))
    }

    /// The version token of a stream as it is or was at a version, by its last event then;
    /// none where there was none.
    pub(crate) fn token_at(
        &self,
        stream: &StreamId,
        version: Version,
        generation: Generation,
        last_event: Option<EventId>,
    ) -> Option<VersionToken> {
        Some(self.identity.token_key.mint(&TokenSubject {
            store: self.identity.id,
            stream,
            version,
            generation,
            last_event: last_event?,
        }))
    }

    /// Which of the last versions of a stream a token was minted for: none if it is older than
    /// that, if something was removed since, or if it is no token of this stream. A token tells
    /// no version, but whoever has the key can try the few that it may be.
    pub(crate) async fn version_of(
        &self,
        token: &VersionToken,
        stream: &StreamId,
        versions_max: u64,
    ) -> Result<Option<Version>, StoreError> {
        let last = self.read_stream(stream).backwards().limit(versions_max);
        let last = last.collect().await?;
        let minted = last.events.iter().find(|event| {
            let then = self.token_at(stream, event.version, last.generation, Some(event.id));
            then.is_some_and(|then| then.is_same_as(token))
        });
        Ok(minted.map(|event| event.version))
    }

    /// Whether a token was minted for a stream as it is. Takes the same time for every
    /// token of one stream.
    #[must_use]
    pub fn token_holds(&self, token: &VersionToken, info: &StreamInfo) -> bool {
        let subject = self.subject(info);
        subject.is_some_and(|subject| self.identity.token_key.matches(token, &subject))
    }

    fn subject<'a>(&self, info: &'a StreamInfo) -> Option<TokenSubject<'a>> {
        info.first_version?;
        Some(TokenSubject {
            store: self.identity.id,
            stream: &info.stream,
            version: info.version,
            generation: info.generation,
            last_event: info.last_event?,
        })
    }
}
