//! A follower that is not being filled here: because another runner fills it, or because it
//! cannot go on.

use std::time::Duration;

use tokio::time::Instant;

use super::{End, Lead, Next, Turn, next};
use crate::follow::command::Command;
use crate::follow::ledger::Trouble;
use crate::follow::parked;
use crate::follow::status::FollowState;

impl Lead {
    /// How often one that stands by looks whether it is needed.
    const STAND_BY: Duration = Duration::from_millis(100);

    /// Waits until nobody else is the runner, and becomes it.
    pub(super) async fn stand_by(&mut self) -> Result<(), End> {
        loop {
            match self.ledger.acquire_if_free(self.options.clock.now()).await {
                Ok(true) => return Ok(()),
                Ok(false) => self.look_on().await,
                Err(trouble) if trouble.may_pass() => {
                    self.tell_problem(FollowState::StandingBy, &trouble);
                }
                Err(trouble) => match self.stopped(&trouble).await {
                    Ok(()) | Err(End::Overtaken) => {}
                    Err(End::Told) => return Err(End::Told),
                },
            }
            let until = Instant::now() + Self::STAND_BY;
            while let Next::Command(command) = self.next_command(until).await {
                match command {
                    None | Some(Command::Stop) => return Err(End::Told),
                    Some(Command::Rebuild { old, answer }) => {
                        let asked = self.ledger.ask_rebuild(old).await;
                        let _ = answer.send(asked.map_err(|trouble| trouble.to_string()));
                    }
                    Some(other) => self.obey_idle(other, "another process fills it").await,
                }
            }
        }
    }

    /// It cannot go on: says so, and waits to be told what to do, or until another runner
    /// has come past what was in its way.
    pub(super) async fn stopped(&mut self, trouble: &Trouble) -> Result<(), End> {
        self.tell_problem(FollowState::Stopped, trouble);
        // Another one may do better; if it cannot be told, it waits for the lease to run out.
        let _ = self.ledger.release().await;
        let (build, position) = {
            let status = self.board.borrow();
            (status.build, status.position)
        };
        loop {
            let until = Instant::now() + Self::STAND_BY;
            match self.next_command(until).await {
                Next::Command(None | Some(Command::Stop)) => return Err(End::Told),
                // Whoever asks it to go on has mended what was wrong.
                Next::Command(Some(Command::Resume(done))) => {
                    self.paused = false;
                    self.tell_goes_on();
                    let _ = done.send(Ok(()));
                    return Ok(());
                }
                Next::Command(Some(Command::Rebuild { old, answer })) => {
                    // It may be what mends it.
                    let begun = match self.begin(old).await {
                        // Whoever becomes the runner next does it.
                        Err(Trouble::Overtaken) => self.ledger.ask_rebuild(old).await,
                        begun => begun.map(|build| build.build),
                    };
                    let goes_on = begun.is_ok();
                    if goes_on {
                        self.tell_goes_on();
                    }
                    let _ = answer.send(begun.map_err(|trouble| trouble.to_string()));
                    if goes_on {
                        return Ok(());
                    }
                }
                Next::Command(Some(other)) => {
                    self.obey_idle(other, "it has stopped; resume it first")
                        .await;
                }
                _ => {
                    let passed = self.ledger.is_passed(build, position).await;
                    if passed.is_ok_and(|passed| passed) {
                        return Err(End::Overtaken);
                    }
                }
            }
        }
    }

    /// Rests for a moment, since the database or the store cannot be had now.
    pub(super) async fn rest(&mut self, trouble: &Trouble) -> Result<(), End> {
        let state = self.board.borrow().state;
        self.tell_problem(state, trouble);
        let until = Instant::now() + Self::STAND_BY;
        while let Next::Command(command) = self.next_command(until).await {
            match command {
                None | Some(Command::Stop) => return Err(End::Told),
                Some(other) => self.obey_idle(other, &trouble.to_string()).await,
            }
        }
        Ok(())
    }

    async fn next_command(&mut self, until: Instant) -> Next {
        next(&mut self.commands, (None, None, Turn::Live), until).await
    }

    /// What can be done without being the runner.
    async fn obey_idle(&mut self, command: Command, why_not: &str) {
        match command {
            Command::Pause(done) => {
                self.paused = true;
                let _ = done.send(Ok(()));
            }
            Command::Resume(done) => {
                self.paused = false;
                let _ = done.send(Ok(()));
            }
            Command::ListParked(answer) => {
                let listed = parked::list_live(&self.ledger.database, &self.ledger.code.name);
                let _ = answer.send(listed.await.map_err(|error| error.to_string()));
            }
            other => other.refuse(why_not),
        }
    }
}
