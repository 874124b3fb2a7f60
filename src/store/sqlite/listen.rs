//! Hearing what other processes commit: one thread for each store that is followed.
//!
//! It begins with the first follower and ends with the last, or with the store. It sleeps
//! until the bell rings or the poll is due, reads the head, and tells all followers if it
//! has moved. What it cannot read it leaves to them, who are told why.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::bell::{FOLLOWERS_FEW, bell_path};
use super::ear::{Ear, Listener};
use super::fault::at_file;
use super::head::Head;
use super::inlet::Here;
use super::options::SqliteOptions;
use super::row::position;
use super::schema::open_reader;
use crate::store::changes::{Changes, ring, ring_anyway, ring_out};
use crate::store::error::{StoreError, StoreErrorKind};
use crate::version::Position;

/// Puts somebody to listen as long as there is a follower.
pub(super) struct Listeners {
    path: PathBuf,
    options: SqliteOptions,
    /// Where the writer of this process tells, too.
    heads: watch::Sender<Position>,
    /// Whom the writer nudges.
    listener: Listener,
    /// The file is not closed while the thread has it open.
    guests: Weak<Here>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// Held by the followers.
    listening: Weak<Listening>,
}

/// Stops the thread when the last follower lets go of it.
struct Listening(Arc<Ear>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Listeners {
    pub(super) fn new(
        path: PathBuf,
        options: SqliteOptions,
        (heads, listener): (watch::Sender<Position>, Listener),
        guests: Weak<Here>,
    ) -> Self {
        Self {
            path,
            options,
            heads,
            listener,
            guests,
            state: Mutex::default(),
        }
    }

    /// What a follower waits on; with the first one, a thread begins to listen.
    pub(super) fn changes(&self) -> Result<Changes, StoreError> {
        let mut state = self.state();
        // Under the lock, so that none begins to listen to a store that is closing.
        let here = match state.closed {
            true => None,
            false => self.guests.upgrade(),
        };
        let here = here.ok_or_else(|| self.error(StoreErrorKind::HandleClosed))?;
        let listening = match state.listening.upgrade() {
            Some(listening) => listening,
            None => {
                let listening = self.listen(here)?;
                state.listening = Arc::downgrade(&listening);
                listening
            }
        };
        Ok(Changes::new(self.heads.subscribe()).holding(listening))
    }

    fn listen(&self, here: Arc<Here>) -> Result<Arc<Listening>, StoreError> {
        let failed = |error| self.error(StoreErrorKind::Io).with_source(error);
        let ear = Arc::new(Ear::at(&bell_path(&self.path)).map_err(failed)?);
        let watch = Watch {
            path: self.path.clone(),
            options: self.options.clone(),
            heads: self.heads.clone(),
            ear: Arc::clone(&ear),
            conn: None,
        };
        let run = move || {
            watch.run();
            drop(here);
        };
        thread::Builder::new()
            .name("annalist-listener".to_owned())
            .spawn(run)
            .map_err(failed)?;
        self.listener.is(&ear);
        Ok(Arc::new(Listening(ear)))
    }

    fn error(&self, kind: StoreErrorKind) -> StoreError {
        at_file(&self.path, kind, "following")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the thread, and wakes the followers: reading tells them that the store is
    /// closed, so call this when it does.
    pub(super) fn close(&self) {
        let listening = {
            let mut state = self.state();
            state.closed = true;
            state.listening.upgrade()
        };
        if let Some(listening) = listening {
            listening.0.stop();
        }
        ring_out(&self.heads);
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread that listens.
struct Watch {
    path: PathBuf,
    options: SqliteOptions,
    heads: watch::Sender<Position>,
    ear: Arc<Ear>,
    /// A connection of its own, so that no follower waits behind long reads.
    conn: Option<Connection>,
}

impl Watch {
    /// An interval of nothing would never sleep.
    const INTERVAL_MIN: Duration = Duration::from_millis(1);

    /// How long to leave each of many followers to what it was woken for.
    const WAKING: Duration = Duration::from_micros(10);

    fn run(mut self) {
        let interval = self.options.poll_interval.max(Self::INTERVAL_MIN);
        // Looked at first, then slept: it has been listening since before the first look,
        // so what comes after that look rings.
        while !self.ear.is_stopped() {
            match self.head() {
                Ok(head) => ring(&self.heads, head),
                // Again and again, until it can be read.
                Err(_) => {
                    self.conn = None;
                    ring_anyway(&self.heads);
                }
            }
            // What comes meanwhile wakes them once, so that those who write get their share
            // of the machine.
            let pause = self.pause().min(interval);
            self.ear.pause(pause);
            self.ear.wait(interval.saturating_sub(pause));
        }
    }

    fn pause(&self) -> Duration {
        match self.heads.receiver_count() {
            ..=FOLLOWERS_FEW => Duration::ZERO,
            many => Self::WAKING * u32::try_from(many).unwrap_or(u32::MAX),
        }
    }

    fn head(&mut self) -> Result<Position, StoreError> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(open_reader(&self.path, &self.options)?),
        };
        Head::read(conn).map(|head| position(head.position))
    }
}
