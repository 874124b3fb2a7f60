//! Steps 6 and 7: an attempt has lost.

use tracing::info;

use super::{
    At, Command, ConflictKind, ConflictReason, Decision, DispatchError, Diverged, Draft, EventOf,
    First, Lost, OnConflict, Receipt, Resolution, Run, Seen, Since, Situation, Step, When, Why,
    caught, debug, resolve,
};
use crate::conflict::Policy;
use crate::event::RecordedEvent;
use crate::repository::Conflict;
use crate::store::AppendReceipt;
use crate::version::StreamState;

/// What comes of an attempt that lost.
enum Next<C: Command> {
    Attempt(Step<C>),
    Surface(Why),
    /// Its merge says why not.
    Refused(String),
}

impl<C: Command> Run<C> {
    /// What becomes of an attempt whose append was in conflict.
    pub(super) async fn lost(
        &mut self,
        at: At<C>,
        draft: Draft<C>,
    ) -> Result<Lost<C>, DispatchError<C>> {
        let resolved = self.resolved(at, draft).await;
        Self::LABELS.conflict(match &resolved {
            Ok((_, resolution)) => resolution.code(),
            Err(DispatchError::Conflict(conflict)) => conflict.reason.code(),
            Err(error) => error.code(),
        });
        resolved.map(|(lost, _)| lost)
    }

    /// The same, and how it was resolved.
    async fn resolved(
        &mut self,
        at: At<C>,
        draft: Draft<C>,
    ) -> Result<(Lost<C>, Resolution), DispatchError<C>> {
        // Nobody was raced with yet, and nothing was attempted.
        let behind = self.is_behind();
        let now = self.catch_up(&at, draft).await?;
        if let Some(receipt) = self.own() {
            // The store knows what the id stands for; the event only bears it.
            let known = match self.recognised().await? {
                Some(known) => known,
                None => self.already(receipt).await?,
            };
            return Ok((Lost::Answered(known), Resolution::AlreadyApplied));
        }
        let removed = now.generation != at.generation;
        let gone = self.gone(&at, &now).await?;
        let clash = self.clash(gone.is_some())?;
        let situation = self.situation(&now, gone.is_some(), clash.is_some())?;
        let resolution = resolve(&situation);
        debug!(
            attempt = self.backoff.attempts(),
            ?resolution,
            "lost a race"
        );
        let step = match self.next(&now, resolution)? {
            Next::Attempt(step) => step,
            Next::Surface(why) => {
                let reason = match why {
                    Why::Clash => clash.unwrap_or(ConflictReason::Declared),
                    _ if gone.is_some() => gone.unwrap_or(ConflictReason::Deleted),
                    _ if removed => ConflictReason::Removed,
                    Why::Demanded => ConflictReason::Demanded,
                    Why::Declared | Why::Gone => ConflictReason::Declared,
                };
                return Err(self.surface(now, reason));
            }
            Next::Refused(reason) => {
                return Err(self.surface(now, ConflictReason::Refused { reason }));
            }
        };
        let is_answer = match &step {
            Step::Merge(events) => events.is_empty(),
            _ => resolution == Resolution::NothingToDo,
        };
        // What appends nothing is no further attempt, unless its id has to be kept.
        if behind || (is_answer && !self.options.record_outcome) {
            return Ok((Lost::Again(now, step), resolution));
        }
        match self.pause("conflict").await {
            Ok(()) => Ok((Lost::Again(now, step), resolution)),
            Err(gave_up) => Err(self.surface(now, gave_up.into())),
        }
    }

    /// What comes of a resolution.
    fn next(&self, now: &At<C>, resolution: Resolution) -> Result<Next<C>, DispatchError<C>> {
        Ok(match resolution {
            Resolution::Surface(why) => Next::Surface(why),
            Resolution::Unmet | Resolution::Broken => {
                self.require(now)?;
                self.check(now, &now.state, When::Loaded)?;
                // Asked again, the user's invariants hold.
                Next::Surface(Why::Declared)
            }
            // Where nothing was proposed, nothing can still hold.
            Resolution::Commute if !self.proposes_nothing() => Next::Attempt(Step::Commute),
            Resolution::Merge => match self.merge(now)? {
                Ok(events) => Next::Attempt(Step::Merge(events)),
                Err(reason) => Next::Refused(reason),
            },
            // Its own was found before, and has answered.
            Resolution::Commute
            | Resolution::Redecide
            | Resolution::NothingToDo
            | Resolution::AlreadyApplied => Next::Attempt(Step::Decide(Decision::Redecided)),
        })
    }

    /// Reads what happened meanwhile, and keeps the first attempt.
    async fn catch_up(&mut self, at: &At<C>, draft: Draft<C>) -> Result<At<C>, DispatchError<C>> {
        let Since { now, unseen } = loop {
            match self.repository.catch_up(at).await {
                Ok(since) => break since,
                Err(error) => self.pause_after(error).await?,
            }
        };
        self.keep(&now);
        self.unseen_events.extend(self.repository.decode(&unseen)?);
        self.unseen.extend(unseen);
        self.first.get_or_insert_with(|| First {
            base: at.clone(),
            events: draft.events,
            new_events: draft.new_events,
        });
        Ok(now)
    }

    /// The receipt of this very command, if its own events are among the unseen.
    fn own(&self) -> Option<Receipt> {
        let is_own = |event: &&RecordedEvent| {
            event.metadata.command_id.as_ref() == Some(&self.id) || self.sent.contains(&event.id)
        };
        let mut own = self.unseen.iter().filter(is_own);
        let first = own.next()?;
        let last = own.last().unwrap_or(first);
        Some(Receipt {
            appends: vec![AppendReceipt {
                stream: self.stream.clone(),
                first: Some(first.version),
                last: last.version,
            }],
            position: Some(last.position),
            replayed: true,
        })
    }

    /// Whether what was decided upon is not there any more: the stream was closed, or
    /// deleted, even if it was written again since. What was truncated away with all that
    /// was seen cannot be told from that.
    async fn gone(
        &mut self,
        at: &At<C>,
        now: &At<C>,
    ) -> Result<Option<ConflictReason>, DispatchError<C>> {
        let info = self.info().await?;
        let readable = info.first_version.is_some_and(|first| first <= at.version);
        let lost = now.generation != at.generation && !readable;
        Ok(match info.state {
            StreamState::Closed => Some(ConflictReason::Closed),
            StreamState::Deleted if lost => Some(ConflictReason::Deleted),
            _ if lost => Some(ConflictReason::Removed),
            _ => None,
        })
    }

    /// Whether a version was demanded, so that the command is not asked.
    const fn demanded(&self) -> bool {
        matches!(self.options.seen, Seen::Exactly(_) | Seen::Token(_))
    }

    /// Whether a race that was lost may not be the end.
    pub(super) fn may_go_on(&self) -> bool {
        !self.demanded() && self.on_conflict.policy() != Policy::Surface
    }

    fn proposes_nothing(&self) -> bool {
        let first = self.first.as_ref();
        first.is_some_and(|first| first.events.is_empty())
    }

    /// The first unseen event that the command cannot stand beside. It is asked only where
    /// its policy would go on.
    fn clash(&self, gone: bool) -> Result<Option<ConflictReason>, DispatchError<C>> {
        let policy = self.on_conflict.policy();
        let goes_on = matches!(policy, Policy::Redecide | Policy::Commute);
        if gone || self.demanded() || !goes_on {
            return Ok(None);
        }
        for recorded in &self.unseen {
            for event in self.repository.decode([recorded])? {
                let clashes = caught(|| self.command.clashes_with(&event));
                if clashes.map_err(|source| self.panicked(source))? {
                    return Ok(Some(ConflictReason::Clash {
                        event_type: recorded.event_type.clone(),
                        version: recorded.version,
                    }));
                }
            }
        }
        Ok(None)
    }

    fn situation(
        &self,
        now: &At<C>,
        gone: bool,
        clashes: bool,
    ) -> Result<Situation, DispatchError<C>> {
        let demanded = self.demanded();
        let required = C::REQUIRES.is_met(now.exists());
        let held = !now.exists() || self.options.repairing || self.invariants(&now.state)?.is_ok();
        // Asked last, and only where the answer matters.
        let nothing_left = !demanded && !gone && required && held && {
            let decided = self.decide(&now.state);
            match decided {
                Ok(events) => events.is_empty(),
                // What was nothing before is not in conflict as long as it is nothing.
                Err(DispatchError::Rejected(_)) => self.proposes_nothing(),
                Err(error) => return Err(error),
            }
        };
        Ok(Situation {
            own: false,
            demanded,
            gone,
            required,
            broken: !held,
            nothing_left,
            policy: self.on_conflict.policy(),
            clashes,
        })
    }

    fn merge(&self, now: &At<C>) -> Result<Result<Vec<EventOf<C>>, String>, DispatchError<C>> {
        let (OnConflict::Merge(merge), Some(first)) = (&self.on_conflict, &self.first) else {
            return Ok(Err("there is nothing to merge".to_owned()));
        };
        let diverged = Diverged {
            base: &first.base.state,
            current: &now.state,
            unseen: &self.unseen_events,
            proposed: &first.events,
        };
        caught(|| merge(&self.command, &diverged)).map_err(|source| self.panicked(source))
    }

    /// The conflict, for the caller to decide.
    pub(super) fn surface(&mut self, now: At<C>, reason: ConflictReason) -> DispatchError<C> {
        let unseen = std::mem::take(&mut self.unseen);
        let (base, events) = match self.first.take() {
            Some(first) => (first.base, first.events),
            // Nothing was decided yet.
            None => (now.clone(), Vec::new()),
        };
        let told = self
            .repository
            .conflict(&base, Since { now, unseen }, events, reason);
        match told {
            Ok(mut conflict) => {
                conflict.kind = match self.options.seen {
                    Seen::LongAgo(_) => ConflictKind::StaleVersion,
                    _ => ConflictKind::LostRace,
                };
                self.surfaced(conflict)
            }
            Err(error) => error.into(),
        }
    }

    /// Adds what is known of the command.
    pub(super) fn surfaced(&self, conflict: Conflict<C::Aggregate>) -> DispatchError<C> {
        let conflict = Conflict {
            command: Some(self.command.name().to_owned()),
            command_id: Some(self.id.clone()),
            policy: Some(self.on_conflict.policy()),
            attempts: self.backoff.attempts(),
            elapsed: self.began.elapsed(),
            ..conflict
        };
        info!(
            expected = conflict.expected.map(|version| version.get()),
            actual = conflict.version.get(),
            attempts = conflict.attempts,
            reason = conflict.reason.code(),
            "conflict"
        );
        DispatchError::Conflict(Box::new(conflict))
    }
}
