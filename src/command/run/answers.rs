//! Where a command begins, and where it ends well.

use super::{
    Answer, Appended, At, Command, Commit, ConflictKind, ConflictReason, Decision, DispatchError,
    Draft, InvalidDispatch, LoadError, Loaded, Outcome, Receipt, RecordedEvent, Run, Seen, Since,
    Step, Version,
};
use crate::caught::{caught, let_go};
use crate::command::Requires;
use crate::conflict::ConflictReport;
use crate::ids::EventId;
use crate::store::StreamInfo;
use crate::token::VersionToken;
use crate::version::{ExpectedVersion, Generation};

impl<C: Command> Run<C> {
    /// Step 1: whether a command id of the caller's took effect before. A shortcut; the
    /// append decides.
    pub(super) async fn recognised(
        &mut self,
    ) -> Result<Option<Outcome<C::Aggregate>>, DispatchError<C>> {
        if self.options.command_id.is_none() {
            return Ok(None);
        }
        let found = loop {
            let found = self
                .store()
                .find_commit(&self.stream, self.id.as_str())
                .await;
            match found {
                Ok(found) => break found,
                Err(error) => self.pause_after(error.into()).await?,
            }
        };
        match found {
            None => Ok(None),
            Some(found) if found.fingerprint == self.fingerprint => {
                self.already(found.receipt).await.map(Some)
            }
            Some(_) => Err(DispatchError::CommandIdReused {
                stream: self.stream.clone(),
                command_id: self.id.to_string(),
            }),
        }
    }

    /// Keeps the id of a command that was not decided because of what its aggregate is: sent
    /// again it takes no effect either, whatever has become of the aggregate. It was refused
    /// when it was judged, so any version may follow; who took effect under the id meanwhile
    /// is told of.
    pub(super) async fn keep_refusal(&mut self, answer: Answer<C>) -> Answer<C> {
        use DispatchError::{AlreadyExists, InvariantViolated, NotFound};
        let Err(
            AlreadyExists { version, .. }
            | NotFound { version, .. }
            | InvariantViolated { version, .. },
        ) = &answer
        else {
            return answer;
        };
        let nothing = Commit::new()
            .append(self.stream.clone(), ExpectedVersion::Any, [])
            .key(self.id.as_str(), self.fingerprint);
        match self.send(nothing, (*version, None), None).await? {
            Appended::Known(receipt) => self.already(receipt).await,
            // A closed one stays as it is, and so does the answer.
            Appended::Landed(_) | Appended::Lost => answer,
        }
    }

    /// Step 2: the state to decide on first.
    pub(super) async fn start(&mut self) -> Result<At<C>, DispatchError<C>> {
        if let Seen::LongAgo(version) = self.options.seen {
            let at = self.load_at(version).await?;
            // What was seen at the last version of a deleted stream is not there any more.
            if !at.exists() && version > Version::ZERO {
                return Err(self.invalid(LoadError::Removed {
                    stream: self.stream.clone(),
                    first: version.next(),
                }));
            }
            self.require(&at)?;
            if self.info().await?.version == version {
                self.options.seen = Seen::Nothing;
            }
            return Ok(at);
        }
        let proven = match self.options.seen {
            Seen::Token(token) => Some((token, self.info().await?)),
            _ => None,
        };
        let at = match self.options.seen {
            Seen::Nothing => self.guess().await?,
            _ => self.load().await?,
        };
        self.require(&at)?;
        let stale = match (self.options.seen, proven) {
            (Seen::Exactly(version), _) if version > at.version => {
                return Err(self.invalid(LoadError::NotReached {
                    stream: self.stream.clone(),
                    asked: version,
                    version: at.version,
                }));
            }
            (Seen::Exactly(version), _) => version != at.version,
            (_, Some((token, info))) => {
                let is_info = (info.version, info.generation) == (at.version, at.generation);
                !is_info || !self.store().token_holds(&token, &info)
            }
            _ => false,
        };
        match stale {
            true => Err(self.stale(at).await),
            false => Ok(at),
        }
    }

    /// What is told of a caller that demanded an older state.
    async fn stale(&mut self, now: At<C>) -> DispatchError<C> {
        let expected = match self.options.seen {
            Seen::Exactly(version) => Some(version),
            Seen::Token(token) => self.seen_by(&token, &now).await,
            _ => None,
        };
        let base = match expected {
            Some(version) => self.load_at(version).await.ok(),
            None => None,
        };
        // A base that was removed is not known any more, but what came after it is.
        let unseen = match self.seen_since(expected.unwrap_or(now.version), &now).await {
            Ok(unseen) => unseen,
            Err(error) => return error,
        };
        let at = base.clone().unwrap_or_else(|| now.clone());
        let since = Since { now, unseen };
        let told = self
            .repository
            .conflict(&at, since, Vec::new(), ConflictReason::Demanded);
        match told {
            Ok(mut conflict) => {
                conflict.kind = ConflictKind::StaleVersion;
                conflict.expected = expected;
                conflict.base = base.map(|base| base.state);
                Self::LABELS.conflict(conflict.reason.code());
                self.surfaced(conflict)
            }
            Err(error) => error.into(),
        }
    }

    /// The version that a token was minted for, as far as it can be told. That it cannot be
    /// must not hide the conflict.
    async fn seen_by(&self, token: &VersionToken, now: &At<C>) -> Option<Version> {
        let versions = ConflictReport::UNSEEN_MAX as u64 + 1;
        let seen = self.store().version_of(token, &self.stream, versions);
        let seen = seen.await.ok().flatten();
        seen.filter(|seen| *seen < now.version)
    }

    /// What happened after a version that the caller has seen, as far as it can be read.
    async fn seen_since(
        &mut self,
        seen: Version,
        now: &At<C>,
    ) -> Result<Vec<RecordedEvent>, DispatchError<C>> {
        loop {
            let rest = self.store().read_stream(&self.stream);
            let rest = rest.from(seen.next()).to(now.version);
            let rest = rest.limit(self.options.unseen_max.unwrap_or(u64::MAX));
            match rest.collect().await {
                Ok(slice) => return Ok(slice.events),
                Err(error) => self.pause_after(error.into()).await?,
            }
        }
    }

    pub(super) fn require(&self, at: &At<C>) -> Result<(), DispatchError<C>> {
        let (stream, version) = (self.stream.clone(), at.version);
        match C::REQUIRES {
            requires if requires.is_met(at.exists()) => Ok(()),
            Requires::New => Err(DispatchError::AlreadyExists { stream, version }),
            _ => Err(DispatchError::NotFound { stream, version }),
        }
    }

    pub(super) async fn info(&mut self) -> Result<StreamInfo, DispatchError<C>> {
        loop {
            match self.store().stream_info(&self.stream).await {
                Ok(info) => return Ok(info),
                Err(error) => self.pause_after(error.into()).await?,
            }
        }
    }

    /// The state that was kept last, if it is one that the command may be decided on: the
    /// append will tell whether it is that of now.
    async fn guess(&mut self) -> Result<At<C>, DispatchError<C>> {
        let kept = self
            .cache
            .as_ref()
            .and_then(|cache| cache.get(&self.stream));
        match kept {
            Some(at) if self.require(&at).is_ok() => {
                self.unproven = true;
                Ok(at)
            }
            _ => self.load().await,
        }
    }

    /// What has become of a state that was kept, to decide on anew.
    pub(super) async fn proven(&mut self, at: At<C>) -> Result<(At<C>, Step<C>), DispatchError<C>> {
        self.unproven = false;
        let now = loop {
            match self.repository.refresh(&at).await {
                Ok(now) => break now,
                Err(error) => self.pause_after(error).await?,
            }
        };
        self.keep(&now);
        self.require(&now)?;
        Ok((now, Step::Decide(Decision::Appended)))
    }

    /// The state as it is now, of which only what is new is read if one was kept.
    pub(super) async fn load(&mut self) -> Result<At<C>, DispatchError<C>> {
        let kept = self
            .cache
            .as_ref()
            .and_then(|cache| cache.get(&self.stream));
        loop {
            let loaded = match &kept {
                Some(kept) => self.repository.refresh(kept).await,
                None => self.repository.load_stream(&self.stream).await,
            };
            match loaded {
                Ok(at) => {
                    self.keep(&at);
                    return Ok(at);
                }
                Err(error) => self.pause_after(error).await?,
            }
        }
    }

    /// Keeps a state for the next command.
    pub(super) fn keep(&self, at: &At<C>) {
        if let Some(cache) = &self.cache {
            cache.keep(at.clone());
        }
    }

    async fn load_at(&mut self, version: Version) -> Result<At<C>, DispatchError<C>> {
        loop {
            match self.repository.load_stream_at(&self.stream, version).await {
                Ok(at) => return Ok(at),
                Err(error @ (LoadError::NotReached { .. } | LoadError::Removed { .. })) => {
                    return Err(self.invalid(error));
                }
                Err(error) => self.pause_after(error).await?,
            }
        }
    }

    fn invalid(&self, error: LoadError) -> DispatchError<C> {
        DispatchError::Invalid(InvalidDispatch::Version(error))
    }

    pub(super) fn landed(
        &mut self,
        at: At<C>,
        draft: Draft<C>,
        receipt: &Receipt,
    ) -> Outcome<C::Aggregate> {
        let last_event = draft
            .new_events
            .last()
            .map(|last| last.id)
            .or(at.last_event);
        let generation = at.generation;
        if !draft.new_events.is_empty() && !receipt.replayed {
            // It has landed: a copy that panics is none of the caller's business.
            let (from, version) = (at.version, receipt.version());
            let kept = caught(|| {
                let now = Loaded {
                    state: draft.state.clone(),
                    version,
                    last_event,
                    ..at
                };
                self.repository.keep_if_due(from, &now);
                if let Some(cache) = &self.cache {
                    cache.keep(now);
                }
            });
            let_go(kept);
        }
        self.outcome(draft, receipt, (generation, last_event))
    }

    /// The outcome of what was written; of the stream, the generation and the last event.
    pub(super) fn outcome(
        &mut self,
        draft: Draft<C>,
        receipt: &Receipt,
        (generation, last_event): (Generation, Option<EventId>),
    ) -> Outcome<C::Aggregate> {
        Outcome {
            version: receipt.version(),
            first_version: receipt.appends.first().and_then(|append| append.first),
            generation,
            last_event,
            position: receipt.position,
            events: draft.events,
            state: draft.state,
            attempts: self.backoff.attempts(),
            unseen: std::mem::take(&mut self.unseen),
            decided_by: draft.decided_by,
        }
    }

    /// The outcome of a command that took effect before, as it was then: as far as it can
    /// still be read.
    pub(super) async fn already(&mut self, receipt: Receipt) -> Answer<C> {
        loop {
            match self.applied(&receipt).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.pause_after(error).await?,
            }
        }
    }

    async fn applied(&self, receipt: &Receipt) -> Result<Outcome<C::Aggregate>, LoadError> {
        let own = receipt
            .appends
            .iter()
            .find(|append| append.stream == self.stream);
        let (first, last) = own.map_or((None, Version::ZERO), |own| (own.first, own.last));
        let recorded = match first {
            Some(first) => {
                let read = self.store().read_stream(&self.stream).from(first).to(last);
                read.collect().await?.events
            }
            None => Vec::new(),
        };
        let events = self.repository.decode(&recorded)?;
        let at = match self.repository.load_stream_at(&self.stream, last).await {
            Err(LoadError::Removed { .. }) => Loaded::new(self.stream.clone()),
            at => at?,
        };
        Ok(Outcome {
            version: last,
            first_version: first,
            generation: at.generation,
            last_event: at.last_event,
            position: receipt.position,
            events,
            state: at.state,
            attempts: self.backoff.attempts(),
            unseen: Vec::new(),
            decided_by: Decision::AlreadyApplied,
        })
    }
}
