//! One turn: serves those who were waiting when it began. Decides as many as go together, each
//! on what the one before it leaves, has them written, and sees to what becomes of each.

use std::collections::VecDeque;

use super::{Drafted, Fate, InLine, Way};
use crate::aggregate::Aggregate;
use crate::caught::let_go;
use crate::ids::StreamId;
use crate::repository::{Cache, LoadError, Loaded, Repository};
use crate::store::{AppendError, Commit, Receipt, StoreError, StoreErrorKind};

/// Serves those who were waiting when a turn began.
pub(super) struct Turn<A: Aggregate> {
    pub(super) stream: StreamId,
    pub(super) repository: Repository<A>,
    pub(super) cache: Option<Cache>,
    pub(super) waiting: VecDeque<Box<dyn InLine<A>>>,
}

/// A state to decide on.
struct State<A> {
    at: Loaded<A>,
    /// Whether the store was asked since everybody here is in line.
    is_proven: bool,
}

/// A command that was decided, and what it does to those after it.
struct Decided<A: Aggregate> {
    command: Box<dyn InLine<A>>,
    is_written: bool,
    then: Option<Loaded<A>>,
}

impl<A: Aggregate> Turn<A> {
    /// How many commands share a transaction, at most, and how many bytes.
    const COMMANDS_MAX: usize = 256;
    const BYTES_MAX: usize = 1 << 20;

    pub(super) async fn serve(mut self) {
        let mut known = None;
        loop {
            let (gone, here) = self
                .waiting
                .drain(..)
                .partition(|command| command.is_gone());
            self.waiting = here;
            let_go::<VecDeque<_>>(gone);
            let Some(first) = self.waiting.front() else {
                return;
            };
            if first.goes_alone() {
                known = None;
                if let Some(command) = self.waiting.pop_front() {
                    command.go(Way::Anew).await;
                }
                continue;
            }
            let state = match known.take() {
                Some(state) => Ok(state),
                None => self.look().await,
            };
            match state {
                Ok(state) => known = self.round(state).await,
                // Each meets it by itself, and may wait for it to pass.
                Err(_) => each(self.waiting.drain(..), || Way::Anew).await,
            }
        }
    }

    /// The state as it was last known here, or else as it is.
    async fn look(&mut self) -> Result<State<A>, LoadError> {
        let kept = self
            .cache
            .as_ref()
            .and_then(|cache| cache.get(&self.stream));
        Ok(match kept {
            Some(at) => State {
                at,
                is_proven: false,
            },
            None => State {
                at: self.repository.load_stream(&self.stream).await?,
                is_proven: true,
            },
        })
    }

    /// Decides as many as go together, and writes them. Answers the state for the next round,
    /// if it is known.
    async fn round(&mut self, state: State<A>) -> Option<State<A>> {
        let (decided, commits) = self.decide(&state.at);
        if commits.is_empty() {
            return self.unwritten(state, decided).await;
        }
        let told = self.repository.store().commit_chain(commits).await;
        self.told(state, decided, told).await
    }

    fn decide(&mut self, at: &Loaded<A>) -> (Vec<Decided<A>>, Vec<Commit>) {
        let mut decided: Vec<Decided<A>> = Vec::new();
        let mut commits = Vec::new();
        let mut room = Self::BYTES_MAX;
        while decided.len() < Self::COMMANDS_MAX && room > 0 {
            match self.waiting.front() {
                Some(next) if !next.goes_alone() => {}
                _ => break,
            }
            let Some(mut command) = self.waiting.pop_front() else {
                break;
            };
            let mut before = decided.iter().rev();
            let end = before.find_map(|before| before.then.as_ref()).unwrap_or(at);
            let (is_written, then) = match command.draft(end) {
                Drafted::Commit {
                    commit,
                    then,
                    bytes,
                } => {
                    commits.push(commit);
                    room = room.saturating_sub(bytes);
                    (true, then)
                }
                Drafted::Answer => (false, None),
            };
            decided.push(Decided {
                command,
                is_written,
                then,
            });
        }
        (decided, commits)
    }

    /// What writes nothing holds for what is there now alone.
    async fn unwritten(&mut self, state: State<A>, decided: Vec<Decided<A>>) -> Option<State<A>> {
        let now = match state.is_proven {
            true => None,
            false => match self.repository.refresh(&state.at).await {
                Ok(now) => Some(now),
                Err(_) => {
                    each(commands(decided), || Way::Anew).await;
                    return None;
                }
            },
        };
        match now {
            Some(now) if !is_same(&now, &state.at) => self.again(now, decided),
            _ => {
                decided.into_iter().for_each(|one| one.command.answer());
                Some(State {
                    is_proven: true,
                    ..state
                })
            }
        }
    }

    /// What the store has said of each that was sent, in order.
    async fn told(
        &mut self,
        state: State<A>,
        decided: Vec<Decided<A>>,
        told: Vec<Result<Receipt, AppendError>>,
    ) -> Option<State<A>> {
        let mut told = told.into_iter();
        let mut base = None;
        let mut unproven = Vec::new();
        let mut decided = decided.into_iter();
        while let Some(one) = decided.next() {
            if !one.is_written {
                match &base {
                    Some(_) => one.command.answer(),
                    // Those before the first that is written hold if that does.
                    None => unproven.push(one),
                }
                continue;
            }
            match told.next() {
                Some(Ok(receipt)) => {
                    let before = base.take().unwrap_or_else(|| state.at.clone());
                    base = Some(one.then.unwrap_or(before));
                    let answered = unproven.drain(..);
                    answered.for_each(|one: Decided<A>| one.command.answer());
                    one.command.landed(&receipt);
                }
                Some(Err(error)) => {
                    unproven.push(one);
                    unproven.extend(decided);
                    return self.refused(state, base, unproven, error).await;
                }
                // They were not tried, as where each has a transaction to itself. The first of
                // a chain is always tried; where a backend tries none, nothing is known of any,
                // and to go on would be to go on for ever.
                None => {
                    unproven.push(one);
                    unproven.extend(decided);
                    return self.again(base?, unproven);
                }
            }
        }
        let from = state.at.version;
        let end = base.unwrap_or(state.at);
        self.repository.keep_if_due(from, &end);
        self.keep(&end);
        Some(State {
            at: end,
            is_proven: true,
        })
    }

    /// What becomes of those whose commits were not written. They were decided upon `base`,
    /// what the others have written, if they have.
    async fn refused(
        &mut self,
        state: State<A>,
        base: Option<Loaded<A>>,
        rest: Vec<Decided<A>>,
        error: AppendError,
    ) -> Option<State<A>> {
        if let Some(base) = &base {
            self.repository.keep_if_due(state.at.version, base);
            self.keep(base);
        }
        let is_proven = state.is_proven || base.is_some();
        let base = base.unwrap_or(state.at);
        match error {
            AppendError::Conflict(_) | AppendError::StreamClosed(_) if is_proven => {
                each(commands(rest), || Way::Raced(base.clone())).await;
                None
            }
            // Nobody was raced with: it had just not been looked.
            AppendError::Conflict(_) | AppendError::StreamClosed(_) => {
                match self.repository.catch_up(&base).await {
                    Ok(since) => self.again(since.now, rest),
                    Err(_) => {
                        each(commands(rest), || Way::Anew).await;
                        None
                    }
                }
            }
            AppendError::Store(error) => {
                self.resend(base, is_proven, rest, &error).await;
                None
            }
            // It is this one's own. The others were only decided upon it.
            _ => {
                let mut rest = rest;
                let own = rest.iter().position(|one| one.is_written);
                if let Some(own) = own {
                    rest.remove(own).command.go(Way::Anew).await;
                }
                self.put_back(rest);
                None
            }
        }
    }

    /// Sends each by itself, in order: none was written, or it is not known. What was decided
    /// upon one that falls is decided anew, since nobody was answered; upon one of which it is
    /// not known, it is not known either, and nothing more may be sent.
    async fn resend(
        &mut self,
        base: Loaded<A>,
        is_proven: bool,
        rest: Vec<Decided<A>>,
        error: &StoreError,
    ) {
        let unknown = || (error.kind() == StoreErrorKind::Unknown).then(|| error.again());
        // What the next was decided upon; without it, that is not there.
        let mut base = Some(base);
        let mut is_proven = is_proven;
        let mut doubt = None;
        for one in rest {
            let way = match (&base, &doubt) {
                _ if !one.is_written => Way::Anew,
                (_, Some(doubt)) => Way::Doubtful(StoreError::again(doubt)),
                (Some(base), None) => Way::Again(is_proven.then(|| base.clone()), unknown()),
                (None, None) => Way::Anew,
            };
            let fate = one.command.go(way).await;
            match fate {
                _ if !one.is_written => {}
                Fate::Stands => {
                    base = one.then.or(base);
                    is_proven = true;
                }
                Fate::Falls => base = None,
                // Of those that were not written before, nothing is there in any case.
                Fate::Doubtful => {
                    doubt = unknown();
                    base = None;
                }
            }
        }
    }

    fn put_back(&mut self, decided: Vec<Decided<A>>) {
        for one in decided.into_iter().rev() {
            self.waiting.push_front(one.command);
        }
    }

    /// Decides them once more on a state that was read, before those who still wait.
    fn again(&mut self, now: Loaded<A>, decided: Vec<Decided<A>>) -> Option<State<A>> {
        self.keep(&now);
        self.put_back(decided);
        Some(State {
            at: now,
            is_proven: true,
        })
    }

    fn keep(&self, at: &Loaded<A>) {
        if let Some(cache) = &self.cache {
            cache.keep(at.clone());
        }
    }
}

fn commands<A: Aggregate>(decided: Vec<Decided<A>>) -> impl Iterator<Item = Box<dyn InLine<A>>> {
    decided.into_iter().map(|one| one.command)
}

/// Lets each go on by itself, one after the other.
async fn each<A: Aggregate>(
    commands: impl Iterator<Item = Box<dyn InLine<A>>>,
    way: impl Fn() -> Way<A>,
) {
    for command in commands {
        command.go(way()).await;
    }
}

fn is_same<A>(one: &Loaded<A>, other: &Loaded<A>) -> bool {
    (one.version, one.generation) == (other.version, other.generation)
}
